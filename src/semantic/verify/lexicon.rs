//! The word lists, read once from `lexicon/*.txt` and `models/verifier-words.txt`.
//!
//! | file | a line is |
//! |---|---|
//! | `frame_en`, `frame_ko` | words that only carry a request ("please", "hi_team", "알려줘"): weight 0 |
//! | `synonyms_en`, `synonyms_ko` | one concept: words or phrases that one answer serves alike; a word may stand in several |
//! | `contrasts_en`, `contrasts_ko` | alternatives split by `|`, each a list of words: two different ones are two questions |
//! | `endings_ko` | verb endings and honorifics that change nothing, and particles |
//! | `verifier-words` | how common a word is (Zipf scale, 3 to 8), for the weight of a mismatch |
//!
//! English entries are stemmed as texts are; a Korean entry is a stem as `korean` leaves it. A word takes
//! part in the contrasts of its own and of the words that open its concepts' lines.

use super::english::{key, stem};
use super::korean::is_ending;
use super::text::{hash, is_hangul};
use ahash::{AHashMap, AHashSet};
use std::sync::LazyLock;

/// One alternative of one contrast: line number, then which alternative of that line.
pub type Side = (u16, u8);

/// What the lists know of a word or phrase.
#[derive(Debug, Default)]
pub struct Entry {
    /// The concepts it stands for, by line.
    pub concepts: Vec<u32>,
    /// The contrasts it takes part in.
    pub sides: Vec<Side>,
}

impl Entry {
    fn takes(&mut self, sides: &[Side]) {
        for side in sides {
            if !self.sides.contains(side) {
                self.sides.push(*side);
            }
        }
    }
}

#[derive(Default)]
pub struct Lexicon {
    /// Stems that weigh nothing.
    pub frame: AHashSet<u64>,
    /// By stem, or by the stems of a phrase.
    pub latin: AHashMap<u64, Entry>,
    /// First stem of a phrase -> the other stems and the phrase's key, longest first.
    pub phrases: AHashMap<u64, Vec<(Vec<u64>, u64)>>,
    /// Stem -> tenths of a Zipf unit.
    pub common: AHashMap<u64, u8>,
    /// By the entry's text without spaces.
    pub korean: AHashMap<String, Entry>,
    /// Korean entries of two words, without the space.
    pub korean_phrases: AHashSet<String>,
    pub korean_frame: AHashSet<String>,
    pub korean_common: AHashMap<String, u8>,
}

pub static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

/// The lines of a list without comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> + Clone {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn words(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Gives an entry the contrasts of the words that open its concepts' lines.
fn inherit(entry: &mut Entry, heads: &[Vec<Side>]) {
    for concept in entry.concepts.clone() {
        entry.takes(&heads[concept as usize]);
    }
}

impl Lexicon {
    fn read() -> Lexicon {
        let mut all = Lexicon::default();
        all.commonness(include_str!("../../../models/verifier-words.txt"));
        let frames = lines(include_str!("lexicon/frame_en.txt")).flat_map(str::split_whitespace);
        for word in frames.clone() {
            let key = all.phrase(&word.replace('_', " "));
            all.frame.insert(key);
        }
        for line in lines(include_str!("lexicon/frame_ko.txt")) {
            all.korean_frame.extend(line.split_whitespace().map(str::to_owned));
        }
        let synonyms = [include_str!("lexicon/synonyms_en.txt"), include_str!("lexicon/synonyms_ko.txt")];
        let synonyms = synonyms.into_iter().flat_map(lines);
        for (concept, line) in synonyms.clone().enumerate() {
            words(line).for_each(|word| all.entry(word).concepts.push(concept as u32));
        }
        let contrasts = [include_str!("lexicon/contrasts_en.txt"), include_str!("lexicon/contrasts_ko.txt")];
        for (number, choice) in contrasts.into_iter().flat_map(lines).enumerate() {
            for (side, group) in choice.split('|').enumerate() {
                words(group).for_each(|word| all.entry(word).takes(&[(number as u16, side as u8)]));
            }
        }
        all.pass_on_to_phrases();
        // Whatever says no more than a word that weighs nothing weighs nothing: "what time" is "when".
        let frames: AHashSet<&str> = frames.collect();
        for line in synonyms.clone().filter(|line| words(line).any(|word| frames.contains(word))) {
            for phrase in words(line).filter(|word| word.contains(' ') && !word.chars().any(is_hangul)) {
                let key = all.phrase(phrase);
                all.frame.insert(key);
            }
        }
        let opening = |line| words(line).next().unwrap_or_default();
        let heads: Vec<Vec<Side>> = synonyms.map(|line| all.entry(opening(line)).sides.clone()).collect();
        all.latin.values_mut().chain(all.korean.values_mut()).for_each(|entry| inherit(entry, &heads));
        for list in all.phrases.values_mut() {
            list.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
        }
        all
    }

