//! Requests as the cache sees them: keys, partition, question, by the code that serves.

use super::corpus::Corpus;
use super::input::{Row, body_of};
use super::replay::Setting;
use super::{Chosen, EvalError};
use crate::base::digest::{ExactKey, Partition, Scope};
use crate::canon::{Bypass, Circumstances, canon};
use crate::config::{CacheMode, Policy, SemanticMode};
use crate::semantic::Semantic;
use crate::wire::{Dialect, request};
use ahash::HashMap;
use std::path::Path;

const PATH: &str = "/v1/chat/completions";

/// A distinct request.
#[derive(Debug)]
pub struct Item {
    pub key: ExactKey,
    pub partition: Partition,
    /// The question's number in the corpus, or why it is not compared by meaning.
    pub question: Result<u32, Bypass>,
    /// What the config's route, or the command line, serves it with.
    pub setting: Setting,
}

/// All requests of one input, in order.
#[derive(Debug, Default)]
pub struct Asked {
    /// By first occurrence.
    pub items: Vec<Item>,
    pub by_key: HashMap<ExactKey, u32>,
    /// For each request its item.
    pub order: Vec<u32>,
}

impl Asked {
    /// # Errors
    /// A body that the gateway would pass through unread, with its line.
    pub fn of(
        rows: &[Row],
        path: &Path,
        chosen: &Chosen,
        semantic: &Semantic,
        corpus: &mut Corpus,
    ) -> Result<Asked, EvalError> {
        let mut asked = Asked::default();
        for row in rows {
            let item = item(&row.body, chosen, semantic, corpus)
                .map_err(|what| EvalError::Input(format!("{}:{}: {what}", path.display(), row.line)))?;
            let next = asked.items.len() as u32;
            let at = *asked.by_key.entry(item.key).or_insert(next);
            if at == next {
                asked.items.push(item);
            }
            asked.order.push(at);
        }
        Ok(asked)
    }
}

/// One text's question, as if it were asked alone.
pub fn question_of(
    text: &str,
    chosen: &Chosen,
    semantic: &Semantic,
    corpus: &mut Corpus,
) -> Result<u32, Bypass> {
    item(&body_of(text), chosen, semantic, corpus).map_or(Err(Bypass::Unreadable), |item| item.question)
}

fn item(body: &[u8], chosen: &Chosen, semantic: &Semantic, corpus: &mut Corpus) -> Result<Item, String> {
    let read = request::read(Dialect::ChatCompletions, body).map_err(|wrong| wrong.to_string())?;
    let policy = chosen.config.policy_for(PATH, Some(read.model()), |_| None, || None);
    let around = Circumstances {
        scope: Scope([0; 32]),
        dialect: Dialect::ChatCompletions,
        path_and_query: PATH,
        headers: &[],
    };
    let canon = canon(&read, body, &around, Ok(&policy.semantic.fuzzy));
    let question = canon.question.and_then(|question| {
        fuzzy(policy)?;
        semantic.suits(&question.0)?;
        Ok(corpus.add(&question.0))
    });
    let setting = chosen.setting(policy, semantic);
    Ok(Item { key: canon.exact, partition: canon.partition, question, setting })
}

/// Whether the route compares by meaning at all. `observe` counts: it is what would be served.
fn fuzzy(policy: &Policy) -> Result<(), Bypass> {
    match (policy.mode, policy.semantic.mode) {
        (CacheMode::Semantic, SemanticMode::Serve | SemanticMode::Observe) => Ok(()),
        (CacheMode::Semantic, SemanticMode::Off) => Err(Bypass::SemanticOff),
        (CacheMode::Exact, _) => Err(Bypass::ExactOnly),
        (CacheMode::Off, _) => Err(Bypass::RouteOff),
    }
}
