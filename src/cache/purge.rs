//! Taking entries out by what they are: in memory, on disk, and wherever a fleet is told.

use super::Cache;
use super::disk::RowId;
use super::entry::{Entry, EntryId};
use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use crate::semantic::embedder::{EmbedError, Vector};
use ahash::{AHashMap, AHashSet};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Rows of the disk that are looked at in one go.
pub(super) const CHUNK: usize = 256;
/// How long a purge waits until it is on the disk too.
const FLUSH: Duration = Duration::from_secs(10);
/// Entries named in the answer at most.
pub(super) const NAMED: usize = 20;

/// What is to go: whatever fits all that are given. An order that gives nothing is refused; `all` says so
/// on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// The value of `x-reprise-entry`.
    pub entry: Option<String>,
    /// As `GET /api/entries` shows it, or longer.
    pub scope: Option<String>,
    pub namespace: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// `name`, or `name=value`.
    pub tag: Option<String>,
    /// For instance `2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
    /// Whatever means about this.
    pub near: Option<String>,
    /// How near, as a cosine. Default: the model's calibrated threshold.
    pub at_least: Option<f32>,
    pub all: bool,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(
        "the order names nothing; give one of entry, scope, namespace, model, tag, older_than, near, or all"
    )]
    Empty,
    #[error("{0}")]
    Misread(String),
    #[error("nothing can be compared by meaning now: {0}")]
    NoMeaning(String),
}

/// An entry, shortly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    pub entry: String,
    pub scope: String,
    pub namespace: Option<Box<str>>,
    pub model: Box<str>,
    pub question: Option<Box<str>>,
    pub tags: Vec<String>,
    /// Seconds.
    pub age: u64,
    pub ttl: u64,
    /// To `near`, four decimals.
    pub score: Option<f64>,
}

/// What was, or on a dry run would be, taken out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Purged {
    pub dry_run: bool,
    pub entries: usize,
    pub in_memory: usize,
    pub on_disk: usize,
    /// On disk, but without a vector of the current model, so that `near` cannot judge them.
    pub unjudged: usize,
    /// Whether it holds after a crash as well. False: the disk could not be written in time; it is tried again
    /// until the process ends.
    pub durable: bool,
    /// Some of them, the nearest first.
    pub sample: Vec<Listed>,
    #[serde(skip)]
    pub keys: Vec<ExactKey>,
}

/// Who else is to carry out an order: replicas, a shared tier. Told after it holds here, never on a dry run.
pub trait Fleet: Send + Sync {
    /// `keys`: what went here. Whatever goes wrong is the fleet's to log and to try again.
    fn purged<'a>(
        &'a self,
        order: &'a Order,
        keys: &'a [ExactKey],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// An order, understood.
pub(super) struct Filter {
    entry: Option<EntryId>,
    scope: Option<String>,
    namespace: Option<String>,
    model: Option<String>,
    tag: Option<(String, Option<String>)>,
    stored_before: Option<Millis>,
    pub(super) near: Option<Near>,
}

pub(super) struct Near {
    pub(super) vector: Vector,
    pub(super) model: String,
    pub(super) at_least: f32,
}

impl Order {
    /// `Err`: a sentence with a remedy.
    pub(super) fn filter(&self, now: Millis, near: Option<Near>) -> Result<Filter, Refused> {
        let Order { entry, scope, namespace, model, tag, older_than, near: text, at_least, all } = self;
        let names = [entry, scope, namespace, model, tag, older_than, text];
        if names.iter().all(|name| name.is_none()) && !all {
            return Err(Refused::Empty);
        }
        let misread = |text: &str| Err(Refused::Misread(text.to_owned()));
        if *all && names.iter().any(|name| name.is_some()) {
            return misread("`all` stands alone; leave it out, or everything else");
        }
        if at_least.is_some() && text.is_none() {
            return misread("`at_least` says how near to `near`; give that as well");
        }
        let entry = match entry.as_deref().map(EntryId::parse) {
            Some(None) => return misread("`entry` is no id; expected 32 hex digits"),
            parsed => parsed.flatten(),
        };
        let hex = |text: &String| text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if scope.as_ref().is_some_and(|scope| !hex(scope)) {
            return misread(
                "`scope` is none; expected at least 16 hex digits, as `reprise purge --dry-run` shows them",
            );
        }
        let older = older_than.as_deref().map(humantime::parse_duration).transpose();
        let Ok(older) = older else {
            return misread("`older_than` is no duration; write for instance \"90s\" or \"2h\"");
        };
        Ok(Filter {
            entry,
            scope: scope.as_ref().map(|scope| scope.to_ascii_lowercase()),
            namespace: namespace.clone(),
            model: model.clone(),
            tag: tag.as_deref().map(|tag| match tag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (tag.to_owned(), None),
            }),
            stored_before: older.map(|age| Millis(now.0.saturating_sub(Millis(0).plus(age).0))),
            near,
        })
    }
}

