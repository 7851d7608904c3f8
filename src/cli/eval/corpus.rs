//! Every distinct text of all inputs: embedded once, read once.

use super::EvalError;
use super::latency::Samples;
use super::progress::Progress;
use crate::semantic::Semantic;
use crate::semantic::embedder::{EmbedError, Vector};
use crate::semantic::verify::Reading;
use ahash::HashMap;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use tokio::time::Instant;

/// Texts asked one at a time first, so that an embedding's latency is that of a lone request.
const TIMED: usize = 256;
/// Texts that wait in the pool's queue at once.
pub const WAITING: usize = 512;

#[derive(Default)]
pub struct Corpus {
    ids: HashMap<Arc<str>, u32>,
    pub texts: Vec<Arc<str>>,
    /// `None`: the model could not take it, so it is never compared by meaning, as when serving.
    pub vectors: Vec<Option<Vector>>,
    pub readings: Vec<Reading>,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Embedded {
    /// Of texts that were asked alone.
    pub latency: Samples,
    pub too_long: usize,
    /// The model's last word where it failed, and how often it did.
    pub failed: Option<(usize, String)>,
}

impl Corpus {
    /// The text's number; new texts get the next one.
    pub fn add(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let (text, id): (Arc<str>, u32) = (text.into(), self.texts.len() as u32);
        self.ids.insert(text.clone(), id);
        self.texts.push(text);
        id
    }

    /// The number of a text that was added.
    pub fn number(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Embeds and reads all that were added.
    ///
    /// # Errors
    /// Where the model could take none of them.
    pub async fn embed(&mut self, semantic: &Semantic) -> Result<Embedded, EvalError> {
        let progress = Progress::start("texts embedded", self.texts.len());
        let mut embedded = Embedded::default();
        self.vectors = Vec::with_capacity(self.texts.len());
        let timed = self.texts.len().min(TIMED);
        for text in &self.texts[..timed] {
            let begun = Instant::now();
            let answer = semantic.embed(text.clone()).await;
            embedded.latency.add(begun.elapsed());
            self.vectors.push(embedded.count(answer));
            progress.add(1);
        }
        let rest = self.texts[timed..].iter().map(|text| semantic.embed(text.clone()));
        let mut answers = stream::iter(rest).buffered(WAITING);
        while let Some(answer) = answers.next().await {
            self.vectors.push(embedded.count(answer));
            progress.add(1);
        }
        drop(answers);
        self.readings = self.texts.iter().map(|text| Reading::of(text)).collect();
        match &embedded.failed {
            Some((failed, why)) if self.vectors.iter().all(Option::is_none) => Err(EvalError::Model(
                format!("{failed} of {} texts could not be embedded: {why}", self.texts.len()),
            )),
            _ => Ok(embedded),
        }
    }
}

impl Embedded {
    fn count(&mut self, answer: Result<Vector, EmbedError>) -> Option<Vector> {
        match answer {
            Ok(vector) => return Some(vector),
            Err(EmbedError::TooLong { .. }) => self.too_long += 1,
            Err(wrong) => {
                let before = self.failed.as_ref().map_or(0, |(count, _)| *count);
                self.failed = Some((before + 1, wrong.to_string()));
            }
        }
        None
    }
}
