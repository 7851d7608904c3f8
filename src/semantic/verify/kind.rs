//! What a question wants to know, and whether it is a question at all.
//!
//! "Who founded it", "when was it founded" and "why was it founded" share every content word. The kind is read from
//! the question words and their paraphrases ("what time" = when, "the reason" = why, "the price" = how much, "the way to" = how).
//! "How do I", "can I", "I want to" and "help me" are one manner: support traffic asks all four for one answer.

/// A set of [`Kind`]s, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(pub u16);

pub const WHO: u16 = 1;
pub const WHEN: u16 = 2;
pub const WHERE: u16 = 4;
pub const WHY: u16 = 8;
pub const HOW_MUCH: u16 = 16;
pub const HOW_MANY: u16 = 32;
pub const HOW_LONG: u16 = 64;
pub const WHICH: u16 = 128;
pub const HOW: u16 = 256;
pub const WHAT: u16 = 512;
pub const YES_NO: u16 = 1024;
/// A choice between named alternatives: "A or B".
pub const EITHER: u16 = 2048;

/// Kinds that name the answer so surely that two different ones cannot share it.
const SURE: u16 = WHO | WHEN | WHERE | WHY | HOW_MUCH | HOW_MANY | HOW_LONG;

impl Kinds {
    /// 0: alike; 1: worded otherwise; 2: they ask for different things.
    pub fn apart(self, other: Kinds) -> u8 {
        let (a, b) = (self.0 & SURE, other.0 & SURE);
        // "Who is faster, A or B" and "which of A and B is faster": the alternatives say what is asked for.
        if self.0 & other.0 & EITHER != 0 {
            return u8::from(self.0 != other.0);
        }
        if a != 0 && b != 0 {
            return if a & b != 0 { u8::from(a != b) } else { 2 };
        }
        if a == b {
            return u8::from(self.0 != other.0);
        }
        // One side is sure. "What is the …" and "which …" may hide any of them; how and yes-no do not ask why, who or when.
        let (one, sure, open) = if a == 0 { (b, other.0, self.0) } else { (a, self.0, other.0) };
        let vague = open & (WHAT | WHICH) != 0 || open == 0;
        if one & WHY != 0 {
            return if vague && open & HOW == 0 { 1 } else { 2 };
        }
        // "How do I see the fee" asks how, as "how do I see the charge" does.
        if one & (WHO | WHEN | HOW_LONG | HOW_MANY | HOW_MUCH) != 0 && open & HOW != 0 && sure & HOW == 0 {
            return 2;
        }
        1
    }
}

/// Whether a text up to here is "what is the", so that what follows is what is asked for.
fn asked_for(before: &[&str]) -> bool {
    matches!(before, [.., "what", "is" | "was", "the"] | [.., "what", "is" | "was", "the", _])
        && !before.last().is_some_and(|word| SPANS.contains(word))
}

const PRICES: &[&str] = &["price", "cost", "costs", "fee", "fees"];

/// What a time before which it stands is as long as.
const SPANS: &[&str] = &[
    "processing",
    "delivery",
    "waiting",
    "wait",
    "response",
    "turnaround",
    "travel",
    "cooking",
    "shipping",
    "lead",
    "journey",
];

const UNITS: &[&str] = &["years", "months", "weeks", "days", "hours", "minutes", "seconds"];