impl Filter {
    /// But for `near`.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        let Filter { entry: id, scope, namespace, model, tag, stored_before, near: _ } = self;
        let tagged = |(name, value): &(String, Option<String>)| {
            let fits = |value: &str, own: &str| value == own;
            entry
                .tags
                .iter()
                .any(|(own, said)| **own == **name && value.as_deref().is_none_or(|value| fits(value, said)))
        };
        id.as_ref().is_none_or(|id| id.names(&entry.key))
            && scope.as_ref().is_none_or(|scope| entry.scope.hex().starts_with(scope.as_str()))
            && namespace.as_deref().is_none_or(|name| entry.namespace.as_deref() == Some(name))
            && model.as_deref().is_none_or(|model| *entry.model == *model)
            && tag.as_ref().is_none_or(tagged)
            && stored_before.is_none_or(|before| entry.stored < before)
    }
}

/// What fits, found in memory and on disk.
#[derive(Default)]
struct Found {
    in_memory: AHashMap<ExactKey, (Arc<Entry>, Option<f32>)>,
    on_disk: AHashSet<ExactKey>,
    unjudged: usize,
    listed: Vec<Listed>,
}

impl Cache {
    /// Carries an order out here and tells the fleet. What was stored before it began is gone when this
    /// returns: no lookup finds it, and a restart does not bring it back (see `Purged::durable`). What is
    /// admitted meanwhile may stay. Costs one walk over memory and disk, some 20 us an entry on disk,
    /// on a blocking thread.
    ///
    /// # Errors
    /// An order that cannot be understood, or compared with; nothing has been taken out then.
    pub async fn purge(self: &Arc<Self>, order: &Order, dry_run: bool) -> Result<Purged, Refused> {
        let purged = self.purge_here(order, dry_run).await?;
        if !dry_run && let Some(fleet) = self.fleet.get() {
            fleet.purged(order, &purged.keys).await;
        }
        Ok(purged)
    }

    /// As `purge`, but tells nobody: for an order that came from the fleet.
    pub async fn purge_here(self: &Arc<Self>, order: &Order, dry_run: bool) -> Result<Purged, Refused> {
        let near = match &order.near {
            None => None,
            Some(text) => Some(self.near(text, order.at_least).await?),
        };
        let filter = order.filter(self.clock.now(), near)?;
        // What is still to be written is then on the disk, or in memory.
        self.flush(FLUSH).await;
        let cache = self.clone();
        let found = tokio::task::spawn_blocking(move || cache.find_all(&filter)).await.unwrap_or_default();
        let mut keys: AHashSet<ExactKey> = found.on_disk.clone();
        keys.extend(found.in_memory.keys());
        let mut purged = Purged {
            dry_run,
            entries: keys.len(),
            in_memory: found.in_memory.len(),
            on_disk: found.on_disk.len(),
            unjudged: found.unjudged,
            durable: true,
            sample: found.listed,
            keys: keys.into_iter().collect(),
        };
        if dry_run {
            return Ok(purged);
        }
        if let Some(disk) = &self.disk {
            purged.keys.iter().for_each(|key| disk.remove(key));
        }
        for (entry, _) in found.in_memory.values() {
            self.forget(entry);
        }
        purged.durable = self.flush(FLUSH).await;
        self.metrics.store.purged(purged.entries);
        tracing::info!(entries = purged.entries, "purged");
        Ok(purged)
    }

    /// Who is told of purges from now on. The first one stays.
    pub fn set_fleet(&self, fleet: Arc<dyn Fleet>) {
        let _ = self.fleet.set(fleet);
    }

