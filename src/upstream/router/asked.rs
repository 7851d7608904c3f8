//! What the router reads of a request: its model, how long it is, and what its headers bind it to.

use crate::base::fault::{Fault, Kind};
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

pub const REGION: &str = "x-reprise-region";
const TAGS: &str = "x-reprise-tags";

/// The fields of a body that are decided on.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub model: String,
    /// Where the model's JSON text stands in the body, quotes included.
    place: Range<usize>,
    /// Tokens of the answer at most; 0 where the client does not say.
    pub max_tokens: u64,
    /// Whether the client says anything of `logprobs`.
    logprobs: bool,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

impl Asked {
    /// `None` for a body that is not one JSON object with a `model` that is text. One scan, no tree.
    pub fn read(body: &[u8]) -> Option<Asked> {
        let fields: Fields<'_> = serde_json::from_slice(body).ok()?;
        let text = fields.model?.get();
        let model: Cow<'_, str> = serde_json::from_str(text).ok()?;
        // Both are slices of one allocation: the distance is the place.
        let start = (text.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
        let number = |value: Option<&RawValue>| value.and_then(|value| value.get().parse::<u64>().ok());
        let max_tokens = number(fields.max_completion_tokens)
            .or_else(|| number(fields.max_tokens))
            .or_else(|| number(fields.max_output_tokens));
        Some(Asked {
            place: start..start + text.len(),
            model: model.into_owned(),
            max_tokens: max_tokens.unwrap_or(0),
            logprobs: fields.logprobs.is_some(),
        })
    }

    /// The body with another model in place of the client's; every other byte stays.
    pub fn with_model(&self, body: &Bytes, model: &str) -> Bytes {
        if model == self.model {
            return body.clone();
        }
        let quoted = serde_json::Value::from(model).to_string();
        let (before, after) = (&body[..self.place.start], &body[self.place.end..]);
        [before, quoted.as_bytes(), after].concat().into()
    }

    /// The body with `logprobs` asked for, unless the client says something of it.
    pub fn with_logprobs(&self, body: Bytes) -> Bytes {
        match memchr::memchr(b'{', &body).filter(|_| !self.logprobs) {
            None => body,
            Some(open) => {
                let (before, after) = body.split_at(open + 1);
                [before, br#""logprobs":true,"#, after].concat().into()
            }
        }
    }
}

/// How many tokens a body's texts come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// As texts usually do: four letters of ASCII a token, and three tokens for four other characters.
    pub likely: u64,
    /// Hardly any tokenizer makes fewer: eight letters of ASCII a token, and four other characters.
    pub least: u64,
}

/// Longer texts without white space are data in base64, whose tokens have nothing to do with its length.
const LONGEST_WORD: usize = 2_000;

/// Measures every string of a JSON text, names included. Without a tokenizer of each provider this is
/// an estimate, so a limit is enforced by `least` and preferred by `likely`. One pass, no allocation.
pub fn measure(body: &[u8]) -> Tokens {
    let (mut ascii, mut others) = (0u64, 0u64);
    let mut rest = body;
    while let Some(open) = memchr::memchr(b'"', rest) {
        let text = &rest[open + 1..];
        let end = end_of_string(text);
        let (letters, wide) = weigh(&text[..end]);
        ascii += letters;
        others += wide;
        rest = text.get(end + 1..).unwrap_or_default();
    }
    Tokens { likely: ascii / 4 + others * 3 / 4, least: ascii / 8 + others / 4 }
}

fn end_of_string(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

fn weigh(text: &[u8]) -> (u64, u64) {
    let data = text.len() > LONGEST_WORD
        && (text.starts_with(b"data:") || memchr::memchr2(b' ', b'\\', text).is_none())
        && text.is_ascii();
    if data {
        return (0, 0);
    }
    let letters = text.iter().filter(|byte| byte.is_ascii()).count() as u64;
    let wide = text.iter().filter(|byte| **byte >= 0xC0).count() as u64;
    (letters, wide)
}

/// The region that the client binds itself to.
///
/// # Errors
/// `InvalidHeader` where it names several, or none that a header can carry.
pub fn region(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut values = headers.get_all(REGION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str().map(str::trim), values.next()) {
        (Ok(region), None) if !region.is_empty() => Ok(Some(region)),
        _ => Err(Fault::new(
            Kind::InvalidHeader,
            "x-reprise-region cannot be understood; expected one region, for instance eu",
        )),
    }
}

/// Whether the client tagged the request so.
pub fn has_tag(headers: &HeaderMap, (name, value): (&str, &str)) -> bool {
    let lists = headers.get_all(TAGS).iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .filter_map(|tag| tag.split_once('='))
        .any(|(tag, with)| tag.trim() == name && with.trim() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_is_exchanged() {
        let body = Bytes::from_static(
            b"{\n  \"messages\": [{\"model\": \"not this\", \"content\":\"\\u00e9 \\\"model\\\"\"}],\t\"model\" : \"a\\u0062c\" ,\"x\":1e2}",
        );
        let asked = Asked::read(&body).unwrap();
        assert_eq!(asked.model, "abc");
        let sent = asked.with_model(&body, "gpt \"4\"\n");
        let expected =
            String::from_utf8(body.to_vec()).unwrap().replace("\"a\\u0062c\"", "\"gpt \\\"4\\\"\\n\"");
        assert_eq!(sent, expected);
        assert_eq!(asked.with_model(&body, "abc"), body, "the same model: the client's own bytes");
    }

    #[test]
    fn what_names_no_model_is_not_read() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"model\":4}",
            "{\"model\":\"a\",\"model\":\"b\"}",
            "{\"model\":\"a\"",
            "{\"model\":\"a\"}x",
        ] {
            assert_eq!(Asked::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_limit_of_the_answer_is_read_where_it_is_a_number() {
        let limit =
            |text: &str| Asked::read(format!("{{\"model\":\"m\",{text}}}").as_bytes()).unwrap().max_tokens;
        assert_eq!(limit("\"max_tokens\":7"), 7);
        assert_eq!(limit("\"max_tokens\":7,\"max_completion_tokens\":9"), 9);
        assert_eq!(limit("\"max_output_tokens\":5"), 5);
        assert_eq!(limit("\"max_tokens\":\"many\""), 0);
        assert_eq!(limit("\"max_tokens\":null"), 0);
    }

    #[test]
    fn texts_are_measured_and_pictures_are_not() {
        let english = "The quick brown fox jumps over the lazy dog. ".repeat(100);
        let tokens = measure(format!("{{\"content\":\"{english}\"}}").as_bytes());
        // GPT-4o's tokenizer makes ten tokens of the sentence.
        assert!(tokens.least <= 1_000 && tokens.likely >= 1_000, "{tokens:?}");
        let korean = "다람쥐 헌 쳇바퀴에 타고파 ".repeat(100);
        let tokens = measure(format!("{{\"content\":\"{korean}\"}}").as_bytes());
        assert!(tokens.least <= 1_000 && tokens.likely >= 800, "{tokens:?}");
        let picture = format!("{{\"url\":\"data:image/png;base64,{}\"}}", "iVBORw0KGgo".repeat(5_000));
        assert!(measure(picture.as_bytes()).likely < 5);
        assert_eq!(measure(b"\"cut off \\"), measure(b"\"cut off \\\""));
    }

    #[test]
    fn tags_and_regions_are_read() {
        let headers: HeaderMap = [
            (http::HeaderName::from_static(TAGS), "feature=faq, cohort = beta".parse().unwrap()),
            (http::HeaderName::from_static(REGION), " eu ".parse().unwrap()),
        ]
        .into_iter()
        .collect();
        assert!(has_tag(&headers, ("cohort", "beta")) && !has_tag(&headers, ("cohort", "alpha")));
        assert_eq!(region(&headers).unwrap(), Some("eu"));
        assert_eq!(region(&HeaderMap::new()).unwrap(), None);
        let mut twice = headers.clone();
        twice.append(REGION, "us".parse().unwrap());
        assert_eq!(region(&twice).unwrap_err().kind, Kind::InvalidHeader);
    }
}
