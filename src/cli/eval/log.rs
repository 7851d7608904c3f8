//! A team's own log. It has no labels; where it has answers, those of a would-be hit and of the
//! request itself are compared, which estimates how many hits would be right: a model that answers one
//! question in two ways lowers it, two questions with one short answer raise it.

use super::asked::Asked;
use super::corpus::Corpus;
use super::input::Row;
use super::replay::Outcome;
use super::report::{LogScore, WrongHit, rounded, share, worst};
use super::stream::WORST;
use crate::semantic::codes::dot;

/// The cosine from which two recorded answers are taken to say the same. Not calibrated: two answers
/// to one question by one model are mostly above it, answers to two questions of one topic mostly below.
pub const SAME_ANSWER: f32 = 0.9;

/// By row: the recorded answer's number in the corpus.
pub type Answers = Vec<Option<u32>>;

/// Puts the answers into the corpus, to be embedded with the questions.
pub fn answers(rows: &[Row], corpus: &mut Corpus) -> Answers {
    rows.iter().map(|row| row.response.as_deref().map(|response| corpus.add(response))).collect()
}

/// How two recorded answers compare.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Agreement {
    SameText,
    SameMeaning,
    No,
    /// One of them was not recorded, or is too long for the model.
    Unknown,
}

pub fn score(outcomes: &[Outcome], answers: &Answers, corpus: &Corpus) -> LogScore {
    let (mut hits, mut compared, mut text, mut meaning) = (0, 0, 0, 0);
    for (row, outcome) in outcomes.iter().enumerate() {
        hits += usize::from(*outcome != Outcome::Miss);
        let Outcome::Near { from, .. } = outcome else { continue };
        match agreement(answers[row], answers[*from as usize], corpus) {
            Agreement::SameText => (compared, text, meaning) = (compared + 1, text + 1, meaning + 1),
            Agreement::SameMeaning => (compared, meaning) = (compared + 1, meaning + 1),
            Agreement::No => compared += 1,
            Agreement::Unknown => {}
        }
    }
    LogScore {
        hit: rounded(hits as f64 / outcomes.len().max(1) as f64),
        compared,
        same_text: share(text, compared),
        same_meaning: share(meaning, compared),
    }
}

/// Hits whose recorded answers differ, the nearest questions first.
pub fn suspects(
    outcomes: &[Outcome],
    asked: &Asked,
    answers: &Answers,
    corpus: &Corpus,
) -> (Vec<WrongHit>, usize) {
    let text = |row: usize| {
        let question = asked.items[asked.order[row] as usize].question;
        question.map_or(String::new(), |question| corpus.texts[question as usize].to_string())
    };
    let mut hits = Vec::new();
    for (row, outcome) in outcomes.iter().enumerate() {
        if let Outcome::Near { from, score } = outcome
            && agreement(answers[row], answers[*from as usize], corpus) == Agreement::No
        {
            hits.push(WrongHit { asked: text(row), stored: text(*from as usize), score: *score, count: 1 });
        }
    }
    let count = hits.len();
    (worst(hits.into_iter(), WORST), count)
}

fn agreement(a: Option<u32>, b: Option<u32>, corpus: &Corpus) -> Agreement {
    let (Some(a), Some(b)) = (a, b) else { return Agreement::Unknown };
    let trimmed = |at: u32| corpus.texts[at as usize].trim();
    if trimmed(a) == trimmed(b) {
        return Agreement::SameText;
    }
    match (&corpus.vectors[a as usize], &corpus.vectors[b as usize]) {
        (Some(a), Some(b)) if dot(a, b) >= SAME_ANSWER => Agreement::SameMeaning,
        (Some(_), Some(_)) => Agreement::No,
        _ => Agreement::Unknown,
    }
}
