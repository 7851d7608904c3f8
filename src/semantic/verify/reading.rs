//! A text, read once: what the verifier compares.
//!
//! A stored question is read when it is stored and kept beside its vector; a lookup reads the asked question once and
//! compares it with a handful of readings. About 10 to 30 µs a short question, and one to three kilobytes.

use super::english::{expand, is_participle, stem};
use super::kind::{self, Kinds};
use super::korean::{Role, analyse};
use super::lexicon::{LEXICON, Side};
use super::order::english_role;
use super::polarity::{self, Polarity};
use super::slots::{self, Slot};
use super::text::{Class, Token, hash, tokens};

/// A content word, or a word that takes part in a contrast.
#[derive(Clone, Debug)]
pub struct Word {
    /// The stem.
    pub text: Box<str>,
    /// The stem's hash.
    pub key: u64,
    /// The concept's hash: the key unless a synonym list knows better.
    pub concept: u64,
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
}

impl Word {
    /// The contrasts this word takes part in.
    pub fn sides(&self) -> &'static [Side] {
        let sides = &LEXICON.sides;
        sides.get(&self.key).or_else(|| sides.get(&self.concept)).map_or(&[], Vec::as_slice)
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

/// One text as the verifier sees it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub words: Vec<Word>,
    /// Sorted.
    pub slots: Vec<Slot>,
    /// The values as they come: "from 3 to 5" is not "from 5 to 3".
    pub values: Vec<Slot>,
    pub polarity: Polarity,
    pub kinds: Kinds,
    /// Hashes of quoted words, sorted.
    pub quoted: Vec<u64>,
    /// Hashes of all words in order, the little ones too.
    pub all: Vec<u32>,
    /// Hashes of character trigrams, sorted.
    pub grams: Vec<u32>,
    /// Hangul stems without spaces.
    pub joined: Box<str>,
    pub hangul: bool,
    /// Said in the passive: "is included", "was written by". Its subject is the other's object.
    pub passive: bool,
}

impl Reading {
    /// Reads a text. Never fails; what it cannot read weighs as an unknown word.
    pub fn of(text: &str) -> Reading {
        let tokens = tokens(text);
        let mut out = Reading::default();
        let hangul = tokens.iter().filter(|t| t.class == Class::Hangul).count();
        let latin = tokens.iter().filter(|t| t.class == Class::Word).count();
        out.hangul = hangul * 2 > latin;
        out.grams = grams(&tokens);
        let english = expanded(&tokens);
        let plain: Vec<&str> = english.iter().map(|(word, _)| *word).collect();
        if out.hangul {
            let eojeols: Vec<&str> =
                tokens.iter().filter(|t| t.class == Class::Hangul).map(|t| t.text.as_str()).collect();
            out.polarity = polarity::korean(&tokens);
            out.kinds = kind::korean(&eojeols);
        } else {
            out.polarity = polarity::english(&plain);
            out.kinds = kind::english(&plain);
            out.passive = passive(&plain);
        }
        let taken = out.read_slots(&tokens);
        out.read_words(&tokens, &english, &taken);
        out.joined = out.words.iter().filter(|w| w.hangul).map(|w| &*w.text).collect::<String>().into();
        out.quoted =
            tokens.iter().filter(|t| t.quoted && t.class != Class::Mark).map(|t| hash(&t.text)).collect();
        out.quoted.sort_unstable();
        out
    }

    /// Bytes on the heap, for the cache's accounts.
    pub fn bytes(&self) -> usize {
        let words: usize = self.words.iter().map(|w| w.text.len()).sum();
        size_of::<Reading>()
            + words
            + self.words.capacity() * size_of::<Word>()
            + (self.slots.capacity() + self.values.capacity()) * size_of::<Slot>()
            + self.quoted.capacity() * 8
            + (self.all.capacity() + self.grams.capacity()) * 4
            + self.joined.len()
    }

