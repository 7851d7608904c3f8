//! The books: what a request costs, what the cache saved, and that no row is lost.

mod balance;
mod fleet;
mod killed;
mod pace;
mod roads;

use crate::world::upstream::{Say, body};
use crate::world::{Answer, World, chat_with, read};
use reprise::accounts::ledger::report::{self, By, Line, Report, Sums, Wanted};
use reprise::accounts::row::{Kind, Payer};
use reprise::config::{CacheMode, Config};
use reprise::wire::usage::Usage;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A world that keeps its books in `folder`.
async fn kept_in(folder: &Path, change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = Some(folder.to_owned());
        change(config);
    })
    .await
}

fn priced(question: &str) -> Value {
    chat_with(question, json!({ "model": "gpt-4.1-mini" }))
}

/// Everything, by `by`; waits until it is written.
fn report_of(world: &World, by: By) -> Report {
    world.server.gateway().accounts.report(Wanted { by, since: 0, until: u64::MAX }).unwrap()
}

fn total(world: &World) -> Sums {
    report_of(world, By::Key).total
}

fn column(folder: &Path, sql: &str) -> Vec<String> {
    let ledger = Connection::open(folder.join("ledger.sqlite")).unwrap();
    let mut asked = ledger.prepare(sql).unwrap();
    let rows = asked.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    rows.map(|text| text.unwrap().unwrap_or_else(|| "unknown".to_owned())).collect()
}

#[tokio::test]
async fn a_hit_says_what_it_saved_and_the_books_agree() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let miss = world.send(&priced("q")).await;
    let hit = world.send(&priced("q")).await;
    assert_eq!((miss.verdict(), miss.header("x-reprise-saved-usd")), ("miss", None));
    // 9 x $0.40 + 3 x $1.60 for a million.
    assert_eq!((hit.verdict(), hit.header("x-reprise-saved-usd")), ("hit", Some("0.000008")));
    let sums = total(&world);
    assert_eq!((sums.requests, sums.from_cache, sums.unknown), (2, 1, 0));
    assert_eq!((sums.spent, sums.saved, sums.net()), (8_400, 8_400, 8_400));
    assert_eq!((sums.prompt_tokens, sums.saved_completion_tokens), (9, 3));
    assert_eq!(hit.json()["usage"]["completion_tokens"], 3, "clients see the recorded usage");
}

#[tokio::test]
async fn a_model_without_a_price_is_unknown_and_never_zero() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.ask("q").await;
    let hit = world.ask("q").await;
    assert_eq!((hit.verdict(), hit.header("x-reprise-saved-usd")), ("hit", None));
    let report = report_of(&world, By::Model);
    assert_eq!((report.total.unknown, report.total.saved, report.total.saved_prompt_tokens), (2, 0, 9));
    assert_eq!(report.unpriced, [("gpt-test".to_owned(), 2)]);
}

#[tokio::test]
async fn a_price_in_the_config_goes_before_the_built_in_one_from_the_next_request_on() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send(&priced("q")).await;
    let mut config = world.server.gateway().settings.load().config.clone();
    let mut prices = config.accounts.prices.to_vec();
    let mut dear = prices.iter().find(|price| price.model == "gpt-4.1-mini").unwrap().clone();
    dear.rates.input.0 *= 1_000;
    prices.insert(0, dear);
    config.accounts.prices = prices.into();
    world.server.reload(config).unwrap();
    assert_eq!(world.send(&priced("q")).await.header("x-reprise-saved-usd"), Some("0.003605"));
}

#[tokio::test]
async fn callers_keep_their_digest_over_a_restart_and_the_config_names_them() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send(&priced("q")).await;
    world.send_as("sk-other", &priced("q")).await;
    let before = report_of(&world, By::Key);
    assert_eq!(before.lines.len(), 2);
    world.server.drain().await;
    drop(world);
    let named = before.lines[0].name.clone();
    assert!(named.len() == 16 && named.bytes().all(|digit| digit.is_ascii_hexdigit()), "{named}");
    let caller = |name: &str, team: Option<&str>| reprise::config::accounts::Caller {
        digest: named.clone(),
        name: name.to_owned(),
        team: team.map(str::to_owned),
    };
    let world = kept_in(folder.path(), |config| {
        config.accounts.callers = vec![caller("support bot", Some("support"))];
    })
    .await;
    world.send(&priced("q")).await;
    world.send_as("sk-other", &priced("q")).await;
    let after = report_of(&world, By::Key);
    assert_eq!((after.lines.len(), after.total.requests), (2, 4));
    assert!(
        after.lines.iter().any(|line| line.name == "support bot" && line.sums.requests == 2),
        "{after:?}"
    );
    let teams: Vec<String> = report_of(&world, By::Team).lines.into_iter().map(|line| line.name).collect();
    assert!(teams.contains(&"support".to_owned()) && teams.contains(&"(no team)".to_owned()), "{teams:?}");
}