/// Reads the kinds of English words, expanded and lower case.
pub fn english(words: &[&str]) -> Kinds {
    let mut set = 0;
    // "Could you tell me where …": the question begins behind it.
    let lead = words
        .iter()
        .take(7)
        .position(|word| matches!(*word, "tell" | "know" | "ask" | "wondering" | "explain"));
    let begins = lead.map_or(0, |at| at + 1);
    for (at, word) in words.iter().enumerate() {
        let asked = at.saturating_sub(begins);
        let next = words.get(at + 1).map_or("", |next| next.trim_end_matches("'s"));
        let after = words.get(at + 2).copied().unwrap_or("");
        set |= match (*word, next) {
            ("who" | "whom" | "whose", _) if asked < 4 => WHO,
            ("when", _) if asked < 3 => WHEN,
            ("what" | "which", "time" | "times" | "hours" | "date" | "day" | "year" | "month") => WHEN,
            ("date" | "year" | "time", _) if asked_for(&words[..at]) => WHEN,
            ("time" | "times", _) if at > 0 && SPANS.contains(&words[at - 1]) => HOW_LONG,
            ("where", _) | ("what" | "which", "place") if asked < 4 => WHERE,
            ("why", _) | ("how", "come") | ("what", "causes" | "caused" | "cause") => WHY,
            ("reason" | "reasons", _) => WHY,
            ("how", "much") if after == "time" => HOW_LONG,
            ("how", "much") => HOW_MUCH,
            ("how", "many") if UNITS.contains(&after) => HOW_LONG | HOW_MANY,
            ("how", "many") => HOW_MANY,
            ("how", "long") => HOW_LONG,
            ("how", "soon" | "early" | "late") => HOW_LONG | WHEN,
            ("how", "old") => HOW_MANY,
            ("how", _) | ("way" | "ways" | "steps", _) => HOW,
            ("which", _) => WHICH,
            ("name", "the" | "a" | "an" | "some" | "all") if at == 0 => WHICH,
            // "What does a notary do" asks how one serves, not what or who it is.
            ("what", "do" | "does") if words.last() == Some(&"do") => WHAT | HOW,
            ("what", _) => WHAT,
            _ => 0,
        };
    }
    // "Why did the price go up" asks why.
    if set & (SURE | HOW) == 0 && words.iter().any(|word| PRICES.contains(word)) {
        set |= HOW_MUCH;
    }
    let first = words.first().copied().unwrap_or("");
    if set == 0
        && matches!(
            first,
            "is" | "are"
                | "was"
                | "were"
                | "do"
                | "does"
                | "did"
                | "has"
                | "have"
                | "will"
                | "should"
                | "would"
        )
    {
        set = YES_NO;
    }
    if set & HOW_MUCH != 0 {
        set &= !(WHAT | WHICH);
    }
    if set & (WHEN | WHERE | WHY) != 0 {
        set &= !(WHAT | WHICH);
    }
    if words.contains(&"or") && set & (WHICH | YES_NO) != 0 {
        set |= EITHER;
    }
    Kinds(set)
}

/// Whether an eojeol says that something takes its time: "걸려요", "오래".
fn lasts(word: &str) -> bool {
    ["걸리", "걸려", "걸릴", "걸린", "오래"].iter().any(|head| word.starts_with(head))
}

