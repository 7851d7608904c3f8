//! Text -> tokens, once, for everything else to read.
//!
//! A token knows its own normal form (NFKC, lower case), whether it was written with a capital and whether a
//! space stood before it. Numbers, ids, e-mail addresses, URLs and quoted passages are kept whole here, because
//! after splitting them nobody can tell `10:30` from `10` and `30`, or `ORD-77` from `77`.
//!
//! `Is "Foo Bar" v2.1 under $5?` -> `is` `foo`(quoted) `bar`(quoted) `v2.1`(id) `under` `$`(mark) `5`(number) `?`

use unicode_normalization::UnicodeNormalization;

/// What a token is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Letters of any alphabet but Hangul; apostrophes inside are kept (`can't`).
    Word,
    /// Hangul syllables: one eojeol, or the part of it that follows a number.
    Hangul,
    /// Digits with their separators: `1,000`, `10:30`, `2024-05-01`.
    Number,
    /// Letters and digits mixed, or anything that is code: `ab12`, `user_id`, `v2.1`, `10.0.0.1`.
    Id,
    Email,
    Url,
    /// One sign that carries meaning: currency, percent, `#`, `+`, sentence ends.
    Mark,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub class: Class,
    /// Written with a capital first letter.
    pub capital: bool,
    /// First word of a sentence, where a capital says nothing.
    pub opens: bool,
    /// No space before it.
    pub glued: bool,
    /// Inside quotation marks or backticks.
    pub quoted: bool,
}

/// Splits `text`. Linear in its length; the caller has already capped that.
pub fn tokens(text: &str) -> Vec<Token> {
    let normal: String = text.nfkc().map(plain_sign).collect();
    let chars: Vec<char> = normal.chars().collect();
    let mut out: Vec<Token> = Vec::with_capacity(chars.len() / 4);
    let mut at = 0;
    let mut opens = true;
    let mut glued = false;
    let mut quote: Option<(char, usize)> = None;
    while at < chars.len() {
        let c = chars[at];
        if c.is_whitespace() {
            (at, glued) = (at + 1, false);
            continue;
        }
        if quote.is_some_and(|(close, end)| c == close && at >= end) {
            (at, glued, quote) = (at + 1, true, None);
            continue;
        }
        if quote.is_none()
            && let Some(end) = quoted_until(&chars, at)
        {
            (quote, at) = (Some((chars[end], end)), at + 1);
            continue;
        }
        let (end, class) = token_at(&chars, at);
        if let Some(class) = class {
            let raw: String = chars[at..end].iter().collect();
            let capital = c.is_uppercase();
            let ends_sentence = class == Class::Mark && matches!(c, '.' | '?' | '!');
            out.push(Token {
                text: raw.to_lowercase(),
                class,
                capital,
                opens,
                glued,
                quoted: quote.is_some(),
            });
            opens = ends_sentence;
        }
        (at, glued) = (end, true);
    }
    out
}

/// One sign for the many ways to write it.
fn plain_sign(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{00b4}' | '\u{02bc}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{00ab}' | '\u{00bb}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{3002}' => '.',
        // Arabic, Persian, Devanagari and Thai digits; other wide and raised ones are plain by now.
        '\u{0660}'..='\u{0669}' => digit(c, '\u{0660}'),
        '\u{06f0}'..='\u{06f9}' => digit(c, '\u{06f0}'),
        '\u{0966}'..='\u{096f}' => digit(c, '\u{0966}'),
        '\u{0e50}'..='\u{0e59}' => digit(c, '\u{0e50}'),
        other => other,
    }
}

/// The ASCII digit of one that lies so far from its script's zero.
fn digit(c: char, zero: char) -> char {
    char::from_digit(c as u32 - zero as u32, 10).unwrap_or(c)
}

