//! The cross-encoder's opinions on the corpus's questions, each pair read once however many settings ask.

use super::corpus::Corpus;
use super::latency::Samples;
use crate::semantic::Semantic;
use crate::semantic::second::Second;
use ahash::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;

/// What was read so far.
pub struct Readers<'a> {
    semantic: &'a Semantic,
    corpus: &'a Corpus,
    known: Mutex<HashMap<(u32, u32), Option<f32>>>,
    passes: Mutex<Samples>,
}

impl<'a> Readers<'a> {
    pub fn new(semantic: &'a Semantic, corpus: &'a Corpus) -> Readers<'a> {
        Readers { semantic, corpus, known: Mutex::default(), passes: Mutex::default() }
    }

    /// Who reads `question`, by its number; without a cross-encoder one who says nothing.
    pub fn of(&self, question: u32) -> Reader<'_> {
        Reader { all: self, question }
    }

    /// The time of each pass.
    pub fn passes(&self) -> Samples {
        self.passes.lock().clone()
    }

    fn read(&self, question: u32, stored: u32) -> Option<f32> {
        if !self.semantic.has_cross_encoder() {
            return None;
        }
        let pair = (question.min(stored), question.max(stored));
        if let Some(said) = self.known.lock().get(&pair) {
            return *said;
        }
        let text = |number: u32| &self.corpus.texts[number as usize];
        let begun = Instant::now();
        let said = self.semantic.opinion(text(question), text(stored));
        self.passes.lock().add(begun.elapsed());
        self.known.lock().insert(pair, said);
        said
    }
}

/// Reads one question together with stored ones.
pub struct Reader<'a> {
    all: &'a Readers<'a>,
    question: u32,
}

impl Second for Reader<'_> {
    fn log_odds(&self, stored: &Arc<str>) -> Option<f32> {
        self.all.read(self.question, self.all.corpus.number(stored)?)
    }
}
