//! What entries are encrypted with.

use crate::base::secret::Secret;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::Zeroizing;

/// Which key encrypted something: the first bytes of a digest of it. It gives nothing of the key away.
pub type KeyId = [u8; 8];

/// The current key and the one before it, for a rotation without losing what is stored. Cheap enough to
/// clone; nothing of it can be printed.
#[derive(Clone, Default)]
pub struct Keys {
    current: Option<Key>,
    old: Option<Key>,
}

#[derive(Clone)]
pub(super) struct Key {
    bytes: Zeroizing<[u8; 32]>,
    id: KeyId,
}

/// A key that fits, and its place.
pub(super) enum Fits<'a> {
    Current(&'a Key),
    Old(&'a Key),
    None,
}

impl Keys {
    /// Nothing is encrypted, and what is cannot be read.
    pub fn none() -> Keys {
        Keys::default()
    }

    /// `store.encryption_key` and `store.encryption_key_old`: texts with 128 bits of chance at least.
    pub fn of(current: Option<&Secret>, old: Option<&Secret>) -> Keys {
        Keys { current: current.map(Key::of), old: old.map(Key::of) }
    }

    /// Whether what is written is encrypted; then only what is encrypted is read.
    pub fn is_sealing(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn current(&self) -> Option<&Key> {
        self.current.as_ref()
    }

    pub(super) fn fitting(&self, id: &KeyId) -> Fits<'_> {
        match (&self.current, &self.old) {
            (Some(key), _) if key.id == *id => Fits::Current(key),
            (_, Some(key)) if key.id == *id => Fits::Old(key),
            _ => Fits::None,
        }
    }
}

impl Key {
    fn of(secret: &Secret) -> Key {
        let text = secret.expose().as_bytes();
        let bytes = Zeroizing::new(blake3::derive_key("reprise 2026-11 entries: encryption key", text));
        let whole = blake3::derive_key("reprise 2026-11 entries: key id", text);
        let mut id = KeyId::default();
        id.copy_from_slice(&whole[..size_of::<KeyId>()]);
        Key { bytes, id }
    }

    pub(super) fn id(&self) -> &KeyId {
        &self.id
    }

    /// `None` only beyond 256 GiB, the cipher's limit.
    pub(super) fn encrypt(&self, nonce: &[u8; 24], aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.cipher().encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad }).ok()
    }

    /// `None`: not what this key encrypted.
    pub(super) fn decrypt(&self, nonce: &[u8; 24], aad: &[u8], coded: &[u8]) -> Option<Vec<u8>> {
        self.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: coded, aad }).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |key: &Option<Key>| if key.is_some() { "set" } else { "none" };
        write!(f, "Keys(current {}, old {})", word(&self.current), word(&self.old))
    }
}
