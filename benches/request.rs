//! One request through the gateway without sockets, and the tape by itself.
//!
//! ```text
//! cargo bench --bench request
//! ```

#![allow(clippy::expect_used, reason = "a bench that cannot be set up shall stop")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use reprise::app;
use reprise::cli::stand_in::{Settings, StandIn};
use reprise::config::{CacheMode, Config, Flags, Source, StorePath};
use reprise::gateway::{Ask, AskBody, Reply};
use reprise::tape::{Recorder, Tape};
use reprise::wire::Dialect;
use reprise::wire::request::Form;
use serde_json::json;
use std::hint::black_box;
use tokio::runtime::Runtime;

const SYSTEM: &str =
    "You are the support assistant of an online shop. Answer in two or three friendly sentences.";

fn ask(question: &str, stream: bool) -> Ask {
    let body = json!({ "model": "gpt-4o-mini", "stream": stream,
        "messages": [{ "role": "system", "content": SYSTEM }, { "role": "user", "content": question }] });
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (AUTHORIZATION, HeaderValue::from_static("Bearer sk-bench")),
    ]);
    Ask {
        method: Method::POST,
        target: PathAndQuery::from_static("/v1/chat/completions"),
        headers,
        body: AskBody::Whole(Bytes::from(body.to_string())),
    }
}

fn config(upstream: &str, mode: CacheMode) -> Config {
    let any = Some("127.0.0.1:0".to_owned());
    let flags = Flags { upstream: Some(upstream.to_owned()), listen: any.clone(), admin_listen: any };
    let mut config = Config::read(&Source::new(None, [], flags)).expect("a config");
    config.policy.mode = mode;
    config.store.path = StorePath::Off;
    config.accounts.ledger.path = None;
    config
}

async fn read(reply: Reply) {
    if let reprise::gateway::ReplyBody::Flow(mut flow) = reply.body {
        use futures_util::StreamExt;
        while let Some(chunk) = flow.next().await {
            chunk.expect("a chunk");
        }
    }
}

fn gateway(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let upstream = runtime.block_on(StandIn::start(Settings::default())).expect("a stand-in");
    let exact = runtime.block_on(app::start(config(&upstream.url(), CacheMode::Exact))).expect("a server");
    let books = tempfile::tempdir().expect("a folder");
    let mut with_books = config(&upstream.url(), CacheMode::Exact);
    with_books.accounts.ledger.path = Some(books.path().to_owned());
    let booked = runtime.block_on(app::start(with_books)).expect("a server");
    let semantic =
        runtime.block_on(app::start(config(&upstream.url(), CacheMode::Semantic))).expect("a server");
    runtime.block_on(semantic.semantic_ready()).expect("run scripts/fetch");
    let mut group = criterion.benchmark_group("gateway");
    let servers = [
        ("exact hit, plain", &exact, false),
        ("exact hit, plain, with a ledger", &booked, false),
        ("exact hit, stream", &exact, true),
    ];
    for (name, server, stream) in servers {
        let serve = |question: &'static str| async move {
            read(server.gateway().serve(ask(question, stream)).await.expect("an answer")).await;
        };
        runtime.block_on(serve("how do I change my delivery address?"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(serve("how do I change my delivery address?")));
        });
    }
    runtime.block_on(async {
        read(
            semantic.gateway().serve(ask("how do I change my delivery address?", false)).await.expect("one"),
        )
        .await;
    });
    // Each question is new to the embedder's memo, and near the stored one.
    let mut number = 0u64;
    group.bench_function("semantic look-up, one entry", |bencher| {
        bencher.iter(|| {
            number += 1;
            let question =
                format!("how can I change my delivery address please? {}", "!".repeat(number as usize % 40));
            runtime.block_on(async {
                read(semantic.gateway().serve(ask(&question, false)).await.expect("an answer")).await;
            });
        });
    });
    group.finish();
}

fn events(count: usize) -> Bytes {
    let mut stream = String::new();
    let chunk = |delta: serde_json::Value, finish: serde_json::Value| {
        let event = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
        format!("data: {event}\n\n")
    };
    stream.push_str(&chunk(json!({ "role": "assistant", "content": "" }), json!(null)));
    for number in 0..count {
        stream.push_str(&chunk(json!({ "content": format!("word{number} ") }), json!(null)));
    }
    stream.push_str(&chunk(json!({}), json!("stop")));
    stream.push_str("data: [DONE]\n\n");
    Bytes::from(stream)
}

fn record(stream: &Bytes) -> Tape {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
    let mut recorder = Recorder::new(Dialect::ChatCompletions, &headers, 1 << 24);
    recorder.feed(stream);
    recorder.finish(true).tape.expect("a whole tape")
}

fn tape(criterion: &mut Criterion) {
    let stream = events(200);
    let tape = record(&stream);
    let mut group = criterion.benchmark_group("tape");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("record a stream of 200 tokens", |bencher| {
        bencher.iter(|| record(black_box(&stream)))
    });
    for (name, stream) in [("play as a stream", true), ("play as a body", false)] {
        let form = Form { stream, include_usage: false };
        group.bench_function(name, |bencher| bencher.iter(|| tape.play(black_box(form)).expect("playable")));
    }
    group.finish();
}

criterion_group!(benches, gateway, tape);
criterion_main!(benches);
