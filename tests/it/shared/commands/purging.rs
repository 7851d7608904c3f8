//! Purges of Redis itself.

use super::super::{count, counted, eventually, hit, written};
use super::{ASKED, Desk, EXACT, OTHER, REWORDED, entries, is_known, ordered, started};
use crate::world::chat_with;
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{Upstream, completion};
use reprise::base::clock::Millis;
use reprise::cache::codec::{self, Keys};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_takes_what_it_names_out_of_a_bare_redis() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let desk = Desk::before(&upstream.url(), &server, "", "");
        desk.warms(&[ASKED, "How can I change my password?", OTHER]).await;
        let two =
            json!({ "request": chat_with("q", json!({ "model": "gpt-other" })), "answer": completion("a") });
        let file = desk.lines("two.jsonl", &[two]);
        desk.does(&["warm", &file]).await;
        assert_eq!(entries(&server).await, 4);

        let near = ["purge", "--near", "I forgot my password", "--at-least", "0.4"];
        let said = desk.does(&[&near[..], &["--dry-run"]].concat()).await;
        assert!(said.contains("2 entries would go in Redis"), "{kind:?}: {said}");
        assert!(said.contains(ASKED) && !said.contains(OTHER), "{kind:?}: {said}");
        assert_eq!(entries(&server).await, 4, "{kind:?}: a dry run takes nothing");
        assert_eq!(server.names("reprise:1:purged").await.len(), 0, "{kind:?}: and tells nobody");
        let said = desk.does(&near).await;
        assert!(said.contains("2 entries gone in Redis"), "{kind:?}: {said}");
        assert_eq!(entries(&server).await, 2, "{kind:?}");

        let id = &server.names("reprise:1:e:*").await.remove(0)["reprise:1:e:".len()..][..32];
        let said = desk.does(&["purge", "--entry", id, "--dry-run"]).await;
        assert!(said.contains("1 entries would go in Redis") && said.contains(id), "{kind:?}: {said}");
        let said = desk.does(&["purge", "--model", "gpt-other"]).await;
        assert!(said.contains("1 entries gone in Redis"), "{kind:?}: {said}");
        let (code, said) = desk.run(&["purge"]).await;
        assert!(code == Some(1) && said.contains("names nothing"), "{said}");

        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        assert_eq!(hit(&world, OTHER).await.text(), format!("To: {OTHER}"), "{kind:?}");
        assert!(!is_known(&world, ASKED).await, "{kind:?}");
        drop(world);
        let () = server.call(&["SET", &format!("reprise:1:e:{}", "ab".repeat(32)), "not ours"]).await;
        let said = desk.does(&["purge", "--older-than", "1h"]).await;
        assert!(said.contains("0 entries gone in Redis\n1 entries cannot be read (foreign)"), "{said}");
        desk.does(&["purge", "--all"]).await;
        assert_eq!(entries(&server).await, 0, "{kind:?}");
        assert_eq!(server.names("reprise:1:v:*").await, Vec::<String>::new(), "{kind:?}: nor vectors");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_reaches_the_servers_that_run() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        world.ask(ASKED).await;
        world.ask(OTHER).await;
        eventually("both are in Redis", async || entries(&server).await == 3).await;
        let desk = Desk::before(&upstream.url(), &server, "", "");
        let said = desk.does(&["purge", "--near", REWORDED]).await;
        assert!(said.contains("1 entries gone in Redis"), "{kind:?}: {said}");
        counted(&world, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
        assert!(!is_known(&world, ASKED).await, "{kind:?}: out of its memory, too");
        assert!(is_known(&world, OTHER).await, "{kind:?}");
        let said = desk.does(&["purge", "--all"]).await;
        assert!(said.contains("2 entries gone in Redis"), "{kind:?}: {said}");
        eventually("the server has heard of it", async || !is_known(&world, OTHER).await).await;
        let done = count(&world, "reprise_shared_writes_total{outcome=\"done\"}");
        assert_eq!(world.ask(ASKED).await.verdict(), "miss");
        written(&world, "done", done + 1).await;
        assert_eq!(entries(&server).await, 1, "{kind:?}: what is learnt afterwards stays");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_from_before_a_purge_is_refused_where_the_purge_holds() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.warms(&["one", "two"]).await;
    let file = desk.file("backup");
    desk.does(&["export", &file]).await;
    desk.does(&["purge", "--all"]).await;
    let said = desk.does(&["import", &file]).await;
    assert!(said.contains("0 entries, 0 known, 0 expired, 2 refused as purged"), "{said}");
    assert_eq!(entries(&server).await, 0);
}

/// Each line that has the text has every replica embed it and walk all that it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_by_meaning_tells_its_text_once_and_its_entries_by_their_keys() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", "");
    desk.warms(&[ASKED, OTHER]).await;
    let without_model = started(&upstream, server.config(), super::super::exact).await;
    assert_eq!(hit(&without_model, ASKED).await.text(), format!("To: {ASKED}"));
    let said = desk.does(&["purge", "--near", REWORDED]).await;
    assert!(said.contains("1 entries gone in Redis"), "{said}");
    let lines: Vec<(String, Vec<Vec<u8>>)> = server.call(&["XRANGE", "reprise:1:purged", "-", "+"]).await;
    let told = |line: &(String, Vec<Vec<u8>>)| String::from_utf8_lossy(&line.1[1]).contains(REWORDED);
    assert_eq!((lines.len(), lines.iter().filter(|line| told(line)).count()), (2, 1));
    eventually("who has no model goes by the keys", async || !is_known(&without_model, ASKED).await).await;
    assert!(is_known(&without_model, OTHER).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_by_meaning_that_was_read_before_the_model_was_there_holds_when_it_is() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", "");
    desk.warms(&[ASKED, OTHER]).await;
    ordered(&server, json!({ "near": REWORDED }), 0).await;
    let world = started(&upstream, server.config(), |_| ()).await;
    world.has_model().await;
    eventually("the purge holds", async || !is_known(&world, ASKED).await).await;
    assert!(is_known(&world, OTHER).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_younger_than_the_order_by_its_clock_stays_and_is_counted() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.warms(&["one", "two"]).await;
    let name = server.names("reprise:1:e:*").await.remove(0);
    let bytes: Vec<u8> = server.call(&["GET", &name]).await;
    let mut stored = codec::decode(&bytes, &Keys::none()).unwrap();
    // By a machine whose clock is ahead.
    stored.entry.stored = Millis(stored.entry.stored.0 + 60_000);
    let ahead = codec::encode(&stored.entry, None, &Keys::none());
    redis::cmd("SET").arg(&name).arg(ahead).exec_async(&mut server.line().await).await.unwrap();
    let said = desk.does(&["purge", "--model", "gpt-test"]).await;
    assert!(said.contains("1 entries gone in Redis"), "{said}");
    assert!(said.contains("1 entries were recorded after this began, or this clock is behind"), "{said}");
    assert_eq!(server.names("reprise:1:e:*").await, [name]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_more_dead_vectors_than_are_looked_at_in_one_go_is_emptied() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    let mut pipe = redis::pipe();
    for at in 0..2_100_u32 {
        let member = *blake3::hash(&at.to_le_bytes()).as_bytes();
        pipe.cmd("VADD").arg("reprise:1:v:of-old").arg("VALUES").arg(2).arg(at % 7 + 1).arg(at % 5 + 1);
        pipe.arg(&member).ignore();
    }
    pipe.exec_async(&mut server.line().await).await.unwrap();
    desk.does(&["purge", "--all"]).await;
    assert_eq!(server.names("reprise:1:v:*").await, Vec::<String>::new());
}
