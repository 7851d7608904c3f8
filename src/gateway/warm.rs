//! Answers that somebody brings along, kept as if the upstream had given them: `POST /api/warm`.

use super::Gateway;
use super::visit::Considered;
use crate::base::fault::{Fault, Kind};
use crate::cache::Entry;
use crate::cache::admit::Admitted;
use crate::tape::Tape;
use crate::wire::Dialect;
use crate::wire::answer::outline_of_body;
use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;
use serde_json::json;
use std::sync::Arc;

/// A request as a client would send it, and its answer.
pub struct Brought {
    pub target: PathAndQuery,
    /// With the client's credential it is kept for that caller; without, for callers who send none. Under
    /// `cache.scope = "global"` it is kept for everybody.
    pub headers: HeaderMap,
    pub request: Bytes,
    pub answer: Given,
}

/// An answer as it was given.
pub enum Given {
    Text(String),
    /// A whole body of the dialect.
    Body(Bytes),
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Warmed {
    pub entry: Arc<Entry>,
    pub found: Findable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Findable {
    /// Exactly, and by meaning once it is indexed.
    ByMeaning,
    /// Kept, for the same request only.
    ExactOnly,
}

impl Gateway {
    /// Keeps one answer, findable by its exact request and, where the route allows it, by meaning, and passes it on.
    /// Waits for one embedding.
    ///
    /// # Errors
    /// As `keep`.
    pub async fn warm(&self, brought: Brought) -> Result<Findable, Fault> {
        let Warmed { entry, found } = self.keep(brought)?;
        self.cache.index_now(&entry).await;
        Ok(found)
    }

    /// Keeps one answer for its exact request, here. It passes what an upstream's answer must pass; token counts are
    /// not made up.
    ///
    /// # Errors
    /// A request that is not cached, or an answer that is not kept, and why.
    pub fn keep(&self, brought: Brought) -> Result<Warmed, Fault> {
        let invalid = |message: String| Fault::new(Kind::InvalidRequest, message);
        let Brought { target, headers, request, answer } = brought;
        let dialect = Dialect::of_path(target.path()).ok_or_else(|| {
            invalid(format!("`path` is {target}; expected one that is cached, such as /v1/chat/completions"))
        })?;
        let visit = match self.bring(dialect, target, headers, request)? {
            Considered::Chat(visit) => visit,
            Considered::Embedding(_) => {
                return Err(invalid("embeddings are not warmed; ask for them".to_owned()));
            }
            Considered::Bypass(aside) => {
                return Err(invalid(format!("the request is not cached: {}", aside.why.word())));
            }
        };
        let body = match answer {
            Given::Body(body) => body,
            Given::Text(text) => written(dialect, &visit.model, &text, self.clock.now().0 / 1_000),
        };
        let most = visit.settings.config.cache.max_entry;
        if body.len() > most {
            return Err(invalid(format!("the answer is over {most} bytes; raise cache.max_entry")));
        }
        let outline = outline_of_body(dialect, &body).map_err(|wrong| invalid(wrong.to_string()))?;
        if outline.error || !outline.terminal {
            return Err(invalid("the answer is an error, or not whole; give one that is".to_owned()));
        }
        let (terms, comparable) = (visit.terms(), visit.canon.question.is_ok());
        let outlined = self.cache.outlines.knows(&visit.canon.partition) || !comparable;
        let sketch = (!outlined).then(|| visit.sketch());
        match self.cache.admit(visit.canon, terms, Tape::of_body(dialect, body, outline)) {
            Admitted::Kept(entry) => {
                if let Some(outline) = sketch.and_then(|sketch| sketch.outline()) {
                    self.cache.outlines.put(entry.partition, outline);
                }
                let found = if comparable { Findable::ByMeaning } else { Findable::ExactOnly };
                Ok(Warmed { entry, found })
            }
            Admitted::NoTtl => Err(invalid("its ttl is zero; give it one".to_owned())),
            Admitted::Truncated => {
                Err(invalid("the answer was cut by `length` or `content_filter`; give it whole".to_owned()))
            }
        }
    }
}

/// A body of the dialect around one text.
fn written(dialect: Dialect, model: &str, text: &str, created: u64) -> Bytes {
    let choice = match dialect {
        Dialect::Completions => json!({"index": 0, "text": text, "finish_reason": "stop", "logprobs": null}),
        _ => json!({
            "index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop",
            "logprobs": null,
        }),
    };
    let object = if dialect == Dialect::Completions { "text_completion" } else { "chat.completion" };
    let id = format!("warmed-{}", &blake3::hash(text.as_bytes()).to_hex()[..24]);
    let body = json!({"id": id, "object": object, "created": created, "model": model, "choices": [choice]});
    Bytes::from(body.to_string())
}
