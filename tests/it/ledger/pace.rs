//! How much a row costs, and how many a second are written. Run by hand: it measures the machine.

use reprise::accounts::Accounts;
use reprise::base::clock::Clock;
use reprise::base::tasks::Tasks;
use reprise::config::{Config, Flags, Source};
use reprise::telemetry::metrics::Metrics;
use reprise::wire::usage::Usage;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const ROWS: u32 = 100_000;

#[tokio::test]
#[ignore = "measures the machine; its figures are for an optimised build"]
async fn twenty_thousand_rows_a_second_are_written() {
    let folder = TempDir::new().unwrap();
    let mut config = Config::read(&Source::new(None, [], Flags::default())).unwrap();
    config.accounts.ledger.path = Some(folder.path().to_owned());
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
    let written = began.elapsed();
    let each: Duration = entered / ROWS;
    let rate = f64::from(ROWS) / written.as_secs_f64();
    println!("a tab costs {each:?}; {rate:.0} rows a second reach the disk");
    assert!(rate > 20_000.0, "{rate:.0} rows a second");
    assert!(each < Duration::from_micros(10), "{each:?}");
}
