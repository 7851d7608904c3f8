//! What the learned score looks at: a dozen or two numbers for one pair of readings.
//!
//! Nearly all are symmetric in the two texts: either may have been stored first. Which words are guessed, and which neighbours are kept,
//! is counted in the asked one.

use super::align::{Alignment, Match, align};
use super::order::{self, Order};
use super::reading::Reading;
use super::word::Word;

/// How many features there are.
pub const COUNT: usize = NAMES.len();

/// Names, in order; the score's file is checked against them.
pub const NAMES: [&str; 30] = [
    "cosine",
    "grams",
    "overlap",
    "left_most",
    "left_least",
    "word_most",
    "word_least",
    "count_most",
    "count_least",
    "length_ratio",
    "length_least",
    "guessed",
    "turned",
    "kept",
    "kind",
    "denial",
    "trouble",
    "slots",
    "either",
    "hangul",
    "names_most",
    "names_least",
    "little",
    "scrambled",
    "replaced",
    "noun_most",
    "noun_least",
    "synonyms",
    "frames",
    "person",
];

/// A pair, compared.
pub struct Compared {
    pub aligned: Alignment,
    pub order: Order,
    pub features: [f32; COUNT],
}

/// One side's unmatched words.
#[derive(Clone, Copy, Default)]
struct Left {
    weight: f32,
    heaviest: f32,
    count: f32,
    named: f32,
    noun: f32,
}

fn left(words: &[Word], matches: &[Match]) -> Left {
    let mut out = Left::default();
    for (word, found) in words.iter().zip(matches) {
        let missing = word.weight * (1.0 - found.grade);
        out.weight += missing;
        out.heaviest = out.heaviest.max(missing);
        if !word.verbal {
            out.noun = out.noun.max(missing);
        }
        if found.grade < 0.5 && word.weight > 0.0 {
            out.count += 1.0;
            out.named += f32::from(u8::from(word.named));
        }
    }
    out
}

pub fn compare(a: &Reading, b: &Reading, cosine: f32) -> Compared {
    let aligned = align(&a.words, &b.words, &a.joined, &b.joined);
    let order = order::compare(a, b, &aligned);
    let (x, y) = (left(&a.words, &aligned.a), left(&b.words, &aligned.b));
    let total = |words: &[Word]| words.iter().map(|w| w.weight).sum::<f32>();
    let (wa, wb) = (total(&a.words), total(&b.words));
    let guessed: f32 = a
        .words
        .iter()
        .zip(&aligned.a)
        .map(|(w, m)| if m.grade > 0.0 { w.weight * (1.0 - m.grade) } else { 0.0 })
        .sum();
    let by_concept =
        |(w, m): (&Word, &Match)| m.to.is_some_and(|at| b.words[at].key != w.key && m.grade > 0.89) as u8;
    let synonyms: f32 = a.words.iter().zip(&aligned.a).map(|pair| f32::from(by_concept(pair))).sum();
    let (na, nb) = (a.all.len() as f32, b.all.len() as f32);
    let flag = |on: bool| f32::from(u8::from(on));
    let features = [
        cosine,
        dice(&a.grams, &b.grams),
        1.0 - (x.weight + y.weight) / (wa + wb).max(0.1),
        x.weight.max(y.weight),
        x.weight.min(y.weight),
        x.heaviest.max(y.heaviest),
        x.heaviest.min(y.heaviest),
        x.count.max(y.count),
        x.count.min(y.count),
        na.min(nb) / na.max(nb).max(1.0),
        wa.min(wb),
        guessed,
        order.turned,
        order.kept,
        f32::from(a.kinds.apart(b.kinds)),
        flag(!a.polarity.agrees(b.polarity)),
        flag(a.polarity.trouble != b.polarity.trouble),
        (a.slots.len().min(b.slots.len()) as f32).min(2.0),
        flag((a.kinds.0 ^ b.kinds.0) & super::kind::EITHER != 0),
        flag(a.hangul),
        x.named.max(y.named),
        x.named.min(y.named),
        little(&a.all, &b.all),
        flag(order.scrambled),
        replaced(a, b, &aligned),
        x.noun.max(y.noun),
        x.noun.min(y.noun),
        synonyms,
        bag(&a.all, &b.all),
        flag(a.person.reached != b.person.reached),
    ];
    Compared { aligned, order, features }
}

/// Dice likeness of two sorted lists.
fn dice(a: &[u32], b: &[u32]) -> f32 {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
        }
    }
    2.0 * both as f32 / (a.len() + b.len()).max(1) as f32
}

/// Likeness of all words, the little ones too, by neighbouring pairs.
fn little(a: &[u32], b: &[u32]) -> f32 {
    let pairs = |all: &[u32]| {
        let mut out: Vec<u32> = all.windows(2).map(|w| w[0].rotate_left(7) ^ w[1]).collect();
        out.sort_unstable();
        out
    };
    dice(&pairs(a), &pairs(b))
}

/// Likeness of all words as a bag.
fn bag(a: &[u32], b: &[u32]) -> f32 {
    let sorted = |all: &[u32]| {
        let mut out = all.to_vec();
        out.sort_unstable();
        out
    };
    dice(&sorted(a), &sorted(b))
}

/// The heaviest word that was replaced where it stood: one unmatched word on each side between the same neighbours
/// ("the highest mountain *of Korea*" / "*of Japan*"). The weight of the lighter of the two, 0 to 1.2.
fn replaced(a: &Reading, b: &Reading, aligned: &Alignment) -> f32 {
    let partner = |at: usize| aligned.a[at].to;
    let mut heaviest = 0.0f32;
    for (i, word) in a.words.iter().enumerate().filter(|(i, w)| w.weight > 0.0 && partner(*i).is_none()) {
        let before = (0..i).rev().find(|n| a.words[*n].weight > 0.0);
        let after = (i + 1..a.words.len()).find(|n| a.words[*n].weight > 0.0);
        let start = match before.map(partner) {
            None => 0,
            Some(Some(at)) => at + 1,
            Some(None) => continue,
        };
        let end = match after.map(partner) {
            None => b.words.len(),
            Some(Some(at)) => at,
            Some(None) => continue,
        };
        let mut between = (start..end).filter(|j| b.words[*j].weight > 0.0);
        if let (Some(j), None) = (between.next(), between.next())
            && aligned.b[j].to.is_none()
        {
            let missing = |w: &Word, m: &Match| w.weight * (1.0 - m.grade);
            heaviest = heaviest.max(missing(word, &aligned.a[i]).min(missing(&b.words[j], &aligned.b[j])));
        }
    }
    heaviest
}