#[tokio::test]
async fn tags_split_the_books_and_the_total_counts_once() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send_with(&priced("q"), &[("x-reprise-tags", "feature=faq,cohort=beta")]).await;
    world.send_with(&priced("q"), &[("x-reprise-tags", "feature=faq")]).await;
    world.send(&priced("q")).await;
    let report = report_of(&world, By::Tag);
    let of = |name: &str| report.lines.iter().find(|line| line.name == name).unwrap().sums.requests;
    assert_eq!((of("feature=faq"), of("cohort=beta"), report.total.requests), (2, 1, 3));
}

#[tokio::test]
async fn every_way_a_request_can_end_is_a_row() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.upstream.will(body(500, json!({ "error": { "message": "no" } })));
    world.send(&priced("fails")).await;
    let feed = world.upstream.streams();
    let stream = chat_with("cut", json!({ "model": "gpt-4.1-mini", "stream": true }));
    let mut cut = world.post("/v1/chat/completions", &stream).send().await.unwrap();
    feed.text("half");
    cut.chunk().await.unwrap().expect("the half");
    feed.cut();
    let rest = cut.text().await.unwrap();
    assert!(rest.contains("\"error\"") && !rest.contains("[DONE]"), "{rest}");
    world.send_with(&priced("aside"), &[("x-reprise-cache", "off")]).await;
    world.send_with(&priced("never"), &[("cache-control", "only-if-cached")]).await;
    read(world.post("/v1/images/generations", &json!({ "prompt": "a cat" }))).await;
    read(world.client().get(world.url("/v1/models"))).await;
    world.server.drain().await;
    let rows = "SELECT verdict || ' ' || ended || ' ' || COALESCE(spent, 'unknown') FROM entry ORDER BY id";
    assert_eq!(
        column(folder.path(), rows),
        ["miss failed 0", "miss cut unknown", "bypass whole 8400", "none refused 0", "pass whole unknown",]
    );
}

#[tokio::test]
async fn followers_are_saved_once_each_even_one_that_leaves() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let feed = world.upstream.streams();
    let ask = chat_with(
        "q",
        json!({ "model": "gpt-4.1-mini", "stream": true, "stream_options": { "include_usage": true } }),
    );
    let leader = world.post("/v1/chat/completions", &ask).send().await.unwrap();
    let stays = world.post("/v1/chat/completions", &ask).send().await.unwrap();
    let leaves = world.post("/v1/chat/completions", &ask).send().await.unwrap();
    assert_eq!(leaves.headers()["x-reprise-verdict"], "follow");
    drop(leaves);
    feed.text("said");
    feed.event(&crate::world::upstream::usage_chunk());
    feed.done();
    leader.bytes().await.unwrap();
    stays.bytes().await.unwrap();
    let sums = total(&world);
    assert_eq!((sums.requests, sums.from_cache, sums.spent, sums.saved), (3, 2, 8_400, 16_800));
}

#[tokio::test]
async fn a_batch_of_embeddings_is_part_spent_and_part_saved() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let answer = |count: usize, tokens: u64| {
        let data: Vec<Value> =
            (0..count).map(|at| json!({ "object": "embedding", "index": at, "embedding": [0.5] })).collect();
        let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
        body(
            200,
            json!({ "object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage }),
        )
    };
    let ask = |input: &[&str]| json!({ "model": "text-embedding-3-small", "input": input });
    world.upstream.will(answer(2, 8));
    read(world.post("/v1/embeddings", &ask(&["aaaa", "bbbb"]))).await;
    world.upstream.will(answer(1, 5));
    read(world.post("/v1/embeddings", &ask(&["aaaa", "cccc"]))).await;
    let hit = read(world.post("/v1/embeddings", &ask(&["cccc"]))).await;
    assert_eq!(hit.verdict(), "hit");
    let sums = total(&world);
    assert_eq!((sums.prompt_tokens, sums.saved_prompt_tokens), (13, 4 + 5));
    assert_eq!((sums.spent, sums.saved), (13 * 20, 9 * 20), "$0.02 for a million");
}

#[tokio::test]
async fn a_follower_of_a_batch_of_embeddings_is_saved_what_the_batch_costs() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let (release, word) = tokio::sync::oneshot::channel();
    let answer = json!({ "object": "list", "model": "text-embedding-3-small",
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.5] }],
        "usage": { "prompt_tokens": 3, "total_tokens": 3 } });
    world.upstream.will(Say::After(word, Box::new(body(200, answer))));
    let ask = json!({ "model": "text-embedding-3-small", "input": "aaaa" });
    let both = async {
        let ask = || read(world.post("/v1/embeddings", &ask));
        tokio::join!(ask(), ask())
    };
    let followed = async {
        let metrics = || read(world.client().get(world.admin("/metrics")));
        while !metrics().await.body.windows(25).any(|line| line == b"reprise_followers_total 1") {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
    };
    tokio::join!(both, followed);
    let sums = total(&world);
    assert_eq!((sums.requests, sums.from_cache, sums.spent, sums.saved), (2, 1, 60, 60));
}

