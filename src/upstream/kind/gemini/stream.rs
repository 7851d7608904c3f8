//! A row of answers as chunks.

use super::super::completion::{self, Chunks, Envelope, Finish, Message, ToolCall, google_signature};
use super::super::translate::Broken;
use super::{Answer, Candidate, Part, Usage, call_id, finish};
use crate::wire::request::Form;
use crate::wire::{Dialect, errors};
use bytes::BytesMut;
use std::collections::BTreeMap;

/// Candidates at most: a bound against an upstream that makes them up.
const MOST_CANDIDATES: usize = 1_024;

/// Follows one answer. Holds counts, no text.
#[derive(Debug)]
pub(in super::super) struct Stream {
    form: Form,
    created: u64,
    /// From the first of the row on.
    chunks: Option<Chunks>,
    candidates: BTreeMap<u64, Begun>,
    usage: Option<Usage>,
    /// An error was passed on.
    failed: bool,
}

#[derive(Debug, Default)]
struct Begun {
    calls: usize,
    ended: bool,
}

impl Stream {
    pub fn new(form: Form, created: u64) -> Stream {
        Stream { form, created, chunks: None, candidates: BTreeMap::new(), usage: None, failed: false }
    }

    pub fn event(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        if self.failed {
            return Ok(());
        }
        let answer: Answer<'_> = serde_json::from_slice(data).map_err(|_| Broken::NotReadable)?;
        let Answer { candidates, prompt_feedback, usage_metadata, model_version, response_id, error } =
            answer;
        if let Some(error) = error {
            self.fail(&error.status, &error.message, out);
            return Ok(());
        }
        let (form, created) = (self.form, self.created);
        self.chunks.get_or_insert_with(|| {
            Chunks::new(Envelope { id: response_id, created, model: model_version }, form)
        });
        self.usage = usage_metadata.or(self.usage);
        for candidate in candidates {
            if let Err(Broken::Unusable(reason)) = self.candidate(candidate, out)? {
                self.fail(&reason, "the model's output could not be used; try again", out);
                return Ok(());
            }
        }
        let blocked = prompt_feedback.and_then(|feedback| feedback.block_reason).is_some();
        if blocked && self.candidates.is_empty() {
            self.begin(0, out)?;
            self.finish(0, Finish::ContentFilter, out)?;
        }
        Ok(())
    }

    /// The connection has ended: after every candidate, so has the answer.
    pub fn end(&self, out: &mut BytesMut) -> Result<(), Broken> {
        if self.failed {
            return Ok(());
        }
        let ended = !self.candidates.is_empty() && self.candidates.values().all(|begun| begun.ended);
        match &self.chunks {
            Some(chunks) if ended => chunks.done(self.usage.map(Usage::json).as_ref(), out),
            _ => return Err(Broken::Cut),
        }
        Ok(())
    }

    fn fail(&mut self, code: &str, message: &str, out: &mut BytesMut) {
        let code = code.to_ascii_lowercase();
        out.extend_from_slice(&errors::stream_error(Dialect::ChatCompletions, &code, message));
        self.failed = true;
    }

    /// The inner error is one that the client is told.
    fn candidate(
        &mut self,
        candidate: Candidate<'_>,
        out: &mut BytesMut,
    ) -> Result<Result<(), Broken>, Broken> {
        let Candidate { index, content, finish_reason } = candidate;
        self.begin(index, out)?;
        for part in content.map(|content| content.parts).unwrap_or_default() {
            self.part(index, part, out)?;
        }
        let Some(reason) = finish_reason else { return Ok(Ok(())) };
        let called = self.candidates.get(&index).is_some_and(|begun| begun.calls > 0);
        match finish(&reason, called) {
            Ok(finish) => self.finish(index, finish, out).map(Ok),
            Err(unusable) => Ok(Err(unusable)),
        }
    }

    fn chunks(&self) -> Result<&Chunks, Broken> {
        self.chunks.as_ref().ok_or(Broken::OutOfOrder)
    }

    fn begin(&mut self, index: u64, out: &mut BytesMut) -> Result<(), Broken> {
        if self.candidates.contains_key(&index) {
            return Ok(());
        }
        if self.candidates.len() >= MOST_CANDIDATES {
            return Err(Broken::TooBig);
        }
        self.candidates.insert(index, Begun::default());
        self.chunks()?.delta(index, &Message::opening(), out);
        Ok(())
    }

    fn finish(&mut self, index: u64, finish: Finish, out: &mut BytesMut) -> Result<(), Broken> {
        let begun = self.candidates.get_mut(&index).ok_or(Broken::OutOfOrder)?;
        if std::mem::replace(&mut begun.ended, true) {
            return Ok(());
        }
        self.chunks()?.finish(index, finish, out);
        Ok(())
    }

    fn part(&mut self, index: u64, part: Part<'_>, out: &mut BytesMut) -> Result<(), Broken> {
        let Part { text, thought, thought_signature, function_call, inline_data } = part;
        let chunks = self.chunks.as_ref().ok_or(Broken::OutOfOrder)?;
        let begun = self.candidates.get_mut(&index).ok_or(Broken::OutOfOrder)?;
        let mut message = Message::default();
        if let Some(call) = function_call {
            let at = begun.calls;
            begun.calls += 1;
            let id = call_id(call.id, chunks.id(), at);
            let arguments = completion::arguments(call.args);
            let call = ToolCall::named(Some(at), id, call.name, arguments).signed(thought_signature);
            message.tool_calls.push(call);
        } else {
            message.extra_content = thought_signature.map(google_signature);
            message.images.extend(inline_data.iter().map(super::Blob::image));
            let text = text.filter(|text| !text.is_empty());
            if thought { message.reasoning_content = text } else { message.content = text.map(Some) }
        }
        let silent = message.content.is_none()
            && message.reasoning_content.is_none()
            && message.tool_calls.is_empty()
            && message.images.is_empty()
            && message.extra_content.is_none();
        if !silent {
            chunks.delta(index, &message, out);
        }
        Ok(())
    }
}
