//! Vectors in bytes, to be searched, and in full, to be scored.
//!
//! A search reads every row once, so that what it costs is memory traffic: a row of 512 numbers is 2 KiB in
//! full and 512 bytes as codes. Codes only choose who is looked at; every score that leaves the index is
//! computed from the full vectors.

use multiversion::multiversion;

/// Numbers beyond this many times the root mean square of a unit vector's are cut off in its codes.
const WIDEST: f32 = 6.0;
/// The largest code.
const LARGEST: f32 = 127.0;

/// The cosine of two unit vectors of one length. About 50 ns for 512 numbers with AVX2, which is looked
/// for as the process runs. Thirty-two running sums, so that the compiler can use whatever registers there are.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f", "aarch64+neon"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The plain sum of products. About 27 ns for 512 codes with AVX2.
#[multiversion(targets("x86_64+avx2", "x86_64+avx512f+avx512bw", "aarch64+neon"))]
fn products(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
}

/// A bit for each number of a row, set where it is positive, in `sign_words` words. Of two vectors at an angle of `a`
/// about `a / pi` of the bits differ, as with random hyperplanes (Charikar, Similarity Estimation Techniques from
/// Rounding Algorithms, 2002). The axes of the built-in models serve as random ones.
pub fn signs(row: &[i8]) -> impl Iterator<Item = u64> {
    row.chunks(64).map(|codes| codes.iter().rfold(0, |bits, code| bits << 1 | u64::from(*code > 0)))
}

/// Words that the signs of `dim` numbers take.
pub const fn sign_words(dim: usize) -> usize {
    dim.div_ceil(64)
}

/// In how many bits each of `rows`, words side by side, differs from `query`.
#[multiversion(targets("x86_64+popcnt", "aarch64+neon"))]
pub fn differing(query: &[u64], rows: &[u64], counts: &mut Vec<u16>) {
    let differ = |row: &[u64]| query.iter().zip(row).map(|(x, y)| (x ^ y).count_ones() as u16).sum::<u16>();
    counts.extend(rows.chunks_exact(query.len()).map(differ));
}

/// Nearly the cosine of the vectors behind two rows of codes.
#[inline]
pub fn cosine(a: &[i8], b: &[i8]) -> f32 {
    let scale = scale(a.len());
    products(a, b) as f32 / (scale * scale)
}

/// Codes a unit. One for all vectors of a length, so that codes can be compared as they are.
#[inline]
fn scale(len: usize) -> f32 {
    LARGEST / WIDEST * (len as f32).sqrt()
}

/// A unit vector in bytes, one a number.
#[derive(Clone, Debug)]
pub struct Codes {
    pub row: Vec<i8>,
    /// The length of what the codes leave out; about 0.015.
    pub error: f32,
}

impl Codes {
    pub fn of(vector: &[f32]) -> Codes {
        let scale = scale(vector.len());
        // The cast cuts off what is too large.
        let row: Vec<i8> = vector.iter().map(|number| (number * scale).round() as i8).collect();
        let left_out = vector.iter().zip(&row).map(|(number, code)| number - f32::from(*code) / scale);
        let error = left_out.map(|number| number * number).sum::<f32>().sqrt();
        Codes { row, error: error + ROUNDING }
    }

    /// How far `cosine` may be off between these codes and others with at most `error`: the
    /// Cauchy-Schwarz inequality, for the unit vectors `a`, `b` and their codes' `a'`, `b'`:
    /// `|a·b - a'·b'| <= |a - a'| |b| + |a'| |b - b'|`.
    pub fn slack(&self, error: f32) -> f32 {
        self.error + (1.0 + self.error) * error
    }
}

/// More than the rounding of all these sums comes to.
const ROUNDING: f32 = 1e-4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let raw: Vec<f32> = (0..len).map(|_| next()).collect();
        let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt();
        raw.iter().map(|number| number / length).collect()
    }

    proptest! {
        #[test]
        fn the_dot_product_is_the_plain_sum_at_every_length(len in 1usize..700, seed in 1u64..1000) {
            let (a, b) = (row(seed, len), row(seed + 7, len));
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-5);
        }

        #[test]
        fn codes_are_never_further_off_than_they_say(len in 2usize..700, seed in 1u64..1000, spike in 0usize..3) {
            let (mut a, b) = (row(seed, len), row(seed + 7, len));
            if spike == 0 {
                a = (0..len).map(|at| if at == 1 { 1.0 } else { 0.0 }).collect();
            }
            let (coded_a, coded_b) = (Codes::of(&a), Codes::of(&b));
            let told = cosine(&coded_a.row, &coded_b.row);
            prop_assert!((told - dot(&a, &b)).abs() <= coded_a.slack(coded_b.error));
        }
    }

    #[test]
    fn a_vector_of_zeros_has_codes_too() {
        assert_eq!(Codes::of(&[0.0; 8]).row, [0; 8]);
    }
}
