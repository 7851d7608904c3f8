//! The envelope around an entry's fields.
//!
//! ```text
//! 89 'R' 'P' 'E'   magic
//! version          1
//! flags            1: fields are zstd  2: body is encrypted
//! key id, nonce    8 and 24 bytes, if encrypted
//! body             length of the fields as they are, LEB128; of the fields as written here, LEB128;
//!                  the fields; the vector's section, never compressed
//! checksum         16 bytes of BLAKE3 of everything before it
//! ```
//! Encryption is XChaCha20-Poly1305 over the body, which makes it 16 bytes longer, with a random nonce and
//! with everything before the body as associated data. What is encrypted shows its length, its key's id and nothing else.

use super::Undecodable;
use super::cursor::{self, Cursor};
use super::keys::{Fits, Keys};
use std::borrow::Cow;
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

const MAGIC: [u8; 4] = [0x89, b'R', b'P', b'E'];
/// Raised whenever a field is added or changes its meaning.
pub const VERSION: u8 = 1;
const PACKED: u8 = 1;
const SEALED: u8 = 2;
const CHECKSUM: usize = 16;
const NONCE: usize = 24;

/// Fields shorter than this are not compressed: there is little to gain.
const WORTH_PACKING: usize = 512;
/// zstd's level: at 3 it is as fast as at 1 on texts of a few KiB, and a tenth smaller.
const LEVEL: i32 = 3;
/// Decompressed length by compressed length at most. What would compress better is written as it is, so
/// that no bytes can ask for more memory than this.
pub const MOST_RATIO: usize = 128;

/// How bytes were protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// Not encrypted; no key is set.
    Plain,
    /// By the current key.
    Current,
    /// By the old key: to be written anew before that is taken away.
    Old,
}

/// What was inside.
#[derive(Debug)]
pub struct Opened {
    pub fields: Vec<u8>,
    pub vector: Vec<u8>,
    pub sealed: Sealed,
}

thread_local! {
    /// Contexts take some 100 KiB each and are the slower part of a small compression.
    static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

pub fn seal(fields: Vec<u8>, vector: Vec<u8>, keys: &Keys) -> Vec<u8> {
    let raw_length = fields.len();
    let packed = pack(&fields);
    let (flag, fields) = match packed {
        Some(packed) => (PACKED, packed),
        None => (0, fields),
    };
    let mut body = Vec::with_capacity(fields.len() + vector.len() + 16);
    cursor::number(&mut body, raw_length as u64);
    cursor::bytes(&mut body, &fields);
    body.extend_from_slice(&vector);
    let mut out = Vec::with_capacity(body.len() + 80);
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    match keys.current() {
        None => {
            out.push(flag);
            out.extend_from_slice(&body);
        }
        Some(key) => {
            out.push(flag | SEALED);
            let nonce: [u8; NONCE] = rand::random();
            out.extend_from_slice(key.id());
            out.extend_from_slice(&nonce);
            // An entry beyond the cipher's limit of 256 GiB does not exist; it would be unreadable, a miss.
            out.extend(key.encrypt(&nonce, &out, &body).unwrap_or_default());
        }
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum);
    out
}

pub fn open(bytes: &[u8], keys: &Keys) -> Result<Opened, Undecodable> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] || bytes.is_empty() {
        return Err(Undecodable::Foreign);
    }
    if bytes.get(MAGIC.len()).is_some_and(|version| *version > VERSION) {
        return Err(Undecodable::Newer);
    }
    let (sealed_bytes, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Undecodable::Corrupt)?;
    if checksum(sealed_bytes) != *sum {
        return Err(Undecodable::Corrupt);
    }
    let mut cursor = Cursor::of(sealed_bytes.get(MAGIC.len()..).unwrap_or_default());
    let (version, flags) = cursor.byte().zip(cursor.byte()).ok_or(Undecodable::Corrupt)?;
    if version != VERSION || flags & !(PACKED | SEALED) != 0 {
        return Err(Undecodable::Corrupt);
    }
    let (body, sealed) = match flags & SEALED {
        0 if keys.is_sealing() => return Err(Undecodable::Unsealed),
        0 => (Cow::Borrowed(cursor.rest()), Sealed::Plain),
        _ => decrypt(sealed_bytes, cursor, keys)?,
    };
    let (fields, vector) = unpack(&body, flags & PACKED != 0).ok_or(Undecodable::Corrupt)?;
    Ok(Opened { fields, vector, sealed })
}

fn decrypt<'a>(
    whole: &[u8],
    mut cursor: Cursor<'_>,
    keys: &Keys,
) -> Result<(Cow<'a, [u8]>, Sealed), Undecodable> {
    let (id, nonce) = cursor.array().zip(cursor.array::<NONCE>()).ok_or(Undecodable::Corrupt)?;
    let (key, sealed) = match keys.fitting(&id) {
        Fits::Current(key) => (key, Sealed::Current),
        Fits::Old(key) => (key, Sealed::Old),
        Fits::None => return Err(Undecodable::WrongKey),
    };
    let coded = cursor.rest();
    let aad = &whole[..whole.len() - coded.len()];
    let body = key.decrypt(&nonce, aad, coded).ok_or(Undecodable::Corrupt)?;
    Ok((Cow::Owned(body), sealed))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    sum
}

/// `None`: better left as it is.
fn pack(fields: &[u8]) -> Option<Vec<u8>> {
    if fields.len() < WORTH_PACKING {
        return None;
    }
    PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Compressor::new(LEVEL).ok();
        }
        let packed = packer.as_mut()?.compress(fields).ok()?;
        let pays = packed.len() + packed.len() / 8 < fields.len();
        (pays && fields.len() <= packed.len().saturating_mul(MOST_RATIO)).then_some(packed)
    })
}

/// The fields and the vector's section.
fn unpack(body: &[u8], packed: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut cursor = Cursor::of(body);
    let raw_length = usize::try_from(cursor.number()?).ok()?;
    let fields = cursor.bytes()?;
    let vector = cursor.rest().to_vec();
    if !packed {
        return (fields.len() == raw_length).then(|| (fields.to_vec(), vector));
    }
    if raw_length > fields.len().saturating_mul(MOST_RATIO) {
        return None;
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = Decompressor::new().ok();
        }
        let fields = unpacker.as_mut()?.decompress(fields, raw_length).ok()?;
        (fields.len() == raw_length).then_some((fields, vector))
    })
}
