//! No credential is in anything that a run leaves behind.

use super::{OWN, api, keyed_in, priced};
use crate::world::read;
use clap::Parser;
use reprise::base::secret::Secret;
use reprise::cli::keys;
use reprise::config::accounts::Audit;
use reprise::config::keys::{Grant, Listed};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: keys::Args,
}

/// Runs `reprise keys …`, and gives back what it prints.
fn run(config: &Path, words: &[&str]) -> String {
    let words = ["keys", "--config", config.to_str().unwrap()].into_iter().chain(words.iter().copied());
    let mut out = Vec::new();
    keys::run(Command::parse_from(words).args, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn no_secret_is_anywhere_that_a_run_leaves_behind() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    // Scenes beside this one may have met a line just now, when nobody listened.
    tracing::callsite::rebuild_interest_cache();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("reprise.toml");
    std::fs::write(&config, format!("[ledger]\npath = \"{}\"\n", folder.path().display())).unwrap();
    let of_cli = run(&config, &["create", "from-cli", "--team", "t", "--budget", "day=5"]).trim().to_owned();
    let listed = Listed {
        secret: Secret::new("sk-listed-in-the-config".into()),
        expires: None,
        grant: Grant { name: "listed".into(), ..Grant::default() },
    };
    let world = keyed_in(folder.path(), |config| {
        config.accounts.keys.listed = vec![listed];
        config.accounts.ledger.audit = Audit::All;
    })
    .await;
    let of_api = api(&world, "/api/keys", json!({ "name": "from-api" })).await.json()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let wrong = format!("{}f00", &of_cli[..of_cli.len() - 3]);
    let all = [of_cli.as_str(), &of_api, "sk-listed-in-the-config", "sk-a-clients-own", &wrong, OWN];
    let mut said = Vec::new();
    for key in all {
        for question in ["one", "one", "two"] {
            said.push(world.send_as(key, &priced(question)).await.body);
        }
    }
    let old = of_api.clone();
    let new =
        api(&world, "/api/keys/from-api/rotate", json!({})).await.json()["key"].as_str().unwrap().to_owned();
    said.push(world.send_as(&old, &priced("one")).await.body);
    said.push(world.send_as(&new, &priced("one")).await.body);
    said.push(run(&config, &["list"]).into_bytes().into());
    for path in ["/metrics", "/api/keys", "/api/ledger", "/readyz"] {
        said.push(read(world.client().get(world.admin(path))).await.body);
    }
    world.server.drain().await;
    drop(world);

    let mut left: Vec<(String, Vec<u8>)> = vec![("the log".into(), log.0.lock().clone())];
    left.extend(said.into_iter().map(|body| ("an answer".into(), body.to_vec())));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        left.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(left.iter().any(|(name, _)| name.ends_with("keys.sqlite")), "the run left its files");
    assert!(left[0].1.windows(9).any(|word| word == b"wrong key"), "the log has something in it");
    for secret in all.into_iter().chain([new.as_str()]) {
        // The secret part alone: what stands before it in a key of ours is its public id.
        let part = secret.rsplit('-').next().filter(|part| part.len() > 20).unwrap_or(secret).as_bytes();
        for (name, bytes) in &left {
            let found = bytes.windows(part.len()).any(|window| window == part);
            assert!(!found, "a credential is in {name}");
        }
    }
}