/// Whether a quotation opens at `at`, and where it closes. A single quote counts only with a space or an end
/// around it, so that `users' orders` and `can't` stay as they are.
fn quoted_until(chars: &[char], at: usize) -> Option<usize> {
    let close = match chars[at] {
        '"' => '"',
        '`' => '`',
        '\u{300c}' => '\u{300d}',
        '\u{300e}' => '\u{300f}',
        '\'' => '\'',
        _ => return None,
    };
    if close == '\'' && at > 0 && !chars[at - 1].is_whitespace() {
        return None;
    }
    let len = chars.len().min(at + 200);
    (at + 2..len).find(|&i| {
        chars[i] == close
            && (close != '\'' || chars.get(i + 1).is_none_or(|c| !c.is_alphanumeric() || is_hangul(*c)))
    })
}

/// The end of the token that starts at `at`, and its class; `None` for a sign that says nothing.
fn token_at(chars: &[char], at: usize) -> (usize, Option<Class>) {
    if let Some((end, class)) = address_at(chars, at) {
        return (end, Some(class));
    }
    let c = chars[at];
    if is_hangul(c) {
        return (run(chars, at, is_hangul), Some(Class::Hangul));
    }
    if c.is_ascii_digit() {
        return number_at(chars, at);
    }
    if c.is_alphanumeric() {
        return word_at(chars, at);
    }
    let says = matches!(c, '$' | '%' | '#' | '+' | '.' | '?' | '!' | ',' | '/' | '&' | '=' | '<' | '>')
        || matches!(c, '\u{20a9}' | '\u{20ac}' | '\u{00a3}' | '\u{00a5}' | '\u{20b9}' | '\u{2103}' | '~');
    (at + 1, says.then_some(Class::Mark))
}

fn run(chars: &[char], from: usize, keep: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| !keep(c)).map_or(chars.len(), |n| from + n)
}

/// An e-mail address or a URL that starts here.
fn address_at(chars: &[char], at: usize) -> Option<(usize, Class)> {
    if !chars[at].is_ascii_alphanumeric() {
        return None;
    }
    let mut end = run(chars, at, |c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '(' | ')' | ','));
    while end > at && matches!(chars[end - 1], '.' | '?' | '!' | ';' | ':' | '\'') {
        end -= 1;
    }
    let piece = &chars[at..end];
    if let Some(sign) = piece.iter().position(|&c| c == '@') {
        return piece[sign..].contains(&'.').then_some((end, Class::Email));
    }
    let text: String = piece.iter().take(12).collect();
    (text.contains("://") || text.starts_with("www.")).then_some((end, Class::Url))
}

/// Digits, with separators between digits. A letter that follows makes it an id (`4k`, `3d`, `2fa`) unless what
/// follows is a unit or a clock word, which `slots` reads from the next token.
fn number_at(chars: &[char], at: usize) -> (usize, Option<Class>) {
    let mut end = at;
    while end < chars.len() {
        let c = chars[end];
        let joins = matches!(c, ',' | '.' | ':' | '/' | '-')
            && end > at
            && chars[end - 1].is_ascii_digit()
            && chars.get(end + 1).is_some_and(|n| n.is_ascii_digit());
        if !(c.is_ascii_digit() || joins) {
            break;
        }
        end += 1;
    }
    let letters = run(chars, end, |c| c.is_ascii_alphabetic());
    let tail: String = chars[end..letters].iter().collect::<String>().to_lowercase();
    let mixed = run(chars, letters, |c| c.is_ascii_alphanumeric());
    // `4711-new-30` is one code; `24-hour` is a number and a word.
    let joined = &chars[end..run(chars, end, is_id)];
    let has = |what: fn(&char) -> bool| joined.iter().any(what);
    if joined.first() == Some(&'-') && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) {
        return (end + joined.len(), Some(Class::Id));
    }
    if tail.is_empty() || (mixed == letters && UNIT_TAILS.contains(&tail.as_str())) {
        return (end, Some(Class::Number));
    }
    (run(chars, end, is_id), Some(Class::Id))
}

/// Letters that may stand right behind a number without making it an id.
const UNIT_TAILS: &[&str] = &[
    "am", "pm", "st", "nd", "rd", "th", "kg", "g", "mg", "km", "m", "cm", "mm", "ml", "l", "lb", "lbs", "oz",
    "gb", "mb", "tb", "kb", "ms", "s", "sec", "min", "mins", "h", "hr", "hrs", "k", "usd", "eur", "krw",
    "gbp", "won", "inr", "ft", "mph", "kmh", "w", "kw", "v", "hz", "ghz", "mhz", "days", "day", "years",
    "year", "yr", "yrs", "weeks", "months", "x", "c", "f", "kcal",
];

