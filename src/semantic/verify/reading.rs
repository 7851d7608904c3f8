//! A text, read once: what the verifier compares.
//!
//! A stored question is read when it is stored and kept beside its vector; a lookup reads the asked question once and
//! compares it with a handful of readings. About 10 to 30 µs a short question, and one to three kilobytes.

use super::english::is_participle;
use super::kind::{self, Kinds};
use super::korean::{Eojeol, Role, analyse, lone_particle};
use super::latin::{Latin, currency};
use super::lexicon::LEXICON;
use super::order::english_role;
use super::person::Person;
use super::polarity::{self, Polarity};
use super::slots::{self, Slot};
use super::text::{Class, Token, hash, tokens};
use super::word::Word;
use std::borrow::Cow;

/// One text as the verifier sees it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub words: Vec<Word>,
    /// Sorted.
    pub slots: Vec<Slot>,
    /// The values as they come: "from 3 to 5" is not "from 5 to 3".
    pub values: Vec<Slot>,
    /// How often "one" is said in words; too weak to be a value, but the match of a 1 in digits.
    pub ones: usize,
    pub polarity: Polarity,
    pub kinds: Kinds,
    pub person: Person,
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
        let latin = Latin::of(&tokens);
        let plain: Vec<&str> = latin.words.iter().map(|(word, _)| *word).collect();
        if out.hangul {
            let eojeols: Vec<&str> =
                tokens.iter().filter(|t| t.class == Class::Hangul).map(|t| t.text.as_str()).collect();
            out.polarity = polarity::korean(&eojeols);
            out.kinds = kind::korean(&eojeols);
            out.person = Person::korean(&eojeols);
        } else {
            out.polarity = polarity::english(&plain);
            out.kinds = kind::english(&plain);
            out.person = Person::english(&plain, &latin.keys);
            out.passive = passive(&plain);
        }
        let values = out.read_slots(&tokens);
        out.read_words(&tokens, &latin, &values);
        out.joined = out.words.iter().filter(|w| w.hangul).map(|w| &*w.text).collect::<String>().into();
        out.quoted =
            tokens.iter().filter(|t| t.quoted && t.class != Class::Mark).map(|t| hash(&t.text)).collect();
        out.quoted.sort_unstable();
        out
    }

    /// Whether nearly all its words are common English ones. A text of a few words may have none that is not.
    pub fn is_english(&self) -> bool {
        let unknown = self.words.iter().filter(|word| !word.known).count();
        !self.hangul && unknown * 3 <= self.words.len()
    }

    fn beside<'a>(&'a self, other: &Reading) -> Cow<'a, Reading> {
        let meets =
            |word: &Word| other.words.iter().any(|found| found.means(word) || found.contrasts_with(word));
        let apart = |word: &Word| !word.parts.is_empty() && !meets(word);
        if !self.words.iter().any(apart) {
            return Cow::Borrowed(self);
        }
        let words = self.words.iter().flat_map(|word| match apart(word) {
            true => word.apart(),
            false => vec![word.clone()],
        });
        Cow::Owned(Reading { words: words.collect(), ..self.clone() })
    }

    /// Bytes on the heap, for the cache's accounts.
    pub fn bytes(&self) -> usize {
        let words: usize =
            self.words.iter().map(|w| w.text.len() + w.parts.len() * (size_of::<Word>() + 8)).sum();
        size_of::<Reading>()
            + words
            + self.words.capacity() * size_of::<Word>()
            + (self.slots.capacity() + self.values.capacity()) * size_of::<Slot>()
            + self.quoted.capacity() * 8
            + (self.all.capacity() + self.grams.capacity()) * 4
            + self.joined.len()
            + self.person.bytes()
    }

    /// Collects the values; returns which tokens they took, and for each of these the value if it stands at the head of one.
    fn read_slots(&mut self, tokens: &[Token]) -> Vec<Option<Option<Slot>>> {
        let mut taken = vec![None; tokens.len()];
        let mut at = 0;
        while at < tokens.len() {
            if let Some(parts) = slots::date(&tokens[at].text).filter(|_| tokens[at].class == Class::Number) {
                self.slots.extend(parts);
                (taken[at], at) = (Some(None), at + 1);
                continue;
            }
            let read = slots::read(tokens, at);
            self.slots.extend(read.slot);
            self.ones += usize::from(read.slot.is_none() && slots::is_one(tokens, at));
            let counted = tokens[at].class == Class::Hangul && read.used == 1 && read.slot.is_none();
            for (nth, flag) in taken.iter_mut().skip(at).take(read.used).enumerate() {
                *flag = (!counted).then_some(read.slot.filter(|_| nth == 0));
            }
            at += read.used.max(1);
        }
        self.values = slots::in_date_order(&self.slots);
        self.slots.sort_unstable();
        taken
    }

    fn read_words(&mut self, tokens: &[Token], latin: &Latin, taken: &[Option<Option<Slot>>]) {
        let english = &latin.words;
        self.all = latin.keys.iter().map(|k| *k as u32).collect();
        let mut at = 0;
        // Where the word behind the last one stands, and the last one's role.
        let mut last: Option<(usize, Role)> = None;
        // A number that waits for what it counts.
        let mut number = None;
        while at < english.len() {
            let index = english[at].1;
            let token = &tokens[index];
            let read = self.words.len();
            if let Some(value) = taken[index] {
                let value = value.filter(|value| matches!(value, Slot::Number(_)));
                // "$30" are 30 dollars.
                match self.words.last_mut().filter(|_| index > 0 && currency(&tokens[index - 1]).is_some()) {
                    Some(word) if value.is_some() => word.counted = value,
                    _ => number = value.or(number),
                }
                at += 1;
                continue;
            }
            // "PDF를", "'서울'에서", "5G로": what a particle says, it says of the word before it, unless that is a value.
            let particle =
                lone_particle(&token.text).filter(|_| token.glued && token.class == Class::Hangul && at > 0);
            if let Some(role) = particle {
                if let Some(word) = self.words.last_mut().filter(|_| taken[index - 1].is_none()) {
                    word.role = role;
                }
                at += 1;
                continue;
            }
            if token.class == Class::Hangul {
                let behind_verb = at > 0 && english[at - 1].0.ends_with('지');
                let next =
                    english.get(at + 1).map(|(_, index)| *index).filter(|index| taken[*index].is_none());
                let next = next.map(|index| &tokens[index]).filter(|next| next.class == Class::Hangul);
                at += match next {
                    Some(next) if self.hangul_phrase(&token.text, &next.text) => 2,
                    _ => {
                        self.hangul_word(&token.text, behind_verb);
                        1
                    }
                };
                self.count(read, &mut number);
                continue;
            }
            let before: Vec<&str> = english[at.saturating_sub(3)..at].iter().map(|(word, _)| *word).collect();
            let mut role = english_role(&before);
            // "From a Postgres table": who reads cannot tell which of the two it is from, and it is from both.
            let inherited = role == Role::None && last == Some((at, Role::From)) && !latin.frames(at);
            if inherited {
                role = Role::From;
            }
            let (word, used) = latin.phrase(at, role).unwrap_or_else(|| (latin.word(at, role), 1));
            if word.tells() {
                self.words.push(word);
            }
            at += used;
            last = Some((at, if inherited { Role::None } else { role }));
            self.count(read, &mut number);
        }
    }

    /// Gives a waiting number to the word that has been read since there were `read` of them.
    fn count(&mut self, read: usize, number: &mut Option<Slot>) {
        if let Some(word) = self.words.get_mut(read).filter(|word| word.weight > 0.0) {
            word.counted = number.take();
        }
    }

    /// Two words that the lists know as one: "돈을 돌려주세요". Whether they are.
    fn hangul_phrase(&mut self, first: &str, second: &str) -> bool {
        let (head, tail) = (hangul(&analyse(first)), hangul(&analyse(second)));
        let Some(text) = LEXICON.korean_phrase(&head.text, second) else { return false };
        let role = if rejects(second) { Role::Rejected } else { tail.role };
        self.words.push(Word {
            role,
            key: hash(&text),
            entry: LEXICON.korean(&text, false),
            text: text.into(),
            weight: head.weight.max(tail.weight),
            known: true,
            parts: [&head, &tail].into_iter().filter(|part| part.tells()).cloned().collect(),
            ..tail
        });
        true
    }

    /// `behind_verb`: the word before is a verb's stem with `-지`, so that "말고" forbids it and rejects no noun.
    fn hangul_word(&mut self, text: &str, behind_verb: bool) {
        let mut word = hangul(&analyse(text));
        if rejects(text) {
            word.role = Role::Rejected;
        }
        if LEXICON.korean_frame.contains(text) {
            word.weight = 0.0;
        }
        if REJECTING.contains(&text) {
            if let Some(last) = self.words.last_mut().filter(|last| !last.verbal && !behind_verb) {
                last.role = Role::Rejected;
            }
        } else if word.tells() {
            self.words.push(word);
        }
    }
}

