//! Whether one answer serves both questions.
//!
//! The cosine only says that two questions are near; what they must agree in is read from the texts:
//! numbers, amounts, dates, codes, addresses and quoted text, compared as multisets.

mod tokens;

use crate::config::Strictness;

/// Why a near neighbour was refused. The word is the value of `x-reprise-reason` on a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Nearer neighbours are needed.
    Threshold,
    /// Numbers, amounts, dates, codes or ids differ.
    Numbers,
    /// Quoted text or code differs.
    Quoted,
    /// Mail addresses, web addresses or paths differ.
    Addresses,
}

impl Rule {
    pub fn word(self) -> &'static str {
        match self {
            Rule::Threshold => "below_threshold",
            Rule::Numbers => "numbers_differ",
            Rule::Quoted => "quoted_differs",
            Rule::Addresses => "addresses_differ",
        }
    }
}

/// The verifier's word on one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judgement {
    Same,
    Different(Rule),
}

/// Judges whether the answer to `stored` also answers `asked`. Pure; microseconds for short texts,
/// linear in their length. With `Strictness::Off` the cosine alone decides.
pub fn judge(asked: &str, stored: &str, cosine: f32, threshold: f32, strictness: Strictness) -> Judgement {
    // A cosine or a threshold that is no number refuses too.
    if cosine < threshold || cosine.is_nan() || threshold.is_nan() {
        return Judgement::Different(Rule::Threshold);
    }
    if strictness == Strictness::Off || asked == stored {
        return Judgement::Same;
    }
    let (asked, stored) = (tokens::read(asked), tokens::read(stored));
    if asked.quoted != stored.quoted {
        Judgement::Different(Rule::Quoted)
    } else if asked.addresses != stored.addresses {
        Judgement::Different(Rule::Addresses)
    } else if asked.numbers != stored.numbers {
        Judgement::Different(Rule::Numbers)
    } else {
        Judgement::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruled(asked: &str, stored: &str) -> Judgement {
        judge(asked, stored, 0.95, 0.85, Strictness::Strict)
    }

    #[test]
    fn different_numbers_codes_and_dates_are_different_questions() {
        for (asked, stored) in [
            ("where is order 1001?", "where is order 1002?"),
            ("refund 160 dollars", "refund 1.60 dollars"),
            ("what happened on 2024-05-01", "what happened on 2024-05-02"),
            ("what is error E1234", "what is error E1235"),
            ("주문 1001 어디 있어요", "주문 1002 어디 있어요"),
            ("convert 3 to 5", "convert 3 to 3"),
            ("status of AB-12", "status of AB-13"),
            ("transfer 10 dollars", "transfer some dollars"),
            ("is it -5 degrees", "is it 5 degrees"),
        ] {
            assert_eq!(ruled(asked, stored), Judgement::Different(Rule::Numbers), "{asked} / {stored}");
        }
    }

    #[test]
    fn numbers_written_in_other_ways_are_the_same() {
        for (asked, stored) in [
            ("is 1,000 enough", "is 1000 enough?"),
            ("주문 １００１ 배송", "주문 1001 배송"),
            ("order #1001 please", "please, order 1001"),
            ("what is error e1234", "what is error E1234?"),
            ("pay 5.00 now", "pay 5.0 now"),
            ("add 2 and 3", "3 and 2, add"),
        ] {
            assert_eq!(ruled(asked, stored), Judgement::Same, "{asked} / {stored}");
        }
    }

    #[test]
    fn leading_zeros_make_another_code() {
        assert_eq!(ruled("track 00123", "track 123"), Judgement::Different(Rule::Numbers));
    }

    #[test]
    fn different_quotes_and_addresses_are_different_questions() {
        let quoted = Judgement::Different(Rule::Quoted);
        assert_eq!(ruled("translate \"good day\"", "translate \"good night\""), quoted);
        assert_eq!(ruled("translate “good day”", "translate \"good day\""), Judgement::Same);
        assert_eq!(ruled("what does `ls -l` do", "what does `ls -a` do"), quoted);
        assert_eq!(ruled("「水」の読み方", "「火」の読み方"), quoted);
        let addresses = Judgement::Different(Rule::Addresses);
        assert_eq!(ruled("mail bob@example.com", "mail ann@example.com"), addresses);
        assert_eq!(ruled("open https://a.example/x", "open https://a.example/y"), addresses);
    }

    #[test]
    fn an_apostrophe_is_no_quote() {
        assert_eq!(ruled("I can't log in, what's up", "I cannot log in, what is up"), Judgement::Same);
    }

    #[test]
    fn below_the_threshold_nothing_is_the_same_and_no_number_is_above_it() {
        for cosine in [0.84, f32::NAN] {
            let judged = judge("a question", "a question", cosine, 0.85, Strictness::Strict);
            assert_eq!(judged, Judgement::Different(Rule::Threshold));
        }
    }

    #[test]
    fn switched_off_only_the_cosine_decides() {
        assert_eq!(judge("order 1", "order 2", 0.9, 0.85, Strictness::Off), Judgement::Same);
    }
}
