//! What would become of a request, and why: `POST /api/explain`.
//!
//! The very code that serves decides here too, but the upstream is not asked, nothing is stored, and
//! nothing counts: no request, no hit, no use of an entry. Only the embedder works, and shows it.

use super::Gateway;
use super::sentence;
use super::visit::{Considered, Visit};
use crate::base::fault::{Fault, Kind};
use crate::cache::explain::{Explanation, Judged};
use crate::cache::feedback::Tally;
use crate::cache::outlines::NearPartition;
use crate::cache::{Entry, Found, Missed};
use crate::canon::Bypass;
use crate::canon::outline::Told;
use crate::config::{Policy, Strictness};
use crate::wire::Dialect;
use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;
use serde::Serialize;

/// A request as a client would send it.
pub struct Asked {
    pub target: PathAndQuery,
    /// With the client's credential, its own scope is looked into; without, that of callers who send none.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The answer to `/api/explain`. Times are whole seconds; scores and probabilities are 0 to 1, rounded
/// to four decimals.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// `hit`, `miss` or `bypass`.
    pub outcome: &'static str,
    /// What `x-reprise-reason` would say.
    pub reason: Option<&'static str>,
    pub sentence: String,
    pub tier: Option<&'static str>,
    pub entry: Option<EntryShown>,
    /// The first eight bytes of each, in hex.
    pub exact_key: Option<String>,
    pub partition: Option<String>,
    pub meaning: Option<Meaning>,
}

/// The entry that would be served, or that would be if the caller had proved its credential.
#[derive(Debug, Serialize)]
pub struct EntryShown {
    pub id: String,
    pub model: Box<str>,
    pub question: Option<Box<str>>,
    pub score: Option<f64>,
    pub age: u64,
    pub ttl: u64,
}

/// Everything about comparison by meaning.
#[derive(Debug, Serialize)]
pub struct Meaning {
    /// Whether the question may be compared by meaning, and if not, why.
    pub comparable: bool,
    pub reason: Option<&'static str>,
    pub sentence: Option<&'static str>,
    /// `None` where nobody set one and no model is loaded. A value that is infinite, JSON's `null`: a budget
    /// that allows exact hits only.
    pub threshold: Option<Setting<f64>>,
    pub verify: Setting<&'static str>,
    /// Whether the request's own partition holds anything that could be compared with.
    pub inhabited: bool,
    pub neighbours: Vec<Neighbour>,
    /// Where nothing is near: the partition of the same scope whose context differs least.
    pub nearest_partition: Option<Nearest>,
}

/// A value in force, and where it comes from.
#[derive(Debug, Serialize)]
pub struct Setting<T> {
    pub value: T,
    pub from: String,
}

#[derive(Debug, Serialize)]
pub struct Neighbour {
    pub entry: String,
    pub score: f64,
    pub question: Box<str>,
    pub above_threshold: bool,
    /// `same` or `different`, by the verifier at the strictness in force.
    pub judgement: &'static str,
    /// The rule that refuses it.
    pub rule: Option<&'static str>,
    pub sentence: Option<&'static str>,
    /// P(one answer serves both), by the learned score alone.
    pub p: f64,
    /// P(one answer serves both), by the cross-encoder alone, where it was asked.
    pub cross_encoder: Option<f64>,
    /// Another wording of the stored question, which was asked before and is likelier the same.
    pub vouched_by: Option<Box<str>>,
    /// Why it would not be served whatever the verifier says.
    pub unserved: Option<&'static str>,
    pub right: u32,
    pub wrong: u32,
}

#[derive(Debug, Serialize)]
pub struct Nearest {
    pub partition: String,
    pub sentence: String,
    pub differences: Vec<Difference>,
}

/// `asked` and `stored` are `null` for a field that is not there, and `(not shown)` for a text.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub field: Box<str>,
    pub asked: Option<Box<str>>,
    pub stored: Option<Box<str>>,
    pub sentence: String,
}

