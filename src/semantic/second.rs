//! A second opinion on pairs in doubt, and who is asked for it before a decision is taken.
//!
//! ```text
//! choose(… Wanted …) ─ nobody in doubt ──────────────────> the decision
//!        └ stored questions in doubt ─> cross-encoder ─> choose(… Opinions …)
//! ```

use std::cell::RefCell;
use std::sync::Arc;

/// Who has read a question together with stored ones.
pub trait Second {
    /// Log-odds that one answer serves both; `None` where it has not read them.
    fn log_odds(&self, stored: &Arc<str>) -> Option<f32>;
}

/// Has read nothing, and notes what it was asked about.
#[derive(Debug, Default)]
pub struct Wanted(RefCell<Vec<Arc<str>>>);

impl Wanted {
    /// The stored questions in doubt.
    pub fn texts(self) -> Vec<Arc<str>> {
        self.0.into_inner()
    }
}

impl Second for Wanted {
    fn log_odds(&self, stored: &Arc<str>) -> Option<f32> {
        self.0.borrow_mut().push(stored.clone());
        None
    }
}

/// What was said about stored questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opinions(pub Vec<(Arc<str>, f32)>);

impl Second for Opinions {
    fn log_odds(&self, stored: &Arc<str>) -> Option<f32> {
        self.0.iter().find(|(text, _)| text == stored).map(|(_, said)| *said)
    }
}