    /// A phrase takes part in the contrasts of its telling words: "buy shares", "sell shares"; "not remember" is no remembering.
    fn pass_on_to_phrases(&mut self) {
        let denials = ["not", "no", "never", "without"].map(hash);
        for (head, list) in &self.phrases {
            for (rest, key) in list {
                let parts = || std::iter::once(head).chain(rest);
                if parts().any(|part| denials.contains(part)) || self.frame.contains(key) {
                    continue;
                }
                let telling = parts().filter(|part| !self.frame.contains(part));
                let sides: Vec<Side> = telling
                    .filter_map(|part| self.latin.get(part))
                    .flat_map(|part| &part.sides)
                    .copied()
                    .collect();
                // On a line of its own it is what it is there: "brother | brother in law".
                let own = self.latin.entry(*key).or_default();
                let lines: Vec<u16> = own.sides.iter().map(|(line, _)| *line).collect();
                own.sides.extend(sides.into_iter().filter(|(line, _)| !lines.contains(line)));
            }
        }
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
                    let known = self.common.entry(key(word)).or_insert(tenths);
                    *known = (*known).max(tenths);
                }
            }
        }
    }

    /// The entry of a word or phrase, which is made if there is none.
    fn entry(&mut self, text: &str) -> &mut Entry {
        if text.chars().any(is_hangul) {
            let whole = text.replace(' ', "");
            if whole.len() < text.len() {
                self.korean_phrases.insert(whole.clone());
            }
            return self.korean.entry(whole).or_default();
        }
        let key = self.phrase(text);
        self.latin.entry(key).or_default()
    }

    /// The key of a word or phrase of several, which is looked for in texts from now on.
    fn phrase(&mut self, text: &str) -> u64 {
        let stems: Vec<String> = text.split_whitespace().map(stem).collect();
        let key = hash(&stems.join(" "));
        if let [head, rest @ ..] = &*stems
            && !rest.is_empty()
        {
            let list = self.phrases.entry(hash(head)).or_default();
            if list.iter().all(|(_, known)| *known != key) {
                list.push((rest.iter().map(|word| hash(word)).collect(), key));
            }
        }
        key
    }

    /// The entry of two words, the longest that starts with `first` and goes on into `second`: "돈을 돌려줘" has "돈 돌려".
    pub fn korean_phrase(&self, first: &str, second: &str) -> Option<String> {
        let whole = format!("{first}{second}");
        let ends: Vec<usize> =
            (second.char_indices().map(|(at, c)| first.len() + at + c.len_utf8())).collect();
        let found = ends.into_iter().rev().find(|end| self.korean_phrases.contains(&whole[..*end]))?;
        // What is left must be an ending: "이번 주말" is not "이번 주".
        is_ending(&whole[found..]).then(|| whole[..found].to_owned())
    }

    /// What the lists know of a Korean stem; of a verb's, what they know of it without its last syllable, where an ending may have melted in. A
    /// noun is looked up whole: "전공필수" and "전공선택" are not one because both begin with "전공".
    pub fn korean(&self, word: &str, verbal: bool) -> Option<&Entry> {
        self.korean.get(word).or_else(|| {
            let (last, _) = word.char_indices().next_back().filter(|(at, _)| verbal && *at > 3)?;
            self.korean.get(&word[..last])
        })
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