impl Gateway {
    /// Costs one embedding and two walks over all entries; never waits for an upstream.
    ///
    /// # Errors
    /// `InvalidRequest` for a path that the cache does not read by question, `InvalidHeader` for a
    /// header that the proxy would refuse.
    pub async fn explain(&self, asked: Asked) -> Result<Explained, Fault> {
        let Asked { target, headers, body } = asked;
        let dialect = Dialect::of_path(target.path()).filter(|dialect| *dialect != Dialect::Embeddings);
        let Some(dialect) = dialect else {
            let message = format!(
                "requests to {} are not answered by question; explain reads /v1/chat/completions and /v1/completions",
                target.path()
            );
            return Err(Fault::new(Kind::InvalidRequest, message));
        };
        match self.look_only(dialect, target, headers, body)? {
            Considered::Chat(visit) => self.explain_visit(&visit).await,
            Considered::Bypass(aside) => Ok(bypassed(aside.why)),
            Considered::Embedding(_) => {
                Err(Fault::new(Kind::Internal, "an embedding came from another path"))
            }
        }
    }

    async fn explain_visit(&self, visit: &Visit) -> Result<Explained, Fault> {
        let unread = || Fault::new(Kind::Internal, "a request that was read once could not be read again");
        let outline = visit.sketch().outline().ok_or_else(unread)?;
        let Explanation { outcome, comparable, inhabited, neighbours, nearest } =
            self.cache.explain(visit.lookup(), &outline).await;
        let entry = outcome.as_ref().ok().map(|found| self.shown(found));
        let proven = self.may_hit(visit).await;
        let mut explained = match outcome {
            _ if visit.wishes.no_cache => bypassed(Bypass::ClientNoCache),
            Ok(found) if proven => hit(&found),
            Ok(_) => missed(Missed::Unproven),
            Err(why) => missed(why),
        };
        if explained.outcome == "miss" && visit.wishes.only_if_cached {
            explained
                .sentence
                .push_str("; with only-if-cached that is an error, and the upstream is not asked");
        }
        explained.entry = entry;
        explained.exact_key = Some(visit.canon.exact.short());
        explained.partition = Some(visit.canon.partition.short());
        let why_not = comparable.err();
        explained.meaning = Some(Meaning {
            comparable: why_not.is_none(),
            reason: why_not.map(Bypass::word),
            sentence: why_not.map(sentence::of_bypass),
            threshold: self.threshold(visit),
            verify: verify(visit),
            inhabited,
            neighbours: neighbours.into_iter().map(neighbour).collect(),
            nearest_partition: nearest.map(near_partition),
        });
        Ok(explained)
    }

    fn shown(&self, found: &Found) -> EntryShown {
        let now = self.clock.now();
        let entry = &found.entry;
        EntryShown {
            id: entry.id(),
            model: entry.model.clone(),
            question: entry.question.as_deref().map(Box::from),
            score: found.score.map(rounded),
            age: entry.age(now).as_secs(),
            ttl: entry.ttl(now).as_secs(),
        }
    }

    fn threshold(&self, visit: &Visit) -> Option<Setting<f64>> {
        if let Some(watch) = visit.watch()
            && let Some(value) = watch.held_to(visit.wishes.threshold)
        {
            let tightened = value > watch.threshold();
            let from =
                if tightened { "client header x-reprise-threshold" } else { "semantic.max_wrong_rate" };
            return Some(Setting { value: rounded(value), from: from.to_owned() });
        }
        if let Some(value) = visit.wishes.threshold {
            return Some(Setting {
                value: rounded(value),
                from: "client header x-reprise-threshold".to_owned(),
            });
        }
        if let Some(value) = visit.policy().semantic.threshold {
            let from = set_at(visit, "semantic.threshold", |policy| policy.semantic.threshold);
            return Some(Setting { value: rounded(value), from });
        }
        let semantic = self.cache.semantic()?;
        let strictness = visit.policy().semantic.verify;
        let from = match semantic.is_calibrated(strictness) {
            true => format!("calibrated for model {}", semantic.model_name()),
            false => {
                format!("default; model {} has no calibration for this strictness", semantic.model_name())
            }
        };
        Some(Setting { value: rounded(semantic.threshold(strictness)), from })
    }
}

