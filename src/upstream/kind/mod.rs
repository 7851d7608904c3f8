//! What each provider's API asks for, and its answers in the client's dialect. Nothing here knows a
//! connection: bytes go in and bytes come out.
//!
//! ```text
//! client's request ─ Adapter::prepare ─> provider's request ─ (sent) ─> answer ─ Reading::receive ─> client's dialect
//!                        └ Fault: a field that has no counterpart there        └ as is, whole, or event by event
//! ```
//!
//! Where client and provider speak one dialect, body and answer pass byte for byte; only a `model`
//! that goes by another name upstream is exchanged in place. What a provider has no counterpart for is
//! refused with the field's name, or is in `docs/ROUTING.md` among those that mean nothing there.
//!
//! | file | has |
//! |---|---|
//! | `address` | the path of each API, and its credential's header |
//! | `rename` | another `model` in a JSON body whose other bytes stay |
//! | `fields` | a request's members, taken one by one, so that none is dropped unseen |
//! | `chat`, `turns` | the client's chat request, taken apart once for all providers |
//! | `anthropic`, `gemini` | a provider's request, answer and stream |
//! | `completion` | answers written in OpenAI's dialect |
//! | `failure` | a provider's error in OpenAI's form |
//! | `translate` | an answer on its way: head, whole body, events |

mod address;
mod anthropic;
mod chat;
mod completion;
mod failure;
mod fields;
mod gemini;
mod rename;
mod translate;
mod turns;

pub use crate::config::Kind;
pub use translate::{BodyForm, Broken, Events, Foreign};

use super::headers::Credential;
use super::{Incoming, Outgoing, OutgoingBody};
use crate::base::fault::{self, Fault};
use crate::wire::Dialect;
use crate::wire::request::Form;
use bytes::Bytes;
use http::uri::PathAndQuery;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Sent to Anthropic, whose API asks for a limit, where the client set none. Every model of theirs
/// takes it.
pub const MAX_TOKENS: u64 = 4_096;

/// How one deployment is spoken to. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    pub kind: Kind,
    /// Azure's `api-version`, such as `2024-10-21`. Without one its paths are those of its v1 API.
    pub api_version: Option<Arc<str>>,
    /// The limit for Anthropic where the client set none.
    pub max_tokens: u64,
}

/// What is known of a request besides its bytes.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// `None` for a path that no dialect is known for: it passes as it is, for every kind.
    pub dialect: Option<Dialect>,
    /// The model's name upstream; `None` to keep the client's.
    pub model: Option<&'a str>,
    /// What is sent in place of the client's credential. `None`: the client's own goes on, in the
    /// header that the provider reads.
    pub credential: Option<&'a Credential>,
}

/// How the answer to a prepared request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Byte for byte.
    AsIs,
    /// From the provider's dialect.
    Translated(Foreign),
}

/// A request in another dialect.
struct Translated {
    body: Bytes,
    form: Form,
    /// Where it stands in the path.
    model: Option<String>,
}

impl Adapter {
    pub fn new(kind: Kind) -> Adapter {
        Adapter { kind, api_version: None, max_tokens: MAX_TOKENS }
    }

    /// The request as this deployment is to get it, credential included, and how to read its answer.
    /// Costs nothing for an OpenAI-compatible deployment without a `model` or key of its own, one scan
    /// of the body with a `model`, and a parse and a write where dialects differ.
    ///
    /// # Errors
    /// `InvalidRequest` where the provider has no counterpart for something asked: another deployment
    /// may well take it.
    pub fn prepare(&self, asked: Asked<'_>, mut outgoing: Outgoing) -> Result<(Outgoing, Reading), Fault> {
        address::credential(self.kind, asked.credential, &mut outgoing.headers);
        let (Some(dialect), OutgoingBody::Whole(body)) = (asked.dialect, &mut outgoing.body) else {
            return Ok((outgoing, Reading::AsIs));
        };
        match (self.kind, dialect) {
            (Kind::OpenAi, _) => rename::model(body, asked.model)?,
            (Kind::Anthropic, Dialect::Messages) => {
                translate::anthropic_version(&mut outgoing.headers);
                rename::model(body, asked.model)?;
            }
            (Kind::AzureOpenAi, dialect) => {
                let (target, model) = self.azure(dialect, asked.model, body)?;
                outgoing.target = target;
                rename::model(body, model)?;
            }
            (Kind::Anthropic | Kind::Gemini, Dialect::ChatCompletions) => {
                let (written, form, target) = self.translated(body, asked.model)?;
                *body = written;
                outgoing.target = target;
                let foreign = Foreign { kind: self.kind, form };
                foreign.clean(&mut outgoing.headers);
                return Ok((outgoing, Reading::Translated(foreign)));
            }
            (Kind::Anthropic | Kind::Gemini, _) => return Err(no_counterpart(self.kind, dialect)),
        }
        Ok((outgoing, Reading::AsIs))
    }

    /// A chat request in the provider's dialect, and where it goes.
    fn translated(&self, body: &[u8], model: Option<&str>) -> Result<(Bytes, Form, PathAndQuery), Fault> {
        if self.kind == Kind::Anthropic {
            let Translated { body, form, model: _ } = anthropic::request(body, model, self.max_tokens)?;
            return Ok((body, form, PathAndQuery::from_static("/v1/messages")));
        }
        let Translated { body, form, model } = gemini::request(body, model)?;
        Ok((body, form, address::gemini(&model.unwrap_or_default(), form.stream)?))
    }
}

impl Reading {
    /// The answer in the client's dialect. Returns once its head can be told: at once for a stream
    /// and for what passes as it is, at the end of a whole body.
    ///
    /// # Errors
    /// `UpstreamBroke` for a body that is no answer of its API, or the fault that it broke off with.
    pub async fn receive(self, incoming: Incoming) -> Result<Incoming, Fault> {
        match self {
            Reading::AsIs => Ok(incoming),
            Reading::Translated(foreign) => foreign.receive(incoming).await,
        }
    }
}

fn no_counterpart(kind: Kind, dialect: Dialect) -> Fault {
    let (word, dialect) = (kind.word(), dialect.word());
    invalid(format!("a deployment of kind {word} has no counterpart for {dialect}; ask another model"))
}

fn invalid(message: String) -> Fault {
    Fault::new(fault::Kind::InvalidRequest, message)
}

fn unwritable(error: serde_json::Error) -> Fault {
    Fault::new(fault::Kind::Internal, "the request could not be written for its provider").caused_by(error)
}

fn is_zero(raw: &RawValue) -> bool {
    serde_json::from_str::<f64>(raw.get()).is_ok_and(|number| number == 0.0)
}