/// A word; an id if digits, underscores or code signs are part of it. A trailing run of digits behind at least
/// three letters is split off (`iphone15`), so that `iPhone 15` reads the same.
fn word_at(chars: &[char], at: usize) -> (usize, Option<Class>) {
    let plain = run(chars, at, |c| c.is_alphabetic() && !is_hangul(c));
    if plain == at {
        // A numeral of another script: whatever it counts, another one counts something else.
        return (run(chars, at, |c| c.is_numeric() && !c.is_ascii()).max(at + 1), Some(Class::Id));
    }
    let mut end = plain;
    while chars.get(end) == Some(&'\'')
        && chars.get(end + 1).is_some_and(|c| c.is_alphabetic() && !is_hangul(*c))
    {
        end = run(chars, end + 1, |c| c.is_alphabetic() && !is_hangul(c));
    }
    if end > plain {
        return (end, Some(Class::Word));
    }
    let id = run(chars, plain, is_id);
    let piece = &chars[plain..id];
    let code = piece.contains(&'_') || piece.windows(2).any(|w| w == [':', ':']);
    if code {
        return (id, Some(Class::Id));
    }
    let digits = piece.first().is_some_and(char::is_ascii_digit);
    let only_digits = piece.iter().all(char::is_ascii_digit);
    let coded = chars[at..plain].iter().all(|c| c.is_uppercase())
        && piece.first() == Some(&'-')
        && piece.get(1).is_some_and(char::is_ascii_digit);
    if (digits && !(only_digits && plain - at >= 3)) || coded {
        return (id, Some(Class::Id));
    }
    (plain, Some(Class::Word))
}

/// What may stand inside an id.
fn is_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')
}

/// Whether this is a Hangul syllable or jamo.
pub fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}')
}

/// FNV-1a, 64 bits: a cheap stable name for a short text inside one process. Collisions would need two words of
/// one question pair to share 64 bits.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str) -> Vec<(String, Class)> {
        tokens(text).into_iter().map(|t| (t.text, t.class)).collect()
    }

    /// A numeral that is no letter and no ASCII digit once made no token at all, and the loop over them never ended.
    #[test]
    fn numerals_of_every_script_come_to_an_end_and_count() {
        for c in (0..=0x1_ffff).filter_map(char::from_u32).filter(|c| c.is_alphanumeric()) {
            assert!(!tokens(&format!("a {c} b")).is_empty(), "{c}");
        }
        let texts = |text: &str| tokens(text).into_iter().map(|token| token.text).collect::<Vec<_>>();
        assert_eq!(texts("طلب ١٢٣"), texts("طلب 123"));
        assert_ne!(texts("คำสั่งซื้อ ๑๒"), texts("คำสั่งซื้อ ๑๓"));
        assert_ne!(texts("៣"), texts("៤"), "Khmer");
    }

    #[test]
    fn keeps_addresses_ids_and_clock_times_whole() {
        let found = classes("mail a.b@c.io or https://x.y/z?q=1, ORD-77 at 10:30 by v2.1");
        let has = |text: &str, class| found.contains(&(text.to_owned(), class));
        assert!(has("a.b@c.io", Class::Email), "{found:?}");
        assert!(has("https://x.y/z?q=1", Class::Url), "{found:?}");
        assert!(has("ord-77", Class::Id), "{found:?}");
        assert!(has("10:30", Class::Number), "{found:?}");
        assert!(has("v2.1", Class::Id), "{found:?}");
    }

    #[test]
    fn splits_a_model_number_from_its_name() {
        assert_eq!(classes("iPhone15"), vec![("iphone".into(), Class::Word), ("15".into(), Class::Number)]);
    }

    #[test]
    fn a_contraction_is_one_word_and_a_quotation_is_marked() {
        let found = tokens("I can't open 'My Files'");
        assert_eq!(found[1].text, "can't");
        assert!(found[3].quoted && found[4].quoted);
    }
}
