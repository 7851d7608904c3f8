//! `/v1/embeddings`, input by input: a batch with three known and one new input asks upstream for one.

use super::miss::book_follower;
use super::visit::EmbeddingVisit;
use super::{Gateway, Reply, ReplyBody, report};
use crate::accounts::row::Ended;
use crate::base::digest::ExactKey;
use crate::base::fault::{Fault, Kind};
use crate::cache::entry::Embedded;
use crate::cache::flight::{Leader, Seat};
use crate::cache::{Content, Demand, Entry, Missed, Tier, Verdict};
use crate::canon::Bypass;
use crate::tape::Playback;
use crate::tape::decode::Decoder;
use crate::tape::live::Head;
use crate::upstream::{Incoming, Outgoing, OutgoingBody};
use crate::wire::embeddings::{self, Answer, Input};
use crate::wire::request::Form;
use crate::wire::usage::Usage;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Bytes of an answer that is read whole: 2,048 inputs of 3,072 dimensions as text take about half.
const LONGEST_ANSWER: usize = 256 << 20;

const PLAIN: Form = Form { stream: false, include_usage: false };

type Decided = Result<(Verdict, Reply), Fault>;

impl Gateway {
    /// Answers what is known from the cache and asks upstream for the rest.
    pub(super) async fn embedding(self: &Arc<Self>, visit: EmbeddingVisit) -> Decided {
        self.cache.recall(&visit.keys).await;
        let (known, tier) = self.known(&visit).await;
        let missing = known.iter().filter(|entry| entry.is_none()).count();
        if missing == 0 {
            let entries: Vec<Arc<Entry>> = known.into_iter().flatten().collect();
            return Ok(self.play_embeddings(&visit, &entries, tier));
        }
        if visit.wishes.only_if_cached {
            let message = "not every input is stored; leave out only-if-cached to ask upstream";
            return Err(Fault::new(Kind::OnlyIfCached, message));
        }
        let verdict = if visit.wishes.no_cache {
            Verdict::Bypass(Bypass::ClientNoCache)
        } else if missing < known.len() {
            Verdict::Miss(Missed::PartlyKnown)
        } else {
            Verdict::Miss(Missed::Unknown)
        };
        let cap = visit.settings.config.cache.max_entry;
        let leader = match self.cache.flights.seat(visit.whole, PLAIN, visit.caller, cap) {
            Seat::Lead(leader) => Some(leader),
            Seat::Follow { mut follower, same_credential: true } if shares(&visit) => {
                self.metrics.followed();
                match follower.head().await {
                    Ok(head) => {
                        book_follower(&follower, visit.tab.hand_over(), head.status);
                        return Ok(self.read_along(head, follower, visit.policy().headers));
                    }
                    Err(_) => None,
                }
            }
            _ => None,
        };
        self.fetch_apart(visit, known, verdict, leader).await
    }

    /// What is stored of this batch, input by input, and where.
    async fn known(&self, visit: &EmbeddingVisit) -> (Vec<Option<Arc<Entry>>>, Tier) {
        let demand = Demand { form: PLAIN, max_age: visit.wishes.max_age, min_fresh: visit.wishes.min_fresh };
        let ttl = visit.settings.config.cache.credential_ttl;
        let may_hit = visit.tab.is_keyed() || self.is_proven(visit.caller, ttl).await;
        if visit.wishes.no_cache || visit.policy().observes() || !may_hit {
            return (vec![None; visit.keys.len()], Tier::L1);
        }
        self.cache.embeddings(&visit.keys, demand).await
    }

    fn play_embeddings(
        &self,
        visit: &EmbeddingVisit,
        entries: &[Arc<Entry>],
        tier: Tier,
    ) -> (Verdict, Reply) {
        let stored: Vec<&Embedded> = entries.iter().filter_map(|entry| embedded(entry)).collect();
        entries.iter().for_each(|entry| self.count_saved(entry.usage()));
        let saved = visit.tab.hit(Tier::L1.word(), together(&stored));
        let playback = Playback { content_type: "application/json", parts: vec![merged(&stored)] };
        let verdict = match entries.first() {
            Some(entry) => Verdict::Hit { entry: entry.clone(), tier, score: None },
            None => Verdict::Miss(Missed::Unknown),
        };
        self.stored(&visit.headers, playback, verdict, saved, visit.policy().headers)
    }

