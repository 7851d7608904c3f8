//! What it costs to read a chat request and to derive its keys, by size of the body.

#![allow(clippy::unwrap_used, reason = "a scene that cannot be set fails")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reprise::base::digest::Scope;
use reprise::canon::{Circumstances, canon};
use reprise::config::FuzzyPolicy;
use reprise::wire::Dialect;
use reprise::wire::request::read;
use serde_json::json;
use std::hint::black_box;

/// A request of about `size` bytes, most of them in the system prompt.
fn body(size: usize) -> Vec<u8> {
    let rules =
        "Answer in the customer's language, in two sentences, and name the \"section\" you rely on.\n";
    let system = rules.repeat(size.saturating_sub(450) / (rules.len() + 3) + 1);
    let body = json!({
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": "How do I change the address of an order that has not been sent yet?"},
        ],
        "temperature": 0.2,
        "max_tokens": 512,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        "stream": true,
        "stream_options": {"include_usage": true},
        "user": "u-1",
    });
    body.to_string().into_bytes()
}

fn keys(criterion: &mut Criterion) {
    let dialect = Dialect::ChatCompletions;
    let headers: &[(&str, &[u8])] = &[];
    let around =
        Circumstances { scope: Scope([7; 32]), dialect, path_and_query: "/v1/chat/completions", headers };
    let policy = FuzzyPolicy::default();
    let mut group = criterion.benchmark_group("canon");
    for kib in [1, 16, 200] {
        let raw = body(kib * 1024);
        let request = read(dialect, &raw).unwrap();
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(BenchmarkId::new("read", format!("{kib} KiB")), |bench| {
            bench.iter(|| read(dialect, black_box(&raw)));
        });
        group.bench_function(BenchmarkId::new("keys", format!("{kib} KiB")), |bench| {
            bench.iter(|| canon(black_box(&request), &raw, &around, Ok(&policy)));
        });
    }
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
