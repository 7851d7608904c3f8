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
//! | `fleet` | what a request asks of, and tells, the other replicas |
//! | `errand` | one question to the upstream, its answer recorded on the way |
//! | `metered` | an answer that passes by the cache, read along for what it cost |
//! | `delivery` | the body as the client reads it |
//! | `detach` | work that outlives the one who waits for it |
//! | `embeddings` | `/v1/embeddings`, input by input |
//! | `closing` | the last word of an event stream that broke off |
//! | `coding` | a stored answer in a coding that the client accepts |
//! | `lane` | from the errand to the client, bounded in bytes |
//! | `trust` | audits, budgets of wrong answers, observe mode |
//! | `explain` | what would become of a request, and why |
//! | `models` | the list of models, where the config names them all |
//! | `sentence` | the words of verdicts, in sentences |
//! | `stale` | an expired answer in place of an error |
//! | `warm` | answers that somebody brings along |
//! | `report` | the headers that say what was decided |

mod closing;
pub mod coding;
mod delivery;
pub mod detach;
pub mod directives;
pub mod embeddings;
pub mod errand;
pub mod explain;
mod fleet;
pub mod lane;
pub mod metered;
pub mod miss;
mod models;
pub mod report;
mod sentence;
mod stale;
pub mod trust;
pub mod visit;
pub mod warm;

