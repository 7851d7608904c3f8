//! Plays a plan against a base URL, as several customers at once would.

use super::plan::{Ask, Plan};
use futures_util::StreamExt;
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const MODEL: &str = "gpt-4.1-mini";
/// No request may take longer; one that does is a failure.
const LIMIT: Duration = Duration::from_secs(30);

/// What the proxy said that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Served {
    L1,
    L2,
    L3,
    /// By another client's request that was under way.
    Follow,
    Miss,
    Bypass,
    /// Without a verdict: no proxy stood between.
    Direct,
}

impl Served {
    pub const ALL: [Served; 7] =
        [Served::L1, Served::L2, Served::L3, Served::Follow, Served::Miss, Served::Bypass, Served::Direct];

    pub fn word(self) -> &'static str {
        match self {
            Served::L1 => "L1 exact",
            Served::L2 => "L2 meaning",
            Served::L3 => "L3 shared",
            Served::Follow => "follow",
            Served::Miss => "miss",
            Served::Bypass => "bypass",
            Served::Direct => "direct",
        }
    }

    /// Whether no upstream call was made for it.
    pub fn saved(self) -> bool {
        matches!(self, Served::L1 | Served::L2 | Served::L3 | Served::Follow)
    }

    fn read(verdict: Option<&str>, tier: Option<&str>) -> Served {
        match (verdict, tier) {
            (Some("hit"), Some("l2")) => Served::L2,
            (Some("hit"), Some("l3")) => Served::L3,
            (Some("hit"), _) => Served::L1,
            (Some("follow"), _) => Served::Follow,
            (Some("miss"), _) => Served::Miss,
            (Some("bypass"), _) => Served::Bypass,
            _ => Served::Direct,
        }
    }
}

/// One request, answered.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Index into `Plan::asks`.
    pub ask: usize,
    pub served: Served,
    /// Cosine, of a hit by meaning.
    pub score: Option<f64>,
    /// Why it was bypassed, or the nearest neighbour refused.
    pub reason: Option<String>,
    /// From the request sent to the last byte.
    pub took: Duration,
    pub answer: String,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// One request that got no answer, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    pub ask: usize,
    pub told: String,
}

pub type Played = Result<Outcome, Failure>;

/// Every ask of `plan`, `clients` at a time, in the plan's order of beginning. `each` is called as
/// each ends. Outcomes are in order of ending.
pub async fn run_workload(
    base_url: &str,
    plan: &Plan,
    clients: usize,
    mut each: impl FnMut(),
) -> reqwest::Result<Vec<Played>> {
    let http = Client::builder().no_proxy().timeout(LIMIT).tcp_nodelay(true).build()?;
    let url = format!("{base_url}/v1/chat/completions");
    let (http, url) = (&http, url.as_str());
    let asks = futures_util::stream::iter(plan.asks.iter().enumerate());
    let mut running = asks
        .map(|(place, ask)| async move {
            let answered = one(http, url, place, ask).await;
            answered.map_err(|told| Failure { ask: place, told })
        })
        .buffer_unordered(clients.max(1));
    let mut played = Vec::with_capacity(plan.asks.len());
    while let Some(one) = running.next().await {
        played.push(one);
        each();
    }
    Ok(played)
}

async fn one(http: &Client, url: &str, place: usize, ask: &Ask) -> Result<Outcome, String> {
    let began = Instant::now();
    let request = http
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-demo")
        .body(body(ask).to_string());
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (verdict, tier) = (header("x-reprise-verdict"), header("x-reprise-tier"));
    let score = header("x-reprise-score").and_then(|score| score.parse().ok());
    let reason = header("x-reprise-reason");
    let bytes = response.bytes().await.map_err(|error| error.to_string())?;
    let took = began.elapsed();
    if !status.is_success() {
        return Err(format!("status {status}"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "an answer that is not UTF-8".to_owned())?;
    let (answer, usage) = if ask.streamed { of_stream(text)? } else { of_body(text)? };
    let tokens = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    Ok(Outcome {
        ask: place,
        served: Served::read(verdict.as_deref(), tier.as_deref()),
        score,
        reason,
        took,
        answer,
        prompt_tokens: tokens("prompt_tokens"),
        completion_tokens: tokens("completion_tokens"),
    })
}

fn body(ask: &Ask) -> Value {
    let mut body = json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": ask.language.system_prompt()},
            {"role": "user", "content": ask.text}
        ]
    });
    if ask.streamed {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

fn of_body(text: &str) -> Result<(String, Value), String> {
    let body: Value =
        serde_json::from_str(text).map_err(|error| format!("an answer that is not JSON: {error}"))?;
    let said = body.pointer("/choices/0/message/content").and_then(Value::as_str);
    Ok((said.ok_or("an answer without content")?.to_owned(), body["usage"].clone()))
}

fn of_stream(text: &str) -> Result<(String, Value), String> {
    let (mut said, mut usage) = (String::new(), Value::Null);
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim_start) else { continue };
        if data == "[DONE]" {
            return Ok((said, usage));
        }
        let event: Value =
            serde_json::from_str(data).map_err(|error| format!("an event that is not JSON: {error}"))?;
        said.push_str(event.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or(""));
        if event["usage"].is_object() {
            usage = event["usage"].clone();
        }
    }
    Err("a stream that ended without [DONE]".to_owned())
}
