//! Money: held before the upstream is asked, settled after, remembered over a restart.

use super::{code, keyed_before, keyed_in, make, named};
use crate::world::upstream::Upstream;
use crate::world::{World, chat_with};
use reprise::base::money::NanoUsd;
use reprise::base::secret::Secret;
use reprise::config::Config;
use reprise::config::accounts::{Price, Rates};
use reprise::config::keys::{Budget, Grant, Over};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

pub const DOLLAR: NanoUsd = NanoUsd(1_000_000_000);

pub fn whole(limit: NanoUsd) -> Budget {
    Budget { whole: Some(limit), ..Budget::default() }
}

/// Every token of an answer costs ten cents, a prompt nothing. An answer has three tokens.
pub fn dear(config: &mut Config) {
    let (nothing, output) = (NanoUsd(0), NanoUsd(100_000 * DOLLAR.0));
    let rates =
        Rates { input: nothing, cached_input: nothing, cache_write: nothing, output, reasoning: output };
    let price = Price { model: "dear".into(), rates, long: None, known: None, source: None };
    config.accounts.prices = vec![price].into();
}

pub fn ask(question: &str, max_tokens: u64) -> Value {
    chat_with(question, json!({ "model": "dear", "max_tokens": max_tokens }))
}

/// Sixty-four at once, each another question: how many came to which status.
async fn rush(world: &World, key: &str, max_tokens: u64) -> BTreeMap<u16, usize> {
    let asks: Vec<Value> = (0..64).map(|number| ask(&format!("question {number}"), max_tokens)).collect();
    let answers = futures_util::future::join_all(asks.iter().map(|ask| world.send_as(key, ask))).await;
    let mut statuses = BTreeMap::new();
    for answer in answers {
        *statuses.entry(answer.status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dollar_under_sixty_four_connections_is_overrun_by_no_more_than_the_holds() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), dear).await;
    let honest = make(&world, &Grant { budget: whole(DOLLAR), ..named("honest") });
    // Thirty cents are held and spent by each: three fit into a dollar.
    let statuses = rush(&world, &honest.text, 3).await;
    assert_eq!(statuses, BTreeMap::from([(200, 3), (429, 61)]));
    // Ten cents are held and thirty spent: at most ten are in flight at once, each twenty cents over.
    let longer = make(&world, &Grant { budget: whole(DOLLAR), ..named("longer") });
    let statuses = rush(&world, &longer.text, 1).await;
    let let_in = statuses[&200];
    assert!((4..=10).contains(&let_in), "{statuses:?}");
    let again = world.send_as(&longer.text, &ask("one more", 1)).await;
    assert_eq!(code(&again), (429, "budget_exceeded".into()));
}

#[tokio::test]
async fn a_used_up_budget_refuses_all_or_lives_from_the_cache() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), dear).await;
    let budget = whole(NanoUsd(300_000_000));
    let refuses = make(&world, &Grant { budget, ..named("refuses") });
    let lives = make(&world, &Grant { budget, over: Over::CacheOnly, ..named("lives") });
    for key in [&refuses, &lives] {
        assert_eq!(world.send_as(&key.text, &ask("q", 3)).await.verdict(), "miss");
    }
    let refused = world.send_as(&refuses.text, &ask("q", 3)).await;
    assert_eq!(code(&refused), (429, "budget_exceeded".into()));
    assert_eq!(world.send_as(&lives.text, &ask("q", 3)).await.verdict(), "hit");
    assert_eq!(code(&world.send_as(&lives.text, &ask("new", 3)).await).0, 429);
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn what_was_spent_is_remembered_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), dear).await;
    let key = make(&world, &Grant { budget: whole(NanoUsd(500_000_000)), ..named("a") });
    assert_eq!(world.send_as(&key.text, &ask("q", 3)).await.status, 200);
    world.server.drain().await;
    drop(world);
    let world = keyed_in(folder.path(), dear).await;
    assert_eq!(code(&world.send_as(&key.text, &ask("new", 3)).await).0, 429, "twenty cents are left");
    assert_eq!(world.send_as(&key.text, &ask("new", 2)).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_says_no_usage_costs_what_was_held() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), dear).await;
    let key = make(&world, &Grant { budget: whole(NanoUsd(900_000_000)), ..named("a") });
    let mut stream = ask("q", 8);
    stream["stream"] = json!(true);
    assert_eq!(world.send_as(&key.text, &stream).await.status, 200);
    assert_eq!(code(&world.send_as(&key.text, &ask("new", 2)).await).0, 429);
    assert_eq!(world.send_as(&key.text, &ask("new", 1)).await.status, 200);
}

#[tokio::test]
async fn a_budget_needs_a_price() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let key = make(&world, &Grant { budget: whole(DOLLAR), ..named("a") });
    let refused = world.send_as(&key.text, &chat_with("q", json!({ "model": "unheard-of" }))).await;
    assert_eq!(code(&refused), (403, "model_not_allowed".into()));
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn a_soft_limit_warns_on_answers_and_once_by_webhook() {
    let (folder, hook) = (TempDir::new().unwrap(), Upstream::start().await);
    let url = format!("{}/hook", hook.url());
    let world = keyed_before(Upstream::start().await, folder.path(), |config| {
        dear(config);
        config.accounts.keys.webhook = Some(Secret::new(url));
    })
    .await;
    let warn = Budget { day: Some(NanoUsd(200_000_000)), ..Budget::default() };
    let key = make(&world, &Grant { warn, ..named("a") });
    let first = world.send_as(&key.text, &ask("q", 3)).await;
    assert_eq!(first.header("x-reprise-budget-warning"), None);
    for _ in 0..2 {
        let next = world.send_as(&key.text, &ask("q", 3)).await;
        assert_eq!(next.header("x-reprise-budget-warning"), Some("day 0.300000 of 0.200000 USD"));
    }
    hook.reached(1).await;
    world.server.drain().await;
    assert_eq!(hook.calls(), 1, "told once");
    let told = hook.asked(0).json();
    assert_eq!((&told["name"], &told["period"]), (&json!("a"), &json!("day")));
}
