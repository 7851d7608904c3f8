//! With `semantic.cross_encoder` a second model reads the English pairs that the verifier's score is in doubt of.

use crate::world::{World, chat};
use reprise::config::{self, Config};
use reprise::semantic::{LoadError, Semantic};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Stored; the same in other words, in doubt without a second reader; another, likewise; and one that breaks a rule.
const ASKED: &str = "How is chocolate made from cocoa beans?";
const SAME: &str = "Describe how cocoa beans are turned into chocolate.";
const OTHER: &str = "How is cocoa butter made from cocoa beans?";
const RULED_OUT: &str = "How is chocolate not made from cocoa beans?";

fn settings() -> config::Semantic {
    config::Semantic {
        models_dir: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models")),
        threads: 1,
        patience: Duration::from_secs(30),
        cross_encoder: true,
        ..config::Semantic::default()
    }
}

async fn reading_twice() -> World {
    World::comparing(|config: &mut Config| config.semantic.cross_encoder = true).await
}

async fn pairs_read(world: &World) -> u64 {
    world.metric("reprise_cross_readings_total").await.unwrap()
}

fn first(told: &Value) -> &Value {
    &told["meaning"]["neighbours"][0]
}

#[derive(Deserialize)]
struct Said {
    a: String,
    b: String,
    log_odds: f32,
}

#[tokio::test]
async fn it_says_what_it_said_when_it_was_trained_in_either_order() {
    let semantic = Semantic::load(&settings()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let golden: Vec<Said> = serde_json::from_str(include_str!("golden/cross_encoder.json")).unwrap();
    assert!(golden.len() >= 5);
    let text = |text: &String| Arc::<str>::from(text.as_str());
    for Said { a, b, log_odds } in &golden {
        let (a, b) = (&text(a), &text(b));
        let said = semantic.opinion(a, b).unwrap();
        assert!((said - log_odds).abs() < 0.05, "{a} / {b}: {said}, not {log_odds}");
        assert_eq!(semantic.opinion(b, a), Some(said), "{a} / {b}");
    }
    // Those read together get what they get alone.
    let asked = text(&golden[0].a);
    let texts: Vec<Arc<str>> = golden.iter().map(|said| text(&said.b)).collect();
    let together = semantic.opinions(&asked, texts.clone()).await.unwrap();
    assert_eq!(together.0.len(), texts.len());
    for (text, said) in &together.0 {
        let alone = semantic.opinion(&asked, text).unwrap();
        assert!((said - alone).abs() < 0.01, "{text}: {said}, alone {alone}");
    }
}

#[tokio::test]
async fn it_reads_no_other_language_and_nothing_that_is_too_long() {
    let semantic = Semantic::load(&settings()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let (english, korean): (Arc<str>, Arc<str>) =
        (ASKED.into(), "초콜릿은 카카오콩으로 어떻게 만들어요?".into());
    assert_eq!(semantic.opinions(&korean, vec![korean.clone()]).await, None);
    assert_eq!(semantic.opinions(&english, vec![korean]).await, None);
    assert_eq!(semantic.opinions(&english, vec!["cocoa ".repeat(200).into()]).await, None);
    assert_eq!(semantic.opinions(&english, Vec::new()).await, None);
}

#[tokio::test]
async fn what_is_in_doubt_alone_is_served_or_refused_for_good_reason() {
    let alone = World::with_meaning().await;
    alone.ask(ASKED).await;
    let told = alone.explain(&chat(SAME)).await;
    assert_eq!((&told["outcome"], &first(&told)["judgement"]), (&json!("miss"), &json!("different")));
    assert_eq!(first(&told)["cross_encoder"], Value::Null, "there is none");

    let world = reading_twice().await;
    world.ask(ASKED).await;
    let told = world.explain(&chat(SAME)).await;
    assert_eq!((&told["outcome"], &first(&told)["judgement"]), (&json!("hit"), &json!("same")), "{told}");
    assert!(first(&told)["cross_encoder"].as_f64().unwrap() > first(&told)["p"].as_f64().unwrap());
    let hit = world.ask(SAME).await;
    assert_eq!((hit.verdict(), hit.tier()), ("hit", Some("l2")));
    let told = world.explain(&chat(OTHER)).await;
    assert_eq!(told["outcome"], "miss", "{told}");
    assert!(pairs_read(&world).await >= 1);
}

#[tokio::test]
async fn what_breaks_a_rule_or_is_sure_or_korean_costs_no_pass() {
    let world = reading_twice().await;
    for (stored, asked, verdict) in [
        (ASKED, RULED_OUT, "miss"),
        ("How do I reset my password?", "how do i reset my password", "hit"),
        ("비밀번호는 어떻게 바꾸나요?", "비밀번호 바꾸는 법 알려 주세요", "hit"),
    ] {
        world.ask(stored).await;
        assert_eq!(world.ask(asked).await.verdict(), verdict, "{asked}");
    }
    assert_eq!(pairs_read(&world).await, 0);
}

#[test]
fn without_its_model_it_says_which_command_fetches_it() {
    let folder = tempfile::tempdir().unwrap();
    let from = settings().models_dir;
    std::fs::copy(from.join("manifest.toml"), folder.path().join("manifest.toml")).unwrap();
    for part in ["runtime", "use-multilingual-v3-int8"] {
        std::os::unix::fs::symlink(from.join(part), folder.path().join(part)).unwrap();
    }
    let config = config::Semantic { models_dir: folder.path().to_owned(), ..settings() };
    match Semantic::load(&config) {
        Ok(_) => panic!("it loaded"),
        Err(wrong @ LoadError::Missing(_)) => {
            assert!(wrong.to_string().contains("run scripts/fetch"), "{wrong}")
        }
        Err(wrong) => panic!("{wrong}"),
    }
}

#[test]
fn over_another_model_than_the_one_it_was_trained_on_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let from = settings().models_dir;
    let manifest = std::fs::read_to_string(from.join("manifest.toml")).unwrap();
    let trained_on = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6";
    assert!(manifest.contains(trained_on), "else this shows nothing");
    std::fs::write(folder.path().join("manifest.toml"), manifest.replace(trained_on, &"0".repeat(64)))
        .unwrap();
    for part in ["runtime", "use-multilingual-v3-int8", "all-minilm-l6-v2-int8"] {
        std::os::unix::fs::symlink(from.join(part), folder.path().join(part)).unwrap();
    }
    let config = config::Semantic { models_dir: folder.path().to_owned(), ..settings() };
    match Semantic::load(&config) {
        Ok(_) => panic!("it loaded"),
        Err(wrong) => assert!(wrong.to_string().contains("trained on another"), "{wrong}"),
    }
}
