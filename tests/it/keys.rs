//! Virtual keys: who is let in, how far, and that no key is anywhere it should not be.

mod budgets;
mod fleet;
mod replicas;
mod secrets;

use crate::world::upstream::{Upstream, body, completion};
use crate::world::{Answer, World, chat_with, read};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use reprise::accounts::keys::store::{Fresh, Store};
use reprise::base::secret::Secret;
use reprise::config::accounts::Caller;
use reprise::config::keys::{Grant, Listed};
use reprise::config::{CacheMode, Config, Policy, Route, RouteMatch, ScopeBy};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const OWN: &str = "sk-the-upstreams-own";

/// A world with keys in `folder`, and a credential of its own for the upstream.
async fn keyed_in(folder: &Path, change: impl FnOnce(&mut Config)) -> World {
    keyed_before(Upstream::start().await, folder, change).await
}

async fn keyed_before(upstream: Upstream, folder: &Path, change: impl FnOnce(&mut Config)) -> World {
    World::before(upstream, |config| {
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = Some(folder.to_owned());
        config.upstreams[0].key = Some(Secret::new(OWN.to_owned()));
        change(config);
    })
    .await
}

fn named(name: &str) -> Grant {
    Grant { name: name.to_owned(), ..Grant::default() }
}

fn make(world: &World, grant: &Grant) -> Fresh {
    world.server.gateway().accounts.change_keys(|store, now| store.create(grant, None, now.0)).unwrap()
}

fn priced(question: &str) -> Value {
    chat_with(question, json!({ "model": "gpt-4.1-mini" }))
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or("none").to_owned())
}

async fn api(world: &World, path: &str, body: Value) -> Answer {
    read(world.client().post(world.admin(path)).body(body.to_string())).await
}

#[tokio::test]
async fn a_key_stands_in_for_the_upstreams_credential_and_goes_no_further() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let key = make(&world, &named("a"));
    assert_eq!(world.send_as(&key.text, &priced("q")).await.verdict(), "miss");
    assert_eq!(world.send_as(&key.text, &priced("q")).await.verdict(), "hit");
    let asked = world.upstream.asked(0);
    assert_eq!(asked.headers["authorization"], format!("Bearer {OWN}"));
    assert!(asked.headers.values().all(|value| !value.to_str().unwrap().contains(&key.text)));
    // In the other headers that clients use, and for a path that is not ours.
    let ask = world.client().post(world.url("/v1/chat/completions")).body(priced("q").to_string());
    assert_eq!(read(ask.header("x-api-key", &key.text)).await.verdict(), "hit");
    let models = world.client().get(world.url("/v1/models")).header("api-key", &key.text);
    assert_eq!(read(models).await.status, 200);
    assert!(!world.upstream.asked(1).headers.contains_key("api-key"));
}

#[tokio::test]
async fn a_wrong_key_is_refused_late_and_never_reaches_the_upstream() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let key = make(&world, &named("a"));
    let mut wrong = key.text.clone();
    wrong.replace_range(wrong.len() - 1.., if wrong.ends_with('0') { "1" } else { "0" });
    tokio::time::pause();
    let began = Instant::now();
    let refused = world.send_as(&wrong, &priced("q")).await;
    let waited = began.elapsed();
    tokio::time::resume();
    assert_eq!(code(&refused), (401, "invalid_api_key".into()));
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert!(!String::from_utf8_lossy(&refused.body).contains(&wrong));
    assert_eq!(world.upstream.calls(), 0);
    // Somebody without a key of ours passes with his own credential.
    assert_eq!(world.send_as("sk-own", &priced("q")).await.verdict(), "miss");
}

#[tokio::test]
async fn where_keys_are_required_nobody_else_is_let_in() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |config| config.accounts.keys.required = true).await;
    let key = make(&world, &named("a"));
    tokio::time::pause();
    assert_eq!(code(&world.send_as("sk-own", &priced("q")).await).0, 401);
    assert_eq!(read(world.client().get(world.url("/v1/models"))).await.status, 401);
    tokio::time::resume();
    assert_eq!(world.upstream.calls(), 0);
    assert_eq!(world.send_as(&key.text, &priced("q")).await.verdict(), "miss");
}

#[tokio::test]
async fn a_key_disabled_by_another_process_stops_for_hits_too() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    // Made by another process too, while the server runs.
    let mut other = Store::in_folder(folder.path()).unwrap();
    let key = other.create(&named("a"), None, 0).unwrap();
    // The keys' file is looked at four times a second; a busy machine shall make the scene slow, not fail it.
    let opens = async |wanted: u16| {
        let began = std::time::SystemTime::now();
        while world.send_as(&key.text, &priced("q")).await.status != wanted {
            assert!(began.elapsed().unwrap() < Duration::from_secs(5), "not {wanted} in time");
        }
    };
    opens(200).await;
    assert_eq!(world.send_as(&key.text, &priced("q")).await.verdict(), "hit");
    other.set_disabled("a", true).unwrap();
    opens(401).await;
    assert_eq!(code(&world.send_as(&key.text, &priced("q")).await), (401, "key_stopped".into()));
    other.set_disabled("a", false).unwrap();
    opens(200).await;
}