    /// As a task of its own: a client that leaves does not lose what is being paid for.
    async fn fetch_apart(
        self: &Arc<Self>,
        visit: EmbeddingVisit,
        known: Vec<Option<Arc<Entry>>>,
        verdict: Verdict,
        leader: Option<Leader>,
    ) -> Decided {
        let (done, answer) = oneshot::channel();
        let gateway = self.clone();
        self.tasks.spawn(async move {
            let _ = done.send(gateway.fetch(visit, known, verdict, leader).await);
        });
        answer
            .await
            .unwrap_or_else(|_| Err(Fault::new(Kind::Internal, "the request was lost inside the proxy")))
    }

    async fn fetch(
        &self,
        visit: EmbeddingVisit,
        known: Vec<Option<Arc<Entry>>>,
        verdict: Verdict,
        leader: Option<Leader>,
    ) -> Decided {
        let missing: Vec<usize> = (0..known.len()).filter(|at| known[*at].is_none()).collect();
        let partly = missing.len() < known.len();
        let rewritten = partly.then(|| embeddings::rewrite(&visit.body, &missing)).transpose();
        let (outgoing, missing, known) = match rewritten {
            Ok(Some(body)) => (partial(&visit, body), missing, known),
            // Whole, in the client's own bytes.
            Ok(None) | Err(_) => (whole(&visit), (0..known.len()).collect(), vec![None; known.len()]),
        };
        visit.tab.ask(verdict.word(), &visit.body).await?;
        let fetched = async {
            let sent = visit.settings.upstream.send(outgoing).await;
            let incoming = sent.inspect_err(|fault| self.metrics.upstream_failed(fault.kind.code()))?;
            let way = incoming.way.clone();
            super::served(&visit.tab, &way);
            Ok((way, self.take_apart(&visit, incoming, &missing, &known).await?))
        };
        let (way, (mut reply, usage)) = match fetched.await {
            Ok(fetched) => fetched,
            Err(fault) => {
                super::not_reached(&visit.tab, &fault);
                if let Some(leader) = leader {
                    leader.fail(&fault);
                }
                return Err(fault);
            }
        };
        if let (Some(leader), ReplyBody::Whole(parts)) = (leader, &reply.body)
            && !reply.headers.contains_key(CONTENT_ENCODING)
        {
            let head = Head {
                status: reply.status,
                headers: reply.headers.clone(),
                deployment: way.deployment.clone(),
            };
            leader.head(head);
            parts.iter().for_each(|part| leader.push(part.clone()));
            if let Some(usage) = usage {
                leader.cost(usage);
            }
            leader.complete();
        }
        if visit.policy().headers {
            report::put(&mut reply.headers, &verdict, Some(&way), self.clock.now());
        }
        Ok((verdict, reply))
    }

    /// Reads the answer, keeps each embedding, and puts the batch together again. An answer that was
    /// asked for whole goes to the client as it came, whatever we can make of it. With it comes what the
    /// batch costs where nothing of it is stored, if that is known.
    async fn take_apart(
        &self,
        visit: &EmbeddingVisit,
        incoming: Incoming,
        missing: &[usize],
        known: &[Option<Arc<Entry>>],
    ) -> Result<(Reply, Option<Usage>), Fault> {
        let Incoming { status, mut headers, way, body } = incoming;
        match status.is_success() {
            true => self.prove(visit.caller, visit.settings.config.cache.credential_ttl),
            false => visit.tab.unbilled(),
        }
        let raw = gather(body).await?;
        let asked_whole = missing.len() == known.len();
        let plain = (status == StatusCode::OK).then(|| decoded(&headers, &raw)).flatten();
        let answer = plain.and_then(|plain| embeddings::read_answer(&plain, missing.len()).ok());
        let Some(answer) = answer else {
            visit.tab.paid(Ended::Failed, None, None);
            if asked_whole || status != StatusCode::OK {
                return Ok((Reply::whole(status, headers, raw), None));
            }
            return Err(Fault::new(
                Kind::UpstreamBroke,
                "the upstream's answer does not fit the inputs it was asked for",
            ));
        };
        let stored: Vec<&Embedded> = known.iter().flatten().filter_map(embedded).collect();
        let saved = if asked_whole { None } else { together(&stored) };
        visit.tab.paid(Ended::Whole, answer.usage, saved);
        if way.substitute && !asked_whole {
            let message = "another model answered, whose vectors do not go with the stored ones; send no-cache to have all of them from it";
            return Err(Fault::new(Kind::UpstreamBroke, message));
        }
        // Vectors of another model than the one asked for are never kept.
        let usage = answer.usage;
        let fresh = if way.substitute { Vec::new() } else { self.keep_all(visit, missing, answer) };
        if asked_whole {
            return Ok((Reply::whole(status, headers, raw), usage));
        }
        let mut fresh = fresh.into_iter();
        let all: Vec<Embedded> = known
            .iter()
            .filter_map(|entry| match entry {
                Some(entry) => embedded(entry).cloned().inspect(|stored| self.count_saved(stored.usage)),
                None => fresh.next(),
            })
            .collect();
        headers.remove(CONTENT_LENGTH);
        headers.remove(CONTENT_ENCODING);
        let all: Vec<&Embedded> = all.iter().collect();
        Ok((Reply::whole(status, headers, merged(&all)), together(&all)))
    }

