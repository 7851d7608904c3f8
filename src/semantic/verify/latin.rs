//! The words and phrases of a text in Latin and all other scripts but Hangul.

use super::english::{expand, key, stem};
use super::korean::Role;
use super::lexicon::LEXICON;
use super::text::{Class, Token, hash};
use super::word::Word;
use std::sync::LazyLock;

/// A text's words in order, contractions written out.
pub struct Latin<'a> {
    tokens: &'a [Token],
    /// Each word with its token's index; Hangul, numbers and ids stand among them.
    pub words: Vec<(&'a str, usize)>,
    pub keys: Vec<u64>,
    stems: Vec<String>,
    /// For each word the key of what it makes together with the one before; nothing before the first and behind the last.
    joined: Vec<u64>,
}

impl<'a> Latin<'a> {
    pub fn of(tokens: &'a [Token]) -> Latin<'a> {
        let words = expanded(tokens);
        let stems: Vec<String> = words.iter().map(|(word, _)| stem(word)).collect();
        let keys = stems.iter().map(|s| hash(s)).collect();
        let pairs = words.windows(2).map(|pair| key(&format!("{}{}", pair[0].0, pair[1].0)));
        let joined = std::iter::once(0).chain(pairs).chain([0]).collect();
        Latin { tokens, words, keys, stems, joined }
    }

    /// Whether the word at `at` weighs nothing.
    pub fn frames(&self, at: usize) -> bool {
        LEXICON.frame.contains(&self.keys[at])
    }

    /// The word at `at`; a frame word weighs nothing.
    pub fn word(&self, at: usize, role: Role) -> Word {
        let (key, token) = (self.keys[at], &self.tokens[self.words[at].1]);
        let frame = self.frames(at);
        let known = LEXICON.common.contains_key(&key);
        Word {
            text: self.stems[at].as_str().into(),
            key,
            entry: LEXICON.latin.get(&key),
            weight: if frame { 0.0 } else { LEXICON.weight(key) },
            known,
            named: !frame && token.capital && (!token.opens || !known) && token.class == Class::Word,
            hangul: false,
            verbal: false,
            role,
            counted: None,
            joined: [self.joined[at], self.joined[at + 1]],
            parts: Box::default(),
        }
    }

    /// The phrase that starts at `at`, if one does, and how many words it takes.
    pub fn phrase(&self, at: usize, role: Role) -> Option<(Word, usize)> {
        let (key, rest, used) = self.known_phrase(at)?;
        let frame = LEXICON.frame.contains(&key);
        let words: Vec<Word> = (at..at + used).map(|at| self.word(at, role)).collect();
        let stems = || std::iter::once(&self.keys[at]).chain(rest);
        let weight = stems().map(|part| LEXICON.weight(*part)).fold(0.0, f32::max);
        let telling = words.iter().filter(|word| word.weight > 0.0).count();
        // "Log in" is nothing but itself; "hand luggage" is also a hand and a luggage.
        let whole = used == 1 || telling < 2 && stems().any(|part| PARTICLES.contains(part));
        let word = Word {
            text: self.stems[at..at + used].join(" ").into(),
            key,
            entry: LEXICON.latin.get(&key),
            weight: if frame { 0.0 } else { weight },
            known: stems().all(|part| LEXICON.common.contains_key(part)),
            named: !frame && words[0].named,
            parts: if whole {
                Box::default()
            } else {
                words.iter().filter(|word| word.tells()).cloned().collect()
            },
            ..words[0].clone()
        };
        Some((word, used))
    }

    /// The phrase that starts here: its key, its other stems, and how many words it takes; a particle may stand up to three words
    /// behind its verb ("turn the light off").
    fn known_phrase(&self, at: usize) -> Option<(u64, &'static [u64], usize)> {
        LEXICON.phrases.get(&self.keys[at])?.iter().find_map(|(rest, key)| {
            let behind = &self.keys[at + 1..];
            if behind.starts_with(rest) {
                return Some((*key, &**rest, rest.len() + 1));
            }
            let particle = rest.len() == 1 && MOVABLE.contains(&rest[0]);
            (particle && behind.iter().take(4).any(|key| *key == rest[0])).then_some((*key, &**rest, 1))
        })
    }
}

/// Those that stand behind the verb's object as well: "turn the light off".
static MOVABLE: LazyLock<Vec<u64>> =
    LazyLock::new(|| ["out", "up", "down", "on", "off", "over", "away", "back"].map(key).to_vec());

/// Little words that make another verb of a verb.
static PARTICLES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let others =
        ["in", "through", "around", "along", "ahead", "apart", "across", "by", "without", "not", "no"];
    [&MOVABLE[..], &others.map(key)].concat()
});

/// The currency that a sign stands for.
pub fn currency(sign: &Token) -> Option<&'static str> {
    match sign.text.as_str() {
        "$" => Some("dollar"),
        "€" => Some("euro"),
        "£" => Some("pound"),
        "¥" => Some("yen"),
        "₩" => Some("won"),
        _ => None,
    }
}

fn expanded(tokens: &[Token]) -> Vec<(&str, usize)> {
    let mut out = Vec::with_capacity(tokens.len() + 4);
    for (index, token) in tokens.iter().enumerate() {
        if token.class == Class::Word {
            let (head, tail) = expand(&token.text);
            out.push((head, index));
            out.extend(tail.map(|word| (word, index)));
        } else if token.class == Class::Mark {
            let percent = (token.text == "%").then_some("percent");
            out.extend(currency(token).or(percent).map(|name| (name, index)));
        } else {
            out.push((token.text.as_str(), index));
        }
    }
    out
}
