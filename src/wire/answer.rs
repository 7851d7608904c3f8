//! What an answer amounts to: how it ended, what it cost, whether it failed.

use super::Dialect;
use super::sse::Event;
use super::tree;
use super::usage::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The data of the event that ends a stream of OpenAI's.
pub const DONE: &[u8] = b"[DONE]";

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    FunctionCall,
    /// A reason that we do not know.
    Other,
}

impl Finish {
    /// Reads `finish_reason`; an empty word is none.
    fn read(word: &str) -> Option<Finish> {
        match word {
            "" => None,
            "stop" => Some(Finish::Stop),
            "length" => Some(Finish::Length),
            "tool_calls" => Some(Finish::ToolCalls),
            "content_filter" => Some(Finish::ContentFilter),
            "function_call" => Some(Finish::FunctionCall),
            _ => Some(Finish::Other),
        }
    }
}

/// What a whole answer, or a stream so far, amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Of the choices that have ended, by index.
    pub finish: Vec<Finish>,
    /// As last reported.
    pub usage: Option<Usage>,
    /// There was an error inside, or something that cannot be read: not to be kept.
    pub error: bool,
    /// The dialect's own end came, after at least one choice, and every choice had ended by then.
    pub terminal: bool,
    pub model: Option<String>,
}

/// What one event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A chunk of the answer, its usage perhaps.
    Chunk,
    /// The end of the stream.
    Done,
    /// An error object, or an event named `error`.
    Error,
    /// Not a chunk of this dialect, not UTF-8, or something after the end.
    Strange,
}

/// A body that is no answer of its dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an answer of this dialect: {0}")]
pub struct NoAnswer(pub String);

/// Follows a stream, event by event. Cost of an event: one scan of its JSON, without a tree.
#[derive(Debug)]
pub struct StreamReader {
    dialect: Dialect,
    /// How each choice seen so far ended.
    choices: BTreeMap<u64, Option<Finish>>,
    usage: Option<Usage>,
    model: Option<String>,
    failed: bool,
    done: bool,
}

impl StreamReader {
    pub fn new(dialect: Dialect) -> StreamReader {
        StreamReader {
            dialect,
            choices: BTreeMap::new(),
            usage: None,
            model: None,
            failed: false,
            done: false,
        }
    }

    pub fn event(&mut self, event: &Event) -> Step {
        let step = self.read(event);
        self.failed |= matches!(step, Step::Error | Step::Strange);
        step
    }

    /// Whether the dialect's own end has come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What the stream amounts to so far.
    pub fn outline(&self) -> Outline {
        let ended = !self.choices.is_empty() && self.choices.values().all(Option::is_some);
        Outline {
            finish: self.choices.values().copied().flatten().collect(),
            usage: self.usage,
            error: self.failed,
            terminal: self.done && ended,
            model: self.model.clone(),
        }
    }

    fn read(&mut self, event: &Event) -> Step {
        if event.name.as_ref() == b"error" {
            return Step::Error;
        }
        if self.done || !matches!(self.dialect, Dialect::ChatCompletions | Dialect::Completions) {
            return Step::Strange;
        }
        if event.data.as_ref() == DONE {
            self.done = true;
            return Step::Done;
        }
        let Ok(chunk) = tree::read::<Chunk<'_>>(&event.data) else { return Step::Strange };
        if chunk.error.is_some() {
            return Step::Error;
        }
        let Some(choices) = chunk.choices else { return Step::Strange };
        for choice in choices {
            let finish = choice.finish_reason.as_deref().and_then(Finish::read);
            let seen = self.choices.entry(choice.index.unwrap_or(0)).or_default();
            *seen = finish.or(*seen);
        }
        self.usage = chunk.usage.or(self.usage);
        if self.model.is_none() {
            self.model = chunk.model.filter(|model| !model.is_empty()).map(Cow::into_owned);
        }
        Step::Chunk
    }
}

/// Reads a plain body. Fails where it is no JSON object (an HTML page, a cut body), where the
/// dialect's parts are missing (`choices` with a finish reason each, `data`), and for a dialect that
/// is not read. A body with an `error` is an answer whose outline says so.
pub fn outline_of_body(dialect: Dialect, body: &[u8]) -> Result<Outline, NoAnswer> {
    let whole: Body<'_> = tree::read(body).map_err(|error| NoAnswer(error.to_string()))?;
    let mut outline = Outline {
        usage: whole.usage,
        error: whole.error.is_some(),
        model: whole.model.map(Cow::into_owned),
        ..Outline::default()
    };
    if outline.error {
        return Ok(outline);
    }
    match dialect {
        Dialect::ChatCompletions | Dialect::Completions => {
            let choices = whole.choices.unwrap_or_default();
            if choices.is_empty() {
                return Err(NoAnswer("it has no `choices`".to_owned()));
            }
            for choice in choices {
                outline.finish.push(finish_of(dialect, &choice)?);
            }
        }
        Dialect::Embeddings => {
            if whole.data.is_none() {
                return Err(NoAnswer("it has no `data`".to_owned()));
            }
        }
        Dialect::Responses | Dialect::Messages => {
            return Err(NoAnswer("it is passed through unread".to_owned()));
        }
    }
    outline.terminal = true;
    Ok(outline)
}

fn finish_of(dialect: Dialect, choice: &BodyChoice<'_>) -> Result<Finish, NoAnswer> {
    let said = match dialect {
        Dialect::ChatCompletions => choice.message.is_some_and(|message| message.get().starts_with('{')),
        _ => choice.text.is_some(),
    };
    let finish = choice.finish_reason.as_deref().and_then(Finish::read);
    match (said, finish) {
        (true, Some(finish)) => Ok(finish),
        (true, None) => Err(NoAnswer("a choice has no `finish_reason`".to_owned())),
        (false, _) => Err(NoAnswer("a choice says nothing".to_owned())),
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(default, deserialize_with = "Usage::of_field")]
    usage: Option<Usage>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    choices: Option<Vec<BodyChoice<'a>>>,
    data: Option<Vec<IgnoredAny>>,
    #[serde(default, deserialize_with = "Usage::of_field")]
    usage: Option<Usage>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct BodyChoice<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}
