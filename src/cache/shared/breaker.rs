//! Whether Redis is asked: the breaker over every call.
//!
//! ```text
//! shut ── connected ──> probing ── answers within the time-box ──> flowing
//!   ^────── does not ───────┘                                         │
//!   └──── a broken connection, or calls that are late one after another
//! ```

use super::line::Lines;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::watch;

/// Late calls in a row that shut the breaker: one may be the network's or our own scheduler's doing.
const LATE_IN_A_ROW: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is asked; every look-up is a miss at once.
    Shut,
    /// Connected, and being tried out. Requests still pass by.
    Probing,
    Flowing,
}

impl State {
    /// The value of the gauge `shared_state`.
    pub fn number(self) -> u64 {
        match self {
            State::Shut => 0,
            State::Probing => 1,
            State::Flowing => 2,
        }
    }
}

/// What went wrong with one call. Each is a miss for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing was asked.
    Shut,
    /// No answer within the time-box.
    Late,
    /// The connection broke, or what came back is not Redis.
    Broken(String),
    /// Redis answered with an error; its code, such as OOM, READONLY or NOPERM.
    Refused(String),
}

impl Trouble {
    /// The metric label.
    pub fn word(&self) -> &'static str {
        match self {
            Trouble::Shut => "shut",
            Trouble::Late => "late",
            Trouble::Broken(_) => "broken",
            Trouble::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Shut => f.write_str("it is not asked"),
            Trouble::Late => f.write_str("it does not answer within redis.timeout"),
            Trouble::Broken(why) => f.write_str(why),
            Trouble::Refused(code) => write!(f, "it answers with {code}"),
        }
    }
}

/// Holds the connections exactly while it is flowing.
pub struct Breaker {
    lines: ArcSwapOption<Lines>,
    state: watch::Sender<State>,
    late: AtomicU32,
    /// What it met last.
    why: Mutex<Option<Trouble>>,
    /// How often it began to flow.
    flowed: AtomicU64,
}

impl Default for Breaker {
    /// The first connection is being tried.
    fn default() -> Breaker {
        Breaker {
            lines: ArcSwapOption::empty(),
            state: watch::Sender::new(State::Probing),
            late: AtomicU32::new(0),
            why: Mutex::default(),
            flowed: AtomicU64::new(0),
        }
    }
}

impl Breaker {
    /// The connections, if Redis is to be asked. One atomic load.
    pub fn lines(&self) -> Option<Arc<Lines>> {
        self.lines.load_full()
    }

    /// Another number for each connection; `None` while Redis is not asked.
    pub fn connection(&self) -> Option<u64> {
        self.lines.load().as_ref().map(|_| self.flowed.load(Ordering::Relaxed))
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// What shut it last.
    pub fn why(&self) -> Option<Trouble> {
        self.why.lock().clone()
    }

    /// Completes when it is, or becomes, `wanted`.
    pub async fn until(&self, wanted: impl FnMut(&State) -> bool) {
        // The sender lives as long as we are borrowed.
        let _ = self.state.subscribe().wait_for(wanted).await;
    }

    pub fn probe(&self) {
        self.state.send_replace(State::Probing);
    }

    pub fn fail(&self, why: &Trouble) {
        *self.why.lock() = Some(why.clone());
        self.state.send_replace(State::Shut);
    }

    /// From now on Redis is asked over `lines`.
    pub fn flow(&self, lines: Arc<Lines>) {
        self.late.store(0, Ordering::Relaxed);
        self.flowed.fetch_add(1, Ordering::Relaxed);
        // First the word, then the connections: whoever meets trouble on them has the last one.
        self.state.send_replace(State::Flowing);
        self.lines.store(Some(lines));
    }

    pub fn good(&self) {
        if self.late.load(Ordering::Relaxed) != 0 {
            self.late.store(0, Ordering::Relaxed);
        }
    }

    /// What a call over `lines` met. Says whether that has just shut the breaker; of many calls that meet
    /// the same, one is told so.
    pub fn met(&self, lines: &Arc<Lines>, trouble: &Trouble) -> bool {
        match trouble {
            Trouble::Broken(_) => self.trip(lines, trouble),
            Trouble::Late => {
                self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE_IN_A_ROW && self.trip(lines, trouble)
            }
            Trouble::Refused(code) => !stays_usable(code) && self.trip(lines, trouble),
            Trouble::Shut => false,
        }
    }

    fn trip(&self, lines: &Arc<Lines>, why: &Trouble) -> bool {
        let held = self.lines.load();
        let is_held = |held: &Option<Arc<Lines>>| held.as_ref().is_some_and(|held| Arc::ptr_eq(held, lines));
        if !is_held(&held) {
            return false;
        }
        let ours = is_held(&self.lines.compare_and_swap(&*held, None));
        if ours {
            self.fail(why);
        }
        ours
    }
}

/// Errors that say something of one call, not of Redis: reading may go on while writing is refused.
fn stays_usable(code: &str) -> bool {
    matches!(code, "ERR" | "OOM" | "READONLY" | "NOPERM" | "WRONGTYPE" | "MISCONF" | "NOREPLICAS")
}
