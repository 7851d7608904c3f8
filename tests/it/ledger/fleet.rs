//! The books of several replicas in one Postgres, a real one: every row once, whatever happens in between.

use super::{column, priced};
use crate::world::postgres::{Relay, Server};
use crate::world::tls::{Authority, free_port};
use crate::world::upstream::Upstream;
use crate::world::{World, chat_with};
use reprise::accounts::ledger::report::{By, Report, Wanted};
use reprise::config::CacheMode;
use reprise::config::database::Database;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A replica with its own ledger in `folder`, and the common one in `database`.
async fn replica(upstream: &Upstream, database: Option<Arc<Database>>, folder: &Path) -> World {
    World::before(upstream.clone(), |config| {
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = Some(folder.to_owned());
        config.accounts.ledger.url = database;
    })
    .await
}

/// Everything that the fleet has, with all of this replica's own in it.
async fn report_of(world: &World, by: By) -> Report {
    let gateway = world.server.gateway().clone();
    let wanted = Wanted { by, since: 0, until: u64::MAX };
    tokio::task::spawn_blocking(move || gateway.accounts.report(wanted)).await.unwrap().unwrap()
}

/// Looks again until it holds: rows go over behind the requests.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let began = SystemTime::now();
    while !holds().await {
        assert!(began.elapsed().unwrap() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const ROWS: &str = "SELECT count(*) FROM reprise_entry";

#[tokio::test]
async fn three_replicas_keep_one_ledger_and_a_caller_is_the_same_to_all() {
    let (server, upstream) = (Server::start(), Upstream::start().await);
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut replicas = Vec::new();
    for folder in &folders {
        replicas.push(replica(&upstream, server.config(), folder.path()).await);
    }
    for (number, world) in replicas.iter().enumerate() {
        world.send_as("sk-one-and-the-same", &priced(&format!("q {number}"))).await;
        world.send_as("sk-one-and-the-same", &priced(&format!("q {number}"))).await;
        world.send_with(&priced(&format!("q {number}")), &[("x-reprise-tags", "feature=faq")]).await;
        report_of(world, By::Key).await;
    }
    for world in &replicas {
        let report = report_of(world, By::Key).await;
        assert_eq!((report.lines.len(), report.total.requests), (2, 9), "{report:?}");
        assert_eq!(report.total.from_cache, 3);
        // 9 x $0.40 + 3 x $1.60 for a million, six times paid for and three times saved.
        assert_eq!((report.total.spent, report.total.saved), (6 * 8_400, 3 * 8_400));
        assert_eq!(report_of(world, By::Tag).await.lines[0].sums.requests, 3);
        assert_eq!(report_of(world, By::Team).await.lines[0].name, "(no team)");
        assert_eq!(report_of(world, By::Model).await.lines[0].name, "gpt-4.1-mini");
        assert_eq!(report_of(world, By::Day).await.lines.len(), 1);
    }
    assert_eq!(server.number("SELECT count(DISTINCT replica) FROM reprise_entry").await, 3);
    // What is here says what the replicas' own ledgers say, column by column.
    let columns =
        "kind || key || tags || model || verdict || tier || ended || spent || saved || spent_prompt";
    let mut own: Vec<String> = Vec::new();
    for folder in &folders {
        own.extend(column(folder.path(), &format!("SELECT {columns} FROM entry")));
    }
    let there = server.rows(&format!("SELECT {columns} FROM reprise_entry")).await;
    let mut there: Vec<String> = there.iter().map(|row| row.get(0)).collect();
    own.sort();
    there.sort();
    assert_eq!(own, there);
}

#[tokio::test]
async fn what_is_written_while_the_database_is_away_goes_over_once() {
    let (mut server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let world = replica(&upstream, server.config(), folder.path()).await;
    world.send(&priced("before")).await;
    eventually("the first row is there", async || {
        server.number("SELECT count(*) FROM pg_class WHERE relname = 'reprise_entry'").await == 1
            && server.number(ROWS).await == 1
    })
    .await;
    for round in 0..3 {
        server.kill();
        for number in 0..20 {
            assert_eq!(world.send(&priced(&format!("away {round} {number}"))).await.status, 200);
        }
        world.until_metric("reprise_ledger_rows_unshipped", 20).await;
        server.start_again();
        world.until_metric("reprise_ledger_rows_unshipped", 0).await;
    }
    assert_eq!(server.number(ROWS).await, 61);
    // A name that Postgres cannot hold must not hold up the others.
    world.send(&chat_with("q", json!({ "model": "a\u{0}b" }))).await;
    world.send(&priced("after")).await;
    world.server.drain().await;
    assert_eq!(server.number(ROWS).await, 63, "a drain takes the rest along");
    assert_eq!(server.number("SELECT count(*) FROM reprise_entry WHERE model LIKE 'a_b'").await, 1);
}

#[tokio::test]
async fn rows_whose_arrival_nobody_heard_of_do_not_come_twice() {
    let (server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let relay = Relay::before(&server);
    let world = replica(&upstream, relay.config(), folder.path()).await;
    world.send(&priced("before")).await;
    world.until_metric("reprise_ledger_rows_unshipped", 0).await;
    for round in 1..=3 {
        relay.lose(1);
        for number in 0..5 {
            world.send(&priced(&format!("q {round} {number}"))).await;
        }
        world.until_metric("reprise_ledger_ship_failures_total", round).await;
        world.until_metric("reprise_ledger_rows_unshipped", 0).await;
    }
    world.server.drain().await;
    assert_eq!(server.number(ROWS).await, 16);
    assert_eq!(server.number("SELECT count(DISTINCT replica) FROM reprise_entry").await, 1);
}

#[tokio::test]
async fn a_database_that_hangs_delays_no_request_and_the_next_start_brings_the_rest() {
    let (server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let world = replica(&upstream, server.config(), folder.path()).await;
    world.send(&priced("before")).await;
    report_of(&world, By::Key).await;
    server.freeze();
    let began = SystemTime::now();
    for number in 0..50 {
        assert_eq!(world.send(&priced(&format!("away {number}"))).await.status, 200);
    }
    assert!(began.elapsed().unwrap() < Duration::from_secs(10));
    // A step of the outbox, another of the keys, and what they are given for it.
    tokio::time::timeout(Duration::from_secs(60), world.server.drain()).await.expect("it ends");
    drop(world);
    server.thaw();
    let world = replica(&upstream, server.config(), folder.path()).await;
    world.send(&priced("after")).await;
    let report = report_of(&world, By::Key).await;
    assert_eq!((report.total.requests, server.number(ROWS).await), (52, 52));
}

#[tokio::test]
async fn what_was_booked_before_there_was_a_database_goes_over_and_so_does_a_copy_put_back() {
    let (server, upstream, folder) = (Server::start(), Upstream::start().await, TempDir::new().unwrap());
    let world = replica(&upstream, None, folder.path()).await;
    world.send(&priced("alone")).await;
    world.server.drain().await;
    drop(world);
    let copy = std::fs::read(folder.path().join("ledger.sqlite")).unwrap();
    for (question, rows) in [("second", 2), ("third", 3)] {
        let world = replica(&upstream, server.config(), folder.path()).await;
        world.send(&priced(question)).await;
        world.server.drain().await;
        assert_eq!(server.number(ROWS).await, rows);
    }
    // Its next rows have numbers that are known already.
    for file in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    std::fs::write(folder.path().join("ledger.sqlite"), copy).unwrap();
    let world = replica(&upstream, server.config(), folder.path()).await;
    world.send(&priced("fourth")).await;
    world.server.drain().await;
    assert_eq!(server.number(ROWS).await, 4);
}

#[tokio::test]
async fn tls_and_a_password_are_enough_and_a_foreign_certificate_is_not() {
    let (authority, port) = (Authority::new(), free_port());
    let mut server = Server::start();
    for (from, to) in [("cert.pem", "cert.pem"), ("key.pem", "key.pem")] {
        server.take_in(Path::new(&authority.path(from)), to);
    }
    server.rows("CREATE ROLE books LOGIN PASSWORD 'a-long-password'").await;
    server.rows("GRANT CREATE ON SCHEMA public TO books").await;
    server.kill();
    server
        .write("data/pg_hba.conf", "local all reprise trust\nhostssl all books 127.0.0.1/32 scram-sha-256\n");
    server.start_again_at(port, &["ssl=on", "ssl_cert_file=cert.pem", "ssl_key_file=key.pem"]);
    let url = |authority: &Authority, password: &str| {
        let (ca, mode) = (authority.path("cert.pem"), "verify-full");
        format!(
            "postgres://books:{password}@localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode={mode}&sslrootcert={ca}"
        )
    };
    let (upstream, folder) = (Upstream::start().await, TempDir::new().unwrap());
    let good = Database::read(&url(&authority, "a-long-password")).unwrap();
    let world = replica(&upstream, Some(Arc::new(good)), folder.path()).await;
    world.send(&priced("q")).await;
    assert_eq!(report_of(&world, By::Key).await.total.requests, 1);

    let foreign = Authority::new();
    for (wrong, told) in
        [(url(&foreign, "a-long-password"), "certificate"), (url(&authority, "s3cret"), "password")]
    {
        let database = Database::read(&wrong).unwrap();
        let refused = tokio::task::spawn_blocking(move || {
            reprise::accounts::postgres::Session::to_read(&database).err().map(|wrong| wrong.to_string())
        });
        let refused = refused.await.unwrap().expect("refused");
        assert!(refused.contains(told) && !refused.contains("s3cret"), "{refused}");
    }
}
