//! `config/reprise.toml` says what the reader knows, and nothing else.

use super::{read, read_with};
use reprise::config::Flags;
use reprise::config::read::known_keys;
use reprise::config::routing::Router;
use tempfile::TempDir;

const SHIPPED: &str = include_str!("../../../config/reprise.toml");

/// The shipped file's lines as settings: section, key and the line's number. A key in a comment counts.
fn documented() -> Vec<(String, String, usize)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (number, line) in SHIPPED.lines().enumerate() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            found.push((section.clone(), key.to_owned(), number));
        }
    }
    found
}

#[test]
fn the_shipped_file_says_the_defaults_and_every_key() {
    let shipped = read(SHIPPED).unwrap();
    assert_eq!(shipped, read("").unwrap());

    let documented = documented();
    for (section, key) in known_keys() {
        let table = section.is_empty()
            || ["long", "warn"].contains(&key)
            || known_keys().iter().any(|(of, _)| *of == format!("{section}.{key}"));
        let there = documented.iter().any(|(of, name, _)| of == section && name == key);
        assert!(table || there, "{section}.{key} is read but not in config/reprise.toml");
    }
    for (section, key, _) in &documented {
        let known = known_keys().iter().any(|(of, name)| of == section && name == key);
        assert!(known, "{section}.{key} is in config/reprise.toml but never read");
    }
}

#[test]
fn every_setting_of_the_shipped_file_reads_cleanly_once_uncommented() {
    let library = std::env::current_exe().unwrap();
    // A setting is a comment sign with no space after it; the words of a comment have one.
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') || setting.starts_with("    \"") => setting.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = SHIPPED.lines().map(uncommented).collect();
    let text = text.join("\n").replace("/usr/lib/libonnxruntime.so", &library.display().to_string());
    let text = text.replace("/etc/ssl/redis-ca.pem", &library.display().to_string());
    let models = TempDir::new().unwrap();
    let text = text
        .replace("file = \"prices.toml\"", "file = \"config/prices.toml\"")
        .replace("models_dir = \"models\"", &format!("models_dir = \"{}\"", models.path().display()));
    let (key, before) = ("k".repeat(32), "b".repeat(32));
    let environment = [
        ("OPENAI_API_KEY", "sk-1"),
        ("LEDGER_URL", "postgres://me:s3cret@localhost/books"),
        ("AZURE_OPENAI_API_KEY", "sk-2"),
        ("ANTHROPIC_API_KEY", "sk-3"),
        ("REPRISE_ADMIN_TOKEN", "t"),
        ("SUPPORT_KEY", "k"),
        ("REPRISE_STORE_KEY", &key),
        ("REPRISE_STORE_KEY_OLD", &before),
        ("REDIS_PASSWORD", "p"),
        ("REPRISE_FLEET_SECRET", "sixteen-or-more-letters"),
    ];
    let config = read_with(&text, &environment, Flags::default()).unwrap();
    assert_eq!((config.upstreams.len(), config.routes.len()), (3, 1));

    let redis = config.redis.expect("[redis] was read");
    let usual = reprise::config::Redis::at(redis.server.clone());
    assert_eq!(
        (&redis.prefix, redis.timeout, redis.connect_timeout),
        (&usual.prefix, usual.timeout, usual.connect_timeout)
    );
    assert_eq!((redis.flight_wait, redis.backlog), (usual.flight_wait, usual.backlog));

    let default = read("").unwrap();
    assert_eq!(config.cache, default.cache);
    assert_eq!(config.limits, default.limits);
    assert_eq!(config.log, default.log);
    assert_eq!(config.server.drain, default.server.drain);
    let upstream = &config.upstreams[0];
    let usual = reprise::config::Upstream::at(upstream.url.clone(), upstream.name.clone());
    assert_eq!(
        (upstream.connect_timeout, upstream.first_byte_timeout),
        (usual.connect_timeout, usual.first_byte_timeout)
    );
    assert_eq!(upstream.idle_timeout, usual.idle_timeout);
    assert_eq!((config.models.len(), config.router.rules.len()), (2, 1));
    let usual =
        Router { hedge_after: config.router.hedge_after, seed: Some(1), given: true, ..Router::default() };
    assert_eq!(Router { rules: Vec::new(), ..config.router }, usual);
    let mut policy = config.policy;
    assert_eq!(policy.semantic.threshold.take(), Some(0.85));
    let audit = std::mem::take(&mut policy.semantic.audit);
    assert_eq!((audit.max_wrong_rate, audit.share), (Some(0.01), Some(0.1)));
    assert_eq!(config.semantic.state, default.semantic.state);
    let judge = config.semantic.judge.unwrap();
    assert_eq!((judge.error, judge.timeout), (0.05, std::time::Duration::from_secs(30)));
    assert_eq!(policy, default.policy);
}
