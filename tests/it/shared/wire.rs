//! What lies in Redis that is not ours, or not whole, or not for us.

use super::{counted, exact, fleet, written};
use crate::world::redis::{Kind, Server};
use redis::AsyncCommands;
use reprise::cache::codec::envelope::VERSION;

async fn entry_name(server: &Server) -> String {
    let names = server.names("reprise:1:e:*").await;
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

#[tokio::test]
async fn damaged_foreign_and_newer_values_are_misses_and_counted() {
    let server = Server::start(Kind::Seven);
    let [a, b] = fleet(&server, exact).await;
    a.ask("q").await;
    written(&a, "done", 2).await;
    let name = entry_name(&server).await;
    let mut line = server.line().await;
    let good: Vec<u8> = line.get(&name).await.unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut newer = good.clone();
    newer[4] = VERSION + 1;
    let cases: [(&str, Vec<u8>); 5] = [
        ("corrupt", flipped),
        ("corrupt", good[..good.len() - 1].to_vec()),
        ("foreign", b"somebody else's".to_vec()),
        ("foreign", Vec::new()),
        ("newer", newer),
    ];
    let mut seen = std::collections::BTreeMap::<&str, u64>::new();
    for (why, bytes) in cases {
        let () = line.set(&name, bytes).await.unwrap();
        let answer = b.ask_the_cache("q").await;
        assert_eq!(answer.status, 504, "{why}: a miss");
        let times = seen.entry(why).or_default();
        *times += 1;
        counted(&b, &format!("reprise_shared_unreadable_total{{why=\"{why}\"}}"), *times).await;
    }
    // A value that is no string is refused by Redis itself.
    let () = line.del(&name).await.unwrap();
    let () = line.lpush(&name, "x").await.unwrap();
    let answer = b.ask("q").await;
    assert_eq!((answer.status, answer.verdict()), (200, "miss"));
    counted(&b, "reprise_shared_troubles_total{call=\"get\",outcome=\"refused\"}", 1).await;
}

#[tokio::test]
async fn an_entry_under_another_key_is_not_served() {
    let server = Server::start(Kind::Eight);
    let [a, b] = fleet(&server, exact).await;
    a.ask("first").await;
    written(&a, "done", 2).await;
    let first = entry_name(&server).await;
    a.ask("second").await;
    written(&a, "done", 3).await;
    let second = server.names("reprise:1:e:*").await.into_iter().find(|name| *name != first).unwrap();
    let () = server.call(&["COPY", &first, &second, "REPLACE"]).await;
    let answer = b.ask("second").await;
    assert_eq!((answer.verdict(), answer.text().as_str()), ("miss", "You asked: second"));
    counted(&b, "reprise_shared_unreadable_total{why=\"misplaced\"}", 1).await;
}

#[tokio::test]
async fn nothing_in_redis_holds_a_prompt_or_a_credential_in_its_name_and_all_of_it_expires() {
    let server = Server::start(Kind::Eight);
    let [a] = fleet(&server, |_| ()).await;
    a.has_model().await;
    a.ask("Where is my purple umbrella?").await;
    written(&a, "done", 3).await;
    let names = server.names("*").await;
    for kind in ["reprise:1:e:", "reprise:1:v:", "reprise:1:c:"] {
        assert!(names.iter().any(|name| name.starts_with(kind)), "{kind} in {names:?}");
    }
    for name in &names {
        assert!(!name.contains("umbrella") && !name.contains("sk-one"), "{name}");
        let expires: i64 = server.call(&["PTTL", name]).await;
        assert!(expires > 0 || name == "reprise:1:secret", "{name} does not expire");
    }
}

#[tokio::test]
async fn a_vector_whose_entry_is_gone_leaves_its_set() {
    let server = Server::start(Kind::Eight);
    let [a, b] = fleet(&server, |_| ()).await;
    for world in [&a, &b] {
        world.has_model().await;
    }
    a.ask("How do I reset my password?").await;
    written(&a, "done", 3).await;
    let entry = entry_name(&server).await;
    let set = server.names("reprise:1:v:*").await.remove(0);
    let held: u64 = server.call(&["VCARD", &set]).await;
    assert_eq!(held, 1);
    let () = server.call(&["DEL", &entry]).await;
    assert_eq!(b.ask("How can I reset my password?").await.verdict(), "miss", "what is gone serves nobody");
    // Its own question has come in meanwhile; the dead one has left.
    written(&b, "done", 2).await;
    super::eventually("only the living is in the set", async || {
        let member: Vec<Vec<u8>> = server.call(&["VRANDMEMBER", &set, "10"]).await;
        member.len() == 1
    })
    .await;
}
