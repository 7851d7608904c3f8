//! The rules in order, then the score.

use super::align::denying_prefix;
use super::features::{COUNT, Compared, compare};
use super::korean::Role;
use super::reading::{Reading, side_by_side};
use super::score::{logistic, probability};
use super::slots;
use crate::config::Strictness;

/// Why a near neighbour was refused. The word is the value of `x-reprise-reason` on a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// One is Korean, the other is not.
    Language,
    /// Numbers, amounts, dates, codes or ids differ.
    Numbers,
    /// Quoted text or code differs.
    Quoted,
    /// One denies or forbids what the other affirms.
    Negation,
    /// They name two sides of one choice: on and off, today and tomorrow.
    Opposites,
    /// The same words stand in other roles: from A to B, from B to A.
    Order,
    /// A name or place differs.
    Names,
    /// They ask for different things: who and when.
    Question,
    /// A telling word of one has no counterpart in the other.
    Words,
    /// No rule names it, and the score is too low.
    Doubt,
}

impl Rule {
    pub const ALL: [Rule; 10] = [
        Rule::Language,
        Rule::Numbers,
        Rule::Quoted,
        Rule::Negation,
        Rule::Opposites,
        Rule::Order,
        Rule::Names,
        Rule::Question,
        Rule::Words,
        Rule::Doubt,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Rule::Language => "language_differs",
            Rule::Numbers => "numbers_differ",
            Rule::Quoted => "quoted_differs",
            Rule::Negation => "negation_differs",
            Rule::Opposites => "opposites_differ",
            Rule::Order => "order_differs",
            Rule::Names => "names_differ",
            Rule::Question => "question_differs",
            Rule::Words => "words_differ",
            Rule::Doubt => "in_doubt",
        }
    }
}

/// The verifier's word on one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judgement {
    Same {
        /// P(one answer serves both), 0 to 1.
        p: f32,
    },
    /// No rule is broken, but the probability is too low; the rule names what differs most.
    Doubted { rule: Rule, p: f32 },
    /// The first rule that is broken.
    Different(Rule),
}

impl Judgement {
    /// Why it refuses, if it does.
    pub fn refusal(self) -> Option<Rule> {
        match self {
            Judgement::Same { .. } => None,
            Judgement::Doubted { rule, .. } | Judgement::Different(rule) => Some(rule),
        }
    }
}

/// A question and its neighbour.
pub struct Near<'a> {
    pub asked: &'a Reading,
    pub stored: &'a Reading,
    /// Of the two embeddings, -1 to 1.
    pub cosine: f32,
    /// How much nearer this neighbour is than the next one with another answer; `None` if there is none.
    pub gap: Option<f32>,
}

/// The probability from which `strict` and `balanced` serve, for Korean and for everything else. The two scores are trained on
/// different sources, so the same probability does not cost the same share of wrong hits: `strict` is what kept it within half a
/// per cent of all requests on labelled streams of each.
const STRICT: (f32, f32) = (0.93, 0.81);
const BALANCED: (f32, f32) = (0.75, 0.6);

/// The probability from which a pair passes.
fn cut(strictness: Strictness, korean: bool) -> f32 {
    let (in_korean, in_others) = match strictness {
        Strictness::Off => (0.0, 0.0),
        Strictness::Balanced => BALANCED,
        Strictness::Strict => STRICT,
    };
    if korean { in_korean } else { in_others }
}

/// Whether one answer serves both. Pure; some tens of microseconds.
pub fn judge(near: &Near, strictness: Strictness) -> Judgement {
    if strictness == Strictness::Off {
        // Nothing is doubted: the nearest serves.
        return Judgement::Same { p: 1.0 };
    }
    let least = cut(strictness, near.asked.hangul);
    let (asked, stored) = side_by_side(near.asked, near.stored);
    let compared = compare(&asked, &stored, near.cosine);
    if let Some(rule) = broken_rule(&asked, &stored, &compared, strictness) {
        return Judgement::Different(rule);
    }
    let p = probability(&compared.features, asked.hangul);
    if p >= least { Judgement::Same { p } } else { Judgement::Doubted { rule: doubt(&compared), p } }
}

