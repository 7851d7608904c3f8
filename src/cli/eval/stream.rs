//! A labelled stream: how many requests get an answer, and whose.

use super::asked::Asked;
use super::corpus::Corpus;
use super::input::Row;
use super::replay::Outcome;
use super::report::{Ground, Run, Score, Tally, WrongHit, rounded, worst};
use ahash::{HashSet, HashSetExt};

/// Distinct wrong hits kept to be read.
pub const WORST: usize = 40;

/// The ceiling of a cache that never errs, and what exact matching alone gives.
pub fn ground(rows: &[Row], asked: &Asked) -> Ground {
    let (mut classes, mut known) = (HashSet::new(), 0);
    for row in rows {
        known += usize::from(!classes.insert(&row.class));
    }
    let exact = rows.len() - asked.items.len();
    let of = rows.len().max(1) as f64;
    Ground::Stream { ceiling: rounded(known as f64 / of), exact: rounded(exact as f64 / of) }
}

/// A hit on the same request is right, whatever its labels say.
pub fn tally(rows: &[Row], outcomes: &[Outcome]) -> Tally {
    let (mut right, mut wrong) = (0, 0);
    for (row, outcome) in rows.iter().zip(outcomes) {
        match outcome {
            Outcome::Exact { .. } => right += 1,
            Outcome::Near { from, .. } if rows[*from as usize].class == row.class => right += 1,
            Outcome::Near { .. } => wrong += 1,
            Outcome::Miss => {}
        }
    }
    let share = |count: usize| rounded(count as f64 / rows.len().max(1) as f64);
    Tally {
        hit: share(right + wrong),
        right: share(right),
        wrong: share(wrong),
        wrongs: wrong,
        requests: rows.len(),
    }
}

/// The nearest of the wrong hits, and how many requests got one.
pub fn wrong_hits(
    rows: &[Row],
    asked: &Asked,
    corpus: &Corpus,
    outcomes: &[Outcome],
) -> (Vec<WrongHit>, usize) {
    let text = |row: u32| {
        let item = &asked.items[asked.order[row as usize] as usize];
        item.question.map_or(String::new(), |question| corpus.texts[question as usize].to_string())
    };
    let mut hits = Vec::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        if let Outcome::Near { from, score } = outcome
            && rows[*from as usize].class != rows[at].class
        {
            hits.push(WrongHit { asked: text(at as u32), stored: text(*from), score: *score, count: 1 });
        }
    }
    let count = hits.len();
    (worst(hits.into_iter(), WORST), count)
}

/// The setting with the most right answers whose wrong ones are within `target`; of equal ones the one
/// with fewer wrong, then the higher threshold.
pub fn recommended(runs: &[Run], target: f64) -> Option<Run> {
    let mut best: Option<(&Run, Tally)> = None;
    for run in runs {
        let Score::Stream(tally) = run.score else { continue };
        let better = best.is_none_or(|(than, held)| {
            let rank = |tally: Tally, run: &Run| (tally.right, -tally.wrong, run.threshold);
            rank(tally, run) > rank(held, than)
        });
        if tally.wrong <= target && better {
            best = Some((run, tally));
        }
    }
    best.map(|(run, _)| run.clone())
}
