//! What each provider's API asks for, and its answers in the client's dialect. Nothing here knows a
//! connection: bytes go in and bytes come out.
//!
//! ```text
//! client's request ─ Adapter::prepare ─> provider's request ─ (sent) ─> answer ─ Reading::receive ─> client's dialect
//!                        └ Fault: a field that has no counterpart there        └ as is, whole, or event by event
//! ```
//!
//! Where client and provider speak one dialect, body and answer pass byte for byte. What a provider has
//! no counterpart for is refused with the field's name, or is in `docs/ROUTING.md` among those that mean
//! nothing there.
//!
//! | file | has |
//! |---|---|
//! | `address` | the path of each API, and its credential's header |
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
mod translate;
mod turns;

pub use crate::config::{Api, Kind};
pub use translate::{BodyForm, Broken, Events, Foreign};

use super::headers::Credential;
use super::{Incoming, Outgoing, OutgoingBody};
use crate::base::fault::{self, Fault};
use crate::wire::Dialect;
use crate::wire::request::Form;
use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::value::RawValue;
use std::sync::Arc;

/// How one deployment is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    api: Api,
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
}

impl Adapter {
    pub fn of(api: Api) -> Adapter {
        Adapter { api }
    }

    /// With that kind's defaults.
    pub fn new(kind: Kind) -> Adapter {
        Adapter::of(Api { kind, ..Api::default() })
    }

    /// The request as this deployment is to get it, with `own` in place of the client's credential or the
    /// client's own in the header that the provider reads, and how to read its answer. A path that no
    /// dialect is known for passes as it is, for every kind. Costs a look at the path where client and
    /// provider speak one dialect, and a parse and a write where not.
    ///
    /// # Errors
    /// `InvalidRequest` where the provider has no counterpart for something asked: another deployment
    /// may well take it.
    pub fn prepare(
        &self,
        mut outgoing: Outgoing,
        own: Option<&Credential>,
    ) -> Result<(Outgoing, Reading), Fault> {
        let Api { kind, api_version, max_tokens } = &self.api;
        let kind = *kind;
        address::credential(kind, own, &mut outgoing.headers);
        if kind == Kind::OpenAi || outgoing.method != Method::POST {
            return Ok((outgoing, Reading::AsIs));
        }
        let dialect = Dialect::of_path(outgoing.target.path());
        let (Some(dialect), OutgoingBody::Whole(body)) = (dialect, &mut outgoing.body) else {
            return Ok((outgoing, Reading::AsIs));
        };
        let form = match (kind, dialect) {
            (Kind::OpenAi, _) => return Ok((outgoing, Reading::AsIs)),
            (Kind::Anthropic, Dialect::Messages) => {
                translate::anthropic_version(&mut outgoing.headers);
                return Ok((outgoing, Reading::AsIs));
            }
            (Kind::AzureOpenAi, dialect) => {
                outgoing.target = address::azure(dialect, api_version.as_deref(), body)?;
                return Ok((outgoing, Reading::AsIs));
            }
            (Kind::Anthropic, Dialect::ChatCompletions) => {
                let written = anthropic::request(body, *max_tokens)?;
                outgoing.target = PathAndQuery::from_static("/v1/messages");
                *body = written.body;
                written.form
            }
            (Kind::Gemini, Dialect::ChatCompletions) => {
                let (model, written) = gemini::request(body)?;
                outgoing.target = address::gemini(&model, written.form.stream)?;
                *body = written.body;
                written.form
            }
            (Kind::Anthropic | Kind::Gemini, _) => return Err(no_counterpart(kind, dialect)),
        };
        let foreign = Foreign { kind, form };
        foreign.clean(&mut outgoing.headers);
        Ok((outgoing, Reading::Translated(foreign)))
    }
}

impl Reading {
    /// The answer of the deployment `name` in the client's dialect. Returns once its head can be told: at
    /// once for a stream and for what passes as it is, at the end of a whole body.
    ///
    /// # Errors
    /// `UpstreamBroke` for a body that is no answer of its API, or the fault that it broke off with.
    pub async fn receive(self, name: &Arc<str>, incoming: Incoming) -> Result<Incoming, Fault> {
        match self {
            Reading::AsIs => Ok(incoming),
            Reading::Translated(foreign) => foreign.receive(name, incoming).await,
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
