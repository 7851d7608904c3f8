//! How the stand-in counts tokens: a simple rule, so that every sum can be checked by hand.
//!
//! One token is the white space before it (if any), and then up to four ASCII letters or digits, or
//! up to two other characters of a script beyond ASCII, or one ASCII sign. The tokens of a text laid
//! end to end are the text. A prompt counts the tokens of each message plus [`PER_MESSAGE`], plus
//! [`PER_PROMPT`]; a streamed answer has one content event for each token.

/// What a message costs beyond its text: role and delimiters.
pub const PER_MESSAGE: u64 = 3;
/// What a chat prompt costs beyond its messages: the opening of the answer.
pub const PER_PROMPT: u64 = 3;

/// The tokens of `text`, in order.
pub fn split(text: &str) -> Tokens<'_> {
    Tokens { rest: text }
}

pub fn count(text: &str) -> u64 {
    split(text).count() as u64
}

pub struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let word = self.rest.trim_start();
        let space = self.rest.len() - word.len();
        let length = match word.chars().next() {
            None if self.rest.is_empty() => return None,
            None => 0,
            Some(first) if first.is_ascii_alphanumeric() => {
                word.bytes().take(4).take_while(u8::is_ascii_alphanumeric).count()
            }
            Some(first) if first.is_ascii() => 1,
            Some(_) => word
                .chars()
                .take(2)
                .take_while(|c| !c.is_ascii() && !c.is_whitespace())
                .map(char::len_utf8)
                .sum(),
        };
        let (token, rest) = self.rest.split_at(space + length);
        self.rest = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_laid_end_to_end_are_the_text() {
        for text in
            ["", "Hello, world!", "환불은 언제 되나요?", "  two  spaces ", "café 12345 — ok\n", "🦀🦀🦀"]
        {
            assert_eq!(split(text).collect::<String>(), text);
            assert!(split(text).all(|token| !token.is_empty()));
        }
    }

    #[test]
    fn the_rule_is_the_one_in_the_docs() {
        assert_eq!(
            split("Where is order 48213?").collect::<Vec<_>>(),
            ["Wher", "e", " is", " orde", "r", " 4821", "3", "?"]
        );
        assert_eq!(split("환불은 언제").collect::<Vec<_>>(), ["환불", "은", " 언제"]);
    }
}
