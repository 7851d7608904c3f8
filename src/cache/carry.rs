//! Entries to and from other servers, as one run of bytes: a mark, then the codec's bytes of each entry
//! with their length before them (four bytes, the lowest first). What a key encrypts on disk it encrypts here.

use super::Cache;
use super::codec::{self, Keys, Stored, Undecodable};
use super::disk::RowId;
use ahash::AHashMap;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What an export begins with.
pub const MARK: &[u8] = b"reprise export 1\n";
/// Entries read from the disk in one go.
const CHUNK: usize = 128;
/// Bytes of one entry at most: `cache.max_entry` can be no larger.
const LONGEST: usize = (1 << 30) + (1 << 20);
const NO_EXPORT: &str = "this is no export of reprise";
const FLUSH: Duration = Duration::from_secs(10);

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub entries: usize,
    pub expired: usize,
    /// A newer recording was there.
    pub known: usize,
    /// By the reason's word.
    pub refused: BTreeMap<&'static str, usize>,
    /// Why the rest was not read, if it was not.
    pub broke_off: Option<&'static str>,
}

impl Cache {
    /// Every fresh entry, the newest first, in pieces that `take` is given; it says false to stop. From the
    /// disk where there is one, else from memory (then without vectors). Blocks.
    pub fn export(&self, mut take: impl FnMut(Bytes) -> bool) {
        let mut piece = BytesMut::from(MARK);
        let now = self.clock.now();
        let Some(disk) = &self.disk else {
            for entry in self.store.all().filter(|entry| entry.is_fresh(now)) {
                put_frame(&mut piece, &codec::encode(&entry, None, &Keys::none()));
                if piece.len() > 1 << 18 && !take(piece.split().freeze()) {
                    return;
                }
            }
            take(piece.freeze());
            return;
        };
        disk.flush(FLUSH);
        let mut before = RowId::MAX;
        loop {
            let rows = disk.newest(before, CHUNK);
            let Some(last) = rows.last() else { break };
            before = last.id;
            for Stored { entry, embedding, .. } in rows.into_iter().filter_map(|row| row.stored.ok()) {
                if entry.is_fresh(now) {
                    put_frame(&mut piece, &codec::encode(&entry, embedding.as_ref(), disk.keys()));
                }
            }
            if !take(piece.split().freeze()) {
                return;
            }
        }
        take(piece.freeze());
    }

