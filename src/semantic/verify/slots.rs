//! Values that must agree: numbers, amounts, dates, times, ids, addresses.
//!
//! "order 1001" and "order 1002" are one vector to every embedding model, so values are compared as values. Every
//! way to write one comes out equal: `1,000` = `1000` = "one thousand"; `3pm` = `15:00` = "오후 3시"; "May 1, 2024" = `2024-05-01`
//! (a bag of month 5, 1 and 2024); "두 개" = "2개"; "10만원" = "100,000원".
//!
//! "one" and "first" are weak: they are more often a pronoun or an idiom than a value, and are not kept.

use super::numerals;
use super::reading::Reading;
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

pub(super) const NOTHING: Read = Read { slot: None, used: 0 };

/// Reads the value that starts at `at`, if one does.
pub fn read(tokens: &[Token], at: usize) -> Read {
    let token = &tokens[at];
    match token.class {
        Class::Number => number(tokens, at),
        Class::Id | Class::Email | Class::Url => id(&token.text),
        Class::Word => spelled(tokens, at),
        Class::Hangul => numerals::korean(tokens, at),
        Class::Mark => NOTHING,
    }
}

fn id(text: &str) -> Read {
    let compact: String = text.trim_end_matches(['.', ':', '-', '/']).chars().filter(|c| *c != '-').collect();
    Read { slot: Some(Slot::Id(hash(&compact))), used: 1 }
}

pub(super) fn whole(value: f64) -> Slot {
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
    let plain = text.replace(',', "");
    let Ok(mut value) = plain.parse::<f64>() else { return id(text) };
    // Longer ones are the names of something, and no float tells them apart.
    if plain.len() > 15 {
        return id(&plain);
    }
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
    } else if let Some(scale) = numerals::scale(after) {
        (value, used) = (value * scale, 2);
    } else if next.is_some_and(|t| t.glued)
        && after.starts_with('시')
        && !after.starts_with("시간")
        && value > 12.0
        && value < 25.0
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
pub(super) enum Half {
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

pub(super) fn on_clock(hours: u16, minutes: u16, half: Half) -> u16 {
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

/// English number words, months and clock words.
fn spelled(tokens: &[Token], at: usize) -> Read {
    let token = &tokens[at];
    if let Some(month) = month(token, tokens.get(at + 1), at.checked_sub(1).and_then(|i| tokens.get(i))) {
        return Read { slot: Some(Slot::Month(month)), used: 1 };
    }
    if let Some(value) = roman(token) {
        return Read { slot: Some(whole(value)), used: 1 };
    }
    let (mut total, mut used) = (0.0, 0);
    while let Some(word) = tokens.get(at + used) {
        let scaled = || tokens.get(at + used + 1).is_some_and(|next| scale(&next.text).is_some());
        if let Some(value) = small_number(&word.text) {
            total += value;
        } else if word.text == "one" && (scaled() || used > 0 && total >= 20.0 && total % 10.0 == 0.0) {
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

/// "World War II": written large inside a sentence. A lone I, V or X is a word or a name as often.
fn roman(token: &Token) -> Option<f64> {
    const NUMERALS: [(&str, f64); 8] = [
        ("ii", 2.0),
        ("iii", 3.0),
        ("iv", 4.0),
        ("vi", 6.0),
        ("vii", 7.0),
        ("viii", 8.0),
        ("ix", 9.0),
        ("xi", 11.0),
    ];
    if token.capital && !token.opens { look_up(&NUMERALS, &token.text) } else { None }
}

/// What a table says of a word.
pub(super) fn look_up(table: &[(&str, f64)], word: &str) -> Option<f64> {
    table.iter().find(|(text, _)| *text == word).map(|(_, value)| *value)
}

fn small_number(word: &str) -> Option<f64> {
    const WORDS: [(&str, f64); 38] = [
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
        ("twenties", 20.0),
        ("thirties", 30.0),
        ("forties", 40.0),
        ("fifties", 50.0),
        ("sixties", 60.0),
        ("seventies", 70.0),
        ("eighties", 80.0),
        ("twice", 2.0),
        ("third", 3.0),
        ("fourth", 4.0),
        ("fifth", 5.0),
    ];
    look_up(&WORDS, word)
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

/// Whether two texts give other values: another list of them, or, if `in_order`, the same in another order. A 1 in digits agrees with a "one" or a
/// "하나" in words, of which `ones` says how many there are; a "one" without a counterpart says little.
pub fn differ(a: &Reading, b: &Reading, in_order: bool) -> bool {
    if a.slots == b.slots {
        return in_order && a.values != b.values;
    }
    let one = |slot: &&Slot| **slot == Slot::Number(1000);
    let digits = |text: &Reading| text.slots.iter().filter(one).count();
    // A "한번" that both say is nobody's counterpart.
    let lacks =
        |text: &Reading, other: &Reading| digits(text) > digits(other) + other.ones.saturating_sub(text.ones);
    let others = |slots: &[Slot]| slots.iter().filter(|slot| !one(slot)).copied().collect::<Vec<_>>();
    lacks(a, b)
        || lacks(b, a)
        || others(&a.slots) != others(&b.slots)
        || in_order && others(&a.values) != others(&b.values)
}

/// Whether a token says "one" in words: "one", "single", "하나", "한 줄".
pub fn is_one(tokens: &[Token], at: usize) -> bool {
    const SAID: [&str; 9] = ["one", "single", "하나", "하나만", "하나를", "하나요", "하나도", "한", "한달"];
    let text = tokens[at].text.as_str();
    SAID.contains(&text) || text != "한도" && text.strip_prefix('한').is_some_and(numerals::is_counter)
}
