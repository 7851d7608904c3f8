//! All routes' evidence: opened from the config, kept across reloads and restarts.

use super::desk::Desk;
use super::judge::Judge;
use super::state::{Kept, State};
use super::watch::{Counts, Watch, Watched};
use crate::base::digest::Partition;
use crate::config::{Config, Policy, Route};
use crate::semantic::budget::{Budget, Opened, Settings, Unfit};
use crate::semantic::manifest::Manifest;
use crate::upstream::Unusable;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Partitions of which it is remembered whose hits they gave; the least used are forgotten first.
const REMEMBERED: u64 = 10_000;

/// Why hits cannot be watched as the config asks.
#[derive(Debug, thiserror::Error)]
pub enum Unwatchable {
    #[error("semantic.{0}")]
    Budget(#[from] Unfit),
    #[error("semantic.judge: {0}")]
    Judge(#[from] Unusable),
}

/// What outlives a config: the file, the desk, and whose hits came from where.
#[derive(Debug)]
pub struct Trust {
    state: State,
    pub(super) desk: Desk,
    served: moka::sync::Cache<Partition, Option<Arc<str>>, ahash::RandomState>,
}

/// The evidence of every route that gathers any, as one config has them.
#[derive(Debug, Default)]
pub struct Watches {
    general: Option<Arc<Watch>>,
    /// As long as the config's routes; empty where nothing is watched.
    routes: Vec<Option<Arc<Watch>>>,
    pub(super) judge: Option<Arc<Judge>>,
}

impl Watches {
    /// The evidence of the route that a request matched. Costs two comparisons.
    pub fn of(&self, route: Option<usize>) -> Option<&Arc<Watch>> {
        match route {
            None => self.general.as_ref(),
            Some(at) => self.routes.get(at)?.as_ref(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.general.iter().chain(self.routes.iter().flatten())
    }

    fn named(&self, route: Option<&str>) -> Option<&Arc<Watch>> {
        self.all().find(|watch| watch.route.as_deref() == route)
    }
}

impl Trust {
    pub fn new(config: &Config) -> Trust {
        Trust {
            state: State::at(config.semantic.state.clone()),
            desk: Desk::new(),
            served: moka::sync::Cache::builder()
                .max_capacity(REMEMBERED)
                .build_with_hasher(Default::default()),
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.state.is_kept()
    }

    /// Opens what `config` asks for. Evidence comes from `before`, the config until now, or from the file; where it is
    /// about something else it begins anew, and says so once. Reads the state file and the manifest the first time that
    /// anything is watched.
    ///
    /// # Errors
    /// A budget that nothing can prove, or a judge that cannot be addressed.
    pub fn open(&self, config: &Config, before: Option<&Watches>) -> Result<Watches, Unwatchable> {
        if !config.policies().any(Policy::is_watched) {
            return Ok(Watches::default());
        }
        let judge = config.semantic.judge.as_ref().map(Judge::of).transpose()?.map(Arc::new);
        let manifest = Manifest::read(&config.semantic.models_dir).ok();
        let thresholds =
            manifest.and_then(|manifest| Some(manifest.model(&config.semantic.model)?.thresholds));
        let open = |route: Option<&Route>, policy: &Policy| -> Result<Option<Arc<Watch>>, Unfit> {
            if !policy.is_watched() {
                return Ok(None);
            }
            let calibrated = thresholds.and_then(|known| known.calibrated(policy.semantic.verify));
            self.one(&Watched { route, policy, semantic: &config.semantic, calibrated }, before).map(Some)
        };
        let routes = config.routes.iter().map(|route| open(Some(route), &route.policy));
        Ok(Watches { general: open(None, &config.policy)?, routes: routes.collect::<Result<_, _>>()?, judge })
    }

    fn one(&self, watched: &Watched<'_>, before: Option<&Watches>) -> Result<Arc<Watch>, Unfit> {
        let name = watched.route.map(|route| route.name.as_str());
        let settings = watched.settings();
        let living = before.and_then(|watches| watches.named(name));
        if let Some(watch) = living.filter(|watch| watch.fits(watched, &settings)) {
            return Ok(watch.clone());
        }
        let kept = match living {
            Some(watch) => keep(watch),
            None => self.state.of(name).cloned(),
        };
        let (budget, counts) = resume(settings, kept, name)?;
        Ok(Arc::new(Watch::of(watched, budget, counts)))
    }

    /// Writes all evidence. Blocks on the disk.
    pub(super) fn save(&self, watches: &Watches) {
        self.state.write(watches.all().filter_map(keep).collect());
    }

    /// A hit by meaning came out of this partition for this route.
    pub(super) fn remember(&self, partition: Partition, watch: &Watch) {
        self.served.insert(partition, watch.route.clone());
    }

    /// The evidence that a complaint about an entry of this partition counts for.
    pub(super) fn whose<'w>(&self, watches: &'w Watches, partition: &Partition) -> Option<&'w Arc<Watch>> {
        watches.named(self.served.get(partition)?.as_deref())
    }
}

fn keep(watch: &Arc<Watch>) -> Option<Kept> {
    let saved = watch.budget.save().ok().and_then(|json| String::from_utf8(json).ok())?;
    let budget = RawValue::from_string(saved).ok()?;
    Some(Kept { route: watch.route.as_deref().map(str::to_owned), budget, counts: watch.counts.save() })
}

fn resume(settings: Settings, kept: Option<Kept>, name: Option<&str>) -> Result<(Budget, Counts), Unfit> {
    let seed = rand::random();
    let Some(kept) = kept else { return Ok((Budget::new(settings, seed)?, Counts::default())) };
    match Budget::open(settings, seed, kept.budget.get().as_bytes())? {
        Opened::Resumed(budget) => Ok((budget, Counts::restore(&kept.counts))),
        Opened::Anew(budget, why) => {
            let route = name.unwrap_or("(none)");
            tracing::warn!(route, "{why}");
            Ok((budget, Counts::default()))
        }
    }
}
