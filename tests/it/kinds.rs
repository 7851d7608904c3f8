//! What each kind of deployment is sent, and what its answers become.

#[path = "kinds/answers.rs"]
mod answers;
#[path = "kinds/convert.rs"]
mod convert;
#[path = "kinds/requests.rs"]
mod requests;
#[path = "kinds/scenes.rs"]
mod scenes;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use reprise::base::fault::{Fault, Kind as Wrong};
use reprise::config::Api;
use reprise::upstream::headers::Credential;
use reprise::upstream::kind::{Adapter, Kind, Reading};
use reprise::upstream::{Incoming, Outgoing, OutgoingBody, Way};
use reprise::wire::Dialect;
use serde_json::Value;

const CHAT: &str = "/v1/chat/completions";

fn outgoing(target: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Outgoing {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let body = OutgoingBody::Whole(Bytes::copy_from_slice(body));
    Outgoing { method: Method::POST, target: target.parse().unwrap(), headers: map, body }
}

fn sent(outgoing: &Outgoing) -> &[u8] {
    match &outgoing.body {
        OutgoingBody::Whole(body) => body,
        OutgoingBody::Flow(_) => panic!("a whole body"),
    }
}

/// A chat request as a deployment of this kind gets it.
fn prepare(kind: Kind, body: &str) -> Result<(Outgoing, Reading), Fault> {
    let outgoing = outgoing(CHAT, &[("authorization", "Bearer sk-client")], body.as_bytes());
    Adapter::new(kind).prepare(outgoing, None)
}

/// What goes out of a request that can be translated.
fn translated(kind: Kind, request: &Value) -> Value {
    let (outgoing, _) = prepare(kind, &request.to_string()).unwrap();
    tree(std::str::from_utf8(sent(&outgoing)).unwrap())
}

/// The answer to a plain or streamed question.
fn reading(kind: Kind, stream: bool) -> Reading {
    let options = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{options}}}"#);
    prepare(kind, &body).unwrap().1
}

fn incoming(status: u16, content_type: &str, chunks: Vec<Bytes>) -> Incoming {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("content-length", "1".parse().unwrap());
    let body = Box::pin(futures_util::stream::iter(chunks.into_iter().map(Ok)));
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        way: Way::straight("one".into()),
        body,
    }
}

/// All that the client gets, and the fault that it ends in.
async fn read(incoming: Incoming) -> (String, Option<Fault>) {
    let (mut all, mut fault) = (Vec::new(), None);
    let mut body = incoming.body;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => all.extend_from_slice(&chunk),
            Err(wrong) => fault = Some(wrong),
        }
    }
    (String::from_utf8(all).unwrap(), fault)
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// JSON with line breaks, its members in their own order.
fn laid_out(json: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for symbol in json.chars() {
        if quoted {
            out.push(symbol);
            quoted = escaped || symbol != '"';
            escaped = symbol == '\\' && !escaped;
            continue;
        }
        match symbol {
            '"' => {
                quoted = true;
                out.push(symbol);
            }
            '{' | '[' => {
                depth += 1;
                out.push(symbol);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(symbol);
            }
            ',' => {
                out.push(symbol);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if symbol.is_whitespace() => {}
            _ => out.push(symbol),
        }
    }
    out
}

fn golden() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden/kinds");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind_to_scope()
}
