//! The books of hits by meaning, audits, retries and fallbacks: what several upstreams counted together, to
//! the token, and what no cache would have cost.

use crate::world::upstream::Upstream as Scripted;
use crate::world::{World, read};
use reprise::accounts::ledger::report::{self, By, Report, Wanted};
use reprise::cli::stand_in::{Defect, Manner, Settings, StandIn};
use reprise::config::accounts::Ledger;
use reprise::config::{AuditBy, Config, Source};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const MODEL: &str = "gpt-4.1-mini";
/// Nano-dollars for one token of prompt and of completion.
const PRICES: (u64, u64) = (400, 1_600);
const SHOPS: usize = 40;

/// `a` is asked first and always fails, until its breaker shuts it; `b` stands in for it. A model that is on no road
/// but the broken one falls back to the other.
const ROADS: &str = r#"
[[model]]
name = "gpt-4.1-mini"
[[model.deployment]]
upstream = "a"
[[model.deployment]]
upstream = "b"
priority = 2
[[model]]
name = "gpt-4.1-nano"
fallback = ["gpt-4.1-mini"]
[[model.deployment]]
upstream = "a"
[router]
backoff = "1ms"
max_backoff = "2ms"
retry_budget = 1.0
"#;

fn question(model: &str, shop: usize, words: &str) -> Value {
    json!({ "model": model, "messages": [
        { "role": "system", "content": format!("You answer for shop number {shop}.") },
        { "role": "user", "content": words },
    ] })
}

async fn tokens(aside: &StandIn, body: &Value) -> (u64, u64) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.post(format!("{}/v1/chat/completions", aside.url())).body(body.to_string());
    let usage = read(asked).await.json()["usage"].clone();
    (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_over_roads_that_fail_hits_by_meaning_and_audits() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broken = Manner { defect: Some(Defect::Status(500)), ..Manner::default() };
    let a = StandIn::start(Settings { manner: broken, ..Settings::default() }).await.unwrap();
    // The same in other words, so that audits agree and the budget keeps the route open.
    let answers = |_: &str| Some("Open the settings, and choose a new one.".to_owned());
    let alike = || Settings { answers: Some(Arc::new(answers)), ..Settings::default() };
    let b = StandIn::start(alike()).await.unwrap();
    let aside = StandIn::start(alike()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let upstream =
        |name: &str, at: &StandIn| format!("[[upstream]]\nname = \"{name}\"\nurl = \"{}\"\n", at.url());
    let text = format!("{}{}{ROADS}", upstream("a", &a), upstream("b", &b));
    let mut config = Config::read_text(&Source::default(), &text).unwrap();
    config.accounts.ledger.path = Some(folder.path().to_owned());
    config.semantic.patience = Duration::from_secs(10);
    config.semantic.state = None;
    config.policy.semantic.audit.max_wrong_rate = Some(0.01);
    config.policy.semantic.audit.share = Some(1.0);
    config.policy.semantic.audit.by = AuditBy::Text;
    let world = World::of(Scripted::start().await, config).await;
    world.server.semantic_ready().await.expect("the model loads; run scripts/fetch");

    let (mut requests, mut cost, mut by_meaning, mut fell_back) = (0, 0, 0, 0);
    for shop in 0..SHOPS {
        let first = question(MODEL, shop, "How do I reset my password?");
        let (prompt, completion) = tokens(&aside, &first).await;
        // Asked, asked again, and asked in other words: what each is worth is the first answer's tokens.
        let again = question(MODEL, shop, "how can I reset my password?");
        for (body, verdict) in [(&first, "miss"), (&first, "hit"), (&again, "hit")] {
            let answer = world.send(body).await;
            assert_eq!((answer.status, answer.verdict()), (200, verdict));
            by_meaning += usize::from(answer.header("x-reprise-tier") == Some("l2"));
            requests += 1;
            cost += prompt * PRICES.0 + completion * PRICES.1;
        }
        // Another model's road is broken: this one's answer is paid, at this one's price, and not kept.
        let other = world.send(&question("gpt-4.1-nano", shop, "Where is my parcel?")).await;
        assert_eq!(other.status, 200, "{shop} {:?}", other.headers);
        fell_back += usize::from(other.header("x-reprise-deployment") == Some("b"));
        let (prompt, completion) = tokens(&aside, &question(MODEL, shop, "Where is my parcel?")).await;
        requests += 1;
        cost += prompt * PRICES.0 + completion * PRICES.1;
    }
    assert_eq!((by_meaning, fell_back), (SHOPS, SHOPS));
    world.server.drain().await;

    let wanted = Wanted { by: By::Model, since: 0, until: u64::MAX };
    let Report { total, unpriced, .. } = report::read(&Ledger::at(folder.path()), wanted, &[]).unwrap();
    assert_eq!((total.requests, total.unknown, unpriced), (requests, 0, vec![]));
    let counted = b.stats();
    let booked = (total.prompt_tokens, total.completion_tokens);
    assert_eq!(booked, (counted.prompt_tokens, counted.completion_tokens), "audits included, to the token");
    assert_eq!(total.spent + total.saved, cost, "to the nano-dollar");
    assert_eq!(total.from_cache, 2 * SHOPS as u64);
    assert!(total.overhead > 0, "audits cost something: {total:?}");
    assert!(a.stats().calls > 0, "the broken road was tried");
}
