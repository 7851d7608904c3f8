//! Which words of one text have a counterpart in the other, and what is left over.
//!
//! A word matches by stem, by concept (synonyms), by spelling (one slip in five letters, two in eight, and not when both are common
//! words: "bill" is no misspelt "kill"), by derivation ("cancel" / "cancellation"), together and apart ("check-out" / "checkout",
//! "최고 기온" / "최고기온"), or for Korean by likeness of jamo ("올려" / "올릴"). What is left over counts by rarity: an unmatched "the" is nothing, an
//! unmatched "Samsung" is another question.

use super::Word;
use super::korean::jamo;

/// How well a word found its counterpart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Match {
    /// Index in the other text, if any.
    pub to: Option<usize>,
    /// 1 for the same stem, less for a guess.
    pub grade: f32,
}

/// The alignment of two texts' content words.
#[derive(Debug, Default)]
pub struct Alignment {
    pub a: Vec<Match>,
    pub b: Vec<Match>,
}

pub fn align(a: &[Word], b: &[Word], joined_a: &str, joined_b: &str) -> Alignment {
    let mut out = Alignment { a: vec![Match::default(); a.len()], b: vec![Match::default(); b.len()] };
    for pass in 0..3u8 {
        for (i, word) in a.iter().enumerate() {
            if out.a[i].to.is_some() {
                continue;
            }
            // Of a word that stands there twice, the one in the same role.
            let plays = |j: usize| b[j].role == word.role;
            let found = (0..b.len())
                .filter(|j| out.b[*j].to.is_none())
                .map(|j| (j, grade(word, &b[j], pass)))
                .filter(|(_, grade)| *grade > 0.0)
                .max_by(|x, y| {
                    let near = || distance(i, y.0).cmp(&distance(i, x.0));
                    x.1.total_cmp(&y.1).then(plays(x.0).cmp(&plays(y.0))).then_with(near)
                });
            if let Some((j, grade)) = found {
                out.a[i] = Match { to: Some(j), grade };
                out.b[j] = Match { to: Some(i), grade };
            }
        }
    }
    leftovers(a, b, &mut out.a, joined_b);
    leftovers(b, a, &mut out.b, joined_a);
    out
}

/// Words without a partner: already said by a word that has one, or written together here and apart there.
fn leftovers(own: &[Word], other: &[Word], matches: &mut [Match], joined: &str) {
    for (word, slot) in own.iter().zip(matches.iter_mut()).filter(|(_, slot)| slot.to.is_none()) {
        if other.iter().any(|o| o.contrasts_with(word)) {
            continue;
        }
        if other.iter().any(|o| o.means(word) || word.joins_to(o) || o.joins_to(word)) {
            slot.grade = 0.9;
        } else if word.hangul && word.text.chars().count() >= 2 {
            slot.grade = contained(&word.text, joined);
        }
    }
}

fn distance(i: usize, j: usize) -> usize {
    i.abs_diff(j)
}

/// How well two words match in this pass: 0 exact stems, 1 concepts, 2 guesses.
fn grade(a: &Word, b: &Word, pass: u8) -> f32 {
    // Two sides of a choice are no wordings and no slips of each other.
    if pass > 0 && a.contrasts_with(b) {
        return 0.0;
    }
    match pass {
        0 => f32::from(u8::from(a.key == b.key)),
        1 => {
            if a.means(b) {
                0.9
            } else {
                0.0
            }
        }
        _ if a.hangul != b.hangul => 0.0,
        _ if a.hangul => like_hangul(&a.text, &b.text),
        _ => like_latin(a, b),
    }
}

fn like_latin(a: &Word, b: &Word) -> f32 {
    let (short, long) = if a.text.len() <= b.text.len() { (&a.text, &b.text) } else { (&b.text, &a.text) };
    let alike = short.chars().zip(long.chars()).take_while(|(x, y)| x == y);
    let shared: usize = alike.map(|(letter, _)| letter.len_utf8()).sum();
    if shared >= 4 && derived(&short[shared..], &long[shared..]) {
        return 0.8;
    }
    if (a.known && b.known) || short.chars().count() < 4 || a.named || b.named {
        return 0.0;
    }
    // Where no spaces stand a whole clause is one word, and a letter of it another meaning: 取消订单, 取消订阅.
    if !short.chars().chain(long.chars()).all(|letter| letter < '\u{0590}') {
        return 0.0;
    }
    if denying_prefix(short, long) {
        return 0.0;
    }
    // Who slips gets the first letters right, and of two words that no list knows neither is the other misspelt but by a letter.
    if short.chars().next() != long.chars().next() {
        return 0.0;
    }
    let slips = strsim::osa_distance(short, long);
    let allowed = if short.len() >= 8 && shared >= 2 && (a.known || b.known) { 2 } else { 1 };
    if slips <= allowed { 0.85 } else { 0.0 }
}

/// Whether one of two words denies the other: "unsubscribe", "disconnect".
pub fn denying_prefix(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= 4
        && ["un", "dis", "in", "im", "ir", "il", "non", "de"]
            .iter()
            .any(|p| long.strip_prefix(p) == Some(short))
}

/// Whether what follows a shared head of four letters or more is only derivation.
fn derived(short: &str, long: &str) -> bool {
    const TAILS: &[&str] = &[
        "", "e", "y", "r", "er", "or", "ion", "ation", "ment", "al", "ly", "ness", "ity", "able", "ible",
        "ance", "ence", "ive", "ing", "ings", "ic", "ist", "ism", "ally", "lation", "tion", "t", "d", "ant",
        "ent", "ful", "ate", "ition",
    ];
    TAILS.contains(&short) && TAILS.contains(&long)
}

fn like_hangul(a: &str, b: &str) -> f32 {
    let (x, y) = (jamo(a), jamo(b));
    let shared = x.iter().zip(&y).take_while(|(p, q)| p == q).count();
    let longest = x.len().max(y.len());
    let shortest = x.len().min(y.len());
    if shared >= 4 && (shared * 10 >= longest * 6 || shared == shortest) {
        return 0.8;
    }
    if shared >= 2 && shared == shortest && longest <= shared + 2 {
        return 0.7;
    }
    0.0
}

/// The share of a Hangul word's syllable pairs that the other text has, if at least half.
fn contained(word: &str, joined: &str) -> f32 {
    let syllables: Vec<(usize, char)> = word.char_indices().collect();
    let pairs = syllables.len() - 1;
    let found = (0..pairs)
        .filter(|n| {
            let end = syllables.get(n + 2).map_or(word.len(), |(at, _)| *at);
            joined.contains(&word[syllables[*n].0..end])
        })
        .count();
    let share = found as f32 / pairs as f32;
    match share {
        1.0 => 1.0,
        0.5.. => 0.85 * share,
        _ => 0.0,
    }
}