use crate::accounts::row::Ended;
use crate::accounts::{Accounts, Tab};
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::base::money::NanoUsd;
use crate::base::tasks::Tasks;
use crate::cache::{Cache, Embedding, Found, Looked, Missed, Verdict};
use crate::canon::Bypass;
use crate::config::Config;
use crate::tape::{Playback, Recorder};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Chunks, Incoming, Outgoing, OutgoingBody, Upstream, Way};
use crate::wire::usage::Usage;
use crate::wire::{Dialect, content_length};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use metered::Metered;
use miss::Seated;
use std::sync::Arc;
use trust::{Count, Trust, Watches};
use visit::{Aside, Considered, Counts, Visit};

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
    /// Still coming. An error ends the connection, so that the client sees a cut, not an end; of an event
    /// stream it becomes an event first, where it can (`closing`).
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
            (_, body) => {
                let body = match body {
                    AskBody::Whole(body) => OutgoingBody::Whole(body),
                    AskBody::Flow(flow) => OutgoingBody::Flow(flow),
                };
                // Boxed, like whatever a chat request seldom needs: a future is as large as its largest branch, and
                // moved as a whole when a request comes.
                Box::pin(self.pass(Outgoing { method, target, headers, body })).await
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
        let considered = match self.visit(settings, dialect, target, headers, body, Counts::Yes) {
            Ok(considered) => considered,
            Err(fault) => {
                self.metrics.failed(dialect.word(), fault.kind.code());
                return Err(self.accounts.slow_down(fault).await);
            }
        };
        if let Err(fault) = considered.tab().enter().await {
            self.metrics.failed(dialect.word(), fault.kind.code());
            return Err(fault);
        }
        let warning = self.accounts.warning(considered.tab());
        let answered = match considered {
            Considered::Chat(visit) => self.chat(visit).await,
            Considered::Embedding(visit) => Box::pin(self.embedding(*visit)).await,
            Considered::Bypass(aside) => Box::pin(self.stand_aside(*aside)).await,
        };
        let (verdict, mut reply) = match answered {
            Ok(answered) => answered,
            Err(fault) => {
                self.metrics.failed(dialect.word(), fault.kind.code());
                return Err(fault);
            }
        };
        if let Some(warning) = warning {
            report::warn(&mut reply.headers, &warning);
        }
        let tier = verdict.tier().map_or("", |tier| tier.word());
        let reason = verdict.reason().unwrap_or("");
        self.metrics.answered(dialect.word(), verdict.word(), tier, reason, began.elapsed());
        tracing::debug!(dialect = dialect.word(), verdict = verdict.word(), tier, reason, "answered");
        Ok(closing::with_error_event(dialect, reply))
    }

    /// A chat completion or a text completion.
    async fn chat(self: &Arc<Self>, visit: Box<Visit>) -> Result<(Verdict, Reply), Fault> {
        if let Some(watch) = visit.watch() {
            watch.counts.add(Count::Requests, 1);
        }
        if visit.wishes.no_cache {
            return self
                .ask(
                    visit,
                    Verdict::Bypass(Bypass::ClientNoCache),
                    Embedding::NotAsked,
                    Seated::Nowhere,
                    None,
                )
                .await;
        }
        match self.cache.lookup(visit.lookup()).await {
            Looked::Hit(found) => match self.may_hit(&visit).await {
                true => {
                    if visit.may_be_kept() {
                        self.cache.learn(&found);
                    }
                    match visit.policy().observes() {
                        true => self.observe(visit, found).await,
                        false => Ok(self.hit(visit, found)),
                    }
                }
                false if visit.wishes.only_if_cached => Err(only_if_cached()),
                false => self.miss(visit, Missed::Unproven, Embedding::NotAsked, None).await,
            },
            Looked::Miss { .. } if visit.wishes.only_if_cached => Err(only_if_cached()),
            Looked::Miss { why, embedding, near } => {
                let ground = self.ground(&visit).await;
                self.or_stale(ground, self.miss(visit, why, embedding, near).await)
            }
        }
    }

    /// A hit needs a caller whom the upstream has accepted lately.
    async fn may_hit(&self, visit: &Visit) -> bool {
        visit.tab.is_keyed() || self.is_proven(visit.caller, visit.settings.config.cache.credential_ttl).await
    }

    fn play(&self, visit: &Visit, found: Found) -> (Verdict, Reply) {
        let Found { entry, tier, score, playback, .. } = found;
        self.count_saved(entry.usage());
        let saved = visit.tab.hit(tier.word(), entry.usage());
        let verdict = Verdict::Hit { entry, tier, score };
        self.stored(&visit.headers, playback, verdict, saved, visit.policy().headers)
    }

    /// A stored answer as a reply to a client that sent the headers `asked`; `show`: its own say what was decided.
    fn stored(
        &self,
        asked: &HeaderMap,
        playback: Playback,
        verdict: Verdict,
        saved: Option<NanoUsd>,
        show: bool,
    ) -> (Verdict, Reply) {
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(playback.content_type));
        let parts = coding::accepted(asked, playback.parts, &mut headers);
        if show {
            report::put(&mut headers, &verdict, None, self.clock.now());
            report::saved(&mut headers, saved);
        }
        (verdict, Reply { status: StatusCode::OK, headers, body: ReplyBody::Whole(parts) })
    }

    pub(super) fn count_saved(&self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.metrics.saved(usage.prompt, usage.completion);
        }
    }

    /// Past the cache, with the reason on the answer.
    async fn stand_aside(&self, aside: Aside) -> Result<(Verdict, Reply), Fault> {
        let Aside { outgoing, why, show, dialect, tab } = aside;
        if let OutgoingBody::Whole(body) = &outgoing.body {
            tab.ask("bypass", body).await?;
        }
        let sent = self.forward(outgoing).await.inspect_err(|fault| not_reached(&tab, fault));
        let (way, mut reply) = sent?;
        served(&tab, &way);
        self.meter(&mut reply, dialect, tab);
        let verdict = Verdict::Bypass(why);
        if show {
            report::put(&mut reply.headers, &verdict, Some(&way), self.clock.now());
        }
        Ok((verdict, reply))
    }

    /// Has the answer read along, so that its cost is booked.
    fn meter(&self, reply: &mut Reply, dialect: Dialect, tab: Tab) {
        if !reply.status.is_success() {
            return tab.unbilled();
        }
        let cap = self.settings.load().config.cache.max_entry;
        let length = content_length(&reply.headers);
        let recorder = Recorder::new(dialect, &reply.headers, cap);
        let body = std::mem::replace(&mut reply.body, ReplyBody::Whole(Vec::new()));
        reply.body = match body {
            ReplyBody::Flow(flow) => ReplyBody::Flow(Box::pin(Metered::new(flow, recorder, tab, length))),
            whole => whole,
        };
    }

    /// A path that is none of ours: nothing is added, nothing is held.
    /// A `POST` may cost something, so it is booked, its cost unknown.
    async fn pass(&self, mut outgoing: Outgoing) -> Result<Reply, Fault> {
        let who = match self.accounts.admit(&mut outgoing.headers) {
            Ok(who) => who,
            Err(fault) => return Err(self.accounts.slow_down(fault).await),
        };
        if let Some(list) = self.model_list(&outgoing.method, outgoing.target.path()) {
            return Ok(list);
        }
        if outgoing.method != Method::POST {
            return self.forward(outgoing).await.map(|(_, reply)| reply);
        }
        who.may_pass()?;
        let tab = self.accounts.open_tab(&who, "pass", "", &[])?;
        tab.enter().await?;
        tab.ask("pass", b"").await?;
        let sent = self.forward(outgoing).await.inspect_err(|fault| not_reached(&tab, fault));
        let (way, reply) = sent?;
        served(&tab, &way);
        match reply.status.is_success() {
            true => tab.paid(Ended::Whole, None, None),
            false => tab.unbilled(),
        }
        Ok(reply)
    }

    async fn forward(&self, outgoing: Outgoing) -> Result<(Way, Reply), Fault> {
        let settings = self.settings.load_full();
        let Incoming { status, headers, way, body } = settings
            .upstream
            .send(outgoing)
            .await
            .inspect_err(|fault| self.metrics.upstream_failed(fault.kind.code()))?;
        Ok((way, Reply { status, headers, body: ReplyBody::Flow(body) }))
    }
}

/// Who answers, and at which model's price.
fn served(tab: &Tab, way: &Way) {
    tab.deployment(&way.deployment);
    if let Some(model) = &way.model {
        tab.served_by(model);
    }
    if let Some(escalated) = &way.escalated {
        tab.escalated(&escalated.model, escalated.usage);
    }
}

/// Nothing is charged for a request that did not arrive.
fn not_reached(tab: &Tab, fault: &Fault) {
    use Kind::{ContextTooLong, UnknownModel, UpstreamClosed, UpstreamUnreachable};
    if matches!(fault.kind, UpstreamUnreachable | UpstreamClosed | UnknownModel | ContextTooLong) {
        tab.unbilled();
    }
}