#[tokio::test]
async fn a_rotated_key_opens_for_its_grace_and_a_key_expires_on_time() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let made = api(&world, "/api/keys", json!({ "name": "a", "expires": "2100-01-01" })).await;
    let old = made.json()["key"].as_str().unwrap().to_owned();
    let rotated = api(&world, "/api/keys/a/rotate", json!({ "grace": "1h" })).await.json();
    let new = rotated["key"].as_str().unwrap();
    assert_eq!(world.send_as(&old, &priced("q")).await.verdict(), "miss");
    assert_eq!(world.send_as(new, &priced("q")).await.verdict(), "hit", "they are one key");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_601)).await;
    tokio::time::resume();
    assert_eq!(code(&world.send_as(&old, &priced("q")).await), (401, "key_stopped".into()));
    assert_eq!(world.send_as(new, &priced("q")).await.status, 200);
    assert_eq!(api(&world, "/api/keys/a/expire", json!({})).await.status, 200);
    assert_eq!(code(&world.send_as(new, &priced("q")).await), (401, "key_stopped".into()));
}

#[tokio::test]
async fn the_admin_side_makes_lists_and_stops_keys_and_the_audit_log_has_it() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let settings = json!({ "name": "a", "team": "t", "models": ["gpt-4*"], "budget": { "day": 2.5 } });
    let made = api(&world, "/api/keys", settings.clone()).await;
    assert_eq!((made.status, made.header("cache-control")), (200, Some("no-store")));
    let text = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(api(&world, "/api/keys", settings).await.status, 409, "a name is there once");
    assert_eq!(api(&world, "/api/keys", json!({ "name": "b", "bugdet": {} })).await.status, 400);
    assert_eq!(api(&world, "/api/keys/none/disable", json!({})).await.status, 404);
    world.send_as(&text, &priced("q")).await;
    let list = read(world.client().get(world.admin("/api/keys"))).await;
    let key = list.json()["keys"][0].clone();
    assert_eq!((&key["settings"]["team"], &key["stopped"]), (&json!("t"), &Value::Null));
    assert_eq!(key["settings"]["budget"]["day"], "2.500000000");
    assert_eq!(key["spent_usd"]["day"], "0.000008400");
    assert!(!String::from_utf8_lossy(&list.body).contains(&text));
    assert_eq!(api(&world, "/api/keys/a/disable", json!({})).await.status, 200);
    assert_eq!(code(&world.send_as(&text, &priced("q")).await), (401, "key_stopped".into()));
    let log = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = lines.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "disable"]);
    assert_eq!(lines[0]["details"]["settings"]["models"], json!(["gpt-4*"]));
}

#[tokio::test]
async fn every_call_is_in_the_audit_log_where_it_is_wanted() {
    let folder = TempDir::new().unwrap();
    let all = reprise::config::accounts::Audit::All;
    let world = keyed_in(folder.path(), |config| config.accounts.ledger.audit = all).await;
    let key = make(&world, &named("a"));
    world.send_as(&key.text, &priced("a question that stays private")).await;
    world.server.gateway().accounts.flush();
    let log = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    let call: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&call["event"], &call["key"]), (&json!("call"), &json!(key.id)));
    assert_eq!((&call["model"], &call["verdict"]), (&json!("gpt-4.1-mini"), &json!("miss")));
    assert!(!log.contains("private"));
}

#[tokio::test]
async fn a_key_asks_for_its_own_models_and_paths_that_are_read() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let key = make(&world, &Grant { models: vec!["gpt-4.1*".to_owned()], ..named("a") });
    assert_eq!(world.send_as(&key.text, &priced("q")).await.status, 200);
    let other = chat_with("q", json!({ "model": "o3" }));
    assert_eq!(code(&world.send_as(&key.text, &other).await), (403, "model_not_allowed".into()));
    let images = world.client().post(world.url("/v1/images/generations")).body("{}");
    assert_eq!(read(images.header("authorization", format!("Bearer {}", key.text))).await.status, 403);
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_route_may_be_that_of_a_key_or_of_a_named_caller() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |config| {
        let matches = RouteMatch { key: Some("batch-*".to_owned()), ..RouteMatch::default() };
        let policy = Policy { mode: CacheMode::Off, ..config.policy.clone() };
        config.routes.push(Route { name: "batch".to_owned(), matches, policy });
    })
    .await;
    let (batch, other) = (make(&world, &named("batch-night")), make(&world, &named("chat")));
    for _ in 0..2 {
        let answer = world.send_as(&batch.text, &priced("q")).await;
        assert_eq!((answer.verdict(), answer.header("x-reprise-reason")), ("bypass", Some("route_off")));
    }
    world.send_as(&other.text, &priced("q")).await;
    assert_eq!(world.send_as(&other.text, &priced("q")).await.verdict(), "hit");

    let mut headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer sk-night".parse().unwrap())]);
    let caller = world.server.gateway().accounts.admit(&mut headers).unwrap().caller.short();
    drop(world);
    let world = keyed_in(folder.path(), |config| {
        let matches = RouteMatch { key: Some("night".to_owned()), ..RouteMatch::default() };
        let policy = Policy { mode: CacheMode::Off, ..config.policy.clone() };
        config.routes.push(Route { name: "batch".to_owned(), matches, policy });
        config.accounts.callers.push(Caller { digest: caller, name: "night".to_owned(), team: None });
    })
    .await;
    assert_eq!(world.send_as("sk-night", &priced("q")).await.verdict(), "bypass");
    assert_eq!(world.send_as("sk-day", &priced("q")).await.verdict(), "miss");
}

