//! The roads of one model, and a place on one of them.

use super::breaker::Grant;
use super::outcome::Failure;
use super::road::{Gate, Need, Road, Standard};
use crate::config::routing::Model;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A road is not called slow for less than this.
const LEAST_SLOWNESS: f64 = 0.01;

pub struct Fleet {
    pub model: Model,
    pub roads: Vec<Road>,
    /// Rung when a place has become free.
    pub freed: Notify,
    waiting: AtomicUsize,
    slow_factor: f64,
    set_aside: Duration,
}

impl Fleet {
    pub fn new(model: Model, roads: Vec<Road>, slow_factor: f64, set_aside: Duration) -> Fleet {
        Fleet { model, roads, freed: Notify::new(), waiting: AtomicUsize::new(0), slow_factor, set_aside }
    }

    /// A place on a road, if one is free. The road is known by its place among them.
    pub fn enter(self: &Arc<Fleet>, at: usize, need: Need, standard: Standard) -> Option<Place> {
        let now = Instant::now();
        let grant = self.roads.get(at)?.enter(now, need, standard)?;
        Some(Place { fleet: self.clone(), at, grant: Some(grant), began: now, need })
    }

    /// A seat in the queue of those who wait for a place; `None` where `most` are waiting already.
    pub fn queue(&self, most: usize) -> Option<Queued<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = Queued(self);
        (before < most).then_some(queued)
    }

    /// Sets a road aside that is far slower than its peers, as long as another is open.
    fn compare(&self, at: usize, now: Instant) {
        let Some(pace) = self.roads[at].pace_to_judge() else { return };
        let open = |road: &Road| {
            matches!(road.gate(now, Need::default()), Gate::Open | Gate::Full | Gate::Limited(_))
        };
        let peers = self.roads.iter().enumerate().filter(|(other, road)| *other != at && open(road));
        let mut paces: Vec<f64> = peers.filter_map(|(_, road)| road.pace()).collect();
        if paces.is_empty() {
            return;
        }
        paces.sort_by(f64::total_cmp);
        let median = paces[paces.len() / 2];
        if pace > median * self.slow_factor && pace > median + LEAST_SLOWNESS {
            let road = &self.roads[at];
            tracing::warn!(deployment = %road.name, model = %self.model.name, pace, median, "far slower than its peers: set aside");
            road.slow_until(now + self.set_aside);
        }
    }
}

/// Counts while it lives.
pub struct Queued<'f>(&'f Fleet);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's place on a road, from before it is sent to the end of its answer. Dropped without a word
/// (the client left, another answer was first) it teaches nothing.
pub struct Place {
    fleet: Arc<Fleet>,
    pub at: usize,
    grant: Option<Grant>,
    began: Instant,
    pub need: Need,
}

impl Place {
    pub fn road(&self) -> &Road {
        &self.fleet.roads[self.at]
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    pub fn first_byte(&self) {
        let now = Instant::now();
        self.road().first_byte(now - self.began);
        self.fleet.compare(self.at, now);
    }

    pub fn succeeded(mut self) {
        if let Some(grant) = self.grant.take() {
            self.road().succeeded(grant);
            self.leave();
        }
    }

    pub fn failed(mut self, failure: Failure, after: Option<Duration>) {
        if let Some(grant) = self.grant.take() {
            self.road().failed(grant, failure, after);
            self.leave();
        }
    }

    fn leave(&self) {
        self.road().leave();
        self.fleet.freed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.road().given_back(grant);
            self.leave();
        }
    }
}
