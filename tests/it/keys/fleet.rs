//! Virtual keys of several replicas, in one Postgres, a real one.

use super::budgets::{DOLLAR, ask, dear, whole};
use super::{OWN, api, code, named, priced};
use crate::world::postgres::Server;
use crate::world::upstream::Upstream;
use crate::world::{Answer, World, read};
use reprise::accounts::keys::store::Store;
use reprise::app;
use reprise::base::secret::Secret;
use reprise::config::accounts::Ledger;
use reprise::config::keys::Grant;
use reprise::config::{CacheMode, Config, Flags, Source, StorePath};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

fn of_fleet<'a>(server: &Server, folder: &'a Path) -> impl FnOnce(&mut Config) + 'a {
    let url = server.config();
    move |config| {
        dear(config);
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = Some(folder.to_owned());
        config.accounts.ledger.url = url;
        config.upstreams[0].key = Some(Secret::new(OWN.to_owned()));
    }
}

async fn replica(upstream: &Upstream, server: &Server, folder: &Path) -> World {
    World::before(upstream.clone(), of_fleet(server, folder)).await
}

async fn made(world: &World, settings: serde_json::Value) -> String {
    let made = api(world, "/api/keys", settings).await;
    made.json()["key"].as_str().unwrap_or_else(|| panic!("{}", made.json())).to_owned()
}