#[tokio::test]
async fn rates_and_concurrency_are_kept_with_a_word_when_to_come_back() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let quick = make(&world, &Grant { rpm: Some(2), ..named("quick") });
    // The clock may pass into the next minute meanwhile: of four, at least one is too many.
    let mut refused = Vec::new();
    for _ in 0..5 {
        let answer = world.send_as(&quick.text, &priced("q")).await;
        if answer.status != 200 {
            refused.push(answer);
        }
    }
    let first = refused.first().expect("five in one or two minutes of two each");
    assert_eq!(code(first), (429, "rate_limited".into()));
    let after: u64 = first.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");

    let one = make(&world, &Grant { concurrency: Some(1), ..named("one") });
    let (go, wait) = tokio::sync::oneshot::channel();
    let calls = world.upstream.calls();
    world.upstream.will(crate::world::upstream::Say::After(wait, Box::new(body(200, completion("late")))));
    let (ask, again) = (priced("slow"), priced("meanwhile"));
    let slow = world.send_as(&one.text, &ask);
    let meanwhile = async {
        world.upstream.reached(calls + 1).await;
        let refused = world.send_as(&one.text, &again).await;
        go.send(()).unwrap();
        refused
    };
    let (slow, refused) = tokio::join!(slow, meanwhile);
    assert_eq!((slow.text(), code(&refused)), ("late".into(), (429, "rate_limited".into())));
    assert_eq!(world.send_as(&one.text, &again).await.status, 200);
}

#[tokio::test]
async fn answers_are_shared_as_far_as_the_keys_say() {
    let folder = TempDir::new().unwrap();
    let world = keyed_in(folder.path(), |_| {}).await;
    let of =
        |name: &str, team: &str, scope| Grant { team: Some(team.into()), scope: Some(scope), ..named(name) };
    let team_a = make(&world, &of("a1", "a", ScopeBy::Team));
    let also_a = make(&world, &of("a2", "a", ScopeBy::Team));
    let team_b = make(&world, &of("b1", "b", ScopeBy::Team));
    let alone = make(&world, &of("a3", "a", ScopeBy::Key));
    let verdict = async |key: &Fresh| world.send_as(&key.text, &priced("q")).await.verdict().to_owned();
    assert_eq!(verdict(&team_a).await, "miss");
    assert_eq!(verdict(&also_a).await, "hit");
    assert_eq!(verdict(&team_b).await, "miss");
    assert_eq!(verdict(&alone).await, "miss");
    let off = make(&world, &Grant { cache: Some(CacheMode::Off), ..of("a4", "a", ScopeBy::Team) });
    assert_eq!(verdict(&off).await, "bypass");
}

#[tokio::test]
async fn a_key_of_the_config_opens_and_closes_with_it() {
    let folder = TempDir::new().unwrap();
    let listed =
        Listed { secret: Secret::new("sk-team-support".into()), expires: None, grant: named("support") };
    let world = keyed_in(folder.path(), |config| config.accounts.keys.listed = vec![listed]).await;
    assert_eq!(world.send_as("sk-team-support", &priced("q")).await.status, 200);
    let asked = world.upstream.asked(0);
    assert_eq!(asked.headers["authorization"], format!("Bearer {OWN}"));
    let mut config = world.server.gateway().settings.load().config.clone();
    config.accounts.keys.listed.clear();
    config.accounts.keys.required = true;
    world.server.reload(config).unwrap();
    tokio::time::pause();
    assert_eq!(world.send_as("sk-team-support", &priced("q")).await.status, 401);
    tokio::time::resume();
}

#[tokio::test]
async fn a_broken_key_file_stops_the_start_rather_than_let_anybody_in() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("keys.sqlite"), b"this is no database, but it is quite long enough")
        .unwrap();
    let flags = reprise::config::Flags {
        upstream: Some("http://127.0.0.1:9".into()),
        listen: Some("127.0.0.1:0".into()),
        admin_listen: Some("127.0.0.1:0".into()),
    };
    let mut config = Config::read(&reprise::config::Source::new(None, [], flags)).unwrap();
    config.policy.mode = CacheMode::Exact;
    config.accounts.ledger.path = Some(folder.path().to_owned());
    config.store.path = reprise::config::StorePath::Off;
    let refused = reprise::app::start(config).await.err().expect("refused").to_string();
    assert!(refused.contains("keys' file"), "{refused}");
}
