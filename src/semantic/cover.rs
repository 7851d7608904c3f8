//! Which languages a model covers, and whether a text is in one.
//!
//! Script decides first: it is certain, and it is where a wrong guess is dangerous (to an English
//! model every Korean word is the same unknown token, so unlike questions get like vectors). Among
//! languages of one script only a long text is told apart, and only when the guess is beyond doubt.

use crate::canon::Bypass;
use unicode_script::{Script, UnicodeScript};
use whatlang::{Detector, Lang};

/// Letters from which the language of a text is guessed at all.
const GUESS_FROM: usize = 40;

/// The languages of one model. Checking a text takes 1 to 30 µs.
pub struct Cover {
    scripts: Vec<Script>,
    languages: Vec<Lang>,
    detector: Detector,
}

impl Cover {
    /// `languages` are ISO 639-3 codes; one that is not known counts for nothing.
    pub fn of(languages: &[String]) -> Cover {
        let known: Vec<Lang> = languages.iter().filter_map(Lang::from_code).collect();
        let scripts = languages.iter().flat_map(|code| scripts(code)).copied().collect();
        Cover { scripts, languages: known, detector: Detector::new() }
    }

    /// Refuses a text without letters, with a letter of a script that the model does not cover, or
    /// that is beyond doubt in another language. Up to two Greek letters pass anywhere, as symbols.
    pub fn check(&self, text: &str) -> Result<(), Bypass> {
        let (mut letters, mut greek) = (0usize, 0usize);
        for letter in text.chars().filter(|c| c.is_alphabetic()) {
            letters += 1;
            match letter.script() {
                Script::Common | Script::Inherited => {}
                script if self.scripts.contains(&script) => {}
                Script::Greek if greek < 2 => greek += 1,
                _ => return Err(Bypass::Language),
            }
        }
        if letters == 0 {
            return Err(Bypass::Language);
        }
        match letters >= GUESS_FROM && self.is_surely_another(text) {
            true => Err(Bypass::Language),
            false => Ok(()),
        }
    }

    fn is_surely_another(&self, text: &str) -> bool {
        match self.detector.detect(text) {
            Some(guess) => guess.is_reliable() && !self.languages.contains(&guess.lang()),
            None => false,
        }
    }
}

/// The scripts a language is written in. Digits and punctuation belong to none.
fn scripts(code: &str) -> &'static [Script] {
    match code {
        "jpn" => &[Script::Han, Script::Hiragana, Script::Katakana, Script::Latin],
        // Chinese and Korean prose names products and commands in Latin letters.
        "cmn" | "zho" => &[Script::Han, Script::Bopomofo, Script::Latin],
        "kor" => &[Script::Hangul, Script::Latin],
        "ara" | "fas" | "pes" | "urd" => &[Script::Arabic],
        "rus" | "ukr" | "bul" | "bel" | "mkd" | "srp" => &[Script::Cyrillic],
        "tha" => &[Script::Thai],
        "heb" => &[Script::Hebrew],
        "ell" => &[Script::Greek],
        "hin" | "mar" | "nep" => &[Script::Devanagari],
        "ben" => &[Script::Bengali],
        "tam" => &[Script::Tamil],
        "tel" => &[Script::Telugu],
        "guj" => &[Script::Gujarati],
        "kan" => &[Script::Kannada],
        "mal" => &[Script::Malayalam],
        "pan" => &[Script::Gurmukhi],
        "kat" => &[Script::Georgian],
        "hye" => &[Script::Armenian],
        "amh" => &[Script::Ethiopic],
        "khm" => &[Script::Khmer],
        "mya" => &[Script::Myanmar],
        "sin" => &[Script::Sinhala],
        _ => &[Script::Latin],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> Cover {
        Cover::of(&["eng".to_owned()])
    }

    fn multilingual() -> Cover {
        Cover::of(&["eng", "kor", "jpn", "cmn", "deu", "fra", "rus"].map(str::to_owned))
    }

    #[test]
    fn an_english_model_reads_english_and_no_korean_word_in_it() {
        for text in ["how do I reset my password?", "hi", "what is π r²?", "order 1001 status", "naïve café"]
        {
            assert_eq!(english().check(text), Ok(()), "{text}");
        }
        for text in [
            "비밀번호를 잊었어요",
            "Pod가 CrashLoopBackOff 상태",
            "what does 안녕 mean?",
            "как дела",
            "水は何?",
        ] {
            assert_eq!(english().check(text), Err(Bypass::Language), "{text}");
        }
    }

    #[test]
    fn a_multilingual_model_reads_mixed_text_of_its_languages_only() {
        for text in
            ["Pod가 CrashLoopBackOff 상태예요", "パスワードを忘れました", "密码忘了怎么办", "как дела"]
        {
            assert_eq!(multilingual().check(text), Ok(()), "{text}");
        }
        for text in ["नमस्ते दुनिया", "สวัสดี", "שלום"] {
            assert_eq!(multilingual().check(text), Err(Bypass::Language), "{text}");
        }
    }

    #[test]
    fn a_long_french_text_is_refused_by_an_english_model_and_a_short_one_is_not_guessed_at() {
        let long =
            "Bonjour, je voudrais savoir comment réinitialiser le mot de passe de mon compte s'il vous plaît";
        assert_eq!(english().check(long), Err(Bypass::Language));
        assert_eq!(multilingual().check(long), Ok(()));
        assert_eq!(english().check("mot de passe"), Ok(()));
    }

    #[test]
    fn a_text_without_letters_has_no_meaning_to_compare() {
        for text in ["", "1 + 1 = ?", "👍", "…"] {
            assert_eq!(english().check(text), Err(Bypass::Language), "{text}");
        }
    }
}