    /// Collects the values; returns which tokens they took.
    fn read_slots(&mut self, tokens: &[Token]) -> Vec<bool> {
        let mut taken = vec![false; tokens.len()];
        let mut at = 0;
        while at < tokens.len() {
            if let Some(parts) = slots::date(&tokens[at].text).filter(|_| tokens[at].class == Class::Number) {
                self.slots.extend(parts);
                (taken[at], at) = (true, at + 1);
                continue;
            }
            let read = slots::read(tokens, at);
            self.slots.extend(read.slot);
            let counted = tokens[at].class == Class::Hangul && read.used == 1 && read.slot.is_none();
            for flag in taken.iter_mut().skip(at).take(read.used) {
                *flag = !counted;
            }
            at += read.used.max(1);
        }
        self.values = slots::in_date_order(&self.slots);
        self.slots.sort_unstable();
        taken
    }

    fn read_words(&mut self, tokens: &[Token], english: &[(&str, usize)], taken: &[bool]) {
        let stems: Vec<String> = english.iter().map(|(word, _)| stem(word)).collect();
        let keys: Vec<u64> = stems.iter().map(|s| hash(s)).collect();
        self.all = keys.iter().map(|k| *k as u32).collect();
        let mut at = 0;
        while at < english.len() {
            let index = english[at].1;
            let token = &tokens[index];
            if taken[index] {
                at += 1;
                continue;
            }
            if token.class == Class::Hangul {
                let behind_verb = at > 0 && english[at - 1].0.ends_with('지');
                self.hangul_word(&token.text, behind_verb);
                at += 1;
                continue;
            }
            let (concept, used) = phrase(&keys, at);
            let before: Vec<&str> = english[at.saturating_sub(3)..at].iter().map(|(word, _)| *word).collect();
            self.latin_word(token, &stems[at], keys[at], concept, english_role(&before));
            at += used;
        }
    }

    fn latin_word(&mut self, token: &Token, stem: &str, own: u64, concept: Option<u64>, role: Role) {
        let lexicon = &*LEXICON;
        let frame = concept.is_none() && lexicon.frame.contains(&own);
        let key = concept.unwrap_or(own);
        let concept = concept.or_else(|| lexicon.concept.get(&key).copied()).unwrap_or(key);
        // A concept that is named by a phrase is in no list: its first word speaks for it.
        let known = lexicon.common.contains_key(&key) || lexicon.common.contains_key(&own);
        let listed = if lexicon.common.contains_key(&key) { key } else { own };
        let weight = if frame { 0.0 } else { lexicon.weight(listed) };
        let named = !frame && token.capital && (!token.opens || !known) && token.class == Class::Word;
        let word = Word {
            text: stem.into(),
            key,
            concept,
            weight,
            known,
            named,
            hangul: false,
            verbal: false,
            role,
        };
        if !frame || !word.sides().is_empty() {
            self.words.push(word);
        }
    }

    /// `behind_verb`: the word before is a verb's stem with `-지`, so that "말고" forbids it and rejects no noun.
    fn hangul_word(&mut self, text: &str, behind_verb: bool) {
        let lexicon = &*LEXICON;
        let cut = analyse(text);
        let key = hash(cut.stem);
        let frame = lexicon.korean_frame.contains(text) || lexicon.korean_frame.contains(cut.stem);
        let rejects = text.strip_suffix("말고").is_some_and(|head| !head.ends_with('지'))
            || text.strip_suffix("대신").is_some();
        let role = if rejects { Role::Rejected } else { cut.role };
        let concept = lexicon.korean_concept(cut.stem).unwrap_or(key);
        let weight = if frame { 0.0 } else { lexicon.korean_weight(cut.stem) };
        let known = lexicon.korean_common.contains_key(cut.stem);
        let word = Word {
            text: cut.stem.into(),
            key,
            concept,
            weight,
            known,
            named: false,
            hangul: true,
            verbal: cut.verbal,
            role,
        };
        if REJECTING.contains(&text) {
            if let Some(last) = self.words.last_mut().filter(|last| !last.verbal && !behind_verb) {
                last.role = Role::Rejected;
            }
        } else if !frame || !word.sides().is_empty() {
            self.words.push(word);
        }
    }
}

/// Whether a form of "be" is followed by a participle, with at most six words between ("was the payment on my card declined").
fn passive(words: &[&str]) -> bool {
    const BE: &[&str] = &["is", "are", "was", "were", "be", "been", "being", "get", "gets", "got"];
    let participle = |word: &&str| word.len() > 4 && (word.ends_with("ed") || is_participle(word));
    (words.iter().enumerate())
        .any(|(at, word)| BE.contains(word) && words[at + 1..].iter().take(7).any(participle))
}