    /// Entries in memory that fit, the newest first, `most` at most. Walks all of them.
    pub async fn list(self: &Arc<Self>, order: &Order, most: usize) -> Result<Vec<Listed>, Refused> {
        let now = self.clock.now();
        let filter = order.filter(now, None)?;
        let cache = self.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let mut fitting: Vec<Arc<Entry>> = cache.store.all().filter(|entry| filter.fits(entry)).collect();
            fitting.sort_by_key(|entry| std::cmp::Reverse((entry.stored, entry.key)));
            fitting.iter().take(most).map(|entry| listed(entry, now, None)).collect()
        });
        Ok(listed.await.unwrap_or_default())
    }

    pub(super) async fn near(&self, text: &str, at_least: Option<f32>) -> Result<Near, Refused> {
        let none = |why: &str| Refused::NoMeaning(why.to_owned());
        let semantic = self.semantic().ok_or_else(|| none("no model is loaded"))?;
        let vector = semantic.embed_patiently(text).await.map_err(|error| match error {
            EmbedError::Shed => none("the embedder is behind; try again"),
            error => Refused::NoMeaning(error.to_string()),
        })?;
        let at_least = at_least.unwrap_or_else(|| semantic.threshold(crate::config::Strictness::Strict));
        Ok(Near { vector, model: semantic.model_name().to_owned(), at_least })
    }

    fn find_all(&self, filter: &Filter) -> Found {
        let now = self.clock.now();
        let mut found = Found::default();
        let scores: Option<AHashMap<ExactKey, f32>> = filter.near.as_ref().map(|near| {
            let semantic = self.semantic();
            let all = semantic.map(|semantic| semantic.index().within(&near.vector, near.at_least));
            all.unwrap_or_default().into_iter().collect()
        });
        for entry in self.store.all().filter(|entry| filter.fits(entry)) {
            let score = scores.as_ref().map(|scores| scores.get(&entry.key).copied());
            if score != Some(None) {
                found.in_memory.insert(entry.key, (entry, score.flatten()));
            }
        }
        self.find_on_disk(filter, &mut found);
        for (entry, score) in found.in_memory.values() {
            found.listed.push(listed(entry, now, *score));
        }
        shorten(&mut found.listed);
        found
    }

    fn find_on_disk(&self, filter: &Filter, found: &mut Found) {
        let Some(disk) = &self.disk else { return };
        let now = self.clock.now();
        let mut before = RowId::MAX;
        loop {
            let rows = disk.newest(before, CHUNK);
            let Some(last) = rows.last() else { return };
            before = last.id;
            for stored in rows.into_iter().filter_map(|row| row.stored.ok()) {
                if !filter.fits(&stored.entry) {
                    continue;
                }
                let mut score = None;
                if let Some(near) = &filter.near {
                    let same = stored.embedding.as_ref().filter(|embedding| *embedding.model == *near.model);
                    let Some(embedding) = same.filter(|same| same.vector.len() == near.vector.len()) else {
                        let judged = found.in_memory.contains_key(&stored.entry.key);
                        found.unjudged += usize::from(stored.entry.question.is_some() && !judged);
                        if judged {
                            found.on_disk.insert(stored.entry.key);
                        }
                        continue;
                    };
                    let cosine = embedding.vector.iter().zip(near.vector.iter()).map(|(a, b)| a * b).sum();
                    if cosine < near.at_least {
                        continue;
                    }
                    score = Some(cosine);
                }
                found.on_disk.insert(stored.entry.key);
                if found.listed.len() < NAMED && !found.in_memory.contains_key(&stored.entry.key) {
                    found.listed.push(listed(&stored.entry, now, score));
                }
            }
        }
    }
}

/// The nearest of them, or the newest where nothing is near; each once, and no more than are named.
pub(super) fn shorten(listed: &mut Vec<Listed>) {
    listed.sort_by(|a, b| {
        let order = |listed: &Listed| (listed.score.map_or(0.0, |score| -score), listed.age);
        order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    listed.dedup_by(|a, b| a.entry == b.entry);
    listed.truncate(NAMED);
}

pub(super) fn listed(entry: &Entry, now: Millis, score: Option<f32>) -> Listed {
    Listed {
        entry: entry.id(),
        scope: entry.scope.short(),
        namespace: entry.namespace.clone(),
        model: entry.model.clone(),
        question: entry.question.as_deref().map(Box::from),
        tags: entry.tags.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        age: entry.age(now).as_secs(),
        ttl: entry.ttl(now).as_secs(),
        score: score.map(|score| (f64::from(score) * 10_000.0).round() / 10_000.0),
    }
}
