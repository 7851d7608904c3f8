//! What the router adds to a miss: an exchange that answers at once, asked directly and through the
//! router, over 50 deployments.
//!
//! ```text
//! cargo bench --bench router
//! ```

#![allow(clippy::expect_used, reason = "a bench that cannot be set up shall stop")]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reprise::base::fault::Fault;
use reprise::config::routing::{Deployment, Model, Strategy};
use reprise::upstream::router::{Behind, Exchange, Exchanging, Router};
use reprise::upstream::{Incoming, Outgoing, OutgoingBody, Way};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;

struct AtOnce(Bytes);

impl Exchange for AtOnce {
    fn exchange(&self, _: Outgoing) -> Exchanging<'_> {
        let (body, name) = (self.0.clone(), Arc::<str>::from("at-once"));
        Box::pin(async move {
            let headers =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            let body = Box::pin(stream::iter([Ok::<_, Fault>(body)]));
            Ok(Incoming { status: StatusCode::OK, headers, way: Way::straight(name), body })
        })
    }
}

fn request() -> Outgoing {
    let body = json!({ "model": "m", "messages": [
        { "role": "system", "content": "You are the support assistant of an online shop. ".repeat(8) },
        { "role": "user", "content": "How do I change my delivery address after the order was sent?" } ] });
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (AUTHORIZATION, HeaderValue::from_static("Bearer sk-bench")),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static("OpenAI/Python 2.8.0")),
    ]);
    Outgoing {
        method: Method::POST,
        target: "/v1/chat/completions".parse().expect("a target"),
        headers,
        body: OutgoingBody::Whole(Bytes::from(body.to_string())),
    }
}

/// 50 deployments with every limit and price, so that nothing is skipped.
fn router(strategy: Strategy, answer: &Bytes) -> Router {
    let mut model = Model::over((0..50).map(|_| ("one", None)));
    for (at, deployment) in model.deployments.iter_mut().enumerate() {
        *deployment = Deployment {
            name: format!("deployment-{at}"),
            model: Some("m-upstream".to_owned()),
            rpm: Some(1_000_000_000),
            tpm: Some(1_000_000_000_000),
            max_concurrency: Some(1_000),
            context_window: Some(128_000),
            ..deployment.clone()
        };
    }
    let exchange: Arc<dyn Exchange> = Arc::new(AtOnce(answer.clone()));
    let behind = Behind {
        exchange: exchange.clone(),
        own_key: true,
        first_byte: Duration::from_secs(300),
        whole: None,
    };
    let settings = reprise::config::routing::Router { strategy, seed: Some(1), ..Default::default() };
    Router::new(
        vec![model],
        settings,
        &HashMap::from([("one".to_owned(), behind)]),
        exchange,
        Default::default(),
    )
}

async fn drain(answer: Result<Incoming, Fault>) {
    let mut body = answer.expect("an answer").body;
    while let Some(chunk) = body.next().await {
        chunk.expect("a chunk");
    }
}

fn overhead(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "You can change it in your account. ".repeat(12) } }],
        "usage": { "prompt_tokens": 110, "completion_tokens": 90, "total_tokens": 200 } });
    let answer = Bytes::from(answer.to_string());
    let mut group = criterion.benchmark_group("router");
    let direct = AtOnce(answer.clone());
    group.bench_function("direct", |bencher| {
        bencher.iter(|| runtime.block_on(async { drain(direct.exchange(request()).await).await }));
    });
    for (word, strategy) in Strategy::WORDS {
        let router = runtime.block_on(async { router(strategy, &answer) });
        group.bench_function(format!("50 deployments, {word}"), |bencher| {
            bencher.iter(|| runtime.block_on(async { drain(router.send(request()).await).await }));
        });
    }
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
