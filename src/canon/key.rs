//! Exact key, partition and question of a request.
//!
//! ```text
//! scope, dialect, path, headers, fields with the question taken out ─> partition
//! partition, texts of the question                                  ─> exact key
//! ```
//! The exact key is a digest over the partition's digest, so the context, which may be long, is
//! hashed once.

use super::canonical::Canonical;
use super::outline::{Label, Outline};
use super::{Bypass, Question, question};
use crate::base::digest::{ExactKey, Partition, Parts, Scope};
use crate::config::FuzzyPolicy;
use crate::wire::Dialect;
use crate::wire::embeddings::{Input, inputs};
use crate::wire::request::{ChatRequest, CompletionRequest, EmbeddingRequest, Request};
use serde_json::Value;

/// Part of every key. A change of what is hashed, or how, takes a new word.
const EXACT: &str = "reprise-exact-1";
const PARTITION: &str = "reprise-partition-1";

/// What shapes an answer besides the body.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub scope: Scope,
    pub dialect: Dialect,
    /// The path with its query, as received.
    pub path_and_query: &'a str,
    /// Request headers that change the answer (`cache.key_headers`), lower-case name and value,
    /// sorted by name. `x-reprise-*` never belongs here: it speaks to the cache.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// The keys of one request.
#[derive(Clone, Debug)]
pub struct Canon {
    pub exact: ExactKey,
    /// Changes with everything but the question's text. Where no question can be told (`NoQuestion`)
    /// it covers the whole request.
    pub partition: Partition,
    /// The question, or why it may not be compared by meaning.
    pub question: Result<Question, Bypass>,
}

/// Derives the keys. Pure; linear in the request's size; `raw` is only hashed where the JSON holds a
/// number that no double can tell apart (above 2^53 and outside 64 bits): such a request shares its
/// keys with the same bytes only.
///
/// Key order and white space do not count, nor do the fields that shape no answer (`stream`,
/// `stream_options`, `user`, `safety_identifier`, `prompt_cache_key`, `metadata`, `store`,
/// `service_tier`). Everything else does, unknown fields too, and an absent field is not a null one.
///
/// `fuzzy`: when a question may be compared by meaning, or why none may; then it is not judged.
///
/// A batch of embeddings is cached by input: see `embedding_keys`; its own exact key here is for the
/// batch as it is written.
pub fn canon(
    request: &Request,
    raw: &[u8],
    around: &Circumstances<'_>,
    fuzzy: Result<&FuzzyPolicy, Bypass>,
) -> Canon {
    let (texts, context, question) = match request {
        Request::Chat(chat) => {
            let texts = question::of_chat(&chat.messages);
            let context = chat_context(chat, &texts, room(raw));
            let question = fuzzy.and_then(|policy| question::judge_chat(chat, &texts, policy));
            (texts, context, question)
        }
        Request::Completion(completion) => {
            let texts: Vec<&str> = question::of_completion(&completion.prompt).into_iter().collect();
            let context = completion_context(completion, &texts, room(raw));
            let question = fuzzy.and_then(|policy| question::judge_completion(completion, &texts, policy));
            (texts, context, question)
        }
        Request::Embedding(embedding) => {
            let mut context = embedding_context(embedding, room(raw));
            context.field("input", Some(&embedding.input));
            (Vec::new(), context, Err(Bypass::ExactOnly))
        }
    };
    let partition = partition(&context, raw, around);
    Canon { exact: exact(partition, &texts), partition, question }
}

/// What the partition of this request is made of, field by field; for explanations, off the hot path.
/// Two requests of one scope have the same partition exactly where their outlines do not differ.
/// Costs what `canon` does.
pub fn outline(request: &Request, raw: &[u8], around: &Circumstances<'_>) -> Outline {
    let out = Canonical::in_sections(raw.len() + 256);
    let context = match request {
        Request::Chat(chat) => chat_context(chat, &question::of_chat(&chat.messages), out),
        Request::Completion(completion) => {
            let texts: Vec<&str> = question::of_completion(&completion.prompt).into_iter().collect();
            completion_context(completion, &texts, out)
        }
        Request::Embedding(embedding) => {
            let mut context = embedding_context(embedding, out);
            context.field("input", Some(&embedding.input));
            context
        }
    };
    Outline::of(&context, raw, around)
}

