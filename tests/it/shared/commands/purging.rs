//! Purges of Redis itself.

use super::super::{count, counted, eventually, hit, written};
use super::{ASKED, Desk, EXACT, OTHER, REWORDED, entries, is_known, started};
use crate::world::chat_with;
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{Upstream, completion};
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
