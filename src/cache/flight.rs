//! Identical requests in progress: one leads, the rest follow.

use crate::base::digest::{Credential, ExactKey};
use crate::base::fault::{Fault, Kind};
use crate::tape::live::{Follower, Head, Live, LiveEnd};
use crate::wire::request::Form;
use crate::wire::usage::Usage;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// All flights of the process. At most one an exact key; one short lock a miss.
#[derive(Default)]
pub struct Flights {
    map: Mutex<HashMap<ExactKey, Arc<Flight>, ahash::RandomState>>,
}

struct Flight {
    form: Form,
    credential: Credential,
    live: Arc<Live>,
    /// Called when somebody follows: from then on the flight must not go at its leader's pace.
    when_followed: Arc<OnceLock<Hook>>,
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// Every place one can take in a flight.
pub enum Seat {
    /// Ask upstream, and pass on what comes.
    Lead(Leader),
    /// The same answer is coming in the same form: read along.
    Follow { follower: Follower, same_credential: bool },
    /// It is coming in another form: wait for its end, then look in the cache.
    Await(Follower),
    /// It is coming, but is too long to be joined: go alone.
    Alone,
}

impl Flights {
    /// Takes a seat; never waits. `cap`: bytes of a live answer that are kept for late followers.
    pub fn seat(self: &Arc<Flights>, key: ExactKey, form: Form, credential: Credential, cap: usize) -> Seat {
        let flight = {
            let mut map = self.map.lock();
            match map.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let (live, when_followed) = (Live::new(cap), Arc::<OnceLock<Hook>>::default());
                    let hook = when_followed.clone();
                    map.insert(key, Arc::new(Flight { form, credential, live: live.clone(), when_followed }));
                    return Seat::Lead(Leader {
                        flights: self.clone(),
                        key,
                        live,
                        when_followed: hook,
                        landed: false,
                    });
                }
            }
        };
        let Some(follower) = flight.live.follow() else { return Seat::Alone };
        // Outside the lock: the hook may wait for a piece of work that wants to land.
        if let Some(hook) = flight.when_followed.get() {
            hook();
        }
        if flight.form == form {
            Seat::Follow { follower, same_credential: flight.credential == credential }
        } else {
            Seat::Await(follower)
        }
    }

    /// Flights in the air.
    pub fn len(&self) -> usize {
        self.map.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The one who asks upstream. Dropped without a word, it has abandoned the flight: no follower hangs.
pub struct Leader {
    flights: Arc<Flights>,
    key: ExactKey,
    live: Arc<Live>,
    when_followed: Arc<OnceLock<Hook>>,
    landed: bool,
}

impl Leader {
    /// A handle for what shall happen when somebody follows; the leader itself may be moved away.
    pub fn hook(&self) -> WhenFollowed {
        WhenFollowed { live: self.live.clone(), hook: self.when_followed.clone() }
    }

    pub fn head(&self, head: Head) {
        self.live.set_head(head);
    }

    pub fn push(&self, plain: Bytes) {
        self.live.push(plain);
    }

    /// What the answer cost; to be said before it lands.
    pub fn cost(&self, usage: Usage) {
        self.live.cost(usage);
    }

    /// Whether anybody reads along.
    pub fn followed(&self) -> bool {
        self.live.followers() > 0
    }

    /// The answer came in whole.
    pub fn complete(self) {
        self.land(LiveEnd::Complete);
    }

    /// The answer broke off after its head.
    pub fn cut(self, kind: Kind, why: &str) {
        self.land(LiveEnd::Cut(kind, why.into()));
    }

    /// There was no answer at all.
    pub fn fail(self, fault: &Fault) {
        self.land(LiveEnd::Failed(fault.kind, fault.message.clone()));
    }

    fn land(mut self, end: LiveEnd) {
        self.landed = true;
        self.leave(end);
    }

    /// First out of the map, then the word: who comes after it starts a new flight.
    fn leave(&self, end: LiveEnd) {
        self.flights.map.lock().remove(&self.key);
        self.live.end(end);
    }
}

/// See `Leader::hook`.
pub struct WhenFollowed {
    live: Arc<Live>,
    hook: Arc<OnceLock<Hook>>,
}

impl WhenFollowed {
    /// Has `call` called each time somebody follows, and now, if somebody does already.
    pub fn set(self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.hook.set(Box::new(call));
        if self.live.followers() > 0
            && let Some(call) = self.hook.get()
        {
            call();
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.landed {
            self.leave(LiveEnd::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Form = Form { stream: false, include_usage: false };
    const STREAM: Form = Form { stream: true, include_usage: false };

    fn seat(flights: &Arc<Flights>, form: Form) -> Seat {
        flights.seat(ExactKey([1; 32]), form, Credential([0; 32]), 1_000)
    }

    #[tokio::test]
    async fn a_leader_that_dies_hands_over_to_exactly_one_follower() {
        let flights = Arc::new(Flights::default());
        let Seat::Lead(leader) = seat(&flights, PLAIN) else { panic!("the first leads") };
        let Seat::Follow { mut follower, .. } = seat(&flights, PLAIN) else { panic!("the second follows") };
        drop(leader);
        assert_eq!(follower.head().await.unwrap_err(), LiveEnd::Abandoned);
        assert!(matches!(seat(&flights, PLAIN), Seat::Lead(_)), "the seat is free again");
    }

    #[tokio::test]
    async fn another_form_waits_for_the_end() {
        let flights = Arc::new(Flights::default());
        let Seat::Lead(leader) = seat(&flights, PLAIN) else { panic!() };
        let Seat::Await(waiter) = seat(&flights, STREAM) else { panic!() };
        leader.complete();
        assert_eq!(waiter.ended().await, LiveEnd::Complete);
        assert!(flights.is_empty());
    }
}
