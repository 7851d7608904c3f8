//! Another model than the one that embedded what is stored.

use super::{ASKED, REWORDED, kept_in, proven, with_meaning};
use crate::shared::{flowing, hit, replica};
use crate::world::chat_with;
use crate::world::redis::{BOTH, Server};
use crate::world::upstream::Upstream;
use reprise::config::Config;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const OTHER_MODEL: &str = "all-minilm-l6-v2-int8";

/// Old vectors are not compared with new ones; exact hits go on; questions get new vectors behind them.
#[tokio::test]
async fn another_model_embeds_anew_what_was_stored() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    world.ask(ASKED).await;
    let keep = kept_in(folder.path());
    let changed = |config: &mut Config| {
        keep(config);
        config.semantic.model = "all-minilm-l6-v2-int8".to_owned();
        config.store.reembed_rate = 1_000;
    };
    let world = world.restarted(changed).await;
    world.has_model().await;
    world.until_metric("reprise_restored_entries_total", 1).await;
    proven(&world).await;
    assert_eq!(world.ask(ASKED).await.tier(), Some("l1"));
    world.until_metric("reprise_indexed_entries", 1).await;
    world.until_metric("reprise_reembed_pending", 0).await;
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
    // The new vector is kept: the next start has nothing to embed.
    let world = world.restarted(changed).await;
    world.has_model().await;
    world.until_metric("reprise_restored_entries_total", 2).await;
    assert_eq!(world.metric("reprise_indexed_entries").await, Some(1));
    assert_eq!(world.metric("reprise_reembed_pending").await, Some(0));
}

/// Contexts that each hold one question.
const CONTEXTS: u64 = 6;
const A_SECOND: usize = 2;

fn in_context(number: u64, question: &str) -> Value {
    let system = json!({ "role": "system", "content": format!("You work for branch {number}.") });
    chat_with(question, json!({ "messages": [system, { "role": "user", "content": question }] }))
}

const ONLY: [(&str, &str); 1] = [("cache-control", "only-if-cached")];

#[tokio::test]
async fn questions_are_embedded_anew_at_a_set_pace_and_nothing_old_is_compared_meanwhile() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    for number in 0..CONTEXTS {
        world.send(&in_context(number, ASKED)).await;
        assert_eq!(
            world.send(&in_context(number, REWORDED)).await.tier(),
            Some("l2"),
            "the first model serves it"
        );
    }
    let keep = kept_in(folder.path());
    let began = Instant::now();
    let world = world
        .restarted(|config: &mut Config| {
            keep(config);
            config.semantic.model = OTHER_MODEL.to_owned();
            config.store.reembed_rate = A_SECOND;
        })
        .await;
    world.has_model().await;
    world.server.restored().await;
    proven(&world).await;
    let (mut steps, mut last) = (0, u64::MAX);
    loop {
        let mut by_meaning = 0;
        for number in 0..CONTEXTS {
            let exact = world.send(&in_context(number, ASKED)).await;
            assert_eq!(exact.tier(), Some("l1"), "exact hits go on throughout");
            let reworded = world.send_with(&in_context(number, REWORDED), &ONLY).await;
            by_meaning += u64::from(reworded.tier() == Some("l2"));
        }
        let indexed = world.metric("reprise_indexed_entries").await.unwrap();
        assert!(by_meaning <= indexed, "{by_meaning} were served by meaning, of {indexed} with a new vector");
        let pending = world.metric("reprise_reembed_pending").await.unwrap();
        assert!(pending <= last, "progress");
        steps += u64::from(pending < last);
        last = pending;
        if indexed >= CONTEXTS && by_meaning == CONTEXTS {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{indexed} of {CONTEXTS} have a new vector");
    }
    let least = Duration::from_secs(CONTEXTS - 1) / A_SECOND as u32;
    assert!(began.elapsed() >= least, "all of them within {:?}, at {A_SECOND} a second", began.elapsed());
    assert!(steps >= 3, "seen on the way: {steps}");
    assert_eq!(world.upstream.calls(), CONTEXTS as usize + 1);
}

/// A fleet in the middle of the change: one replica has the new model already.
#[tokio::test]
async fn replicas_of_two_models_share_exact_hits_and_compare_no_vectors() {
    for kind in BOTH {
        let server = Server::start(kind);
        let upstream = Upstream::start().await;
        let old = replica(&upstream, server.config(), |_| ()).await;
        let other = |config: &mut Config| {
            config.semantic.model = OTHER_MODEL.to_owned();
            config.store.reembed_rate = 1_000;
        };
        let new = replica(&upstream, server.config(), other).await;
        for world in [&old, &new] {
            flowing(world).await;
            world.has_model().await;
        }
        old.ask(ASKED).await;
        hit(&new, ASKED).await;
        assert_eq!(upstream.calls(), 1, "{kind:?}");
        // Served in other words once it has a vector of this model, here.
        assert_eq!(hit(&new, REWORDED).await.tier(), Some("l2"), "{kind:?}");
        assert_eq!(new.metric("reprise_indexed_entries").await, Some(1), "{kind:?}");
        // What the new one learns is no neighbour for the old one until it has embedded it itself.
        new.ask("What are your opening hours?").await;
        let searched = old.ask_the_cache("What are the opening hours?").await;
        let neighbour = searched.header("x-reprise-tier");
        assert!(neighbour != Some("l3"), "{kind:?}: vectors of two models were compared");
        hit(&old, "What are your opening hours?").await;
        assert_eq!(hit(&old, "What are the opening hours?").await.tier(), Some("l2"), "{kind:?}");
    }
}
