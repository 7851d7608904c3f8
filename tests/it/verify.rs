//! The adversarial pairs, judged as `strict` judges them. Cosines are the multilingual model's, recorded in the files.

use reprise::config::Strictness;
use reprise::semantic::verify::{Judgement, Near, Reading, judge};
use std::collections::BTreeMap;

/// Of one file: how many different pairs were refused and how many paraphrases passed, in percent, and what went wrong.
struct Tally {
    refused: f64,
    passed: f64,
    wrong: Vec<String>,
}

fn tally(pairs: &str) -> Tally {
    let mut counts: BTreeMap<(bool, bool), u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in pairs.lines() {
        let pair: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| pair[field].as_str().unwrap().to_owned();
        let (asked, stored) = (Reading::of(&text("a")), Reading::of(&text("b")));
        let cosine = pair["cosine"].as_f64().unwrap() as f32;
        let same = pair["same"].as_bool().unwrap();
        let near = Near { asked: &asked, stored: &stored, cosine, gap: None };
        let served = matches!(judge(&near, Strictness::Strict), Judgement::Same { .. });
        *counts.entry((same, served)).or_default() += 1;
        if served && !same {
            wrong.push(format!("{}: {} | {}", text("rule"), text("a"), text("b")));
        }
    }
    let count = |same, served| f64::from(counts.get(&(same, served)).copied().unwrap_or(0));
    Tally {
        refused: 100.0 * count(false, false) / (count(false, false) + count(false, true)),
        passed: 100.0 * count(true, true) / (count(true, true) + count(true, false)),
        wrong,
    }
}

#[test]
fn english_traps_are_refused_and_paraphrases_pass() {
    let found = tally(include_str!("../verify_pairs/en.jsonl"));
    assert!(found.refused >= 97.0, "{} % refused: {:#?}", found.refused, found.wrong);
    assert!(found.passed >= EN_PASS, "{} % passed", found.passed);
}

#[test]
fn korean_traps_are_refused_and_paraphrases_pass() {
    let found = tally(include_str!("../verify_pairs/ko.jsonl"));
    assert!(found.refused >= 97.0, "{} % refused: {:#?}", found.refused, found.wrong);
    assert!(found.passed >= KO_PASS, "{} % passed", found.passed);
}

/// Measured floors, in percent, not the aim: 85 is the aim of both, and both fall short of it (82.7 and 70.8).
const EN_PASS: f64 = 80.0;
const KO_PASS: f64 = 68.0;

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
