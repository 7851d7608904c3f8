//! An answer that passes by the cache, read along for what it cost.

use crate::accounts::Tab;
use crate::accounts::row::Ended;
use crate::base::fault::Fault;
use crate::tape::{self, Recorder};
use crate::upstream::Chunks;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The chunks of `flow`, unchanged. Before the last of them is handed on, `tab` is settled; dropped before
/// that, it books the answer as abandoned.
pub struct Metered {
    flow: Chunks,
    /// Taken when the answer has ended.
    recorder: Option<Recorder>,
    tab: Tab,
    length: Option<usize>,
    received: usize,
}

impl Metered {
    /// `length`: of the body, if the upstream declared it.
    pub fn new(flow: Chunks, recorder: Recorder, tab: Tab, length: Option<usize>) -> Metered {
        Metered { flow, recorder: Some(recorder), tab, length, received: 0 }
    }

    fn read(&mut self, chunk: &Bytes) {
        self.received += chunk.len();
        let Some(recorder) = &mut self.recorder else { return };
        recorder.feed(chunk);
        if recorder.at_end() || self.length == Some(self.received) {
            self.settle(true);
        }
    }

    fn settle(&mut self, clean: bool) {
        let Some(recorder) = self.recorder.take() else { return };
        let recording = recorder.finish(clean);
        self.tab.paid(ended(recording.ended), recording.usage, None);
    }
}

/// As the books call it.
pub(super) fn ended(recording: tape::Ended) -> Ended {
    match recording {
        tape::Ended::Whole | tape::Ended::TooBig => Ended::Whole,
        tape::Ended::Cut => Ended::Cut,
        tape::Ended::Errored | tape::Ended::Unreadable => Ended::Failed,
    }
}

impl Stream for Metered {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.flow.as_mut().poll_next(cx));
        match &next {
            Some(Ok(chunk)) => self.read(chunk),
            Some(Err(_)) => self.settle(false),
            None => self.settle(true),
        }
        Poll::Ready(next)
    }
}
