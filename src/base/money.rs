//! Money as integers, so that sums of millions of requests are exact.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
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

impl Serialize for NanoUsd {
    /// Dollars as text with nine decimals, so that nothing is lost.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000))
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
    /// Dollars, as a number or as text.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<NanoUsd, D::Error> {
        struct Dollars;
        impl Visitor<'_> for Dollars {
            type Value = NanoUsd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in USD, such as 2.5")
            }

            fn visit_f64<E: de::Error>(self, usd: f64) -> Result<NanoUsd, E> {
                match usd {
                    0.0..=1e9 => Ok(NanoUsd((usd * 1e9).round() as u64)),
                    _ => Err(E::custom("expected an amount in USD, such as 2.5")),
                }
            }

            fn visit_u64<E: de::Error>(self, usd: u64) -> Result<NanoUsd, E> {
                self.visit_f64(usd as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NanoUsd, E> {
                self.visit_f64(text.parse().map_err(|_| E::custom("expected an amount in USD, such as 2.5"))?)
            }
        }
        from.deserialize_any(Dollars)
    }
}
