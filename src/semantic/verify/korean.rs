//! Korean: one eojeol -> its stem and what its ending says.
//!
//! Particles tell who does what ("서울에서 부산으로": from, to), endings tell politeness, which changes nothing ("켜줘",
//! "켜 주세요", "켜 주시겠어요" ask the same), and mood, which may ("켜지 마"). Both are cut by lists, longest first;
//! a fused stem ("올려", "올릴") keeps its last syllable, and `align` compares by jamo.

use super::lexicon::LEXICON;
use std::sync::LazyLock;

/// What the particle says of the noun before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    #[default]
    None,
    From,
    To,
    Than,
    /// "에": where, when, or onto what.
    At,
    Subject,
    Object,
    Topic,
    /// Named only to be excluded: "밖 말고", "instead of X".
    Rejected,
}

/// An eojeol taken apart.
#[derive(Debug, PartialEq)]
pub struct Eojeol<'a> {
    pub stem: &'a str,
    pub role: Role,
    /// A verb or adjective ending was cut.
    pub verbal: bool,
}

struct Endings {
    verbal: Vec<&'static str>,
    particles: Vec<(&'static str, Role)>,
}

static ENDINGS: LazyLock<Endings> = LazyLock::new(|| {
    let (mut verbal, mut particles) = (Vec::new(), Vec::new());
    for line in include_str!("lexicon/endings_ko.txt").lines() {
        let mut parts = line.split_whitespace();
        let kind = parts.next().unwrap_or_default();
        let role = match kind {
            "from" => Role::From,
            "to" => Role::To,
            "than" => Role::Than,
            "at" => Role::At,
            "subject" => Role::Subject,
            "object" => Role::Object,
            "topic" => Role::Topic,
            _ => Role::None,
        };
        match kind {
            "verb" => verbal.extend(parts),
            "#" | "" => {}
            _ => particles.extend(parts.map(|p| (p, role))),
        }
    }
    verbal.sort_by_key(|e| std::cmp::Reverse(e.len()));
    particles.sort_by_key(|(e, _)| std::cmp::Reverse(e.len()));
    Endings { verbal, particles }
});

/// Takes one eojeol apart. Never returns an empty stem.
pub fn analyse(word: &str) -> Eojeol<'_> {
    if LEXICON.korean_frame.contains(word) || LEXICON.korean.contains_key(word) {
        return Eojeol { stem: word, role: Role::None, verbal: false };
    }
    if SURE.iter().any(|tail| word.ends_with(tail) && word.len() > tail.len()) {
        return particle(word);
    }
    if let Some(stem) = light_verb(word) {
        let inner = particle(stem);
        return Eojeol { stem: inner.stem, role: inner.role, verbal: true };
    }
    for ending in &ENDINGS.verbal {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            let noun = light_verb(stem).unwrap_or(stem);
            let cut = particle(noun);
            return Eojeol { stem: cut.stem, role: cut.role, verbal: true };
        }
    }
    particle(word)
}

/// Whether this is nothing but what may follow a stem: empty, a particle or a verb's ending.
pub fn is_ending(text: &str) -> bool {
    let past = text.strip_prefix(['었', '았']);
    text.is_empty()
        || lone_particle(text).is_some()
        || ENDINGS.verbal.contains(&text)
        || past.is_some_and(|rest| ENDINGS.verbal.contains(&rest))
}

/// What a particle says that stands alone, as it does behind a foreign word or a number: "PDF를", "1001은".
pub fn lone_particle(text: &str) -> Option<Role> {
    ENDINGS.particles.iter().find(|(particle, _)| *particle == text).map(|(_, role)| *role)
}

/// Cuts a particle. One-syllable particles only from stems of two syllables and more, because "나이" and "사과" are words.
fn particle(word: &str) -> Eojeol<'_> {
    let syllables = word.chars().count();
    if LEXICON.korean.contains_key(word)
        || LEXICON.korean_common.get(word).is_some_and(|t| *t >= 42 && syllables < 3)
    {
        return Eojeol { stem: word, role: Role::None, verbal: false };
    }
    for (ending, role) in &ENDINGS.particles {
        let Some(stem) = word.strip_suffix(ending) else { continue };
        let left = stem.chars().count();
        let single = ending.chars().count() == 1;
        let sure = matches!(*ending, "을" | "를" | "은" | "는");
        if left >= 2 || (left == 1 && (!single || sure)) {
            return Eojeol { stem, role: *role, verbal: false };
        }
    }
    Eojeol { stem: word, role: Role::None, verbal: false }
}

/// The noun of a "noun + 하다/되다/시키다" verb in any conjugation: "예약하시겠어요" -> "예약", "취소됐나요" -> "취소".
fn light_verb(word: &str) -> Option<&str> {
    let starts: Vec<(usize, char)> = word.char_indices().collect();
    starts.iter().enumerate().skip(1).rev().find_map(|(nth, (at, c))| {
        let light = matches!(
            c,
            '하' | '해' | '할' | '한' | '합' | '했' | '함' | '되' | '돼' | '됩' | '된' | '될' | '됐' | '됨'
        );
        let tail_ok = starts[nth + 1..].iter().all(|(_, c)| TAIL.contains(*c));
        (light && tail_ok && nth >= 2).then(|| &word[..*at])
    })
}

/// Particles that look like verb endings ("-다", "-지") and are none.
const SURE: &[&str] = &["보다", "까지", "에서", "부터", "에게", "한테", "으로"];

/// Syllables that endings of a light verb are made of.
const TAIL: &str = "세요주시십오라니다까나요는지면야어줘줄래게고기도록죠서며던을은셨신실습데냐자라려했었겠려거가를에로달만쇼";

/// Jamo of a text, for likeness below the syllable: "올려" and "올릴" share four of five.
pub fn jamo(text: &str) -> Vec<u16> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        let code = c as u32;
        if (0xac00..=0xd7a3).contains(&code) {
            let index = code - 0xac00;
            out.push((index / 588) as u16);
            out.push((100 + index % 588 / 28) as u16);
            if !index.is_multiple_of(28) {
                out.push((200 + index % 28) as u16);
            }
        } else {
            out.push(1000 + (code & 0x7fff) as u16);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_become_roles() {
        for (word, stem, role) in [
            ("서울에서", "서울", Role::From),
            ("부산으로", "부산", Role::To),
            ("파이썬보다", "파이썬", Role::Than),
            ("회사까지", "회사", Role::To),
        ] {
            let found = analyse(word);
            assert_eq!((found.stem, found.role), (stem, role), "{word}");
        }
    }

    #[test]
    fn politeness_changes_no_stem() {
        for word in ["예약해줘", "예약하시겠어요", "예약합니다"] {
            assert_eq!(analyse(word).stem, "예약", "{word}");
        }
    }
}
