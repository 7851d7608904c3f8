//! Values that must agree: numbers, amounts, dates, times, ids, addresses.
//!
//! "order 1001" and "order 1002" are one vector to every embedding model, so values are compared as values. Every
//! way to write one comes out equal: `1,000` = `1000` = "one thousand"; `3pm` = `15:00` = "오후 3시"; "May 1, 2024" = `2024-05-01`
//! (a bag of month 5, 1 and 2024); "두 개" = "2개"; "10만원" = "100,000원".
//!
//! "one" and "first" are weak: they are more often a pronoun or an idiom than a value, and are not kept.

use super::text::{Class, Token, hash};

/// One value. Ordered so that two sorted lists compare in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Thousandths of the number.
    Number(i64),
    /// Minutes since midnight, where the text says which half of the day.
    Time(u16),
    /// 1 to 12.
    Month(u8),
    /// A code, an e-mail address or a URL, by hash.
    Id(u64),
}

/// What reading a token as a value came to.
pub struct Read {
    pub slot: Option<Slot>,
    /// Tokens consumed, 0 if this is no value.
    pub used: usize,
}

const NOTHING: Read = Read { slot: None, used: 0 };

/// Reads the value that starts at `at`, if one does.
pub fn read(tokens: &[Token], at: usize) -> Read {
    let token = &tokens[at];
    match token.class {
        Class::Number => number(tokens, at),
        Class::Id | Class::Email | Class::Url => id(&token.text),
        Class::Word => spelled(tokens, at),
        Class::Hangul => korean(tokens, at),
        Class::Mark => NOTHING,
    }
}

fn id(text: &str) -> Read {
    let compact: String = text.trim_end_matches(['.', ':', '-', '/']).chars().filter(|c| *c != '-').collect();
    Read { slot: Some(Slot::Id(hash(&compact))), used: 1 }
}

fn whole(value: f64) -> Slot {
    Slot::Number((value * 1000.0).round() as i64)
}

/// A number with digits: a plain one, a clock time, or a date (of which only the first part is returned here; the
/// tokeniser keeps dates whole, so they become an id that equals another spelling only through [`date`]).
fn number(tokens: &[Token], at: usize) -> Read {
    let text = &tokens[at].text;
    let next = tokens.get(at + 1);
    let after = next.map_or("", |t| t.text.as_str());
    if let Some((hours, minutes)) = clock(text) {
        return match half_of_day(after) {
            Some(half) => Read { slot: Some(Slot::Time(on_clock(hours, minutes, half))), used: 2 },
            None => Read { slot: Some(Slot::Time(hours * 60 + minutes)), used: 1 },
        };
    }
    let Ok(mut value) = text.replace(',', "").parse::<f64>() else { return id(text) };
    if let Some(half) = half_of_day(after)
        && value <= 12.0
    {
        return Read { slot: Some(Slot::Time(on_clock(value as u16, 0, half))), used: 2 };
    }
    let mut used = 1;
    if matches!(after, "st" | "nd" | "rd" | "th") && next.is_some_and(|t| t.glued) {
        used = 2;
    } else if let Some(scale) = scale(after) {
        (value, used) = (value * scale, 2);
    } else if let Some(scale) = korean_scale(after) {
        (value, used) = (value * scale, 2);
    } else if next.is_some_and(|t| t.glued)
        && after.starts_with('시')
        && !after.starts_with("시간")
        && value > 12.0
    {
        return Read { slot: Some(Slot::Time(value as u16 * 60)), used: 2 };
    }
    Read { slot: Some(whole(value)), used }
}

/// The parts of a whole date (`2024-05-01`, `2024/5/1`, `2024.05.01`): year, month, day.
pub fn date(text: &str) -> Option<[Slot; 3]> {
    let mut parts = text.split(['-', '/', '.']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (month, day): (u8, u8) = (month.parse().ok()?, day.parse().ok()?);
    let known = (1..=12).contains(&month) && (1..=31).contains(&day);
    known.then_some([whole(year.parse().ok()?), Slot::Month(month), whole(f64::from(day))])
}

/// The values as they come, but the parts of a date as year, month, day: "May 1, 2024" and "1 May 2024" are 2024-05-01.
pub fn in_date_order(values: &[Slot]) -> Vec<Slot> {
    let number = |slot: Option<&Slot>, from: i64, to: i64| match slot {
        Some(Slot::Number(n)) => (from * 1000..=to * 1000).contains(n),
        _ => false,
    };
    let mut out = values.to_vec();
    for at in 0..out.len() {
        if !matches!(out[at], Slot::Month(_)) {
            continue;
        }
        if at > 0 && number(out.get(at - 1), 1, 31) && !number(out.get(at + 1), 1, 31) {
            out.swap(at - 1, at);
            if number(out.get(at + 1), 1000, 2999) {
                out[at - 1..=at + 1].rotate_right(1);
            }
        } else if number(out.get(at + 1), 1, 31) && number(out.get(at + 2), 1000, 2999) {
            out[at..at + 3].rotate_right(1);
        }
    }
    out
}

fn clock(text: &str) -> Option<(u16, u16)> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 25 && minutes < 60).then_some((hours, minutes))
}

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Before,
    After,
}

fn half_of_day(word: &str) -> Option<Half> {
    match word {
        "am" => Some(Half::Before),
        "pm" => Some(Half::After),
        _ => None,
    }
}

fn on_clock(hours: u16, minutes: u16, half: Half) -> u16 {
    let hours = if half == Half::After { hours % 12 + 12 } else { hours % 12 };
    hours * 60 + minutes
}