/// Asks until the answer has this status. A busy machine shall make the scene slow, not fail it.
async fn comes_to(world: &World, key: &str, status: u16) -> Answer {
    let began = SystemTime::now();
    loop {
        let answer = world.send_as(key, &priced("q")).await;
        if answer.status == status {
            return answer;
        }
        assert!(
            began.elapsed().unwrap() < Duration::from_secs(30),
            "not {status} in time, but {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn what_one_replica_does_to_a_key_holds_on_all() {
    let (server, upstream) = (Server::start(), Upstream::start().await);
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    let a = replica(&upstream, &server, folders[0].path()).await;
    let b = replica(&upstream, &server, folders[1].path()).await;
    let c = replica(&upstream, &server, folders[2].path()).await;
    let key = made(&a, json!({ "name": "support", "team": "support" })).await;
    for world in [&a, &b, &c] {
        comes_to(world, &key, 200).await;
        assert_eq!(comes_to(world, &key, 200).await.verdict(), "hit");
    }
    let taken = api(&b, "/api/keys", json!({ "name": "support" })).await;
    assert_eq!(taken.status, 409);
    assert_eq!(api(&b, "/api/keys/nobody/disable", json!({})).await.status, 404);

    let rotated = api(&c, "/api/keys/support/rotate", json!({ "grace": "1h" })).await.json();
    let new = rotated["key"].as_str().unwrap().to_owned();
    for world in [&a, &b, &c] {
        comes_to(world, &new, 200).await;
        assert_eq!(comes_to(world, &key, 200).await.verdict(), "hit", "within its grace");
    }
    assert_eq!(api(&b, "/api/keys/support/disable", json!({})).await.status, 200);
    assert_eq!(code(&b.send_as(&new, &priced("q")).await), (401, "key_stopped".into()), "at once here");
    for world in [&a, &c] {
        assert_eq!(code(&comes_to(world, &new, 401).await), (401, "key_stopped".into()));
    }
    // The text is nowhere, neither there nor in the copies.
    for text in [&key, &new] {
        let secret = text.rsplit('-').next().unwrap();
        let rows =
            server.rows("SELECT settings || encode(hash, 'hex') || encode(old_hash, 'hex') FROM reprise_key");
        assert!(!rows.await[0].get::<_, String>(0).contains(secret));
        for folder in &folders {
            let copy = std::fs::read_to_string(folder.path().join("keys.copy")).unwrap();
            assert!(copy.contains("support") && !copy.contains(secret));
        }
    }
}

#[tokio::test]
async fn while_the_database_is_away_keys_stay_as_they_were_and_so_they_do_over_a_start() {
    let (mut server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let world = replica(&upstream, &server, folder.path()).await;
    let key = made(&world, json!({ "name": "a" })).await;
    assert_eq!(world.send_as(&key, &priced("q")).await.status, 200);
    server.kill();
    assert_eq!(world.send_as(&key, &priced("q")).await.status, 200);
    let refused = api(&world, "/api/keys/a/disable", json!({})).await;
    assert_eq!(refused.status, 503);
    let why = refused.json()["error"].to_string();
    assert!(why.contains("Postgres") && why.contains("server up"), "{why}");

    let change = of_fleet(&server, folder.path());
    let world = world.restarted(change).await;
    assert_eq!(world.send_as(&key, &priced("q")).await.status, 200, "by the copy");
    server.start_again();
    let other = TempDir::new().unwrap();
    let second = replica(&upstream, &server, other.path()).await;
    assert_eq!(api(&second, "/api/keys/a/disable", json!({})).await.status, 200);
    comes_to(&world, &key, 401).await;
    let listed = read(world.client().get(world.admin("/api/keys"))).await.json();
    assert_eq!(listed["keys"][0]["stopped"], json!("disabled"));
}

#[tokio::test]
async fn a_first_start_without_the_database_says_what_to_do() {
    let (mut server, folder) = (Server::start(), TempDir::new().unwrap());
    server.kill();
    let mut config = Config::read(&Source::new(None, [], upstream_flags())).unwrap();
    of_fleet(&server, folder.path())(&mut config);
    config.server.listen.set_port(0);
    config.server.admin_listen.set_port(0);
    config.store.path = StorePath::Off;
    let refused = app::start(config).await.err().expect("refused").to_string();
    assert!(refused.contains("keys of the fleet") && refused.contains("ledger.url"), "{refused}");
    server.start_again();
}

#[tokio::test]
async fn a_database_that_was_lost_is_filled_again_by_the_replicas() {
    let (server, upstream) = (Server::start(), Upstream::start().await);
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let a = replica(&upstream, &server, folders[0].path()).await;
    let b = replica(&upstream, &server, folders[1].path()).await;
    let key = made(&a, json!({ "name": "support" })).await;
    for world in [&a, &b] {
        comes_to(world, &key, 200).await;
        world.until_metric("reprise_ledger_rows_unshipped", 0).await;
    }
    let before = server.number("SELECT count(*) FROM reprise_entry").await;
    server.rows("DROP TABLE reprise_fleet, reprise_key, reprise_entry, reprise_charge, reprise_outbox").await;
    // Whoever comes first, it is the fleet's secret and its keys.
    comes_to(&b, &key, 200).await;
    let disabled = api(&b, "/api/keys/support/disable", json!({})).await;
    assert_eq!(disabled.status, 200, "{}", disabled.json());
    comes_to(&a, &key, 401).await;
    for world in [&a, &b] {
        world.server.drain().await;
    }
    let after = server.number("SELECT count(*) FROM reprise_entry").await;
    assert!(after > before, "{after} rows, and {before} before");
}

#[tokio::test]
async fn keys_that_were_made_alone_come_along() {
    let (server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let key = Store::in_folder(folder.path()).unwrap().create(&named("early"), None, 0).unwrap();
    let a = replica(&upstream, &server, folder.path()).await;
    assert_eq!(a.send_as(&key.text, &priced("q")).await.status, 200);
    let other = TempDir::new().unwrap();
    let b = replica(&upstream, &server, other.path()).await;
    assert_eq!(b.send_as(&key.text, &priced("q")).await.status, 200);
}

/// Whoever only reads makes nothing, and a secret that somebody else put in place of the fleet's is not taken.
#[tokio::test]
async fn a_stranger_cannot_take_the_fleets_place() {
    let (server, upstream) = (Server::start(), Upstream::start().await);
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'reprise%'";
    let ledger = |folder: &TempDir| Ledger { url: server.config(), ..Ledger::at(folder.path()) };
    let look = |ledger: Ledger| tokio::task::spawn_blocking(move || Store::look(&ledger).map(drop));
    look(ledger(&folders[1])).await.unwrap().unwrap_err();
    assert_eq!(server.number(tables).await, 0);

    let world = replica(&upstream, &server, folders[0].path()).await;
    let key = made(&world, json!({ "name": "a" })).await;
    world.server.drain().await;
    drop(world);
    server.rows("DROP TABLE reprise_fleet, reprise_key, reprise_entry, reprise_charge, reprise_outbox").await;
    let stranger = ledger(&folders[1]);
    tokio::task::spawn_blocking(move || Store::open(&stranger).map(drop)).await.unwrap().unwrap();
    let opening = ledger(&folders[0]);
    let mut config = Config::read(&Source::new(None, [], upstream_flags())).unwrap();
    config.accounts.ledger = opening;
    config.server.listen.set_port(0);
    config.server.admin_listen.set_port(0);
    config.store.path = StorePath::Off;
    let refused = app::start(config).await.err().expect("refused").to_string();
    assert!(refused.contains("keys.copy") && refused.contains("drop"), "{refused}");
    // As it says.
    server.rows("DROP TABLE reprise_fleet, reprise_key, reprise_entry, reprise_charge, reprise_outbox").await;
    let world = replica(&upstream, &server, folders[0].path()).await;
    assert_eq!(world.send_as(&key, &priced("q")).await.status, 200);
}

fn upstream_flags() -> Flags {
    Flags { upstream: Some("http://127.0.0.1:9".to_owned()), ..Flags::default() }
}

/// A container's disk goes with it; what its keys have spent does not.
#[tokio::test]
async fn a_replica_on_an_empty_disk_knows_what_was_spent() {
    let (server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let world = replica(&upstream, &server, folder.path()).await;
    let budget = Grant { budget: whole(DOLLAR), ..named("tight") };
    let key = made(&world, serde_json::to_value(&budget).unwrap()).await;
    for number in 0..3 {
        assert_eq!(world.send_as(&key, &ask(&format!("q {number}"), 3)).await.status, 200);
    }
    world.server.drain().await;
    drop(world);
    let empty = TempDir::new().unwrap();
    let world = replica(&upstream, &server, empty.path()).await;
    let refused = world.send_as(&key, &ask("one more", 3)).await;
    assert_eq!(code(&refused), (429, "budget_exceeded".into()), "thirty cents thrice, and thirty do not fit");
    assert_eq!(world.send_as(&key, &ask("a small one", 1)).await.status, 200);
}
