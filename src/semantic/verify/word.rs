//! A word of a text, and how it relates to another.

use super::korean::Role;
use super::lexicon::{Entry, Side};
use super::slots::Slot;

/// A content word, or a word that takes part in a contrast.
#[derive(Clone, Debug)]
pub struct Word {
    /// The stem.
    pub text: Box<str>,
    /// The stem's hash.
    pub key: u64,
    /// What the lists know of it.
    pub entry: Option<&'static Entry>,
    /// What a missing counterpart costs, 0 to 1.2 by rarity.
    pub weight: f32,
    /// In the list of common words, so no slip of the pen.
    pub known: bool,
    /// Looks like a name: a capital inside a sentence.
    pub named: bool,
    pub hangul: bool,
    /// A Korean verb or adjective: an ending was cut.
    pub verbal: bool,
    pub role: Role,
    /// The number that stands before it: "150 pounds".
    pub counted: Option<Slot>,
    /// Keys of what it makes together with the word before and the word behind it: "check-out" is "checkout". Latin words only.
    pub joined: [u64; 2],
    /// What a phrase is made of, unless it is nothing but itself.
    pub parts: Box<[Word]>,
}

impl Word {
    /// The parts of a phrase, each in its role; what it counts goes to the last.
    pub fn apart(&self) -> Vec<Word> {
        let mut parts = self.parts.to_vec();
        if self.role == Role::Rejected {
            parts.iter_mut().for_each(|part| part.role = Role::Rejected);
        }
        if let Some(last) = parts.last_mut() {
            last.counted = self.counted;
        }
        parts
    }

    /// Whether it says anything: by its weight, or as a side of a choice.
    pub fn tells(&self) -> bool {
        self.weight > 0.0 || !self.sides().is_empty()
    }

    /// The contrasts this word takes part in.
    pub fn sides(&self) -> &'static [Side] {
        self.entry.map_or(&[], |entry| &entry.sides)
    }

    /// Whether the two are one word, or stand for one concept.
    pub fn means(&self, other: &Word) -> bool {
        let shares = |a: &'static Entry, b: &'static Entry| {
            std::ptr::eq(a, b) || a.concepts.iter().any(|concept| b.concepts.contains(concept))
        };
        self.key == other.key || self.entry.zip(other.entry).is_some_and(|(a, b)| shares(a, b))
    }

    /// Whether it and a neighbour, written as one, are the other word.
    pub fn joins_to(&self, other: &Word) -> bool {
        !self.hangul && self.joined.contains(&other.key)
    }

    /// Whether the two name different sides of one choice.
    pub fn contrasts_with(&self, other: &Word) -> bool {
        let (own, theirs) = (self.sides(), other.sides());
        own.iter().any(|(line, _)| {
            let of = |sides: &[Side]| {
                sides.iter().filter(|s| s.0 == *line).map(|s| 1u64 << s.1.min(63)).sum::<u64>()
            };
            let (a, b) = (of(own), of(theirs));
            b != 0 && a & b == 0
        })
    }
}