fn scale(word: &str) -> Option<f64> {
    match word {
        "k" | "thousand" => Some(1e3),
        "million" | "mln" => Some(1e6),
        "billion" => Some(1e9),
        "hundred" => Some(1e2),
        "dozen" => Some(12.0),
        _ => None,
    }
}

/// `만원` -> 10,000: a Korean power of ten behind digits, with its counter.
fn korean_scale(word: &str) -> Option<f64> {
    const SCALES: [(&str, f64); 6] =
        [("천만", 1e7), ("백만", 1e6), ("십만", 1e5), ("억", 1e8), ("만", 1e4), ("천", 1e3)];
    SCALES.iter().find(|(text, _)| word.starts_with(text)).map(|(_, scale)| *scale)
}

/// English number words, months and clock words.
fn spelled(tokens: &[Token], at: usize) -> Read {
    let token = &tokens[at];
    if let Some(month) = month(token, tokens.get(at + 1), at.checked_sub(1).and_then(|i| tokens.get(i))) {
        return Read { slot: Some(Slot::Month(month)), used: 1 };
    }
    let (mut total, mut used) = (0.0, 0);
    while let Some(word) = tokens.get(at + used) {
        let scaled = || tokens.get(at + used + 1).is_some_and(|next| scale(&next.text).is_some());
        if let Some(value) = small_number(&word.text) {
            total += value;
        } else if word.text == "one" && scaled() {
            total += 1.0;
        } else if let (Some(scale), true) = (scale(&word.text), used > 0) {
            total *= scale;
        } else {
            break;
        }
        used += 1;
    }
    match used {
        0 => NOTHING,
        _ => Read { slot: Some(whole(total)), used },
    }
}

fn small_number(word: &str) -> Option<f64> {
    const WORDS: [(&str, f64); 31] = [
        ("zero", 0.0),
        ("two", 2.0),
        ("three", 3.0),
        ("four", 4.0),
        ("five", 5.0),
        ("six", 6.0),
        ("seven", 7.0),
        ("eight", 8.0),
        ("nine", 9.0),
        ("ten", 10.0),
        ("eleven", 11.0),
        ("twelve", 12.0),
        ("thirteen", 13.0),
        ("fourteen", 14.0),
        ("fifteen", 15.0),
        ("sixteen", 16.0),
        ("seventeen", 17.0),
        ("eighteen", 18.0),
        ("nineteen", 19.0),
        ("twenty", 20.0),
        ("thirty", 30.0),
        ("forty", 40.0),
        ("fifty", 50.0),
        ("sixty", 60.0),
        ("seventy", 70.0),
        ("eighty", 80.0),
        ("ninety", 90.0),
        ("twice", 2.0),
        ("third", 3.0),
        ("fourth", 4.0),
        ("fifth", 5.0),
    ];
    WORDS.iter().find(|(text, _)| *text == word).map(|(_, value)| *value)
}

/// A month by name. "may", "march" and short forms that are words too count only beside a number or with a capital inside a sentence.
fn month(token: &Token, next: Option<&Token>, before: Option<&Token>) -> Option<u8> {
    const MONTHS: [(&str, &str); 12] = [
        ("january", "jan"),
        ("february", "feb"),
        ("march", "mar"),
        ("april", "apr"),
        ("may", "may"),
        ("june", "jun"),
        ("july", "jul"),
        ("august", "aug"),
        ("september", "sep"),
        ("october", "oct"),
        ("november", "nov"),
        ("december", "dec"),
    ];
    let word = token.text.as_str();
    let found = MONTHS.iter().position(|(long, short)| *long == word || *short == word)?;
    let by_number = [next, before].into_iter().flatten().any(|t| t.class == Class::Number);
    let sure = !matches!(word, "may" | "march" | "mar" | "jan" | "sep" | "dec" | "jun" | "august");
    (sure || by_number || (token.capital && !token.opens)).then_some(found as u8 + 1)
}

/// Korean number words with a counter: "두 개", "세시", "삼십분", "오후 3시", "5월".
fn korean(tokens: &[Token], at: usize) -> Read {
    let text = tokens[at].text.as_str();
    if matches!(text, "오전" | "오후" | "새벽" | "저녁" | "밤" | "아침") {
        let half = if matches!(text, "오전" | "새벽" | "아침") { Half::Before } else { Half::After };
        return korean_clock(tokens, at + 1, half)
            .map_or(NOTHING, |(slot, used)| Read { slot: Some(slot), used: used + 1 });
    }
    let counter_next = tokens.get(at + 1).is_some_and(|t| t.class == Class::Hangul && is_counter(&t.text));
    if counter_next && let Some(value) = native_number(text) {
        return Read { slot: strong(value), used: 1 };
    }
    for (index, _) in text.char_indices().skip(1) {
        let (head, tail) = text.split_at(index);
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
    WORDS.iter().find(|(text, _)| *text == word).map(|(_, value)| *value)
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

fn is_counter(word: &str) -> bool {
    const COUNTERS: [&str; 34] = [
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
        "개",
        "명",
        "번",
        "시",
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
    ];
    const TAILS: [&str; 22] = [
        "", "에", "에서", "에는", "의", "이", "가", "은", "는", "을", "를", "로", "으로", "까지", "부터",
        "만", "도", "이나", "쯤", "정도", "째", "동안",
    ];
    COUNTERS.iter().any(|counter| word.strip_prefix(counter).is_some_and(|tail| TAILS.contains(&tail)))
}
