//! One question to the upstream, its answer recorded on the way.
//!
//! The errand outlives its client: one that leaves does not lose the answer that is being paid for
//! (`detach`). Before the client can see the end of an answer, the answer is in the cache: who asks again
//! after reading it finds it.

use super::delivery::Delivery;
use super::detach::{Errands, Waiting};
use super::lane::{self, Sender};
use super::metered;
use super::trust::audit::Shadow;
use super::visit::Sketch;
use super::{Gateway, Reply, ReplyBody, Settings};
use crate::accounts::{self, Tab};
use crate::base::digest::Credential;
use crate::base::fault::{Fault, Kind};
use crate::cache::admit::{Admitted, Terms};
use crate::cache::flight::Leader;
use crate::cache::shared::lease::Lease;
use crate::cache::{Embedding, Entry};
use crate::canon::Canon;
use crate::semantic::embedder::Vector;
use crate::tape::live::Head;
use crate::tape::{Ended, Recorder};
use crate::upstream::{Chunks, Incoming, Outgoing, Way};
use crate::wire::{Dialect, content_length};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is needed to keep the answer.
pub struct Keep {
    pub canon: Canon,
    pub terms: Terms,
    /// The question's, as far as the lookup has come.
    pub embedding: Embedding,
    /// Where the partition has not been outlined yet.
    pub sketch: Option<Sketch>,
    /// What the answer is compared with.
    pub shadow: Option<Shadow>,
}

/// What goes with a question on its way. It lies in one place from the first step to the last: a future that held
/// it would hold it once for every function that it is handed to.
pub struct Errand {
    pub settings: Arc<Settings>,
    pub dialect: Dialect,
    pub caller: Credential,
    /// Taken when the answer has ended; nothing where it may not be kept.
    pub keep: Option<Keep>,
    /// Present where others may follow.
    pub leader: Option<Leader>,
    /// Keeps other replicas from asking the same, until the answer has been passed on to them.
    pub lease: Option<Lease>,
    pub tab: Tab,
}

type Answer = Result<(Way, Reply), Fault>;

impl Errand {
    /// Sets out, and comes back with the head of the answer; its body then flows.
    pub async fn send(self: Box<Self>, outgoing: Outgoing, gateway: &Arc<Gateway>) -> Answer {
        let (client, mut answer) = oneshot::channel();
        let errands = Errands::new(gateway.tasks.clone());
        let hook = self.leader.as_ref().map(Leader::hook);
        errands.set(self.run(outgoing, gateway.clone(), client));
        if let Some(hook) = hook {
            let followed = errands.clone();
            hook.set(move || followed.detach());
        }
        let waiting = Waiting(errands);
        let head = std::future::poll_fn(|cx| {
            waiting.0.poll(cx);
            Pin::new(&mut answer).poll(cx)
        });
        let lost = || Fault::new(Kind::Internal, "the request was lost inside the proxy");
        let (way, mut reply) = head.await.unwrap_or_else(|_| Err(lost()))?;
        if let ReplyBody::Flow(flow) = reply.body {
            reply.body = ReplyBody::Flow(Box::pin(Delivery::new(flow, waiting)));
        }
        Ok((way, reply))
    }

    async fn run(
        mut self: Box<Self>,
        outgoing: Outgoing,
        gateway: Arc<Gateway>,
        mut client: oneshot::Sender<Answer>,
    ) {
        let coming = gateway.embed_meanwhile(&self);
        let sent = tokio::select! {
            sent = self.settings.upstream.send(outgoing) => sent,
            () = gone(&mut client, &self) => return,
        };
        let incoming = match sent {
            Ok(incoming) => incoming,
            Err(fault) => {
                gateway.metrics.upstream_failed(fault.kind.code());
                super::not_reached(&self.tab, &fault);
                if let Some(leader) = self.leader {
                    leader.fail(&fault);
                }
                let _ = client.send(Err(fault));
                return;
            }
        };
        let Incoming { status, headers, way, body } = incoming;
        super::served(&self.tab, &way);
        match status.is_success() {
            true => gateway.prove(self.caller, self.settings.config.cache.credential_ttl),
            false => self.tab.unbilled(),
        }
        let recorder = Recorder::new(self.dialect, &headers, self.settings.config.cache.max_entry);
        let length = content_length(&headers);
        // A leader that cannot be read along is dropped here: its followers take seats of their own.
        self.leader = self.leader.take().filter(|_| recorder.decodes());
        if let Some(leader) = &self.leader {
            let deployment = way.deployment.clone();
            leader.head(Head { status, headers: plain_headers(&headers), deployment });
        }
        let (to_client, from_errand) = lane::lane();
        let reply = Reply { status, headers, body: ReplyBody::Flow(Box::pin(from_errand)) };
        // An answer of another model than the one asked for would outlive the need for it.
        self.keep = self.keep.take().filter(|_| status == StatusCode::OK && !way.substitute);
        let _ = client.send(Ok((way, reply)));
        let reading = Reading { errand: self, gateway, recorder: Some(recorder), coming };
        reading.read(body, to_client, length).await;
    }
}

