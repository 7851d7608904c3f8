//! The last word of an event stream that broke off: the dialect's own error event.
//!
//! Its status has long gone out, so a client can only be told inside the stream. SDKs raise on such an
//! event; a connection that is merely cut, they take for a network failure, or for the end.

use super::{Reply, ReplyBody};
use crate::base::fault::Fault;
use crate::upstream::Chunks;
use crate::wire::is_event_stream;
use crate::wire::{Dialect, errors};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An event stream that breaks off between two events ends in an error event, and then as streams do.
/// Where that cannot be said, in mid-event, in a coded stream or under a declared length, the connection
/// is cut as before. Costs a box a stream and a look at the last bytes of each chunk.
pub fn with_error_event(dialect: Dialect, mut reply: Reply) -> Reply {
    if let ReplyBody::Flow(body) = reply.body {
        let body: Chunks = match is_open_event_stream(&reply.headers) {
            true => Box::pin(Closing { body, dialect, tail: [b'\n'; 4], over: false }),
            false => body,
        };
        reply.body = ReplyBody::Flow(body);
    }
    reply
}

fn is_open_event_stream(headers: &HeaderMap) -> bool {
    is_event_stream(headers)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(CONTENT_ENCODING)
}

struct Closing {
    body: Chunks,
    dialect: Dialect,
    /// The last bytes that went out.
    tail: [u8; 4],
    over: bool,
}

impl Closing {
    fn passed(&mut self, chunk: &[u8]) {
        let kept = self.tail.len().saturating_sub(chunk.len());
        let len = self.tail.len();
        self.tail.copy_within(len - kept.., 0);
        self.tail[kept..].copy_from_slice(&chunk[chunk.len().saturating_sub(len)..]);
    }

    fn between_events(&self) -> bool {
        self.tail.ends_with(b"\n\n") || self.tail == *b"\r\n\r\n" || self.tail.ends_with(b"\r\r")
    }
}

impl Stream for Closing {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.body.as_mut().poll_next(context));
        Poll::Ready(match next {
            Some(Ok(chunk)) => {
                self.passed(&chunk);
                Some(Ok(chunk))
            }
            Some(Err(fault)) if self.between_events() => {
                self.over = true;
                tracing::debug!(code = fault.kind.code(), %fault, "stream ended in an error event");
                Some(Ok(errors::stream_error(self.dialect, fault.kind.code(), &fault.message)))
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Kind;
    use futures_util::StreamExt;
    use http::header::CONTENT_TYPE;
    use http::{HeaderValue, StatusCode};

    async fn after(
        chunks: &[&'static str],
        more: &[(http::HeaderName, &'static str)],
    ) -> Result<String, Fault> {
        let mut items: Vec<Result<Bytes, Fault>> = chunks.iter().map(|text| Ok(Bytes::from(*text))).collect();
        items.push(Err(Fault::new(Kind::UpstreamBroke, "gone")));
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
        headers.extend(more.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
        let body = ReplyBody::Flow(Box::pin(futures_util::stream::iter(items)));
        let reply =
            with_error_event(Dialect::ChatCompletions, Reply { status: StatusCode::OK, headers, body });
        let ReplyBody::Flow(mut body) = reply.body else { panic!("it flows") };
        let mut all = String::new();
        while let Some(chunk) = body.next().await {
            all += std::str::from_utf8(&chunk?).unwrap();
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_break_between_events_is_an_error_event() {
        for chunks in [
            &["data: 1\n\n"][..],
            &["data: 1\n", "\n"],
            &["data: 1\r\n\r", "\n"],
            &["data: 1\r\n", "\r\n"],
            &[],
        ] {
            let all = after(chunks, &[]).await.unwrap();
            let error = all.strip_prefix(&chunks.concat()).unwrap();
            assert!(error.starts_with("data: {\"error\":") && error.ends_with("\n\n"), "{all}");
            assert!(error.contains("upstream_broke"), "{all}");
        }
    }

    #[tokio::test]
    async fn a_break_in_mid_event_or_in_what_cannot_be_added_to_is_a_cut() {
        assert!(after(&["data: {\"half"], &[]).await.is_err());
        assert!(after(&["data: 1\n"], &[]).await.is_err());
        assert!(after(&["data: 1\n\n"], &[(CONTENT_LENGTH, "99")]).await.is_err());
        assert!(after(&["data: 1\n\n"], &[(CONTENT_ENCODING, "gzip")]).await.is_err());
    }
}
