//! A place on one of a model's roads, waited for where that is of use.

use super::choice::{Candidate, choose};
use super::fleet::{Fleet, Place};
use super::journey::Journey;
use super::road::{Gate, Need, Standard};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Closed roads, by place, and why.
pub type Gates = Vec<(usize, Gate)>;

/// What waiting for a place came to.
pub enum Seat {
    Taken(Place),
    /// None is open, and waiting is of no use.
    Closed(Gates),
    /// All are at their limits, and too many wait, or it took too long.
    Shed(Gates),
}

impl Journey<'_> {
    /// Waits for a place, if waiting is of use: the road least recently failed on first.
    pub(super) async fn place(
        &self,
        fleet: &Arc<Fleet>,
        candidates: &[usize],
        failed: &[usize],
        need: Need,
        patient: bool,
    ) -> Seat {
        let settings = &self.router.settings;
        let (mut queued, deadline) = (None, Instant::now() + settings.queue_timeout);
        loop {
            let freed = fleet.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let fresh: Vec<usize> = candidates.iter().copied().filter(|at| !failed.contains(at)).collect();
            let place = self.enter(fleet, &fresh, need).or_else(|_| self.enter(fleet, candidates, need));
            let gates = match place {
                Ok(place) => return Seat::Taken(place),
                Err(gates) => gates,
            };
            if !patient || !gates.iter().any(|(_, gate)| gate.is_busy()) {
                return Seat::Closed(gates);
            }
            if queued.is_none() {
                queued = fleet.queue(settings.queue);
            }
            let soon =
                gates.iter().filter(|(_, gate)| gate.is_busy()).filter_map(|(_, gate)| gate.opens()).min();
            let hopeless = soon.is_some_and(|soon| soon > deadline)
                && !gates.iter().any(|(_, gate)| matches!(gate, Gate::Full));
            if queued.is_none() || hopeless || Instant::now() >= deadline {
                return Seat::Shed(gates);
            }
            tokio::select! {
                () = &mut freed => {}
                () = sleep_until(soon.unwrap_or(deadline).min(deadline)) => {}
            }
        }
    }

    /// A place on the road that the strategy chooses among the open ones of the lowest priority; or
    /// why each is closed.
    pub(super) fn enter(&self, fleet: &Arc<Fleet>, among: &[usize], need: Need) -> Result<Place, Gates> {
        let gates = match self.enter_by(fleet, among, need, Standard::Usual) {
            Err(gates) if gates.iter().any(|(_, gate)| matches!(gate, Gate::Slow(_))) => gates,
            entered => return entered,
        };
        self.enter_by(fleet, among, need, Standard::EvenSlow).map_err(|_| gates)
    }

    fn enter_by(
        &self,
        fleet: &Arc<Fleet>,
        among: &[usize],
        need: Need,
        standard: Standard,
    ) -> Result<Place, Gates> {
        let strategy = fleet.model.strategy.unwrap_or(self.router.settings.strategy);
        // Another request may take the place meanwhile: then look again, as often as there are roads.
        for _ in 0..=among.len() {
            let now = Instant::now();
            let (mut open, mut gates) = (Vec::with_capacity(among.len()), Vec::new());
            for at in among {
                match fleet.roads[*at].look(*at, now, need, standard) {
                    Ok(candidate) => open.push(candidate),
                    Err(gate) => gates.push((*at, gate)),
                }
            }
            let priority = |one: &Candidate| fleet.roads[one.at].settings.priority;
            let Some(first) = open.iter().map(priority).min() else { return Err(gates) };
            open.retain(|one| priority(one) == first);
            let chosen = choose(strategy, &open, &self.router.dice);
            if let Some(place) = chosen.and_then(|at| fleet.enter(at, need, standard)) {
                return Ok(place);
            }
        }
        Err(among.iter().map(|at| (*at, Gate::Full)).collect())
    }
}