/// Completes when the client has left before the head came, nobody follows, and the time to read on
/// is over.
async fn gone(client: &mut oneshot::Sender<Answer>, errand: &Errand) {
    client.closed().await;
    loop {
        tokio::time::sleep(errand.settings.config.cache.read_on).await;
        if !errand.leader.as_ref().is_some_and(Leader::followed) {
            return;
        }
    }
}

/// An embedding that is being computed, and how long the end of the answer waits for it.
struct Coming {
    vector: oneshot::Receiver<Vector>,
    patience: Duration,
}

/// The part of an errand after the head.
struct Reading {
    errand: Box<Errand>,
    gateway: Arc<Gateway>,
    /// Taken when the answer has ended.
    recorder: Option<Recorder>,
    coming: Option<Coming>,
}

impl Reading {
    async fn read(mut self, mut body: Chunks, to_client: Sender, length: Option<usize>) {
        let mut to_client = Some(to_client);
        let mut received = 0;
        let mut deadline = None;
        loop {
            let next = match deadline {
                None => body.next().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, body.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        return self
                            .broke(to_client, Fault::new(Kind::UpstreamTimeout, "nobody waits any more"));
                    }
                },
            };
            let chunk = match next {
                None => break,
                Some(Ok(chunk)) => chunk,
                Some(Err(fault)) => return self.broke(to_client, fault),
            };
            received += chunk.len();
            // The client has it first, unless it would see the end before the answer is kept.
            let last = length == Some(received) || self.ends(&chunk);
            if last {
                self.record(&chunk, true).await;
            }
            if let Some(sender) = &to_client
                && sender.send(chunk.clone()).await.is_err()
            {
                to_client = None;
            }
            if !last {
                // The first has a turn of its own (`delivery`).
                if received == chunk.len() && to_client.is_some() {
                    tokio::task::yield_now().await;
                }
                self.record(&chunk, false).await;
            }
            if to_client.is_none() {
                if !self.goes_on() {
                    return;
                }
                let read_on = self.errand.settings.config.cache.read_on;
                deadline.get_or_insert_with(|| tokio::time::Instant::now() + read_on);
            }
        }
        self.close().await;
        if let Some(leader) = self.errand.leader.take() {
            leader.complete();
        }
        drop(to_client);
    }

    /// Whether there is a reason to read on without a client.
    fn goes_on(&self) -> bool {
        let recording =
            self.errand.keep.is_some() && self.recorder.as_ref().is_some_and(|recorder| !recorder.is_lost());
        recording || self.errand.leader.as_ref().is_some_and(Leader::followed)
    }

    /// Whether this chunk may end the answer. Where that cannot be told before it is read (a coded
    /// stream), it may.
    fn ends(&self, chunk: &Bytes) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.may_end_with(chunk))
    }

    async fn record(&mut self, chunk: &Bytes, last: bool) {
        let Some(recorder) = &mut self.recorder else { return };
        let plain = recorder.feed(chunk);
        let over = recorder.at_end() || (last && !recorder.is_stream());
        if let Some(leader) = &self.errand.leader {
            leader.push(plain);
        }
        if over {
            self.close().await;
        }
    }

    /// The answer has ended by its own word: keep it, if it is whole.
    async fn close(&mut self) {
        let Some(recorder) = self.recorder.take() else { return };
        let recording = recorder.finish(true);
        self.errand.tab.paid(metered::ended(recording.ended), recording.usage, None);
        if let (Some(leader), Some(usage)) = (&self.errand.leader, recording.usage) {
            leader.cost(usage);
        }
        let Some(keep) = self.errand.keep.take() else { return };
        self.gateway.metrics.taped(recording.ended.word());
        let Some(tape) = recording.tape else { return };
        if let Some(shadow) = keep.shadow {
            self.gateway.compare_shadow(&self.errand.settings, shadow, tape.clone());
        }
        match self.gateway.cache.admit(keep.canon, keep.terms, tape) {
            Admitted::Kept(entry) => {
                if let Some(outline) = keep.sketch.and_then(|sketch| sketch.outline()) {
                    self.gateway.cache.outlines.put(entry.partition, outline);
                }
                self.index(entry, keep.embedding).await;
            }
            refused => tracing::debug!(?refused, "answer not kept"),
        }
    }

    /// Makes the entry findable by meaning before the client sees the end, unless its embedding is
    /// late: then the client does not wait for it.
    async fn index(&mut self, entry: Arc<Entry>, embedding: Embedding) {
        let cache = self.gateway.cache.clone();
        let Some(Coming { mut vector, patience }) = self.coming.take() else {
            let vector = if let Embedding::Done(vector) = embedding { Some(vector) } else { None };
            return cache.publish(&entry, vector);
        };
        match tokio::time::timeout(patience, &mut vector).await {
            Ok(vector) => cache.publish(&entry, vector.ok()),
            Err(_) => {
                cache.publish(&entry, None);
                self.gateway.tasks.spawn(async move {
                    if let Ok(vector) = vector.await {
                        cache.publish(&entry, Some(vector));
                    }
                });
            }
        }
    }

    /// The answer broke off. If its own end had been seen before that, it is kept already.
    fn broke(mut self, to_client: Option<Sender>, fault: Fault) {
        if let Some(recorder) = self.recorder.take() {
            if self.errand.keep.is_some() {
                self.gateway.metrics.taped(Ended::Cut.word());
            }
            let usage = recorder.finish(false).usage;
            self.errand.tab.paid(accounts::row::Ended::Cut, usage, None);
            if let (Some(leader), Some(usage)) = (&self.errand.leader, usage) {
                leader.cost(usage);
            }
        }
        self.gateway.metrics.upstream_failed(fault.kind.code());
        tracing::warn!(code = fault.kind.code(), "answer broke off: {fault}");
        if let Some(leader) = self.errand.leader.take() {
            leader.cut(fault.kind, &fault.message);
        }
        if let Some(sender) = to_client {
            sender.break_off(fault);
        }
    }
}