fn verify(visit: &Visit) -> Setting<&'static str> {
    let value = match visit.policy().semantic.verify {
        Strictness::Strict => "strict",
        Strictness::Balanced => "balanced",
        Strictness::Off => "off",
    };
    Setting { value, from: set_at(visit, "semantic.verify", |policy| policy.semantic.verify) }
}

/// Where a value that a route may override comes from. A route that repeats the general value reads
/// as the general one.
fn set_at<T: PartialEq>(visit: &Visit, key: &str, of: impl Fn(&Policy) -> T) -> String {
    let config = &visit.settings.config;
    match visit.route.and_then(|at| config.routes.get(at)) {
        Some(route) if of(&route.policy) != of(&config.policy) => format!("route {}", route.name),
        _ if of(&config.policy) == of(&Policy::default()) => format!("default of {key}"),
        _ => key.to_owned(),
    }
}

fn hit(found: &Found) -> Explained {
    let sentence = match found.score {
        None => "exactly this request was answered before".to_owned(),
        Some(score) => {
            format!("the same question was answered before in other words, at a score of {score:.4}")
        }
    };
    Explained { tier: Some(found.tier.word()), ..decided("hit", None, sentence) }
}

fn missed(why: Missed) -> Explained {
    decided("miss", why.word(), sentence::of_miss(why))
}

fn bypassed(why: Bypass) -> Explained {
    decided("bypass", Some(why.word()), format!("the cache stands aside: {}", sentence::of_bypass(why)))
}

fn decided(outcome: &'static str, reason: Option<&'static str>, sentence: String) -> Explained {
    Explained {
        outcome,
        reason,
        sentence,
        tier: None,
        entry: None,
        exact_key: None,
        partition: None,
        meaning: None,
    }
}

fn neighbour(judged: Judged) -> Neighbour {
    let Judged { key, score, question, reaches, judgement, p, cross, vouched_by, unserved, feedback } =
        judged;
    let Tally { right, wrong } = feedback;
    let rule = judgement.refusal();
    Neighbour {
        entry: Entry::id_of(&key),
        score: rounded(score),
        question: Box::from(&*question),
        above_threshold: reaches,
        judgement: if rule.is_none() { "same" } else { "different" },
        rule: rule.map(|rule| rule.word()),
        sentence: rule.map(sentence::of_rule),
        p: rounded(p),
        cross_encoder: cross.map(rounded),
        vouched_by: vouched_by.as_deref().map(Box::from),
        unserved: unserved.map(|missed| missed.word().unwrap_or("stale")),
        right,
        wrong,
    }
}

fn near_partition(near: NearPartition) -> Nearest {
    let shown = |told: Told| match told {
        Told::Absent => None,
        Told::Hidden => Some("(not shown)".into()),
        Told::Shown(value) => Some(value),
    };
    let differences = near.differences.into_iter().map(|difference| {
        let sentence = difference.sentence();
        let crate::canon::Difference { field, asked, stored } = difference;
        Difference { field, asked: shown(asked), stored: shown(stored), sentence }
    });
    let differences: Vec<Difference> = differences.collect();
    let sentences: Vec<&str> = differences.iter().map(|difference| difference.sentence.as_str()).collect();
    Nearest { partition: near.partition.short(), sentence: sentences.join("; "), differences }
}

/// To four decimals, as headers show scores.
fn rounded(number: f32) -> f64 {
    (f64::from(number) * 10_000.0).round() / 10_000.0
}
