//! Time, read in one way everywhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Millis) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub fn plus(self, span: Duration) -> Millis {
        Millis(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Wall time anchored once and carried on by tokio's monotonic clock: it never jumps back, and a
/// test that pauses or advances tokio's clock moves this one too. Reading it costs one `Instant`.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Millis,
    anchor: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { wall: Millis(0).plus(wall), anchor: Instant::now() }
    }

    pub fn now(&self) -> Millis {
        self.wall.plus(self.anchor.elapsed())
    }
}
