//! Google's `generateContent` and `streamGenerateContent?alt=sse`.
//!
//! From its public reference: the model stands in the path; the model's turns have the role `model`;
//! a stream is a row of whole answers that each bring more, with no event of its own at the end;
//! `candidatesTokenCount` does not count the thoughts.
//!
//! | file | has |
//! |---|---|
//! | `request` | a chat request as a `generateContent` request |
//! | `settings` | its `generationConfig` and `toolConfig` |
//! | `answer` | a whole answer as a chat completion |
//! | `stream` | its row of answers as chunks |

mod answer;
mod request;
mod settings;
mod stream;

pub(super) use answer::body;
pub(super) use request::request;
pub(super) use stream::Stream;

use super::completion::{Counts, Finish};
use super::translate::Broken;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) const PROVIDER: &str = "the Gemini API";

/// A whole answer, or one of the row that a stream is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Candidate<'a>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
    #[serde(default)]
    model_version: String,
    #[serde(default)]
    response_id: String,
    error: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
    inline_data: Option<Blob>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    mime_type: String,
    data: String,
}

impl Blob {
    fn image(&self) -> Value {
        json!({"type": "image_url", "image_url": {"url": format!("data:{};base64,{}", self.mime_type, self.data)}})
    }
}

/// The prompt was refused; there is no candidate then.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Usage {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

impl Usage {
    fn json(self) -> Value {
        Counts {
            prompt: self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count),
            completion: self.candidates_token_count.saturating_add(self.thoughts_token_count),
            cached: Some(self.cached_content_token_count),
            reasoning: Some(self.thoughts_token_count),
        }
        .json()
    }
}

/// Answers that ended because the model's own output could not be used are no answers. What we do not
/// know counts as cut short: such an answer is never kept.
fn finish(reason: &str, called: bool) -> Result<Finish, Broken> {
    match reason {
        "STOP" if called => Ok(Finish::ToolCalls),
        "STOP" => Ok(Finish::Stop),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ok(Finish::ContentFilter),
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Err(Broken::Unusable(reason.to_owned())),
        _ => Ok(Finish::Length),
    }
}

/// The id of a call that has none: it must not meet another call's of the same conversation.
fn call_id(given: Option<String>, response: &str, index: usize) -> String {
    given.unwrap_or_else(|| format!("call_{response}_{index}"))
}
