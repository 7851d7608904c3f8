//! The word lists, read once from `lexicon/*.txt` and `models/verifier-words.txt`.
//!
//! | file | a line is |
//! |---|---|
//! | `frame_en`, `frame_ko` | words that only carry a request ("please", "help me", "알려줘"): weight 0 |
//! | `synonyms_en`, `synonyms_ko` | words or phrases that one answer serves alike, the first names the concept |
//! | `contrasts_en`, `contrasts_ko` | alternatives split by `|`, each a list of words: two different ones are two questions |
//! | `endings_ko` | verb endings and honorifics that change nothing, and particles |
//! | `verifier-words` | how common a word is (Zipf scale, 3 to 8), for the weight of a mismatch |
//!
//! English entries are stemmed as texts are; a Korean entry is a stem as `korean` leaves it, and matches by prefix.

use super::english::stem;
use super::text::hash;
use ahash::{AHashMap, AHashSet};
use std::sync::LazyLock;

/// One alternative of one contrast: line number, then which alternative of that line.
pub type Side = (u16, u8);

#[derive(Default)]
pub struct Lexicon {
    /// Stems that weigh nothing.
    pub frame: AHashSet<u64>,
    /// Stem -> concept.
    pub concept: AHashMap<u64, u64>,
    /// First stem of a phrase -> the other stems and the concept, longest first.
    pub phrases: AHashMap<u64, Vec<(Vec<u64>, u64)>>,
    /// Concept or stem -> the contrasts it takes part in.
    pub sides: AHashMap<u64, Vec<Side>>,
    /// Stem -> tenths of a Zipf unit.
    pub common: AHashMap<u64, u8>,
    /// Korean concept keys by their text, for the longest prefix.
    pub korean: AHashMap<String, u64>,
    pub korean_frame: AHashSet<String>,
    pub korean_common: AHashMap<String, u8>,
}

pub static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

/// The lines of a list without comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn words(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split(',').map(str::trim).filter(|word| !word.is_empty())
}

impl Lexicon {
    fn read() -> Lexicon {
        let mut all = Lexicon::default();
        all.commonness(include_str!("../../../models/verifier-words.txt"));
        for line in lines(include_str!("lexicon/frame_en.txt")) {
            all.frame.extend(line.split_whitespace().map(|word| hash(&stem(word))));
        }
        for line in lines(include_str!("lexicon/frame_ko.txt")) {
            all.korean_frame.extend(line.split_whitespace().map(str::to_owned));
        }
        for line in lines(include_str!("lexicon/synonyms_en.txt")) {
            all.synonyms(line);
        }
        for line in lines(include_str!("lexicon/synonyms_ko.txt")) {
            let Some(first) = words(line).next() else { continue };
            let concept = hash(first);
            all.korean.extend(words(line).map(|word| (word.to_owned(), concept)));
        }
        for (number, line) in lines(include_str!("lexicon/contrasts_en.txt")).enumerate() {
            all.contrast(number as u16, line, |_, word| hash(&stem(word)));
        }
        for (number, line) in lines(include_str!("lexicon/contrasts_ko.txt")).enumerate() {
            all.contrast(1_000 + number as u16, line, |all, word| {
                *all.korean.entry(word.to_owned()).or_insert_with(|| hash(word))
            });
        }
        for list in all.phrases.values_mut() {
            list.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
        }
        all
    }

    fn commonness(&mut self, text: &'static str) {
        for line in lines(text) {
            let mut parts = line.split_whitespace();
            let language = parts.next().unwrap_or_default();
            let tenths: u8 = parts.next().and_then(|n| n.parse().ok()).unwrap_or(30);
            for word in parts {
                if language == "ko" {
                    self.korean_common.insert(word.to_owned(), tenths);
                } else {
                    let known = self.common.entry(hash(&stem(word))).or_insert(tenths);
                    *known = (*known).max(tenths);
                }
            }
        }
    }

    fn synonyms(&mut self, line: &'static str) {
        let Some(first) = words(line).next() else { return };
        let concept = self.key(first);
        for word in words(line) {
            match word.split_once(' ') {
                None => {
                    self.concept.entry(hash(&stem(word))).or_insert(concept);
                }
                Some((head, rest)) => {
                    let rest = rest.split_whitespace().map(|w| hash(&stem(w))).collect();
                    self.phrases.entry(hash(&stem(head))).or_default().push((rest, concept));
                }
            }
        }
    }

    /// The concept of a word, or of a phrase by its joined words.
    fn key(&self, word: &str) -> u64 {
        let own = hash(&stem(word));
        self.concept.get(&own).copied().unwrap_or(own)
    }

    fn contrast(
        &mut self,
        number: u16,
        line: &'static str,
        name: impl Fn(&mut Lexicon, &'static str) -> u64,
    ) {
        for (side, group) in line.split('|').enumerate() {
            for word in words(group) {
                let own = name(self, word);
                let concept = self.concept.get(&own).copied().unwrap_or(own);
                let sides = self.sides.entry(concept).or_default();
                if !sides.contains(&(number, side as u8)) {
                    sides.push((number, side as u8));
                }
            }
        }
    }

    /// The concept of a Korean stem: its longest prefix in the lists (one syllable only as a whole).
    pub fn korean_concept(&self, word: &str) -> Option<u64> {
        if let Some(concept) = self.korean.get(word) {
            return Some(*concept);
        }
        let mut ends: Vec<usize> = word.char_indices().map(|(at, _)| at).skip(2).collect();
        ends.reverse();
        ends.into_iter().find_map(|end| self.korean.get(&word[..end]).copied())
    }

    /// How much a word that has no counterpart tells: 0.15 for the commonest, 1.2 for one that no list knows.
    pub fn weight(&self, key: u64) -> f32 {
        self.common.get(&key).map_or(1.2, |tenths| scale(*tenths))
    }

    pub fn korean_weight(&self, word: &str) -> f32 {
        self.korean_common.get(word).map_or(0.9, |tenths| scale(*tenths).max(0.3))
    }
}

fn scale(tenths: u8) -> f32 {
    ((70.0 - f32::from(tenths)) / 30.0).clamp(0.15, 1.2)
}