/// How the score's log-odds and a cross-encoder's become one: weights of the two, and what is added. The weights were fitted by logistic
/// regression on pairs that neither was trained on; what is added is what keeps wrong hits on the labelled streams within the same half
/// a per cent (`scripts/train-cross-encoder … fit`).
const BOTH: (f32, f32, f32) = (0.642, 0.790, -1.5);

/// A pair that breaks no rule and of which the score alone is in doubt, once a cross-encoder has read it too: P from both.
pub fn reconsider(p: f32, rule: Rule, log_odds: f32, strictness: Strictness) -> Judgement {
    let (by_score, by_encoder, more) = BOTH;
    let p = logistic(by_score * (p / (1.0 - p)).ln() + by_encoder * log_odds + more);
    if p >= cut(strictness, false) { Judgement::Same { p } } else { Judgement::Doubted { rule, p } }
}

/// What the score sees and the rule that `strict` finds broken: for training, evaluation and explanation.
pub fn measure(near: &Near) -> ([f32; COUNT], Option<Rule>, f32) {
    let (asked, stored) = side_by_side(near.asked, near.stored);
    let compared = compare(&asked, &stored, near.cosine);
    let p = probability(&compared.features, asked.hangul);
    (compared.features, broken_rule(&asked, &stored, &compared, Strictness::Strict), p)
}

/// The first rule that the pair breaks.
fn broken_rule(a: &Reading, b: &Reading, compared: &Compared, strictness: Strictness) -> Option<Rule> {
    let strict = strictness == Strictness::Strict;
    if a.hangul != b.hangul {
        return Some(Rule::Language);
    }
    // The same values in another order are nearly always other roles; where they are not, doubt is a miss.
    if slots::differ(a, b, strict) && (strict || !a.slots.is_empty() && !b.slots.is_empty()) {
        return Some(Rule::Numbers);
    }
    if !a.quoted.is_empty() && !b.quoted.is_empty() && a.quoted != b.quoted {
        return Some(Rule::Quoted);
    }
    if opposites(a, b, compared) {
        return Some(Rule::Opposites);
    }
    if !a.polarity.agrees(b.polarity) {
        return Some(Rule::Negation);
    }
    if a.kinds.apart(b.kinds) == 2 {
        return Some(Rule::Question);
    }
    if compared.order.roles_clash || strict && !a.hangul && compared.order.scrambled && bag_is_same(compared)
    {
        return Some(Rule::Order);
    }
    None
}

/// Unmatched words that name two sides of one choice, or differ by a denying prefix.
pub(super) fn opposites(a: &Reading, b: &Reading, compared: &Compared) -> bool {
    let free = |reading: &Reading, matches: &[super::align::Match]| -> Vec<usize> {
        let alone = |i: &usize| matches[*i].to.is_none() && matches[*i].grade < 0.9;
        // "Not in autumn but in summer": what is rejected is no side taken.
        (0..reading.words.len()).filter(alone).filter(|i| reading.words[*i].role != Role::Rejected).collect()
    };
    let (x, y) = (free(a, &compared.aligned.a), free(b, &compared.aligned.b));
    x.iter().any(|i| {
        y.iter().any(|j| {
            let (word, other) = (&a.words[*i], &b.words[*j]);
            word.contrasts_with(other) || denying_prefix(&word.text, &other.text)
        })
    })
}

/// Whether hardly a telling word of either is without its counterpart.
pub(super) fn bag_is_same(compared: &Compared) -> bool {
    compared.features[3] < 0.3
}

/// The word for a low score: what differs most.
fn doubt(compared: &Compared) -> Rule {
    let f = &compared.features;
    if f[21] > 0.0 {
        Rule::Names
    } else if f[23] > 0.0 && bag_is_same(compared) {
        Rule::Order
    } else if f[5] >= 0.5 {
        Rule::Words
    } else {
        Rule::Doubt
    }
}
