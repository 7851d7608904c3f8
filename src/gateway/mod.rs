//! One request from end to end, free of transport. The order of things is decided here and nowhere
//! else; `http` only carries bytes in and out.
//!
//! ```text
//! serve ─ unknown path ─> pass (untouched)
//!   └ read ─ policy ─ directives ─ canon ─ lookup ─ hit ─> play
//!        └ Bypass ─> pass          └ miss ─ seat ─ lead ──> errand: upstream, tape, admit
//!                                              └ follow ─> the leader's answer, live
//! ```
//!
//! | file | has |
//! |---|---|
//! | `directives` | what the client says about caching |
//! | `visit` | one cacheable request, from its body to its keys |
//! | `miss` | seats in a flight, and what each does |
//! | `errand` | one question to the upstream, its answer recorded on the way |
//! | `detach` | work that outlives the one who waits for it |
//! | `embeddings` | `/v1/embeddings`, input by input |
//! | `coding` | a stored answer in a coding that the client accepts |
//! | `lane` | from the errand to the client, bounded in bytes |
//! | `trust` | audits, budgets of wrong answers, observe mode |
//! | `explain` | what would become of a request, and why |
//! | `sentence` | the words of verdicts, in sentences |
//! | `warm` | answers that somebody brings along |
//! | `report` | the headers that say what was decided |

pub mod coding;
pub mod detach;
pub mod directives;
pub mod embeddings;
pub mod errand;
pub mod explain;
pub mod lane;
pub mod miss;
pub mod report;
mod sentence;
pub mod trust;
pub mod visit;
pub mod warm;

use crate::accounts::Accounts;
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::base::tasks::Tasks;
use crate::cache::{Cache, Embedding, Found, Looked, Missed, Verdict};
use crate::canon::Bypass;
use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Chunks, Incoming, Outgoing, OutgoingBody, Upstream};
use crate::wire::Dialect;
use crate::wire::usage::Usage;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use trust::{Count, Trust, Watches};
use visit::{Considered, Visit};

/// A request as the front received it.
pub struct Ask {
    pub method: Method,
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    pub body: AskBody,
}

/// `Whole` where `Dialect::of_path` knows a `POST`'s path, and where there is no body (then empty);
/// everything else flows through.
pub enum AskBody {
    Whole(Bytes),
    Flow(Chunks),
}

/// What goes back. Headers are complete but for what the transport adds (`date`, framing).
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ReplyBody,
}

pub enum ReplyBody {
    /// All there, in a few pieces; the front sends a `content-length`.
    Whole(Vec<Bytes>),
    /// Still coming. An error ends the connection, so that the client sees a cut, not an end.
    Flow(Chunks),
}

impl Reply {
    pub fn whole(status: StatusCode, headers: HeaderMap, body: Bytes) -> Reply {
        Reply { status, headers, body: ReplyBody::Whole(vec![body]) }
    }
}

/// What may change while the process runs.
pub struct Settings {
    pub config: Config,
    pub upstream: Upstream,
    /// The evidence about wrong hits, route by route.
    pub watches: Watches,
}

fn only_if_cached() -> Fault {
    let message = "nothing stored answers this request; leave out only-if-cached to ask upstream";
    Fault::new(Kind::OnlyIfCached, message)
}

/// The decided path of every request. Shared by `Arc`.
pub struct Gateway {
    pub settings: ArcSwap<Settings>,
    pub cache: Arc<Cache>,
    pub accounts: Accounts,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub tasks: Tasks,
    pub trust: Trust,
}

impl Gateway {
    /// Answers one request. `Err` is what the front turns into the dialect's error body; an answer of
    /// the upstream, 4xx and 5xx included, is `Ok`.
    pub async fn serve(self: &Arc<Self>, ask: Ask) -> Result<Reply, Fault> {
        let Ask { method, target, headers, body } = ask;
        let dialect = if method == Method::POST { Dialect::of_path(target.path()) } else { None };
        match (dialect, body) {
            (Some(dialect), AskBody::Whole(body)) => self.consider(dialect, target, headers, body).await,
            (_, AskBody::Whole(body)) => {
                self.pass(Outgoing { method, target, headers, body: OutgoingBody::Whole(body) }).await
            }
            (_, AskBody::Flow(flow)) => {
                self.pass(Outgoing { method, target, headers, body: OutgoingBody::Flow(flow) }).await
            }
        }
    }

