//! Whether a text affirms, denies or forbids, and whether it reports that something does not work.
//!
//! "Can I cancel" / "can't I cancel" / "I cannot cancel" look alike to a cosine. Two signs are read: a denial ("not",
//! "never", "without", "no longer", 안, 못, -지 않-, -지 마, 말고, 없-) and trouble ("unable", "problem", "fail", "doesn't work"), because "I can't
//! log in", "unable to log in" and "problem logging in" are one question and "how do I log in" is another.
//!
//! A tag ("can't you", "don't you", "isn't it") at the head of a question is a manner of speaking and is not read as a denial.

use super::text::{Class, Token};

/// What a text denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polarity {
    /// How many denials.
    pub denials: u8,
    /// Something fails, or cannot be done.
    pub trouble: bool,
    /// An order not to: "don't …", "-지 마".
    pub forbids: bool,
}

impl Polarity {
    /// Whether two texts affirm and deny alike.
    pub fn agrees(self, other: Polarity) -> bool {
        (self.denials > 0) == (other.denials > 0) && self.forbids == other.forbids
    }
}

/// Reads English words that are already expanded (`can`, `not`).
pub fn english(words: &[&str]) -> Polarity {
    let mut found = Polarity::default();
    for (at, word) in words.iter().enumerate() {
        let before = |n: usize| at.checked_sub(n).map_or("", |i| words[i]);
        let after = |n: usize| words.get(at + n).copied().unwrap_or("");
        match *word {
            "not" if matches!(before(1), "can" | "could") && at >= 2 && after(1) != "i" => {
                found.trouble = true;
            }
            "not" if at <= 1 && matches!(after(1), "you" | "it" | "there" | "we") && before(1) != "why" => {}
            "not" if matches!(after(1), "only" | "sure" | "know") || before(1) == "or" => {}
            "not" if matches!(after(1), "work" | "working" | "able") => found.trouble = true,
            "not" if matches!(after(1), "remember" | "recall") => {}
            "not" => {
                found.denials += 1;
                found.forbids |= before(1) == "do" && (at == 1 || matches!(before(2), "please" | "."));
            }
            "never" | "without" | "neither" | "nor" | "none" | "nobody" | "nothing" | "stop" | "except"
            | "excluding" | "avoid" | "instead" | "prevent" | "hardly" | "nowhere" | "unlike" => {
                found.denials += 1
            }
            "no" if !matches!(after(1), "," | "." | "") && after(1) != "matter" => found.denials += 1,
            "unable" | "fail" | "fails" | "failed" | "failing" | "failure" | "problem" | "problems"
            | "issue" | "issues" | "trouble" | "troubles" | "error" | "errors" | "broken" | "stuck"
            | "impossible" | "difficulty" | "difficulties" | "wrong" | "glitch" | "bug" | "declined"
            | "inconvenience" | "inconveniences" => found.trouble = true,
            _ => {}
        }
    }
    found
}

/// Reads Korean denials from tokens and their text.
pub fn korean(tokens: &[Token]) -> Polarity {
    let mut found = Polarity::default();
    let hangul: Vec<&str> =
        tokens.iter().filter(|t| t.class == Class::Hangul).map(|t| t.text.as_str()).collect();
    for (at, word) in hangul.iter().enumerate() {
        let next = hangul.get(at + 1).copied().unwrap_or("");
        let starts = |list: &[&str]| list.iter().any(|head| word.starts_with(head));
        let has = |list: &[&str]| list.iter().any(|part| word.contains(part));
        if starts(&["아니면", "아니라면", "아니고"]) || (*word == "아니" && next.starts_with('면'))
        {
            continue;
        }
        let forbids = has(&["지마", "지말", "금지", "하지마"])
            || (word.ends_with('지') && matches!(next.chars().next(), Some('마' | '말')));
        let no_good = starts(&["안돼", "안된", "안됩", "안되"])
            || (*word == "안" && matches!(next.chars().next(), Some('돼' | '된' | '됩' | '되')));
        if forbids || no_good {
            found.forbids = true;
            found.denials += 1;
        } else if matches!(*word, "안" | "못")
            || has(&["지않", "지못", "잖"])
            || starts(&["않", "못하", "못해", "못한", "없", "아니", "아닌", "말고", "모르"])
            || word.ends_with("말고")
        {
            found.denials += 1;
        }
        if starts(&["안돼", "안되", "오류", "에러", "고장", "문제", "실패"]) && !forbids {
            found.trouble = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Reading;

    fn agree(a: &str, b: &str) -> bool {
        Reading::of(a).polarity.agrees(Reading::of(b).polarity)
    }

    #[test]
    fn a_denial_differs_from_its_affirmation() {
        assert!(!agree("Should I eat before the test?", "Should I not eat before the test?"));
        assert!(!agree("회의에 가도 돼?", "회의에 안 가도 돼?"));
        assert!(!agree("창문 열어", "창문 열지 마"));
    }

    #[test]
    fn a_tag_or_an_alternative_is_no_denial() {
        assert!(agree("Can you send it?", "Can't you send it?"));
        assert!(agree("비 와 아니면 눈 와?", "비 와 눈 와?"));
    }
}
