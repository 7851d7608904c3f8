//! One answer in a neutral form, from which a plain body or a stream is written.

use super::ask::{ChatAsk, CompletionAsk};
use super::settings::{Answers, Defect};
use super::text::{self, Dice};
use super::tokens;
use super::tools::{self, ToolCall};
use serde_json::{Value, json};

/// Choices that one request may ask for, as at the real API.
pub const MOST_CHOICES: usize = 128;
/// `created` of every answer lies in the 11 days from here (a date in June 2025): fixed by the
/// request's hash rather than by the clock, so that an answer is the same bytes each time.
const CREATED_FROM: u64 = 1_750_000_000;
const CREATED_SPAN: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub struct Answer {
    /// Without its prefix (`chatcmpl-`, `cmpl-`).
    pub id: String,
    pub created: u64,
    pub model: String,
    pub choices: Vec<Choice>,
    pub usage: Counted,
}

/// Exactly one of `content`, `refusal` and `tools` is there.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    pub reasoning: Option<String>,
    pub content: Option<String>,
    pub refusal: Option<String>,
    pub tools: Vec<ToolCall>,
    pub finish: &'static str,
}

/// Tokens of one exchange, counted as `tokens` says. `completion` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
}

impl Counted {
    pub fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
            }
        })
    }
}

/// The answer to a chat request.
pub fn chat(ask: &ChatAsk, answers: Option<&Answers>, defect: Option<Defect>) -> Answer {
    let question = ask.question();
    let calls = tools::calls(ask);
    let count = ask.n.unwrap_or(1).clamp(1, MOST_CHOICES);
    let choices: Vec<Choice> = (0..count as u64)
        .map(|salt| match defect {
            Some(Defect::Refusal) => {
                Choice { refusal: Some(text::REFUSAL.to_owned()), finish: "stop", ..Choice::default() }
            }
            _ if !calls.is_empty() => {
                Choice { tools: calls.clone(), finish: "tool_calls", ..Choice::default() }
            }
            _ => {
                let said = formatted(ask, text::answer(&question, salt, answers), &question);
                let (said, finish) = bounded(said, ask.cap(), defect);
                let reasoning = ask.reasoning_effort.as_ref().map(|_| text::reasoning(&question));
                Choice { reasoning, content: Some(said), finish, ..Choice::default() }
            }
        })
        .collect();
    let texts: Vec<_> = ask.messages.iter().map(|message| message.text()).collect();
    let spoken: u64 = texts.iter().map(|text| tokens::count(text) + tokens::PER_MESSAGE).sum();
    let mut identity = ask.model.clone();
    for (message, text) in ask.messages.iter().zip(&texts) {
        identity.extend(["\u{1e}", &message.role, "\u{1f}", text]);
    }
    whole(&identity, ask.model.clone(), spoken + tokens::PER_PROMPT, choices)
}

/// The answer to a completion request: `n` choices for each prompt, in the prompts' order.
pub fn completion(ask: &CompletionAsk, answers: Option<&Answers>, defect: Option<Defect>) -> Answer {
    let count = ask.n.unwrap_or(1).clamp(1, MOST_CHOICES);
    let mut choices = Vec::new();
    for prompt in ask.prompt.texts() {
        for salt in 0..count as u64 {
            let (said, finish) = bounded(text::answer(prompt, salt, answers), ask.max_tokens, defect);
            let said = if ask.echo == Some(true) { format!("{prompt}{said}") } else { said };
            choices.push(Choice { content: Some(said), finish, ..Choice::default() });
        }
    }
    let prompt_tokens = ask.prompt.texts().iter().map(|prompt| tokens::count(prompt)).sum();
    let identity = format!("{}\u{1e}{}", ask.model, ask.prompt.texts().join("\u{1f}"));
    whole(&identity, ask.model.clone(), prompt_tokens, choices)
}

fn whole(identity: &str, model: String, prompt: u64, choices: Vec<Choice>) -> Answer {
    let mut dice = Dice::new(identity, 0);
    let id = format!("{:016x}{:08x}", dice.roll(), dice.roll() >> 32);
    let mut usage = Counted { prompt, ..Counted::default() };
    for choice in &choices {
        let reasoning = choice.reasoning.as_deref().map_or(0, tokens::count);
        usage.reasoning += reasoning;
        usage.completion += reasoning + choice.spoken();
    }
    Answer { id, created: CREATED_FROM + dice.roll() % CREATED_SPAN, model, choices, usage }
}

/// `said` as the request's `response_format` wants it.
fn formatted(ask: &ChatAsk, said: String, question: &str) -> String {
    let Some(format) = &ask.response_format else { return said };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => json!({"question": question, "answer": said}).to_string(),
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) => tools::filled(schema, question, 6).to_string(),
            None => json!({"answer": said}).to_string(),
        },
        _ => said,
    }
}

/// `said` cut at `cap` tokens, or half-way by a content filter, and the finish reason.
fn bounded(said: String, cap: Option<usize>, defect: Option<Defect>) -> (String, &'static str) {
    if defect == Some(Defect::ContentFilter) {
        let half = tokens::split(&said).count() / 2;
        return (tokens::split(&said).take(half).collect(), "content_filter");
    }
    match cap {
        Some(cap) if tokens::split(&said).nth(cap).is_some() => {
            (tokens::split(&said).take(cap).collect(), "length")
        }
        _ => (said, "stop"),
    }
}

impl Choice {
    /// Tokens of everything but the reasoning.
    fn spoken(&self) -> u64 {
        let words = self.content.as_deref().map_or(0, tokens::count)
            + self.refusal.as_deref().map_or(0, tokens::count);
        words
            + self
                .tools
                .iter()
                .map(|call| tokens::count(&call.name) + tokens::count(&call.arguments))
                .sum::<u64>()
    }
}
