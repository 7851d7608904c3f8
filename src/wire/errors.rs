//! Errors of our own, in the form that a client of each dialect expects.

use super::Dialect;
use super::sse::{self, Event};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// An error body: OpenAI's `{"error": {message, type, param, code}}`, or Anthropic's
/// `{"type": "error", "error": {type, message}}` with our `code` beside them. The type follows from
/// the HTTP status, as the provider's own errors do.
pub fn body(dialect: Dialect, status: u16, code: &str, message: &str) -> Bytes {
    Bytes::from(value(dialect, status, code, message).to_string())
}

/// The whole SSE frame that tells a client of a stream, whose status has long gone out, that it broke.
pub fn stream_error(dialect: Dialect, code: &str, message: &str) -> Bytes {
    let name = match dialect {
        Dialect::ChatCompletions | Dialect::Completions | Dialect::Embeddings => "",
        Dialect::Responses | Dialect::Messages => "error",
    };
    let data = match dialect {
        Dialect::Responses => json!({"type": "error", "code": code, "message": message, "param": null}),
        _ => value(dialect, 502, code, message),
    };
    let mut frame = BytesMut::new();
    let event = Event { name: Bytes::from_static(name.as_bytes()), ..Event::of_data(data.to_string()) };
    sse::encode(&event, &mut frame);
    frame.freeze()
}

fn value(dialect: Dialect, status: u16, code: &str, message: &str) -> Value {
    match dialect {
        Dialect::Messages => json!({
            "type": "error",
            "error": {"type": anthropic_type(status), "message": message, "code": code},
        }),
        Dialect::ChatCompletions | Dialect::Completions | Dialect::Embeddings | Dialect::Responses => json!({
            "error": {"message": message, "type": openai_type(status), "param": null, "code": code},
        }),
    }
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// The words of Anthropic's table of errors.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::{body, stream_error};
    use crate::wire::Dialect;

    #[test]
    fn each_dialect_gets_its_own_error() {
        assert_eq!(
            body(Dialect::ChatCompletions, 413, "body_too_large", "over 1 MiB; send less"),
            r#"{"error":{"code":"body_too_large","message":"over 1 MiB; send less","param":null,"type":"invalid_request_error"}}"#
        );
        assert_eq!(
            body(Dialect::Messages, 503, "overloaded", "try again"),
            r#"{"error":{"code":"overloaded","message":"try again","type":"overloaded_error"},"type":"error"}"#
        );
    }

    #[test]
    fn a_message_with_line_breaks_stays_inside_its_frame() {
        let frame = stream_error(Dialect::Messages, "upstream_broke", "a\n\ndata: [DONE]");
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(text.starts_with("event: error\ndata: {"));
        assert_eq!(text.matches('\n').count(), 3);
    }
}
