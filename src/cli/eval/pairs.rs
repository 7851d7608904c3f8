//! Labelled pairs: what the served decision says to each, without a stream around it.

use super::corpus::Corpus;
use super::input::Pair;
use super::latency::Samples;
use super::replay::Setting;
use super::report::{PairScore, WrongHit, rounded, share, worst};
use super::second::Readers;
use super::stream::WORST;
use crate::base::digest::ExactKey;
use crate::canon::Bypass;
use crate::config::Strictness;
use crate::semantic::choose::{Asked, Choice, choose, reaches};
use crate::semantic::codes::dot;
use crate::semantic::index::Neighbour;
use crate::semantic::verify::Reading;
use tokio::time::Instant;

/// A pair whose texts are in the corpus.
pub struct Couple {
    pub same: bool,
    /// The two questions' numbers, or why one of them is not compared by meaning.
    questions: Result<(u32, u32), Bypass>,
    /// `None` where they are not compared; one where they are the same text, compared or not.
    cosine: Option<f32>,
    identical: bool,
}

impl Couple {
    /// After the corpus was embedded.
    pub fn of(pair: &Pair, a: Result<u32, Bypass>, b: Result<u32, Bypass>, corpus: &Corpus) -> Couple {
        let questions = a.and_then(|a| Ok((a, b?)));
        let vector = |text: u32| corpus.vectors[text as usize].as_ref();
        let cosine = questions.ok().and_then(|(a, b)| Some(dot(vector(a)?, vector(b)?)));
        let identical = pair.a == pair.b;
        Couple { same: pair.same, questions, cosine: if identical { Some(1.0) } else { cosine }, identical }
    }

    pub fn bypass(&self) -> Option<Bypass> {
        self.questions.err()
    }

    fn candidate(&self, threshold: f32) -> bool {
        self.cosine.is_some_and(|cosine| reaches(cosine, threshold))
    }

    /// Whether `b`, asked with `a` alone in the cache, gets `a`'s answer. The same text always does.
    fn passes(&self, corpus: &Corpus, readers: &Readers<'_>, setting: Setting) -> bool {
        let (Ok((a, b)), Some(score)) = (self.questions, self.cosine) else { return self.identical };
        let question = corpus.texts[a as usize].clone();
        let neighbour = [Neighbour { key: ExactKey([0; 32]), score, question }];
        let stored = |_: &Neighbour| Some(&corpus.readings[a as usize]);
        let reader = readers.of(b);
        let asked = Asked { second: Some(&reader), ..alone(&corpus.readings[b as usize]) };
        let choice = choose(asked, &neighbour, setting, stored);
        self.identical || matches!(choice, Choice::Serve { .. })
    }
}

/// A question for which nobody vouches: nothing was asked before.
fn alone(reading: &Reading) -> Asked<'_> {
    Asked { reading, vouchers: None, second: None }
}

/// For each pair whether the verifier lets it pass, at whatever cosine.
pub struct Judged(Vec<bool>);

pub fn judge(couples: &[Couple], corpus: &Corpus, readers: &Readers<'_>, verify: Strictness) -> Judged {
    let any = Setting { threshold: -1.0, floor: None, verify };
    Judged(couples.iter().map(|couple| couple.passes(corpus, readers, any)).collect())
}

/// The pairs at one threshold.
pub fn score(couples: &[Couple], judged: &Judged, threshold: f32) -> PairScore {
    let mut counts = [[0usize; 2]; 2];
    let mut sames = 0;
    for (couple, passes) in couples.iter().zip(&judged.0) {
        sames += usize::from(couple.same);
        if couple.candidate(threshold) {
            counts[usize::from(couple.same)][usize::from(*passes)] += 1;
        }
    }
    let [[refused_different, served_different], [refused_same, served_same]] = counts;
    let ranked = couples.iter().zip(&judged.0).map(|(couple, passes)| (rank(couple, *passes), couple.same));
    PairScore {
        precision: share(served_same, served_same + served_different),
        recall: share(served_same, sames),
        auc: auc(ranked.collect()),
        passed_same: share(served_same, served_same + refused_same),
        refused_different: share(refused_different, served_different + refused_different),
    }
}

/// What one verification takes without a cross-encoder: reading a question and judging its neighbour, whose reading is kept.
pub fn latency(couples: &[Couple], corpus: &Corpus, setting: Setting) -> Samples {
    let mut samples = Samples::default();
    for couple in couples.iter().filter(|couple| couple.candidate(setting.threshold)) {
        let (Ok((a, b)), Some(score)) = (couple.questions, couple.cosine) else { continue };
        let neighbour =
            [Neighbour { key: ExactKey([0; 32]), score, question: corpus.texts[a as usize].clone() }];
        let begun = Instant::now();
        let asked = Reading::of(&corpus.texts[b as usize]);
        std::hint::black_box(choose(alone(&asked), &neighbour, setting, |_| {
            Some(&corpus.readings[a as usize])
        }));
        samples.add(begun.elapsed());
    }
    samples
}

/// The cosine's own area under the curve.
pub fn plain_auc(couples: &[Couple]) -> Option<f64> {
    auc(couples.iter().map(|couple| (rank(couple, true), couple.same)).collect())
}

/// Different pairs that would be served, the nearest first, and how many.
pub fn wrong_hits(
    pairs: &[Pair],
    couples: &[Couple],
    judged: &Judged,
    threshold: f32,
) -> (Vec<WrongHit>, usize) {
    let mut hits = Vec::new();
    for ((pair, couple), passes) in pairs.iter().zip(couples).zip(&judged.0) {
        if *passes && !couple.same && couple.candidate(threshold) {
            let score = couple.cosine.unwrap_or_default();
            hits.push(WrongHit { asked: pair.b.clone(), stored: pair.a.clone(), score, count: 1 });
        }
    }
    let count = hits.len();
    (worst(hits.into_iter(), WORST), count)
}

/// Refused and uncompared pairs lie below all cosines.
fn rank(couple: &Couple, passes: bool) -> f32 {
    couple.cosine.filter(|_| passes).unwrap_or(-2.0)
}

/// The chance that a same pair scores above a different one, ties counting half (Mann and Whitney 1947).
/// `None` where one of the two is missing.
fn auc(mut scored: Vec<(f32, bool)>) -> Option<f64> {
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|(_, same)| *same).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut wins, mut below) = (0.0, 0usize);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let same = tied.iter().filter(|(_, same)| *same).count();
        let different = tied.len() - same;
        wins += same as f64 * (below as f64 + different as f64 / 2.0);
        below += different;
    }
    Some(rounded(wins / (positives as f64 * negatives as f64)))
}

#[cfg(test)]
mod tests {
    use super::auc;

    #[test]
    fn the_area_counts_ties_half() {
        assert_eq!(auc(vec![(0.9, true), (0.1, false)]), Some(1.0));
        assert_eq!(auc(vec![(0.1, true), (0.9, false)]), Some(0.0));
        assert_eq!(auc(vec![(0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(auc(vec![(0.8, true), (0.5, true), (0.5, false), (0.2, false)]), Some(0.875));
        assert_eq!(auc(vec![(0.8, true)]), None);
    }
}
