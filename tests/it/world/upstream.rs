//! A scripted upstream: says what the scene tells it to, and remembers what it was asked.

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One answer.
pub enum Say {
    /// A whole body.
    Body { status: u16, headers: Vec<(&'static str, String)>, body: Bytes },
    /// A body that flows as the scene feeds it; an `Err` breaks it off.
    Flow {
        headers: Vec<(&'static str, String)>,
        chunks: mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>,
    },
    /// Waits for the word before it answers.
    After(tokio::sync::oneshot::Receiver<()>, Box<Say>),
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The other end of the connection that it came on.
    pub peer: SocketAddr,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the upstream was sent json")
    }
}

#[derive(Default)]
struct Script {
    next: VecDeque<Say>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub struct Upstream {
    pub addr: SocketAddr,
    script: Arc<parking_lot::Mutex<Script>>,
    arrived: Arc<tokio::sync::watch::Sender<usize>>,
}

impl Upstream {
    pub async fn start() -> Upstream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let addr = listener.local_addr().expect("address");
        let upstream =
            Upstream { addr, script: Arc::default(), arrived: Arc::new(tokio::sync::watch::channel(0).0) };
        let app = axum::Router::new().fallback(answer).with_state(upstream.clone());
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        #[allow(clippy::disallowed_methods, reason = "the scene's own server, not part of what is drained")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        upstream
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next request is answered so. With nothing scripted, the upstream answers by itself: the
    /// last user message, said back.
    pub fn will(&self, say: Say) {
        self.script.lock().next.push_back(say);
    }

    /// Takes back what was scripted and not asked for.
    pub fn unsay(&self) {
        self.script.lock().next.clear();
    }

    pub fn says(&self, text: &str) {
        self.will(body(200, completion(text)));
    }

    /// A stream that the scene feeds.
    pub fn streams(&self) -> Feed {
        let (feed, chunks) = mpsc::unbounded_channel();
        self.will(Say::Flow { headers: vec![("content-type", "text/event-stream".into())], chunks });
        Feed(feed)
    }

    pub fn calls(&self) -> usize {
        self.script.lock().asked.len()
    }

    pub fn asked(&self, at: usize) -> Asked {
        self.script.lock().asked[at].clone()
    }

    /// Waits until `count` requests have come in.
    pub async fn reached(&self, count: usize) {
        self.arrived.subscribe().wait_for(|calls| *calls >= count).await.expect("the upstream lives");
    }
}

/// The writing end of a stream.
pub struct Feed(mpsc::UnboundedSender<Result<Bytes, std::io::Error>>);

impl Feed {
    pub fn raw(&self, bytes: impl Into<Bytes>) {
        let _ = self.0.send(Ok(bytes.into()));
    }

    pub fn event(&self, data: &Value) {
        self.raw(format!("data: {data}\n\n"));
    }

    /// One chunk of text.
    pub fn text(&self, text: &str) {
        self.event(&chunk(json!({ "content": text }), Value::Null));
    }

    /// The finish chunk and `[DONE]`.
    pub fn done(self) {
        self.event(&chunk(json!({}), json!("stop")));
        self.raw("data: [DONE]\n\n");
    }

    pub fn cut(self) {
        let _ = self.0.send(Err(std::io::Error::other("cut by the scene")));
    }
}

pub fn chunk(delta: Value, finish: Value) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
}

pub fn usage_chunk() -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test", "choices": [],
            "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 } })
}

pub fn completion(text: &str) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-test",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 } })
}

pub fn body(status: u16, value: Value) -> Say {
    Say::Body {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: value.to_string().into(),
    }
}

async fn answer(
    State(upstream): State<Upstream>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, incoming) = request.into_parts();
    let bytes = axum::body::to_bytes(incoming, usize::MAX).await.unwrap_or_default();
    let say = {
        let mut script = upstream.script.lock();
        script.asked.push(Asked {
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: bytes.clone(),
            peer,
        });
        script.next.pop_front()
    };
    upstream.arrived.send_modify(|calls| *calls += 1);
    let mut say = say.unwrap_or_else(|| by_itself(&bytes));
    while let Say::After(word, then) = say {
        let _ = word.await;
        say = *then;
    }
    match say {
        Say::Body { status, headers, body } => respond(status, headers, Body::from(body)),
        Say::Flow { headers, chunks } => {
            let flow = futures_util::stream::unfold(chunks, |mut chunks| async {
                chunks.recv().await.map(|chunk| (chunk, chunks))
            });
            respond(200, headers, Body::from_stream(flow))
        }
        Say::After(..) => unreachable!("taken apart above"),
    }
}

fn respond(status: u16, headers: Vec<(&'static str, String)>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().expect("a header value"));
    }
    response
}

/// The last user message, said back, streamed if so asked.
fn by_itself(request: &[u8]) -> Say {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let last = request["messages"].as_array().and_then(|messages| messages.last());
    let question = last.and_then(|message| message["content"].as_str()).unwrap_or("nothing");
    let text = format!("You asked: {question}");
    if request["stream"] != json!(true) {
        return body(200, completion(&text));
    }
    let (feed, chunks) = mpsc::unbounded_channel();
    let feed = Feed(feed);
    feed.event(&chunk(json!({ "role": "assistant", "content": "" }), Value::Null));
    for word in text.split_inclusive(' ') {
        feed.text(word);
    }
    feed.event(&chunk(json!({}), json!("stop")));
    if request["stream_options"]["include_usage"] == json!(true) {
        feed.event(&usage_chunk());
    }
    feed.raw("data: [DONE]\n\n");
    Say::Flow { headers: vec![("content-type", "text/event-stream".into())], chunks }
}