    /// Keeps one entry of an export, in memory and on disk. `Err`: not decodable.
    fn import_one(&self, bytes: &[u8], imported: &mut Imported) -> Result<(), Undecodable> {
        let none = Keys::none();
        let keys = self.disk.as_ref().map_or(&none, |disk| disk.keys());
        let Stored { entry, embedding, .. } = codec::decode(bytes, keys)?;
        let now = self.clock.now();
        if !entry.is_fresh(now) {
            imported.expired += 1;
            return Ok(());
        }
        let entry = Arc::new(entry);
        let known = self.store.has(&entry.key)
            && self.store.get(&entry.key).is_some_and(|known| known.stored >= entry.stored);
        if known {
            imported.known += 1;
            return Ok(());
        }
        imported.entries += 1;
        let semantic = self.semantic();
        let usable = semantic
            .as_ref()
            .zip(embedding.as_ref())
            .filter(|(semantic, embedding)| *embedding.model == *semantic.model_name());
        let extra = usable.map_or(0, |(semantic, _)| semantic.index().bytes_for(&entry.partition));
        self.store.insert(entry.clone(), extra);
        if let Some(disk) = &self.disk {
            disk.put(&entry, embedding.clone());
        }
        if let Some(shared) = self.shared() {
            shared.put(entry.clone(), embedding.clone());
        }
        match (usable, &entry.question) {
            (Some((semantic, embedding)), Some(question)) => {
                semantic.insert(entry.partition, entry.key, &embedding.vector, question.clone());
            }
            (None, Some(_)) if semantic.is_some() => self.wants_vector(entry.key),
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn put_frame(out: &mut BytesMut, bytes: &[u8]) {
    // An entry has at most 1 GiB.
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

/// The entries of an export as they come, at any cut.
#[derive(Default)]
pub(super) struct Frames {
    pending: BytesMut,
    begun: bool,
    broken: Option<&'static str>,
}

impl Frames {
    pub fn feed(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The bytes of the next entry; `None` until more is fed, and for good where this is no export.
    pub fn next(&mut self) -> Option<BytesMut> {
        if self.broken.is_some() || !self.begun && self.pending.len() < MARK.len() {
            return None;
        }
        if !self.begun {
            if !self.pending.starts_with(MARK) {
                self.broken = Some(NO_EXPORT);
                return None;
            }
            self.pending.advance(MARK.len());
            self.begun = true;
        }
        let length = u32::from_le_bytes(*self.pending.first_chunk::<4>()?) as usize;
        if length > LONGEST {
            self.broken = Some("an entry is too long to be one; the file is damaged");
            return None;
        }
        if self.pending.len() < 4 + length {
            return None;
        }
        self.pending.advance(4);
        Some(self.pending.split_to(length))
    }

    /// Whether it may still be an export.
    pub fn is_sound(&self) -> bool {
        self.broken.is_none()
    }

    /// After the last of it: why the rest was not read, if it was not.
    pub fn end(&self) -> Option<&'static str> {
        self.broken.or(match (self.begun, self.pending.is_empty()) {
            (false, _) => Some(NO_EXPORT),
            (true, false) => Some("the file ends in the middle of an entry"),
            (true, true) => None,
        })
    }
}

/// An import in progress: fed as it comes, at any cut.
pub struct Import {
    cache: Arc<Cache>,
    frames: Frames,
    imported: Imported,
    refused: AHashMap<Undecodable, usize>,
}

impl Import {
    pub fn into(cache: Arc<Cache>) -> Import {
        let (frames, imported) = (Frames::default(), Imported::default());
        Import { cache, frames, imported, refused: AHashMap::new() }
    }

    /// False: this is no export, or not any more; feed no more of it.
    pub fn feed(&mut self, chunk: &[u8]) -> bool {
        self.frames.feed(chunk);
        while let Some(bytes) = self.frames.next() {
            if let Err(undecodable) = self.cache.import_one(&bytes, &mut self.imported) {
                *self.refused.entry(undecodable).or_default() += 1;
            }
        }
        self.frames.is_sound()
    }

    /// Waits for the disk and for what is passed on, where they are far behind. To be called between pieces.
    pub async fn catch_up(&self) {
        if let Some(disk) = self.cache.disk.clone() {
            let _ = tokio::task::spawn_blocking(move || disk.catch_up()).await;
        }
        if let Some(shared) = self.cache.shared() {
            shared.room().await;
        }
    }

    /// What has been taken in, all of it on the disk where there is one.
    pub async fn finish(mut self) -> Imported {
        self.imported.broke_off = self.frames.end();
        self.imported.refused = self.refused.iter().map(|(why, count)| (why.word(), *count)).collect();
        self.cache.flush(FLUSH).await;
        self.imported
    }
}

impl Cache {
    /// Makes what was admitted findable by meaning, waiting for its embedding, and passes it on.
    pub async fn index_now(&self, entry: &Arc<super::Entry>) {
        let (Some(semantic), Some(question)) = (self.semantic(), &entry.question) else {
            return self.publish(entry, None);
        };
        if semantic.suits(question).is_err() {
            return self.publish(entry, None);
        }
        match semantic.embed_patiently(question.clone()).await {
            Ok(vector) => self.publish(entry, Some(vector)),
            Err(_) => {
                self.publish(entry, None);
                self.wants_vector(entry.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<&'static str>) {
        let (mut frames, mut read) = (Frames::default(), Vec::new());
        for piece in pieces {
            frames.feed(piece);
            read.extend(std::iter::from_fn(|| frames.next()).map(|bytes| bytes.to_vec()));
        }
        (read, frames.end())
    }

    #[test]
    fn an_export_reads_the_same_at_any_cut_and_a_part_of_it_is_told() {
        let entries: [&[u8]; 3] = [b"one", b"", b"the third"];
        let mut file = BytesMut::from(MARK);
        entries.iter().for_each(|entry| put_frame(&mut file, entry));
        for at in 0..=file.len() {
            let (read, end) = read_in(&[&file[..at], &file[at..]]);
            assert_eq!((read.as_slice(), end), (&entries.map(<[u8]>::to_vec)[..], None), "cut at {at}");
            let (read, end) = read_in(&[&file[..at]]);
            let between = [MARK.len(), MARK.len() + 7, MARK.len() + 11, file.len()];
            assert_eq!(end.is_none(), between.contains(&at), "ended at {at}: {end:?}");
            assert_eq!(read, entries[..read.len()], "ended at {at}");
        }
        let bytes: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(read_in(&bytes).0.len(), 3);
    }

    #[test]
    fn what_is_no_export_is_told_from_one_that_is_damaged() {
        assert_eq!(read_in(&[b"something else, and long enough"]), (vec![], Some(NO_EXPORT)));
        let mut file = BytesMut::from(MARK);
        put_frame(&mut file, b"one");
        file.put_u32_le(u32::MAX);
        let (read, end) = read_in(&[&file]);
        assert!(read.len() == 1 && end.is_some_and(|why| why.contains("too long")), "{end:?}");
    }
}