/// Whether an eojeol rejects the noun in it: "비 말고", "비대신".
fn rejects(text: &str) -> bool {
    text.strip_suffix("말고").is_some_and(|head| !head.ends_with('지')) || text.strip_suffix("대신").is_some()
}

fn hangul(cut: &Eojeol) -> Word {
    let frame = LEXICON.korean_frame.contains(cut.stem);
    Word {
        text: cut.stem.into(),
        key: hash(cut.stem),
        entry: LEXICON.korean(cut.stem, cut.verbal),
        weight: if frame { 0.0 } else { LEXICON.korean_weight(cut.stem) },
        known: LEXICON.korean_common.contains_key(cut.stem),
        named: false,
        hangul: true,
        verbal: cut.verbal,
        role: cut.role,
        counted: None,
        joined: [0; 2],
        parts: Box::default(),
    }
}

/// Two readings as they are compared: of the phrases only those that the other has too, in whatever words, or has the opposite of; the
/// others are taken apart. "Hand luggage" answers "cabin baggage" as one, and "luggage for the hand" word by word.
pub fn side_by_side<'a>(a: &'a Reading, b: &'a Reading) -> (Cow<'a, Reading>, Cow<'a, Reading>) {
    (a.beside(b), b.beside(a))
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
    fn a_phrase_is_compared_as_one_or_word_by_word() {
        let words = |a: &str, b: &str| {
            let (a, b) = (Reading::of(a), Reading::of(b));
            super::side_by_side(&a, &b).0.words.len()
        };
        assert_eq!(words("hand luggage", "cabin baggage"), 1);
        assert_eq!(words("home insurance", "home insurence"), 2);
        assert_eq!(words("이번 주 로또", "지난주 로또"), 2);
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