#[tokio::test]
async fn a_stream_without_usage_is_unknown_and_so_are_its_hits() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let ask = chat_with("q", json!({ "model": "gpt-4.1-mini", "stream": true }));
    world.send(&ask).await;
    let hit = world.send(&ask).await;
    assert_eq!((hit.verdict(), hit.header("x-reprise-saved-usd")), ("hit", None));
    let sums = total(&world);
    assert_eq!((sums.requests, sums.unknown, sums.spent, sums.saved), (2, 2, 0, 0));
}

#[tokio::test]
async fn an_explanation_is_no_request() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send(&priced("q")).await;
    let asked = json!({ "headers": { "authorization": "Bearer sk-one" }, "body": priced("q") });
    let told = read(world.client().post(world.admin("/api/explain")).body(asked.to_string())).await;
    assert_eq!(told.json()["outcome"], "hit", "{told:?}");
    assert_eq!(total(&world).requests, 1);
}

#[tokio::test]
async fn an_answer_that_is_brought_along_is_no_request() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    let item = json!({ "request": priced("q"), "answer": "an answer" });
    let warm = world.client().post(world.admin("/api/warm"));
    let told = read(warm.body(json!({ "items": [item] }).to_string())).await;
    assert_eq!(told.json()["exact_only"], 1, "{told:?}");
    world.send(&priced("another")).await;
    assert_eq!(total(&world).requests, 1);
}

#[tokio::test]
async fn the_ledger_is_served_on_the_admin_side_and_counted_by_key() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send(&priced("q")).await;
    world.send(&priced("q")).await;
    let get = async |path: &str| -> Answer { read(world.client().get(world.admin(path))).await };
    let told = get("/api/ledger?by=model").await.json();
    assert_eq!(told["lines"][0]["name"], "gpt-4.1-mini");
    assert_eq!(told["total"]["saved_usd"], "0.000008400");
    assert_eq!(get("/api/ledger?by=colour").await.status, 400);
    let metrics = get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find(|line| line.starts_with("reprise_key_saved_usd_total{")).unwrap();
    assert!(line.ends_with(" 0.0000084"), "{line}");
    assert!(text.contains("verdict=\"hit\"} 1"));
}

#[tokio::test]
async fn without_a_ledger_hits_still_say_what_they_saved() {
    let world = World::start().await;
    world.send(&priced("q")).await;
    assert_eq!(world.send(&priced("q")).await.header("x-reprise-saved-usd"), Some("0.000008"));
    assert_eq!(read(world.client().get(world.admin("/api/ledger"))).await.status, 404);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_opened_stops_no_request_and_is_seen() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("ledger.sqlite")).unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.upstream.says("still there");
    assert_eq!(world.send(&priced("q")).await.text(), "still there");
    world.server.gateway().accounts.flush();
    let metrics = read(world.client().get(world.admin("/metrics"))).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(!text.contains("reprise_ledger_write_failures_total 0\n"), "{text}");
    assert!(text.contains("reprise_ledger_rows_waiting 1\n"), "{text}");
    // Once it can be, what waited is written.
    std::fs::remove_dir(folder.path().join("ledger.sqlite")).unwrap();
    assert_eq!(total(&world).requests, 1);
}

#[tokio::test]
async fn audits_come_off_what_was_saved_and_are_no_requests() {
    let folder = TempDir::new().unwrap();
    let world = kept_in(folder.path(), |_| {}).await;
    world.send(&priced("q")).await;
    world.send(&priced("q")).await;
    let accounts = &world.server.gateway().accounts;
    let payer = Payer::Named { id: "reprise".into(), team: None };
    let usage = Usage { prompt: 10, completion: 1, ..Usage::default() };
    accounts.overhead(Kind::Audit, payer, "gpt-4.1-mini", Some(usage));
    let sums = total(&world);
    assert_eq!((sums.requests, sums.spent, sums.saved), (2, 8_400, 8_400));
    assert_eq!((sums.overhead, sums.net()), (5_600, 2_800));
}

#[test]
fn days_are_in_order_and_lines_by_what_they_saved() {
    assert_eq!((report::day(0), report::day(20_778)), ("1970-01-01".into(), "2026-11-21".into()));
    let line = Line { name: String::new(), sums: Sums { saved: 5, overhead: 7, ..Sums::default() } };
    assert_eq!(line.sums.net(), -2, "audits may cost more than was saved, and that is shown");
}
