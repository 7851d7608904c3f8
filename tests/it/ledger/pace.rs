//! How much a row costs, and how many a second are written. Run by hand: it measures the machine.

use crate::world::postgres::Server;
use reprise::accounts::Accounts;
use reprise::base::clock::Clock;
use reprise::base::tasks::Tasks;
use reprise::config::accounts::Ledger;
use reprise::config::{Config, Flags, Source};
use reprise::telemetry::metrics::Metrics;
use reprise::wire::usage::Usage;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const ROWS: u32 = 100_000;

#[test]
#[ignore = "measures the machine; its figures are for an optimised build"]
fn twenty_thousand_rows_a_second_are_written() {
    let (each, rate) = paced(|_| {});
    println!("a tab costs {each:?}; {rate:.0} rows a second reach the disk");
    assert!(rate > 20_000.0, "{rate:.0} rows a second");
    assert!(each < Duration::from_micros(10), "{each:?}");
}

#[test]
#[ignore = "as above"]
fn twenty_thousand_rows_a_second_reach_the_database_of_a_fleet() {
    let server = Server::start();
    let (_, rate) = paced(|ledger| ledger.url = server.config());
    println!("{rate:.0} rows a second reach the disk and then the database");
    let there = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(there.block_on(server.number("SELECT count(*) FROM reprise_entry")), i64::from(ROWS));
    assert!(rate > 20_000.0, "{rate:.0} rows a second");
}

/// What a row costs its request, and how many a second are written.
fn paced(change: impl FnOnce(&mut Ledger)) -> (Duration, f64) {
    let folder = TempDir::new().unwrap();
    let mut config = Config::read(&Source::new(None, [], Flags::default())).unwrap();
    config.accounts.ledger = Ledger::at(folder.path());
    change(&mut config.accounts.ledger);
    let accounts =
        Accounts::open(&config, Clock::start(), Arc::new(Metrics::new()), Tasks::new(), &[7; 32].into())
            .unwrap();
    let who = accounts.admit(&mut http::HeaderMap::new()).unwrap();
    let usage = Usage { prompt: 900, completion: 300, ..Usage::default() };
    let began = Instant::now();
    for _ in 0..ROWS {
        let tab = accounts.open_tab(&who, "chat_completions", "gpt-4.1-mini-2025-04-14", &[]).unwrap();
        assert!(tab.hit("l1", Some(usage)).is_some());
    }
    let entered = began.elapsed();
    accounts.flush();
    (entered / ROWS, f64::from(ROWS) / began.elapsed().as_secs_f64())
}