impl Gateway {
    /// Starts embedding a question whose lookup needed no vector, so that it is there when the answer is. One that the
    /// embedder has just shed is idle work: it is not pushed in again before the questions of those who wait.
    fn embed_meanwhile(&self, errand: &Errand) -> Option<Coming> {
        let keep = errand.keep.as_ref()?;
        if matches!(keep.embedding, Embedding::Done(_)) || keep.terms.ttl.is_zero() {
            return None;
        }
        let shed = matches!(keep.embedding, Embedding::Shed);
        let question = keep.canon.question.as_ref().ok()?.0.clone();
        let semantic = self.cache.semantic()?;
        semantic.suits(&question).ok()?;
        let (done, vector) = oneshot::channel();
        self.tasks.spawn(async move {
            let embedded = match shed {
                true => semantic.embed_idly(question).await,
                false => semantic.embed_patiently(question).await,
            };
            if let Ok(vector) = embedded {
                let _ = done.send(vector);
            }
        });
        let patience = if shed { Duration::ZERO } else { errand.settings.config.semantic.patience };
        Some(Coming { vector, patience })
    }
}

/// Followers get plain text of unknown length.
fn plain_headers(headers: &HeaderMap) -> HeaderMap {
    let mut plain = headers.clone();
    plain.remove(CONTENT_ENCODING);
    plain.remove(CONTENT_LENGTH);
    plain
}
