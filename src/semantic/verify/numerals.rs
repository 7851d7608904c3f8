//! Korean numerals and what they count: "두 개", "세시", "삼십분", "오후 3시", "10만원".

use super::slots::{Half, NOTHING, Read, Slot, look_up, on_clock, whole};
use super::text::{Class, Token};

/// Reads the value that starts at this eojeol, if one does: "두 개", "세시", "삼십분", "오후 3시", "5월".
pub fn korean(tokens: &[Token], at: usize) -> Read {
    let text = tokens[at].text.as_str();
    if matches!(text, "오전" | "오후" | "새벽" | "저녁" | "밤" | "아침") {
        let half = if matches!(text, "오전" | "새벽" | "아침") { Half::Before } else { Half::After };
        return korean_clock(tokens, at + 1, half)
            .map_or(NOTHING, |(slot, used)| Read { slot: Some(slot), used: used + 1 });
    }
    let counter = |t: &Token| t.class == Class::Hangul && (is_counter(&t.text) || counts(&t.text, APART));
    let counter_next = tokens.get(at + 1).is_some_and(counter);
    if counter_next && let Some(value) = native_number(text) {
        return Read { slot: strong(value), used: 1 };
    }
    if WORDS_THEMSELVES.iter().any(|word| text.starts_with(word)) {
        return NOTHING;
    }
    for index in text.char_indices().skip(1).map(|(index, _)| index).chain([text.len()]) {
        let (head, tail) = text.split_at(index);
        if ALONE.contains(&head) && COUNTED.contains(&tail) && !among(tokens, at) {
            return Read { slot: native_number(head).and_then(strong), used: 1 };
        }
        if is_counter(tail)
            && let Some(value) = native_number(head).or_else(|| sino_number(head))
        {
            return Read { slot: strong(value), used: 1 };
        }
    }
    NOTHING
}

/// "한 번", "일단 하나" say little; two and up are values.
fn strong(value: f64) -> Option<Slot> {
    (value != 1.0).then(|| whole(value))
}

fn korean_clock(tokens: &[Token], at: usize, half: Half) -> Option<(Slot, usize)> {
    let first = tokens.get(at)?;
    let second = tokens.get(at + 1);
    if first.class == Class::Number && second.is_some_and(|t| t.glued && t.text.starts_with('시')) {
        let hours: u16 = first.text.parse().ok()?;
        return Some((Slot::Time(on_clock(hours, 0, half)), 2));
    }
    let hours = first.text.split_once('시').and_then(|(head, _)| native_number(head))?;
    Some((Slot::Time(on_clock(hours as u16, 0, half)), 1))
}

/// `만원` -> 10,000: a Korean power of ten behind digits, with its counter.
pub fn scale(word: &str) -> Option<f64> {
    const SCALES: [(&str, f64); 6] =
        [("천만", 1e7), ("백만", 1e6), ("십만", 1e5), ("억", 1e8), ("만", 1e4), ("천", 1e3)];
    SCALES.iter().find(|(text, _)| word.starts_with(text)).map(|(_, scale)| *scale)
}

fn native_number(word: &str) -> Option<f64> {
    const WORDS: [(&str, f64); 20] = [
        ("한", 1.0),
        ("하나", 1.0),
        ("두", 2.0),
        ("둘", 2.0),
        ("세", 3.0),
        ("셋", 3.0),
        ("네", 4.0),
        ("넷", 4.0),
        ("다섯", 5.0),
        ("여섯", 6.0),
        ("일곱", 7.0),
        ("여덟", 8.0),
        ("아홉", 9.0),
        ("열", 10.0),
        ("열한", 11.0),
        ("열두", 12.0),
        ("스무", 20.0),
        ("서른", 30.0),
        ("마흔", 40.0),
        ("쉰", 50.0),
    ];
    look_up(&WORDS, word)
}

