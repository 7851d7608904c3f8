//! Money as integers, so that sums of millions of requests are exact.

use std::fmt;
use std::ops::AddAssign;

/// Nano-dollars (1e-9 USD). One token at $0.10 per million tokens is 100 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// The cost of `tokens` at a price per million tokens, rounded down to the nano-dollar.
    pub fn of(tokens: u64, per_million: NanoUsd) -> NanoUsd {
        let nano = u128::from(tokens) * u128::from(per_million.0) / 1_000_000;
        NanoUsd(u64::try_from(nano).unwrap_or(u64::MAX))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: NanoUsd) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars with six decimals, as in `x-reprise-saved-usd: 0.000345`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micro = (self.0 + 500) / 1_000;
        write!(f, "{}.{:06}", micro / 1_000_000, micro % 1_000_000)
    }
}
