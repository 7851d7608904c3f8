//! What an import leaves alone, and what it must not bring back.

use super::troubles::meddling;
use super::{ASKED, Desk, EXACT, OTHER, REWORDED, entries, ordered};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::Upstream;
use reprise::base::clock::Millis;
use reprise::cache::codec::{self, Keys, Stored};
use serde_json::json;
use std::fs;

/// A file as an export writes it.
fn file_of(desk: &Desk, entries: &[Vec<u8>]) -> String {
    let mut bytes = b"reprise export 1\n".to_vec();
    for entry in entries {
        bytes.extend(u32::try_from(entry.len()).unwrap().to_le_bytes());
        bytes.extend(entry);
    }
    fs::write(desk.file("made"), bytes).unwrap();
    desk.file("made")
}

/// The one entry there, its name, and itself again without its vector.
async fn only_entry(server: &Server) -> (String, Stored, Vec<u8>) {
    let name = server.names("reprise:1:e:*").await.remove(0);
    let stored = codec::decode(&server.call::<Vec<u8>>(&["GET", &name]).await, &Keys::none()).unwrap();
    let bare = codec::encode(&stored.entry, None, &Keys::none());
    (name, stored, bare)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_purge_by_meaning_has_met_is_neither_exported_nor_brought_back() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let desk = Desk::before(&upstream.url(), &server, "secret = \"env:FLEET\"", "");
        desk.warms(&[ASKED]).await;
        let bare = file_of(&desk, &[only_entry(&server).await.2]);
        desk.warms(&[OTHER]).await;
        let file = desk.file("backup");
        desk.does(&["export", &file]).await;
        // It names what that server held, which was nothing.
        ordered(&server, json!({ "near": REWORDED }), 0).await;
        let said = desk.does(&["export", &desk.file("later")]).await;
        assert!(said.contains("1 entries, 0 expired, 1 purged"), "{kind:?}: {said}");

        let () = server.call(&["FLUSHDB"]).await;
        ordered(&server, json!({ "near": REWORDED }), 0).await;
        let said = desk.does(&["import", &file]).await;
        assert!(said.contains("1 entries, 0 known, 0 expired, 1 refused as purged"), "{kind:?}: {said}");
        let said = desk.does(&["import", &bare]).await;
        assert!(said.contains("0 entries, 0 known, 0 expired, 1 refused as purged"), "{kind:?}: {said}");
        assert_eq!(entries(&server).await, 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_records_while_an_import_embeds_stays() {
    let (first, server, upstream) =
        (Server::start(Kind::Eight), Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &first, "secret = \"env:FLEET\"", "");
    desk.warms(&[ASKED]).await;
    let (name, Stored { mut entry, embedding, .. }, bare) = only_entry(&first).await;
    let file = file_of(&desk, &[bare]);
    entry.stored = Millis(entry.stored.0 + 1);
    let newer = codec::encode(&entry, embedding.as_ref(), &Keys::none());

    let (held, line) = (newer.clone(), server.line().await);
    let record = async move {
        let mut line = line;
        redis::cmd("SET").arg(name).arg(held).exec_async(&mut line).await.unwrap();
    };
    let url = format!("redis://{}", meddling(server.socket(), "MGET", record).await);
    let there = Desk::at(&upstream.url(), &url, "secret = \"env:FLEET\"", "");
    let said = there.does(&["import", &file]).await;
    assert!(said.contains("0 entries, 1 known"), "{said}");
    let name = server.names("reprise:1:e:*").await.remove(0);
    assert_eq!(server.call::<Vec<u8>>(&["GET", &name]).await, newer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_there_under_a_key_that_the_import_does_not_have_stays() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = |keys: &str| {
        let more = format!("{EXACT}[store]\n{keys}");
        Desk::before(&upstream.url(), &server, "secret = \"env:FLEET\"", &more)
    };
    let old = desk("encryption_key = \"env:KEY\"\n");
    old.warms(&["one"]).await;
    let file = old.file("backup");
    old.does(&["export", &file]).await;
    // Recorded anew, after the servers had got another key.
    desk("encryption_key = \"env:NEW_KEY\"\nencryption_key_old = \"env:KEY\"\n").warms(&["one"]).await;
    let name = server.names("reprise:1:e:*").await.remove(0);
    let before: Vec<u8> = server.call(&["GET", &name]).await;
    let said = old.does(&["import", &file]).await;
    assert!(said.contains("0 entries, 0 known, 0 expired, 1 refused as held_unreadable"), "{said}");
    assert_eq!(server.call::<Vec<u8>>(&["GET", &name]).await, before);
}
