//! Evidence on disk: what survives, what is not used, what cannot be written.

use super::{ASKED, audited, budgets, came_to, hit, world_before, world_with};
use crate::world::World;
use crate::world::upstream::Upstream;
use reprise::config::{AuditBy, Config};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

fn at(state: &Path) -> impl FnOnce(&mut Config) {
    let state = state.to_owned();
    move |config| {
        audited(&mut config.policy, AuditBy::Text);
        config.semantic.state = Some(state);
    }
}

/// A life with one wrong hit, that ends well.
async fn one_wrong_hit(upstream: &Upstream, state: &Path) -> World {
    let world = world_before(upstream.clone(), at(state)).await;
    hit(&world, 1).await;
    came_to(&world, "hit", "differed", 1).await;
    world
}

#[tokio::test]
async fn evidence_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("deep/down/budget.json");
    let upstream = Upstream::start().await;
    let world = one_wrong_hit(&upstream, &state).await;
    assert!(!state.exists(), "nothing is written on the path of a request");
    let before = budgets(&world).await;
    world.server.drain().await;
    let files: Vec<_> =
        fs::read_dir(state.parent().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["budget.json"], "one file");
    drop(world);

    let world = world_before(upstream, at(&state)).await;
    assert_eq!(budgets(&world).await, before);
    let mut wrong = 1;
    while budgets(&world).await[0]["standing"] == "unproven" {
        wrong += 1;
        hit(&world, 10 + wrong).await;
        came_to(&world, "hit", "differed", wrong as u64 - 1).await;
    }
    assert!(wrong <= 4, "it goes on from where it was");
    world.server.drain().await;
}

#[tokio::test]
async fn evidence_is_written_behind_the_requests() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("budget.json");
    let world = one_wrong_hit(&Upstream::start().await, &state).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    let written = async {
        while !state.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("it is written without a drain");
    let whole: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    assert_eq!(whole["routes"][0]["budget"]["counts"]["wrong"], 1);
    drop(world);
}

#[tokio::test]
async fn evidence_about_something_else_is_not_used() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("budget.json");
    let upstream = Upstream::start().await;
    one_wrong_hit(&upstream, &state).await.server.drain().await;
    let world = world_before(upstream.clone(), |config| {
        at(&state)(config);
        config.policy.semantic.audit.max_wrong_rate = Some(0.05);
    })
    .await;
    assert_eq!(budgets(&world).await[0]["audits"]["labels"], 0);

    let mut config = world.server.gateway().settings.load().config.clone();
    config.policy.semantic.audit.share = Some(0.5);
    hit(&world, 1).await;
    came_to(&world, "hit", "differed", 1).await;
    world.server.reload(config.clone()).unwrap();
    assert_eq!(
        budgets(&world).await[0]["audits"]["labels"],
        1,
        "how much is audited does not change what is known"
    );
    config.policy.semantic.audit.by = AuditBy::Meaning;
    world.server.reload(config).unwrap();
    assert_eq!(budgets(&world).await[0]["audits"]["labels"], 0, "another comparison is other evidence");
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_put_aside_and_evidence_begins_anew() {
    let upstream = Upstream::start().await;
    let good = {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("budget.json");
        one_wrong_hit(&upstream, &state).await.server.drain().await;
        fs::read_to_string(&state).unwrap()
    };
    let newer = good.replacen("\"version\":1", "\"version\":9", 1);
    for strange in ["", "{\"my\": \"notes\"}", "[1, 2]", "\u{0}\u{1}", &good[..good.len() / 2], &newer] {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("budget.json");
        fs::write(&state, strange).unwrap();
        let world = World::before(upstream.clone(), at(&state)).await;
        assert_eq!(budgets(&world).await[0]["audits"]["labels"], 0, "{strange:?}");
        world.send(&crate::world::chat(ASKED)).await;
        world.server.drain().await;
        let aside = PathBuf::from(format!("{}.unread", state.display()));
        assert_eq!(fs::read_to_string(aside).unwrap(), strange, "nobody's file is lost");
        let written: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
        assert_eq!(written["routes"][0]["counts"]["requests"], 1);
    }
}

#[tokio::test]
async fn one_damaged_budget_begins_anew() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("budget.json");
    let upstream = Upstream::start().await;
    one_wrong_hit(&upstream, &state).await.server.drain().await;
    let mut whole: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    whole["routes"][0]["budget"]["alert"] = json!(-3.0);
    fs::write(&state, whole.to_string()).unwrap();
    let world = World::before(upstream, at(&state)).await;
    let told = &budgets(&world).await[0];
    assert_eq!((&told["audits"]["labels"], &told["requests"]), (&json!(0), &json!(0)), "{told}");
}

#[tokio::test]
async fn a_path_that_cannot_be_written_costs_evidence_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let world = world_with(at(&file.join("budget.json"))).await;
    hit(&world, 1).await;
    came_to(&world, "hit", "differed", 1).await;
    world.server.gateway().write_evidence().await;
    assert_eq!(world.send(&super::of_model(ASKED, 1)).await.tier(), Some("l1"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

#[tokio::test]
async fn nothing_is_read_or_written_where_nothing_is_watched() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("budget.json");
    fs::write(&state, "not ours").unwrap();
    let world = World::with(|config| config.semantic.state = Some(state.clone())).await;
    world.send(&crate::world::chat(ASKED)).await;
    world.server.drain().await;
    assert_eq!(fs::read_to_string(&state).unwrap(), "not ours");
}
