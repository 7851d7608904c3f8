//! Each dialect's error body.

use super::Dialect;
use bytes::Bytes;
use serde_json::json;

/// The error body of `dialect`.
pub fn body(dialect: Dialect, status: u16, code: &str, message: &str) -> Bytes {
    let kind = if status < 500 { "invalid_request_error" } else { "api_error" };
    let value = match dialect {
        Dialect::Messages => {
            json!({"type": "error", "error": {"type": kind, "message": message, "code": code}})
        }
        _ => json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
    };
    Bytes::from(value.to_string())
}
