//! Over a mixed run, the sum of the ledger is what the upstream itself counted, to the token, and spent and
//! saved together are what no cache would have cost.

use super::kept_in;
use crate::world::World;
use futures_util::StreamExt;
use reprise::accounts::ledger::report::{self, By, Report, Wanted};
use reprise::cli::stand_in::{Settings, StandIn};
use reprise::config::Upstream;
use reprise::config::accounts::Ledger;
use serde_json::{Value, json};
use std::collections::HashMap;
use tempfile::TempDir;

const MODEL: &str = "gpt-4.1-mini";
/// Nano-dollars for one token of prompt and of completion.
const PRICES: (u64, u64) = (400, 1_600);
const AT_ONCE: usize = 32;

/// One way of asking, and what is to become of it.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Of a small set, so that most are hits or followers, in either form.
    Popular,
    Completion,
    Embedding,
    /// Past the cache.
    NoStore,
    /// The answer breaks off before its usage comes, or cannot be read: cost unknown.
    Cut,
    Garbage,
    WithoutUsage,
    /// Past the cache, and the client leaves after the first bytes: cost unknown.
    LeavesAside,
    /// The client leaves, and the answer is read on.
    Leaves,
    /// Nothing is charged.
    Fails,
}

const WAYS: [Way; 20] = [
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Popular,
    Way::Completion,
    Way::Embedding,
    Way::NoStore,
    Way::NoStore,
    Way::Cut,
    Way::Garbage,
    Way::WithoutUsage,
    Way::LeavesAside,
    Way::Leaves,
    Way::Fails,
];

struct Ask {
    way: Way,
    path: &'static str,
    body: Value,
    headers: Vec<(&'static str, &'static str)>,
}

fn ask(number: usize) -> Ask {
    let way = WAYS[(number * 7) % WAYS.len()];
    let path = match way {
        Way::Completion => "/v1/completions",
        Way::Embedding => "/v1/embeddings",
        _ => "/v1/chat/completions",
    };
    let streamed = match way {
        Way::Cut | Way::WithoutUsage | Way::LeavesAside | Way::Leaves => true,
        Way::Garbage | Way::Embedding => false,
        _ => number.is_multiple_of(3),
    };
    let mut body = match way {
        Way::Popular => chat(&format!("popular question {}", number % 41)),
        Way::Completion => json!({ "model": MODEL, "prompt": format!("complete {}", number % 13) }),
        Way::Embedding => {
            json!({ "model": "text-embedding-3-small", "input": format!("embed {}", number % 17) })
        }
        _ => chat(&format!("question number {number} of its own")),
    };
    if streamed {
        body["stream"] = json!(true);
        if way != Way::WithoutUsage {
            body["stream_options"] = json!({ "include_usage": true });
        }
    }
    let headers = match way {
        Way::NoStore => vec![("cache-control", "no-store")],
        Way::LeavesAside => vec![("cache-control", "no-store"), ("x-stand-in-fault", "slow=1ms")],
        Way::Cut => vec![("x-stand-in-fault", "cut=3")],
        Way::Garbage => vec![("x-stand-in-fault", "garbage")],
        Way::Fails => vec![("x-stand-in-fault", "status=503")],
        _ => Vec::new(),
    };
    Ask { way, path, body, headers }
}

fn chat(question: &str) -> Value {
    json!({ "model": MODEL, "messages": [{ "role": "user", "content": question }] })
}

impl Ask {
    fn is_unknown(&self) -> bool {
        matches!(self.way, Way::Cut | Way::Garbage | Way::WithoutUsage | Way::LeavesAside)
    }

    async fn send(&self, world: &World, client: &reqwest::Client) {
        let request = client.post(world.url(self.path)).body(self.body.to_string());
        let mut request = request.header("authorization", "Bearer sk-one");
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let Ok(response) = request.send().await else { return };
        if matches!(self.way, Way::Leaves | Way::LeavesAside) {
            let mut flow = response.bytes_stream();
            flow.next().await;
            return;
        }
        // A cut answer is an error here, as it should be.
        let _ = response.bytes().await;
    }

    /// What the upstream would charge for it, asked for directly: its answers follow from the request.
    async fn tokens(
        &self,
        aside: &StandIn,
        client: &reqwest::Client,
        known: &mut HashMap<String, (u64, u64)>,
    ) -> (u64, u64) {
        let mut plain = self.body.clone();
        plain.as_object_mut().unwrap().remove("stream");
        plain.as_object_mut().unwrap().remove("stream_options");
        let text = plain.to_string();
        if let Some(tokens) = known.get(&text) {
            return *tokens;
        }
        let url = format!("{}{}", aside.url(), self.path);
        let answer = client.post(url).body(text.clone()).send().await.unwrap().bytes().await.unwrap();
        let usage = serde_json::from_slice::<Value>(&answer).unwrap()["usage"].clone();
        let tokens =
            (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap_or(0));
        known.insert(text, tokens);
        tokens
    }
}

async fn balance(requests: usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = StandIn::start(Settings::default()).await.unwrap();
    let aside = StandIn::start(Settings::default()).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let folder = TempDir::new().unwrap();
    let url = upstream.url();
    let world = kept_in(folder.path(), |config| {
        config.upstreams = vec![Upstream::at(url, "stand-in".to_owned())];
    })
    .await;
    let all = futures_util::stream::iter(0..requests)
        .for_each_concurrent(AT_ONCE, async |number| ask(number).send(&world, &client).await);
    all.await;
    world.server.drain().await;

    let wanted = Wanted { by: By::Model, since: 0, until: u64::MAX };
    let Report { total, unpriced, .. } = report::read(&Ledger::at(folder.path()), wanted, &[]).unwrap();
    let (mut known, mut unknown, mut unknown_rows, mut cost) = (HashMap::new(), (0, 0), 0, 0);
    for ask in (0..requests).map(ask).filter(|ask| ask.way != Way::Fails) {
        let (prompt, completion) = ask.tokens(&aside, &client, &mut known).await;
        if ask.is_unknown() {
            unknown = (unknown.0 + prompt, unknown.1 + completion);
            unknown_rows += 1;
        } else {
            let embedding = ask.way == Way::Embedding;
            cost += if embedding { prompt * 20 } else { prompt * PRICES.0 + completion * PRICES.1 };
        }
    }
    let counted = upstream.stats();
    assert_eq!(total.requests, requests as u64, "a row for each request");
    assert_eq!(total.unknown, unknown_rows);
    assert_eq!(unpriced, []);
    let booked = (total.prompt_tokens + unknown.0, total.completion_tokens + unknown.1);
    assert_eq!(booked, (counted.prompt_tokens, counted.completion_tokens), "to the token");
    assert_eq!(total.spent + total.saved, cost, "to the nano-dollar");
    assert!(total.from_cache * 3 > requests as u64, "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_over_a_mixed_run() {
    balance(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn the_books_balance_over_a_hundred_thousand() {
    balance(100_000).await;
}
