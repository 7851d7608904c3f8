//! The words of verdicts, in sentences for a person.

use crate::cache::Missed;
use crate::canon::Bypass;
use crate::semantic::verify::Rule;
use crate::tape::CannotPlay;

/// Why a request would not be answered from the cache.
pub(super) fn of_miss(missed: Missed) -> String {
    match missed {
        Missed::Unknown => "nothing fresh is stored that it could be answered from",
        Missed::ExactOnly(bypass) => {
            return format!(
                "nothing is stored for exactly this request, and it is not compared by meaning: {}",
                of_bypass(bypass)
            );
        }
        Missed::BelowThreshold => "the nearest stored question lies below the threshold",
        Missed::BudgetExact => {
            "a stored question is near enough, but the wrong-answer budget of this route is not proven for any \
             threshold, so it serves exact hits only"
        }
        Missed::Observed => "a stored answer would serve, but in observe mode the upstream answers",
        Missed::Refused(rule) => {
            return format!("the nearest stored question is another one: {}", of_rule(rule));
        }
        Missed::EmbedderShed => "the question could not be embedded",
        Missed::TooOld => "an entry is there, but older than the request's max-age or min-fresh allows",
        Missed::CannotPlay(CannotPlay::NoUsage) => {
            "an entry is there, but without the token counts that include_usage asks for"
        }
        Missed::CannotPlay(CannotPlay::NoForm) => {
            "an entry is there, but cannot be written in the form asked for"
        }
        Missed::PartlyKnown => "only some of the inputs are stored",
        Missed::ReportedWrong => "the nearest entry was reported wrong for this question or one like it",
        Missed::Unproven => {
            "an entry would serve, but the upstream has not accepted this caller's credential lately; \
             the request goes upstream once to prove it"
        }
    }
    .to_owned()
}

/// What stands between the two questions.
pub(super) fn of_rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Language => "one is Korean, the other is not",
        Rule::Numbers => "numbers, amounts, dates, codes or ids differ",
        Rule::Quoted => "the quoted text differs",
        Rule::Negation => "one denies what the other affirms",
        Rule::Opposites => "they name two sides of one choice",
        Rule::Order => "the same words stand in other roles",
        Rule::Names => "a name or place differs",
        Rule::Question => "they ask for different things",
        Rule::Words => "a telling word of one has no counterpart in the other",
        Rule::Doubt => "no rule names a difference, but the score is too low to be sure",
    }
}

/// Why the cache, or comparison by meaning, stands aside.
pub(super) fn of_bypass(bypass: Bypass) -> &'static str {
    match bypass {
        Bypass::ClientOff => "the client sent x-reprise-cache: off",
        Bypass::ClientNoStore => "the client sent cache-control: no-store",
        Bypass::ClientNoCache => {
            "the client sent cache-control: no-cache; it is asked upstream, and the answer kept"
        }
        Bypass::RouteOff => "cache.mode is off here",
        Bypass::Unreadable => "the body is no request of this dialect; the upstream shall say so",
        Bypass::DialectUnread => "requests of this dialect are passed through",
        Bypass::NoInput => "there is no input to look up",
        Bypass::ExactOnly => "only exact matches are wanted, by the client's header or by cache.mode",
        Bypass::SemanticOff => "semantic.mode is off here, or no model is loaded",
        Bypass::HasTools => "it offers tools; semantic.tools = true allows that",
        Bypass::HasImage => "it holds an image",
        Bypass::HasAudio => "it holds or asks for audio",
        Bypass::HasFile => "it holds a file",
        Bypass::NoQuestion => "the last message is not a user's, or holds no text",
        Bypass::Continuation => {
            "the question has no content words of its own, so it means what stood before it"
        }
        Bypass::MultiTurn => "it has more turns than are compared by meaning here",
        Bypass::Temperature => "its temperature asks for more variety than is compared by meaning here",
        Bypass::ManyChoices => "it asks for more than one choice",
        Bypass::TooLong => "the question is longer than the model reads, or than is allowed here",
        Bypass::Language => "the question is not in a language that the embedding model covers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_lower_case_without_a_full_stop() {
        for rule in Rule::ALL {
            let sentence = of_miss(Missed::Refused(rule));
            assert!(sentence.starts_with("the nearest") && !sentence.ends_with('.'), "{sentence}");
        }
    }
}