/// Sino-Korean numerals of two digits and more (`삼십`, `이만`, `천오백`); a lone `이` or `사` is a word as often as a number.
fn sino_number(word: &str) -> Option<f64> {
    if word.chars().count() < 2 && !matches!(word, "십" | "백" | "천" | "만") {
        return None;
    }
    let (mut total, mut section, mut digit) = (0.0, 0.0, 0.0);
    for c in word.chars() {
        if let Some(value) = "영일이삼사오육칠팔구".chars().position(|d| d == c) {
            digit = value as f64;
        } else if let Some(power) = "십백천".chars().position(|d| d == c) {
            section += f64::max(digit, 1.0) * 10f64.powi(power as i32 + 1);
            digit = 0.0;
        } else if c == '만' {
            total += f64::max(section + digit, 1.0) * 1e4;
            (section, digit) = (0.0, 0.0);
        } else {
            return None;
        }
    }
    Some(total + section + digit)
}

/// Numerals that are no other word, and need no counter: "어른 둘, 아이 셋".
const ALONE: &[&str] = &["둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉"];

/// Words that only look like a numeral and a counter: a sale, a nail, a sedan.
const WORDS_THEMSELVES: &[&str] = &["세일", "네일", "열대", "세대", "열도"];

/// Whether the numeral only says how many there are to choose from: "둘 중에", "둘 다".
fn among(tokens: &[Token], at: usize) -> bool {
    const CHOICE: [&str; 5] = ["다", "중", "중에", "중에서", "중에는"];
    tokens.get(at + 1).is_some_and(|next| CHOICE.contains(&&*next.text))
}

/// Counters that may stand right behind a numeral: "세시".
const COUNTERS: &[&str] = &[
    "개월",
    "시간",
    "가지",
    "마리",
    "군데",
    "그릇",
    "켤레",
    "송이",
    "주일",
    "퍼센트",
    "박스",
    "상자",
    "접시",
    "숟가락",
    "스푼",
    "티스푼",
    "큰술",
    "작은술",
    "인분",
    "봉지",
    "조각",
    "방울",
    "포기",
    "묶음",
    "세트",
    "좌석",
    "호선",
    "번째",
    "학년",
    "학기",
    "바퀴",
    "단계",
    "사람",
    "개",
    "명",
    "번",
    "시",
    "자리",
    "살",
    "잔",
    "권",
    "장",
    "대",
    "달",
    "주",
    "곳",
    "분",
    "원",
    "년",
    "월",
    "일",
    "초",
    "층",
    "호",
    "도",
    "병",
    "판",
    "배",
    "줄",
];
/// Counters that only do so with a space between, because "두통" and "네모" are words.
const APART: &[&str] = &[
    "컵", "팩", "봉", "통", "캔", "벌", "쌍", "채", "편", "회", "차", "건", "곡", "알", "모", "단", "근",
    "석", "칸", "평", "점", "등", "표", "박", "끼", "그램", "킬로", "리터", "미터", "센티", "필", "동",
    "세대", "식구", "가구",
];

/// What may follow a counter.
const COUNTED: &[&str] = &[
    "",
    "에",
    "에서",
    "에는",
    "의",
    "이",
    "가",
    "은",
    "는",
    "을",
    "를",
    "로",
    "으로",
    "까지",
    "부터",
    "만",
    "도",
    "이나",
    "쯤",
    "정도",
    "째",
    "동안",
    "씩",
    "짜리",
    "이랑",
    "랑",
    "하고",
    "과",
    "와",
    "요",
    "이요",
    "이에요",
    "예요",
    "입니다",
    "인데",
    "밖에",
    "마다",
    "치",
    "어치",
    "이면",
    "면",
    "간",
    "만에",
    "나",
    "보다",
];

fn counts(word: &str, counters: &[&str]) -> bool {
    counters.iter().any(|counter| word.strip_prefix(counter).is_some_and(|tail| COUNTED.contains(&tail)))
}

pub fn is_counter(word: &str) -> bool {
    counts(word, COUNTERS)
}