/// Reads the kinds of a Korean text from its eojeols.
pub fn korean(words: &[&str]) -> Kinds {
    let mut set = 0;
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or("");
        let starts = |list: &[&str]| list.iter().any(|head| word.starts_with(head));
        let lasting = || words[at + 1..].iter().any(|word| lasts(word));
        set |= if starts(&["누가", "누구", "누군"]) {
            WHO
        } else if starts(&["며칠", "몇일"]) && lasting() {
            HOW_LONG
        } else if starts(&["언제", "며칠", "몇시", "몇월", "몇일", "몇년도"])
            || (*word == "몇" && next.starts_with(['시', '월', '일'])) && !next.starts_with("시간")
            || *word == "몇" && next.starts_with("년도")
        {
            WHEN
        } else if starts(&["어디", "어딨", "어딘"]) {
            WHERE
        } else if *word == "왜" || starts(&["왜냐", "이유", "어째서", "까닭"]) {
            WHY
        } else if starts(&["얼마나"]) {
            // "얼마나 걸려요" is about time, "얼마나 들어요" about money, "얼마나 돼요" may be about anything.
            if lasting() || word.contains('걸') {
                HOW_LONG
            } else if next.starts_with(['드', '들', '하', '해', '나', '내', '되', '돼', '된', '됩', '될'])
            {
                0
            } else {
                HOW_MUCH | HOW_MANY
            }
        } else if starts(&["얼마"]) {
            HOW_MUCH | HOW_MANY
        } else if starts(&["가격", "요금", "몇원"]) {
            HOW_MUCH
        } else if word.starts_with('몇') {
            if lasting() { HOW_LONG } else { HOW_MANY }
        } else if *word == "어떻게" && next.starts_with(['되', '돼', '된', '됩']) {
            WHAT
        } else if starts(&["어떻게", "방법", "어떡", "하는법"]) {
            HOW
        } else if starts(&["어떤가", "어떤지", "어때", "어떠"]) {
            WHAT | HOW
        } else if starts(&["어느", "어떤", "무슨"]) {
            WHICH
        } else if starts(&["뭐", "무엇", "뭔", "뭘", "뭡"]) {
            WHAT
        } else {
            0
        };
        if starts(&["아니면", "혹은", "또는", "중에", "둘중"]) || matches!(*word, "중" | "중에서")
        {
            set |= EITHER;
        }
    }
    if set & !EITHER == 0
        && words.last().is_some_and(|w| {
            w.ends_with(['까', '나', '니', '냐'])
                || w.ends_with("나요")
                || w.ends_with("까요")
                || w.ends_with("가요")
        })
    {
        set |= YES_NO;
    }
    Kinds(set)
}

#[cfg(test)]
mod tests {
    use super::super::Reading;

    fn apart(a: &str, b: &str) -> u8 {
        Reading::of(a).kinds.apart(Reading::of(b).kinds)
    }

    #[test]
    fn who_when_and_why_are_three_questions() {
        assert_eq!(apart("Who founded the company?", "When was the company founded?"), 2);
        assert_eq!(apart("Why is my card blocked?", "How is my card blocked?"), 2);
        assert_eq!(apart("Why did the price go up?", "When did the price go up?"), 2);
        assert_eq!(apart("회의 언제 해?", "회의 어디서 해?"), 2);
        assert_eq!(apart("배송은 얼마나 걸리나요?", "배송비가 얼마인가요?"), 2);
        assert_eq!(apart("포인트는 어디서 써요?", "포인트는 얼마나 쌓여요?"), 2);
        assert_eq!(apart("당뇨병은 왜 생기나요?", "당뇨병은 증상이 어떤가요?"), 2);
    }

    #[test]
    fn manner_may_be_asked_in_many_ways() {
        assert!(apart("How do I reset it?", "What is the way to reset it?") < 2);
        assert!(apart("What time does it open?", "When does it open?") < 1);
        assert!(apart("배송 얼마나 걸려요?", "배송 보통 며칠 걸려요?") < 1);
        assert!(apart("서울까지 얼마나 오래 걸려?", "서울까지 몇 시간 걸려?") < 1);
        assert!(apart("배송 얼마나 걸려요?", "배송 기간이 어떻게 되나요?") < 2);
        assert!(apart("What hours are you open?", "At what time are you open?") < 1);
        assert!(apart("I don't know how to see the fee", "how can I see the charge") < 2);
        assert_eq!(apart("How much is the fee?", "How do I pay it?"), 2);
        assert!(apart("How long does a chargeback take?", "How much time does a chargeback need?") < 2);
        assert!(apart("How long is a permit's processing?", "What's the processing time of a permit?") < 2);
        assert_eq!(apart("Where is my order?", "Could you please tell me where my order is?"), 0);
        assert!(apart("When will I get my refund?", "How soon is my refund paid?") < 2);
        assert!(apart("Why do we get hiccups?", "What causes hiccups?") < 2);
        assert!(apart("When is the launch?", "What's the date of the launch?") < 2);
    }
}
