//! One of several deployments, by a strategy. Pure: what it goes by is handed in.

use super::dice::Dice;
use crate::config::routing::Strategy;

/// What one open deployment is like at this moment, as far as the strategy goes by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its place among the model's deployments.
    pub at: usize,
    pub weight: u32,
    /// Requests in progress.
    pub busy: usize,
    /// Seconds to the first byte, of late; 0 where none is known, so that it is tried.
    pub latency: f64,
    /// The share of its limits that is left, 0 to 1; 1 without limits.
    pub headroom: f64,
    /// Tokens sent within the last minute; parts those with the same headroom.
    pub spent: u64,
    /// Nano-dollars that this request would cost.
    pub cost: u64,
}

impl Candidate {
    /// One of which nothing else is known.
    pub fn plain(at: usize, weight: u32) -> Candidate {
        Candidate { at, weight, busy: 0, latency: 0.0, headroom: 1.0, spent: 0, cost: 0 }
    }
}

/// Its place in the model. The laws, for candidates that do not change meanwhile:
///
/// - `shuffle`: each with probability weight / sum of weights.
/// - `least-busy`: the lowest (busy + 1) / weight; equal ones by `shuffle`.
/// - `latency`: two different ones drawn, every pair alike; of these the lower latency × (busy + 1) /
///   weight, so that the k-th best of n is chosen with probability 2 (n - k) / (n (n - 1)).
/// - `usage`: the greatest headroom, then the least spent; equal ones by `shuffle`.
/// - `cost`: the lowest cost; equal ones by `shuffle`.
///
/// `None` without candidates. One draw, two for `latency`; linear in the candidates.
pub fn choose(strategy: Strategy, candidates: &[Candidate], dice: &Dice) -> Option<usize> {
    let chosen = match strategy {
        Strategy::Shuffle => by_weight(candidates.iter(), dice),
        Strategy::LeastBusy => least(candidates, load, dice),
        Strategy::Latency => of_two(candidates, dice),
        Strategy::Usage => least(candidates, |one| (-one.headroom, one.spent as f64), dice),
        Strategy::Cost => least(candidates, |one| one.cost as f64, dice),
    };
    chosen.map(|one| one.at)
}

fn load(one: &Candidate) -> f64 {
    (one.busy + 1) as f64 / f64::from(one.weight.max(1))
}

fn of_two<'c>(candidates: &'c [Candidate], dice: &Dice) -> Option<&'c Candidate> {
    let count = candidates.len() as u64;
    if count < 2 {
        return candidates.first();
    }
    let first = dice.below(count) as usize;
    let second = (first + 1 + dice.below(count - 1) as usize) % candidates.len();
    let price = |one: &Candidate| one.latency * load(one);
    let (first, second) = (&candidates[first], &candidates[second]);
    Some(if price(second) < price(first) { second } else { first })
}

fn least<'c, K: PartialOrd>(
    candidates: &'c [Candidate],
    key: impl Fn(&Candidate) -> K,
    dice: &Dice,
) -> Option<&'c Candidate> {
    let first = candidates.first()?;
    let lowest =
        candidates.iter().map(&key).fold(key(first), |least, one| if one < least { one } else { least });
    by_weight(candidates.iter().filter(|one| key(one) <= lowest), dice)
}

