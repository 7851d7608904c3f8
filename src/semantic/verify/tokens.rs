//! What two questions must agree in, read from a text: each kind as a sorted list.

use regex::Regex;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub numbers: Vec<String>,
    pub quoted: Vec<String>,
    pub addresses: Vec<String>,
}

/// Compiled once; a pattern that does not compile reads nothing, which the tests of `judge` would show.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

/// Double quotes of all kinds, brackets that quote in Japanese and Chinese, back-ticks, and single
/// quotes only where they stand around words (an apostrophe stands inside one).
static QUOTED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r#"```([^`]+)```|`([^`]+)`|["“”„«]([^"“”»]+)["“”»]|[「『]([^」』]+)[」』]|(?:^|[\s(\[])['‘]([^'’]+)['’](?:[\s.,;:?!)\]]|$)"#,
    )
});

static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r"[a-z][a-z0-9+.-]*://[^\s<>]+|www\.[^\s<>]+|[^\s@<>(),;:]+@[^\s@<>(),;:]+\.[a-z]{2,}")
});

/// A run of ASCII letters, digits and joining signs that has a digit in it; a sign in front counts
/// unless a word or number ends there.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r"(?:^|[\s(=])-?[a-z0-9]*[0-9][a-z0-9]*(?:[-.,:/_][a-z0-9]+)*|[a-z0-9]*(?:[-_/][a-z0-9]+)*[0-9][a-z0-9]*(?:[-.,:/_][a-z0-9]+)*",
    )
});

/// Reads a text after NFKC and lower-casing, so that full-width digits and letters count as ASCII.
pub(super) fn read(text: &str) -> Tokens {
    let text: String = text.nfkc().collect::<String>().to_lowercase();
    let mut quoted: Vec<String> = captures(&QUOTED, &text).map(|words| squeeze(&words)).collect();
    let mut addresses: Vec<String> = matches(&ADDRESS, &text)
        .map(|found| found.trim_end_matches(['.', ',', ')', '?', '!', ';', '"', '\'']).to_owned())
        .collect();
    let mut numbers: Vec<String> = matches(&NUMBER, &text).map(|found| number(&found)).collect();
    for list in [&mut quoted, &mut addresses, &mut numbers] {
        list.sort_unstable();
    }
    Tokens { numbers, quoted, addresses }
}

fn matches<'t>(pattern: &'t LazyLock<Option<Regex>>, text: &'t str) -> impl Iterator<Item = String> + 't {
    pattern.iter().flat_map(|regex| regex.find_iter(text)).map(|found| found.as_str().to_owned())
}

fn captures<'t>(pattern: &'t LazyLock<Option<Regex>>, text: &'t str) -> impl Iterator<Item = String> + 't {
    let groups = pattern.iter().flat_map(|regex| regex.captures_iter(text));
    groups.filter_map(|found| found.iter().skip(1).flatten().next().map(|group| group.as_str().to_owned()))
}

fn squeeze(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One way of writing a number: no thousands separators, no zeros after the decimal point. Whatever is
/// no plain number (a code, a date, an id with leading zeros) stays as it is.
fn number(found: &str) -> String {
    let found =
        found.trim_start_matches([' ', '\t', '\n', '\r', '(', '=']).trim_matches(['.', ',', ':', '/', '_']);
    let grouped =
        found.split(',').skip(1).all(|group| group.split('.').next().is_some_and(|digits| digits.len() == 3));
    let plain = if grouped { found.replace(',', "") } else { found.to_owned() };
    let is_decimal = plain.matches('.').count() == 1
        && plain.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match is_decimal {
        true => plain.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => plain,
    }
}
