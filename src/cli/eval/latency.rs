//! How long a step took, by rank.

use serde::Serialize;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranks {
    pub p50: f64,
    pub p99: f64,
}

impl Samples {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `None` where nothing was measured. The rank of a percentile is rounded up, so that it is a time that was
    /// seen.
    pub fn ranks(&self) -> Option<Ranks> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (sorted.len() as f64 * share).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).map(|took| (took.as_secs_f64() * 1e7).round() / 1e4)
        };
        Some(Ranks { p50: at(0.5)?, p99: at(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_seen() {
        let mut samples = Samples::default();
        assert_eq!(samples.ranks(), None);
        for ms in (1..=200).rev() {
            samples.add(Duration::from_millis(ms));
        }
        assert_eq!(samples.ranks(), Some(Ranks { p50: 100.0, p99: 198.0 }));
    }
}
