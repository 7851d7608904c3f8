//! The adversarial pairs, judged as `strict` judges them. Cosines are the multilingual model's, recorded in the files.

use reprise::config::Strictness;
use reprise::semantic::verify::{Judgement, Near, Reading, judge};
use std::collections::BTreeMap;

/// Of one file: how many different pairs were refused and how many paraphrases passed, in percent, and what went wrong.
struct Tally {
    refused: f64,
    passed: f64,
    wrong: Vec<String>,
    missed: Vec<String>,
}

fn tally(pairs: &str) -> Tally {
    let mut counts: BTreeMap<(bool, bool), u32> = BTreeMap::new();
    let (mut wrong, mut missed) = (Vec::new(), Vec::new());
    for line in pairs.lines() {
        let pair: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| pair[field].as_str().unwrap().to_owned();
        let (asked, stored) = (Reading::of(&text("a")), Reading::of(&text("b")));
        let cosine = pair["cosine"].as_f64().unwrap() as f32;
        let same = pair["same"].as_bool().unwrap();
        let near = Near { asked: &asked, stored: &stored, cosine, gap: None };
        let served = matches!(judge(&near, Strictness::Strict), Judgement::Same { .. });
        *counts.entry((same, served)).or_default() += 1;
        if served != same {
            let list = if served { &mut wrong } else { &mut missed };
            list.push(format!("{}: {} | {}", text("rule"), text("a"), text("b")));
        }
    }
    let count = |same, served| f64::from(counts.get(&(same, served)).copied().unwrap_or(0));
    Tally {
        refused: 100.0 * count(false, false) / (count(false, false) + count(false, true)),
        passed: 100.0 * count(true, true) / (count(true, true) + count(true, false)),
        wrong,
        missed,
    }
}

const ENGLISH: &str = include_str!("../verify_pairs/en.jsonl");
const KOREAN: &str = include_str!("../verify_pairs/ko.jsonl");

#[test]
fn of_all_traps_nearly_every_one_is_refused_and_most_paraphrases_pass() {
    let found = tally(&[ENGLISH, KOREAN].concat());
    assert!(found.refused >= 97.0, "{} % refused: {:#?}", found.refused, found.wrong);
    assert!(found.passed >= 85.0, "{} % passed: {:#?}", found.passed, found.missed);
}

#[test]
fn each_language_holds_its_own_floor() {
    for (pairs, floor) in [(ENGLISH, EN_PASS), (KOREAN, KO_PASS)] {
        let found = tally(pairs);
        assert!(found.refused >= 97.0, "{} % refused: {:#?}", found.refused, found.wrong);
        assert!(found.passed >= floor, "{} % passed: {:#?}", found.passed, found.missed);
    }
}

/// A little below what was measured (87.1 and 85.7), in percent.
const EN_PASS: f64 = 86.0;
const KO_PASS: f64 = 83.0;

/// Pairs that language models wrote without having seen rules or lists, on support, work and open questions, half of them paraphrases: easy ones (manners,
/// spelling), middling (a word or two, the build of the sentence) and hard (all of it). Every other pair was read
/// afterwards to mend what it showed; of those never read 98.2 % (English) and 95.9 % (Korean) of the different ones are refused.
const FRESH_ENGLISH: &str = include_str!("../verify_pairs/fresh_en.jsonl");
const FRESH_KOREAN: &str = include_str!("../verify_pairs/fresh_ko.jsonl");

/// Of the pairs above the default threshold, percent refused of the different ones, passed of the easy ones and of all the same: a little
/// below what was measured (99.1, 89.2, 59.8; 97.1, 74.2, 54.3).
const FRESH: [(&str, [f64; 3]); 2] =
    [(FRESH_ENGLISH, [98.0, 87.0, 57.0]), (FRESH_KOREAN, [96.5, 72.0, 52.0])];

#[test]
fn pairs_by_writers_who_knew_no_rule_are_refused_as_surely() {
    for (pairs, [refused, easy, passed]) in FRESH {
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let near = |line: &&str| read(line)["cosine"].as_f64().unwrap() >= 0.70;
        let only = |keep: &dyn Fn(&str) -> bool| {
            let lines: Vec<&str> = pairs.lines().filter(near).filter(|line| keep(line)).collect();
            tally(&lines.join("\n"))
        };
        let all = only(&|_| true);
        assert!(all.refused >= refused, "{} % refused: {:#?}", all.refused, all.wrong);
        assert!(all.passed >= passed, "{} % passed: {:#?}", all.passed, all.missed);
        let simple = only(&|line| read(line)["rule"] == "easy");
        assert!(simple.passed >= easy, "{} % of the easy ones passed: {:#?}", simple.passed, simple.missed);
    }
}

#[test]
fn the_set_is_large_half_paraphrases_and_has_every_rule_in_both_languages() {
    let mut sames = 0;
    let mut count = 0;
    for pairs in [ENGLISH, KOREAN] {
        let mut rules = BTreeMap::new();
        for line in pairs.lines() {
            let pair: serde_json::Value = serde_json::from_str(line).unwrap();
            let same = pair["same"].as_bool().unwrap();
            (count, sames) = (count + 1, sames + usize::from(same));
            *rules.entry(pair["rule"].as_str().unwrap().to_owned()).or_insert(0) += usize::from(!same);
        }
        for rule in
            ["numbers", "negation", "opposites", "order", "names", "question", "words", "quoted", "language"]
        {
            assert!(rules.get(rule).is_some_and(|traps| *traps > 0), "{rule}");
        }
    }
    assert!(count >= 400 && sames * 2 >= count, "{count} pairs, {sames} of them the same");
}

#[test]
fn odd_texts_are_read_without_a_panic() {
    for text in [
        "",
        " ",
        "?",
        "'",
        "\"",
        "12:",
        "@",
        "한",
        "ㅋㅋ",
        "a_é",
        "x:",
        "ABC-1é",
        "🦀",
        "10:99",
        "0000-13-40",
    ] {
        let reading = Reading::of(text);
        assert!(reading.bytes() > 0);
        let near = Near { asked: &reading, stored: &reading, cosine: 1.0, gap: None };
        judge(&near, Strictness::Strict);
    }
}