fn room(raw: &[u8]) -> Canonical {
    Canonical::with_capacity(raw.len() + 256)
}

/// One exact key for each input of a batch, in order: the key of the request that asks for this input
/// alone, whether as `"a"` or as `["a"]`. Empty for an empty batch. Cost: the fields around the input
/// are hashed once, then each input.
pub fn embedding_keys(embedding: &EmbeddingRequest, raw: &[u8], around: &Circumstances<'_>) -> Vec<ExactKey> {
    let context = embedding_context(embedding, Canonical::with_capacity(512));
    let shared = partition(&context, raw, around);
    let mut keys = Vec::new();
    for input in inputs(embedding) {
        let mut one = Canonical::with_capacity(64);
        match input {
            Input::Text(text) => one.text(text),
            Input::Tokens(tokens) => tokens_alone(tokens, &mut one),
        }
        let mut parts = Parts::new(EXACT);
        parts.part("context", &shared.0).part("input", &one.bytes);
        keys.push(parts.finish());
    }
    keys
}

fn tokens_alone(tokens: &[Value], out: &mut Canonical) {
    out.list(tokens.len());
    for token in tokens {
        out.value(token);
    }
}

fn partition(context: &Canonical, raw: &[u8], around: &Circumstances<'_>) -> Partition {
    let Circumstances { scope, dialect, path_and_query, headers } = around;
    let mut parts = Parts::new(PARTITION);
    parts.part("scope", &scope.0);
    parts.part("dialect", dialect.word().as_bytes());
    parts.part("target", path_and_query.as_bytes());
    for (name, value) in *headers {
        parts.part("header", name.as_bytes()).part("value", value);
    }
    parts.part("fields", &context.bytes);
    if context.lossy {
        parts.part("raw", raw);
    }
    parts.finish()
}

fn exact(partition: Partition, texts: &[&str]) -> ExactKey {
    let mut parts = Parts::new(EXACT);
    parts.part("context", &partition.0);
    for text in texts {
        parts.part("question", text.as_bytes());
    }
    parts.finish()
}

/// Destructured whole: a new field does not compile until somebody judges it.
fn chat_context(chat: &ChatRequest, texts: &[&str], mut out: Canonical) -> Canonical {
    let ChatRequest {
        model,
        messages,
        temperature,
        top_p,
        n,
        stop,
        max_tokens,
        max_completion_tokens,
        presence_penalty,
        frequency_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
        seed,
        response_format,
        tools,
        tool_choice,
        parallel_tool_calls,
        functions,
        function_call,
        reasoning_effort,
        modalities,
        audio,
        prediction,
        web_search_options,
        verbosity,
        // They shape no answer.
        stream: _,
        stream_options: _,
        user: _,
        safety_identifier: _,
        prompt_cache_key: _,
        metadata: _,
        store: _,
        service_tier: _,
        rest,
    } = chat;
    out.section(|| Label::shown("model", model), |out| out.text(model));
    messages_around(messages, texts, &mut out);
    out.field("temperature", temperature.as_ref());
    out.field("top_p", top_p.as_ref());
    out.field("n", n.as_ref());
    out.field("stop", stop.as_ref());
    out.field("max_tokens", max_tokens.as_ref());
    out.field("max_completion_tokens", max_completion_tokens.as_ref());
    out.field("presence_penalty", presence_penalty.as_ref());
    out.field("frequency_penalty", frequency_penalty.as_ref());
    out.field("logit_bias", logit_bias.as_ref());
    out.field("logprobs", logprobs.as_ref());
    out.field("top_logprobs", top_logprobs.as_ref());
    out.field("seed", seed.as_ref());
    out.field("response_format", response_format.as_ref());
    out.field("tools", tools.as_ref());
    out.field("tool_choice", tool_choice.as_ref());
    out.field("parallel_tool_calls", parallel_tool_calls.as_ref());
    out.field("functions", functions.as_ref());
    out.field("function_call", function_call.as_ref());
    out.field("reasoning_effort", reasoning_effort.as_ref());
    out.field("modalities", modalities.as_ref());
    out.field("audio", audio.as_ref());
    out.field("prediction", prediction.as_ref());
    out.field("web_search_options", web_search_options.as_ref());
    out.field("verbosity", verbosity.as_ref());
    out.others(rest);
    out
}

