//! Where every random choice of the router comes from.

use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood 2014): one atomic addition a draw, no lock. Good enough to spread
/// load, useless for secrets. The same seed draws the same numbers.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    pub fn seeded(seed: u64) -> Dice {
        Dice(AtomicU64::new(seed))
    }

    fn draw(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, 1.
    pub fn unit(&self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to, not including, `end`; 0 where `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        // The bias of the multiplication is below 2^-32 for the small numbers asked for here.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }
}