fn by_weight<'c>(
    candidates: impl Iterator<Item = &'c Candidate> + Clone,
    dice: &Dice,
) -> Option<&'c Candidate> {
    let total: u64 = candidates.clone().map(|one| u64::from(one.weight.max(1))).sum();
    let mut left = dice.below(total);
    for one in candidates.clone() {
        match left.checked_sub(u64::from(one.weight.max(1))) {
            Some(rest) => left = rest,
            None => return Some(one),
        }
    }
    candidates.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 10_000;

    fn plain(at: usize) -> Candidate {
        Candidate { at, weight: 1, busy: 0, latency: 0.1, headroom: 1.0, spent: 0, cost: 0 }
    }

    /// How often each was chosen in 10,000 draws.
    fn drawn(strategy: Strategy, candidates: &[Candidate]) -> Vec<usize> {
        let (dice, mut counts) = (Dice::seeded(7), vec![0; candidates.len()]);
        for _ in 0..DRAWS {
            counts[choose(strategy, candidates, &dice).unwrap()] += 1;
        }
        counts
    }

    /// Within four standard deviations of a binomial of that probability.
    fn holds(counts: &[usize], law: &[f64]) {
        for (count, share) in counts.iter().zip(law) {
            let expected = DRAWS as f64 * share;
            let room = 4.0 * (expected * (1.0 - share)).sqrt();
            assert!((*count as f64 - expected).abs() <= room, "{counts:?} against {law:?}");
        }
    }

    #[test]
    fn shuffle_goes_by_weight() {
        let weights = [1, 2, 3, 4];
        let candidates: Vec<Candidate> =
            (0..4).map(|at| Candidate { weight: weights[at], ..plain(at) }).collect();
        holds(&drawn(Strategy::Shuffle, &candidates), &[0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn least_busy_takes_the_fewest_for_its_weight_and_equal_ones_alike() {
        let busy = |at, busy, weight| Candidate { busy, weight, ..plain(at) };
        let candidates = [busy(0, 3, 1), busy(1, 1, 1), busy(2, 1, 1), busy(3, 9, 4)];
        holds(&drawn(Strategy::LeastBusy, &candidates), &[0.0, 0.5, 0.5, 0.0]);
        let heavy = [busy(0, 1, 1), busy(1, 3, 4)];
        holds(&drawn(Strategy::LeastBusy, &heavy), &[0.0, 1.0]);
    }

    #[test]
    fn latency_takes_the_better_of_two() {
        let latency = [0.4, 0.1, 0.3, 0.2];
        let candidates: Vec<Candidate> =
            (0..4).map(|at| Candidate { latency: latency[at], ..plain(at) }).collect();
        // Best to worst: 1, 3, 2, 0.
        let law = |rank: f64| 2.0 * (4.0 - rank) / 12.0;
        holds(&drawn(Strategy::Latency, &candidates), &[law(4.0), law(1.0), law(3.0), law(2.0)]);
    }

    #[test]
    fn latency_counts_what_waits_there_already() {
        let candidates =
            [Candidate { latency: 0.1, busy: 9, ..plain(0) }, Candidate { latency: 0.5, ..plain(1) }];
        holds(&drawn(Strategy::Latency, &candidates), &[0.0, 1.0]);
        let unknown =
            [Candidate { latency: 0.0, busy: 9, ..plain(0) }, Candidate { latency: 0.5, ..plain(1) }];
        holds(&drawn(Strategy::Latency, &unknown), &[1.0, 0.0]);
    }

    #[test]
    fn usage_takes_the_most_room_then_the_least_spent() {
        let room = |at, headroom, spent| Candidate { headroom, spent, ..plain(at) };
        let candidates = [room(0, 0.2, 0), room(1, 0.7, 9), room(2, 0.7, 5), room(3, 0.7, 5)];
        holds(&drawn(Strategy::Usage, &candidates), &[0.0, 0.0, 0.5, 0.5]);
    }

    #[test]
    fn cost_takes_the_lowest_price() {
        let cost = |at, cost, weight| Candidate { cost, weight, ..plain(at) };
        let candidates = [cost(0, 30, 1), cost(1, 10, 1), cost(2, 10, 3)];
        holds(&drawn(Strategy::Cost, &candidates), &[0.0, 0.25, 0.75]);
    }

    #[test]
    fn one_is_chosen_and_none_is_not() {
        let dice = Dice::seeded(1);
        for (_, strategy) in Strategy::WORDS {
            assert_eq!(choose(strategy, &[plain(3)], &dice), Some(3));
            assert_eq!(choose(strategy, &[], &dice), None);
        }
    }

    #[test]
    fn a_seed_draws_the_same_again() {
        let candidates: Vec<Candidate> = (0..9).map(plain).collect();
        let draws = |seed| {
            let dice = Dice::seeded(seed);
            (0..50).map(|_| choose(Strategy::Shuffle, &candidates, &dice)).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }
}
