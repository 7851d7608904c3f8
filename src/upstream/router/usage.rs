//! Token counts, picked out of an answer on its way past.

use super::fleet::Place;
use serde::Deserialize;

/// What an answer has said of its tokens so far. A count that is split between two chunks is not seen:
/// the estimate then stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    input: Option<u64>,
    output: Option<u64>,
}

/// The names of OpenAI's APIs, and of Anthropic's.
#[derive(Deserialize)]
struct Usage {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
}

impl Counted {
    /// Looks for the last `"usage": {…}` of a chunk. Inside a JSON string its quotes would be escaped, so
    /// no text of an answer can pass for it. One search of the chunk.
    pub fn read(&mut self, chunk: &[u8]) {
        const NAME: &[u8] = b"\"usage\"";
        let Some(at) = memchr::memmem::rfind(chunk, NAME) else { return };
        let rest = chunk[at + NAME.len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":") else { return };
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Usage>();
        if let Some(Ok(usage)) = values.next() {
            self.input = usage.prompt_tokens.or(self.input);
            self.output = usage.completion_tokens.or(self.output);
        }
    }

    /// Puts the counts in place of the estimate.
    pub fn settle(self, place: &Place) {
        if self.input.is_some() || self.output.is_some() {
            place.road().spent(place.need, self.input.unwrap_or(0), self.output.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(chunks: &[&str]) -> (Option<u64>, Option<u64>) {
        let mut counted = Counted::default();
        chunks.iter().for_each(|chunk| counted.read(chunk.as_bytes()));
        (counted.input, counted.output)
    }

    #[test]
    fn counts_are_found_in_bodies_and_in_streams() {
        let body = "{\"choices\":[{\"message\":{\"content\":\"my \\\"usage\\\":{} grows\"}}],\"usage\": {\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}";
        assert_eq!(counted(&[body]), (Some(9), Some(3)));
        assert_eq!(counted(&["data: {\"usage\":null}\n\n", "data: [DONE]\n\n"]), (None, None));
        let start = "data: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
        let end = "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n";
        assert_eq!(counted(&[start, end]), (Some(25), Some(15)));
        assert_eq!(counted(&["{\"usage\":{\"prompt_tok"]), (None, None));
    }
}
