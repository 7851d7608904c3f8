//! What two answers to one question may not differ in. Answers are prose, longer than questions and freer in their
//! words: the learned score, trained on questions, says nothing about them, and the rules that do are few.

use super::features::compare;
use super::judge::{Rule, bag_is_same, opposites};
use super::reading::{Reading, side_by_side};
use super::slots;

/// Words up to which an answer is one statement, whose polarity and opposites are its meaning. In a longer one some
/// clause denies and some word has an opposite whatever it says.
const STATEMENT: usize = 12;

/// Words up to which two answers made of the same words are read for their order. A longer one is several statements,
/// and those may come in any.
const SENTENCE: usize = 30;

/// How an answer begins that says yes, and one that says no.
const YES: &[&str] = &["yes", "yeah", "yep", "sure", "네", "예"];
const NO: &[&str] = &["no", "nope", "아니요", "아니오", "아뇨"];

/// Whether one text begins with a yes and the other with a no.
pub fn yes_against_no(stored: &str, fresh: &str) -> bool {
    let begins = |text: &str, words: &[&str]| {
        let first = text.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty());
        first.is_some_and(|first| words.contains(&first.to_lowercase().as_str()))
    };
    (begins(stored, YES) && begins(fresh, NO)) || (begins(stored, NO) && begins(fresh, YES))
}

/// The rule by which two answers differ, whatever their embeddings say: another script, other values, other quoted
/// words; of two sentences of the same words, another order; and, of two short ones, a denial or an opposite. Pure; some
/// tens of microseconds for a sentence.
pub fn clash(stored: &Reading, fresh: &Reading) -> Option<Rule> {
    if stored.hangul != fresh.hangul {
        return Some(Rule::Language);
    }
    if slots::differ(stored, fresh, false) {
        return Some(Rule::Numbers);
    }
    if !stored.quoted.is_empty() && !fresh.quoted.is_empty() && stored.quoted != fresh.quoted {
        return Some(Rule::Quoted);
    }
    let longest = stored.words.len().max(fresh.words.len());
    if longest > SENTENCE {
        return None;
    }
    let (stored, fresh) = side_by_side(stored, fresh);
    let compared = compare(&stored, &fresh, 1.0);
    if longest <= STATEMENT {
        if !stored.polarity.agrees(fresh.polarity) {
            return Some(Rule::Negation);
        }
        if opposites(&stored, &fresh, &compared) {
            return Some(Rule::Opposites);
        }
    }
    let turned = compared.order.roles_clash || compared.order.scrambled && !stored.hangul;
    (turned && bag_is_same(&compared)).then_some(Rule::Order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_two_answers() {
        assert!(yes_against_no("Yes, we ship to Canada.", "No, we do not ship to Canada."));
        assert!(yes_against_no("아니요, 안 됩니다.", "네, 됩니다."));
        assert!(!yes_against_no("Yes.", "Sure!") && !yes_against_no("Nothing yet.", "Yes."));
    }

    /// Two words of a script with letters of several bytes once differed inside a letter, and a slice there panicked.
    #[test]
    fn letters_of_several_bytes_are_not_taken_apart() {
        for (a, b) in [
            ("Откройте настройки", "Нажмите в настройках"),
            ("größer ÄÖ", "größeß"),
            ("ąćę żółw", "ąćęż żółć"),
        ] {
            rule(a, b);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_verifier_panic(
            head in "[a-zäéßнаст가나다 0-9]{0,12}", a in "\\PC{0,24}", b in "[a-zäéßнасткий가나다 .,0-9]{0,24}"
        ) {
            let (a, b) = (Reading::of(&format!("{head}{a}")), Reading::of(&format!("{head}{b}")));
            clash(&a, &b);
            let near = super::super::Near { asked: &a, stored: &b, cosine: 0.9, gap: None };
            super::super::judge(&near, crate::config::Strictness::Strict);
        }
    }

    fn rule(a: &str, b: &str) -> Option<Rule> {
        clash(&Reading::of(a), &Reading::of(b))
    }

    #[test]
    fn values_denials_and_opposites_make_another_answer() {
        for (a, b, expected) in [
            ("Refunds take 5 days.", "Refunds take 14 days.", Rule::Numbers),
            ("Yes, you can cancel it.", "No, you cannot cancel it.", Rule::Negation),
            ("Press the left button.", "Press the right button.", Rule::Opposites),
            ("환불은 3일 걸립니다.", "환불은 7일 걸립니다.", Rule::Numbers),
            ("Paris.", "파리입니다.", Rule::Language),
            ("Fly from Rome to Oslo in spring.", "Fly from Oslo to Rome in spring.", Rule::Order),
            (
                "The bank of the buyer sends a notice to the bank of the seller.",
                "The bank of the seller sends a notice to the bank of the buyer.",
                Rule::Order,
            ),
            ("철수가 영희에게 돈을 보냅니다.", "영희가 철수에게 돈을 보냅니다.", Rule::Order),
        ] {
            assert_eq!(rule(a, b), Some(expected), "{a} / {b}");
        }
    }

    #[test]
    fn other_words_alone_do_not() {
        for (a, b) in [
            ("Refunds take 5 days.", "You will have your money back within 5 days."),
            ("Open Settings and choose Security.", "Go to Settings, then pick Security."),
            ("환불은 3일 걸립니다.", "3일 안에 환불해 드립니다."),
            ("Paris is the capital of France.", "The capital of France is Paris."),
            ("After two minutes, restart the router.", "Restart the router after two minutes."),
            ("고객센터는 평일에 운영됩니다.", "평일에 고객센터가 운영됩니다."),
        ] {
            assert_eq!(rule(a, b), None, "{a} / {b}");
        }
    }
}
