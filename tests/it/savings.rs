//! `reprise savings`, as it is printed.

use crate::world::upstream::Upstream;
use crate::world::{World, chat_with};
use clap::Parser;
use reprise::cli::savings;
use reprise::config::CacheMode;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: savings::Args,
}

fn run(config: &Path, words: &[&str]) -> Result<String, String> {
    let words = ["savings", "--config", config.to_str().unwrap()].into_iter().chain(words.iter().copied());
    let mut out = Vec::new();
    let args = Command::try_parse_from(words).map_err(|wrong| wrong.to_string())?.args;
    savings::run(&args, &mut out).map_err(|wrong| wrong.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn config_for(folder: &Path) -> std::path::PathBuf {
    let config = folder.join("reprise.toml");
    std::fs::write(&config, format!("[ledger]\npath = \"{}\"\n", folder.display())).unwrap();
    config
}

/// Two models, one of them without a price, and a few hits; the server has ended when it is read.
async fn traffic(folder: &Path) {
    let world = World::before(Upstream::start().await, |config| {
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = Some(folder.to_owned());
    })
    .await;
    for (model, times) in [("gpt-4.1-mini", 4), ("gpt-4.1", 2), ("in-house", 2)] {
        for _ in 0..times {
            world.send(&chat_with("q", json!({ "model": model }))).await;
        }
    }
    world.server.drain().await;
}

#[tokio::test]
async fn a_table_that_one_would_show_to_finance() {
    let folder = TempDir::new().unwrap();
    traffic(folder.path()).await;
    let config = config_for(folder.path());
    let page = run(&config, &["--by", "model", "--since", "1d"]).unwrap();
    // 3 x $0.0000084 and 1 x $0.000042 saved of as much and one more of each.
    assert!(page.starts_with("Saved $0.0001 of $0.0001 (57.1 %)"), "{page}");
    assert!(page.contains("5 of 8 requests answered from the cache"), "{page}");
    let line = page.lines().find(|line| line.contains(" gpt-4.1 ")).unwrap();
    assert!(line.contains("50.0 %") && line.contains('█'), "{line}");
    let line = page.lines().find(|line| line.contains(" in-house ")).unwrap();
    assert!(line.contains("unknown") && !line.contains("$0"), "{line}");
    assert!(page.contains("2 requests of unknown cost (?) are in no sum"), "{page}");
    assert!(page.contains("Without a price: in-house (2)"), "{page}");
}

#[tokio::test]
async fn the_same_for_a_spreadsheet_and_for_a_program() {
    let folder = TempDir::new().unwrap();
    traffic(folder.path()).await;
    let config = config_for(folder.path());
    let csv = run(&config, &["--by", "model", "--csv"]).unwrap();
    let line = csv.lines().find(|line| line.starts_with("gpt-4.1-mini,")).unwrap();
    assert!(
        line.starts_with("gpt-4.1-mini,4,3,0.000008400,0.000025200,0.000000000,0.000025200,0,9,3,27,9"),
        "{line}"
    );
    let told: Value = serde_json::from_str(&run(&config, &["--json"]).unwrap()).unwrap();
    assert_eq!(told["total"]["saved_usd"], "0.000067200");
    assert_eq!(told["unpriced"], json!([{ "model": "in-house", "requests": 2 }]));
}

#[tokio::test]
async fn what_is_wrong_is_said_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    let config = config_for(folder.path());
    assert!(run(&config, &[]).unwrap_err().contains("there is no ledger in"));
    assert!(run(&config, &["--by", "colour"]).unwrap_err().contains("expected key, team, tag, model or day"));
    traffic(folder.path()).await;
    assert!(run(&config, &["--since", "yesterday"]).unwrap_err().contains("such as 24h or 30d"));
    let none = run(&config, &["--since", "0s"]).unwrap();
    assert!(none.starts_with("No requests from "), "{none}");
}