    fn keep_all(&self, visit: &EmbeddingVisit, missing: &[usize], answer: Answer) -> Vec<Embedded> {
        let inputs: Vec<Input<'_>> = embeddings::inputs(&visit.request);
        let lengths: Vec<usize> =
            missing.iter().filter_map(|at| inputs.get(*at).map(Input::length)).collect();
        let shares = answer.usage.map(|usage| embeddings::apportion(usage, &lengths));
        let frame = Arc::new(answer.frame);
        let keys = missing.iter().map(|at| visit.keys[*at]).collect::<Vec<ExactKey>>();
        let share = |at: usize| shares.as_ref().and_then(|shares| shares.get(at).copied());
        let items = answer.items.into_iter().enumerate();
        let stored: Vec<Embedded> =
            items.map(|(at, item)| Embedded { item, usage: share(at), frame: frame.clone() }).collect();
        for (key, embedded) in keys.into_iter().zip(&stored) {
            self.cache.admit_embedding(key, visit.terms(), embedded.clone());
        }
        stored
    }
}

/// Whether an answer to the same batch, in flight, will do.
fn shares(visit: &EmbeddingVisit) -> bool {
    !visit.wishes.no_cache && !visit.policy().observes()
}

fn embedded(entry: &Arc<Entry>) -> Option<&Embedded> {
    match &entry.content {
        Content::Embedding(embedded) => Some(embedded),
        Content::Answer(_) => None,
    }
}

fn merged(stored: &[&Embedded]) -> Bytes {
    let items: Vec<&embeddings::Item> = stored.iter().map(|one| &one.item).collect();
    let frame = stored.first().map(|one| one.frame.clone()).unwrap_or_default();
    embeddings::merge(&items, &frame, together(stored))
}

/// What several cost together; `None` where that of one is not known.
fn together(stored: &[&Embedded]) -> Option<Usage> {
    let shares = stored.iter().map(|one| one.usage).collect::<Option<Vec<Usage>>>();
    shares.map(|shares| shares.into_iter().fold(Usage::default(), Usage::plus))
}

fn whole(visit: &EmbeddingVisit) -> Outgoing {
    let body = OutgoingBody::Whole(visit.body.clone());
    Outgoing { method: Method::POST, target: visit.target.clone(), headers: visit.headers.clone(), body }
}

/// Its answer is read by us, so it is asked for without a coding.
fn partial(visit: &EmbeddingVisit, body: Bytes) -> Outgoing {
    let mut headers = visit.headers.clone();
    headers.remove(ACCEPT_ENCODING);
    Outgoing { method: Method::POST, target: visit.target.clone(), headers, body: OutgoingBody::Whole(body) }
}

async fn gather(mut body: crate::upstream::Chunks) -> Result<Bytes, Fault> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
        if all.len() > LONGEST_ANSWER {
            return Err(Fault::new(
                Kind::UpstreamBroke,
                "the upstream's answer is too long; ask for fewer inputs at once",
            ));
        }
    }
    Ok(all.freeze())
}

fn decoded(headers: &HeaderMap, raw: &Bytes) -> Option<Bytes> {
    Decoder::of(headers, LONGEST_ANSWER).ok()?.feed(raw).ok()
}