/// Words that reject the noun before them: "우산 말고", "우산 대신", "우산이 아닌".
const REJECTING: &[&str] = &["말고", "대신", "대신에", "대신으로", "아니고", "아니라", "아닌"];

/// Words, numbers and ids in order, contractions written out, each with its token's index. Sentence ends stay as ".".
fn expanded(tokens: &[Token]) -> Vec<(&str, usize)> {
    let mut out = Vec::with_capacity(tokens.len() + 4);
    for (index, token) in tokens.iter().enumerate() {
        if token.class == Class::Word {
            let (head, tail) = expand(&token.text);
            out.push((head, index));
            out.extend(tail.map(|word| (word, index)));
        } else if token.class == Class::Mark {
            let name = match token.text.as_str() {
                "$" => "dollar",
                "%" => "percent",
                "€" => "euro",
                "£" => "pound",
                "¥" => "yen",
                "₩" => "won",
                _ => continue,
            };
            out.push((name, index));
        } else {
            out.push((token.text.as_str(), index));
        }
    }
    out
}

/// The concept of a phrase that starts here and how many words it takes; a particle may stand up to three words behind its verb
/// ("turn the light off").
fn phrase(keys: &[u64], at: usize) -> (Option<u64>, usize) {
    let Some(list) = LEXICON.phrases.get(&keys[at]) else { return (None, 1) };
    for (rest, concept) in list {
        if keys[at + 1..].starts_with(rest) {
            return (Some(*concept), rest.len() + 1);
        }
        if rest.len() == 1 && keys[at + 1..].iter().take(4).any(|key| *key == rest[0]) {
            return (Some(*concept), 1);
        }
    }
    (None, 1)
}

/// Sorted hashes of character trigrams over the tokens, with one space between them.
fn grams(tokens: &[Token]) -> Vec<u32> {
    let text: Vec<char> = tokens
        .iter()
        .filter(|t| t.class != Class::Mark)
        .flat_map(|t| std::iter::once(' ').chain(t.text.chars()))
        .chain(std::iter::once(' '))
        .collect();
    let width = if text.iter().any(|c| super::text::is_hangul(*c)) { 2 } else { 3 };
    let mut out: Vec<u32> = text
        .windows(width)
        .map(|w| w.iter().fold(0x811c_9dc5u32, |h, c| (h ^ *c as u32).wrapping_mul(0x0100_0193)))
        .collect();
    out.sort_unstable();
    out
}

#[cfg(test)]
mod tests {
    use super::Reading;

    /// The values of two texts in order agree.
    fn alike(a: &str, b: &str) -> bool {
        Reading::of(a).values == Reading::of(b).values
    }

    #[test]
    fn every_way_to_write_a_value_is_one_value() {
        for (a, b) in [
            ("pay 1,000", "pay one thousand"),
            ("at 3pm", "at 15:00"),
            ("오후 3시에", "15시에"),
            ("두 개", "2개"),
            ("10만원 송금", "100,000원 송금"),
            ("삼십분 뒤", "30분 뒤"),
        ] {
            assert!(alike(a, b), "{a} | {b}: {:?} {:?}", Reading::of(a).values, Reading::of(b).values);
        }
    }

    #[test]
    fn a_date_is_one_date_in_any_order_of_its_parts() {
        for date in ["May 1, 2024", "1 May 2024", "2024-05-01", "2024/5/1"] {
            assert!(alike(&format!("deliver on {date}"), "deliver on 2024-05-01"), "{date}");
        }
        assert!(!alike("from May 3 to June 5", "from June 3 to May 5"));
    }

    #[test]
    fn a_phrase_that_names_its_concept_is_as_common_as_its_words_and_no_name() {
        for text in
            ["Show me the trains from Oslo", "Log in from another phone", "Customer service on Sunday"]
        {
            let first = &Reading::of(text).words[0];
            assert!(first.known && !first.named && first.weight < 1.0, "{text}: {first:?}");
        }
    }
}