/// All messages; in the last one the question's texts are left out.
fn messages_around(messages: &[Value], texts: &[&str], out: &mut Canonical) {
    out.list(messages.len());
    let whole = if texts.is_empty() { messages.len() } else { messages.len() - 1 };
    for (at, message) in messages[..whole].iter().enumerate() {
        out.section(|| Label::of_message(&messages[..=at]), |out| out.value(message));
    }
    for last in &messages[whole..] {
        let Value::Object(members) = last else { continue };
        let write = |out: &mut Canonical| {
            out.object(members, |name, value, out| match name {
                "content" => content_around(value, out),
                _ => out.value(value),
            });
        };
        out.section(|| Label::hidden("form of the question"), write);
    }
}

/// The content of the question: a string, or parts that are all text.
fn content_around(content: &Value, out: &mut Canonical) {
    let Value::Array(parts) = content else {
        out.question();
        return;
    };
    out.list(parts.len());
    for part in parts {
        if let Value::Object(members) = part {
            out.object(members, |name, value, out| match name {
                "text" => out.question(),
                _ => out.value(value),
            });
        }
    }
}

fn completion_context(completion: &CompletionRequest, texts: &[&str], mut out: Canonical) -> Canonical {
    let CompletionRequest {
        model,
        prompt,
        temperature,
        top_p,
        n,
        best_of,
        stop,
        max_tokens,
        presence_penalty,
        frequency_penalty,
        logit_bias,
        logprobs,
        echo,
        suffix,
        seed,
        // They shape no answer.
        stream: _,
        stream_options: _,
        user: _,
        metadata: _,
        store: _,
        service_tier: _,
        rest,
    } = completion;
    out.section(|| Label::shown("model", model), |out| out.text(model));
    let label = if texts.is_empty() { "prompt" } else { "form of the prompt" };
    let write = |out: &mut Canonical| match prompt {
        _ if texts.is_empty() => out.value(prompt),
        Value::Array(prompts) => {
            out.list(prompts.len());
            out.question();
        }
        _ => out.question(),
    };
    out.section(|| Label::hidden(label), write);
    out.field("temperature", temperature.as_ref());
    out.field("top_p", top_p.as_ref());
    out.field("n", n.as_ref());
    out.field("best_of", best_of.as_ref());
    out.field("stop", stop.as_ref());
    out.field("max_tokens", max_tokens.as_ref());
    out.field("presence_penalty", presence_penalty.as_ref());
    out.field("frequency_penalty", frequency_penalty.as_ref());
    out.field("logit_bias", logit_bias.as_ref());
    out.field("logprobs", logprobs.as_ref());
    out.field("echo", echo.as_ref());
    out.field("suffix", suffix.as_ref());
    out.field("seed", seed.as_ref());
    out.others(rest);
    out
}

/// Everything but the input, which the caller writes or keys by itself.
fn embedding_context(embedding: &EmbeddingRequest, mut out: Canonical) -> Canonical {
    let EmbeddingRequest { model, input: _, encoding_format, dimensions, user: _, rest } = embedding;
    out.section(|| Label::shown("model", model), |out| out.text(model));
    out.field("encoding_format", encoding_format.as_ref());
    out.field("dimensions", dimensions.as_ref());
    out.others(rest);
    out
}