    async fn consider(
        self: &Arc<Self>,
        dialect: Dialect,
        target: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, Fault> {
        let began = tokio::time::Instant::now();
        let settings = self.settings.load_full();
        let answered = match self.visit(settings, dialect, target, headers, body)? {
            Considered::Chat(visit) => self.chat(visit).await,
            Considered::Embedding(visit) => self.embedding(*visit).await,
            Considered::Bypass { outgoing, why, show } => self.stand_aside(outgoing, why, show).await,
        };
        let (verdict, reply) = match answered {
            Ok(answered) => answered,
            Err(fault) => {
                self.metrics.failed(dialect.word(), fault.kind.code());
                return Err(fault);
            }
        };
        let tier = verdict.tier().map_or("", |tier| tier.word());
        let reason = verdict.reason().unwrap_or("");
        self.metrics.answered(dialect.word(), verdict.word(), tier, reason, began.elapsed());
        tracing::debug!(dialect = dialect.word(), verdict = verdict.word(), tier, reason, "answered");
        Ok(reply)
    }

    /// A chat completion or a text completion.
    async fn chat(self: &Arc<Self>, visit: Box<Visit>) -> Result<(Verdict, Reply), Fault> {
        if let Some(watch) = visit.watch() {
            watch.counts.add(Count::Requests, 1);
        }
        if visit.wishes.no_cache {
            return self
                .ask(visit, Verdict::Bypass(Bypass::ClientNoCache), Embedding::NotAsked, None, None)
                .await;
        }
        match self.cache.lookup(visit.lookup()).await {
            Looked::Hit(found) if self.may_hit(&visit) => match visit.policy().observes() {
                false => Ok(self.hit(visit, found)),
                true => self.observe(visit, found).await,
            },
            Looked::Hit(_) => self.miss(visit, Missed::Unproven, Embedding::NotAsked, None).await,
            Looked::Miss { .. } if visit.wishes.only_if_cached => Err(only_if_cached()),
            Looked::Miss { why, embedding, near } => self.miss(visit, why, embedding, near).await,
        }
    }

    /// A hit needs a caller whom the upstream has accepted lately.
    fn may_hit(&self, visit: &Visit) -> bool {
        self.accounts.is_proven(visit.caller, visit.settings.config.cache.credential_ttl)
    }

    fn play(&self, visit: &Visit, found: Found) -> (Verdict, Reply) {
        let Found { entry, tier, score, playback } = found;
        self.count_saved(entry.usage());
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(playback.content_type));
        let parts = coding::accepted(&visit.headers, playback.parts, &mut headers);
        let verdict = Verdict::Hit { entry, tier, score };
        if visit.policy().headers {
            report::put(&mut headers, &verdict, None, self.clock.now());
        }
        (verdict, Reply { status: StatusCode::OK, headers, body: ReplyBody::Whole(parts) })
    }

    pub(super) fn count_saved(&self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.metrics.saved(usage.prompt, usage.completion);
        }
    }

    /// Past the cache, with the reason on the answer.
    async fn stand_aside(
        &self,
        outgoing: Outgoing,
        why: Bypass,
        show: bool,
    ) -> Result<(Verdict, Reply), Fault> {
        let (deployment, mut reply) = self.forward(outgoing).await?;
        let verdict = Verdict::Bypass(why);
        if show {
            report::put(&mut reply.headers, &verdict, Some(&deployment), self.clock.now());
        }
        Ok((verdict, reply))
    }

    /// A path that is none of ours: nothing is added, nothing is held.
    async fn pass(&self, outgoing: Outgoing) -> Result<Reply, Fault> {
        self.forward(outgoing).await.map(|(_, reply)| reply)
    }

    async fn forward(&self, outgoing: Outgoing) -> Result<(Arc<str>, Reply), Fault> {
        let settings = self.settings.load_full();
        let Incoming { status, headers, deployment, body } = settings
            .upstream
            .send(outgoing)
            .await
            .inspect_err(|fault| self.metrics.upstream_failed(fault.kind.code()))?;
        Ok((deployment, Reply { status, headers, body: ReplyBody::Flow(body) }))
    }
}
