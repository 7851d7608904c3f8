//! Lines that are not written, and are told.

use super::{ASKED, Desk, EXACT, entries, ordered, run, started};
use crate::world::redis::{Kind, Server};
use crate::world::upstream::Upstream;
use serde_json::json;
use std::fs;

const CALLER: &str = "authorization: Bearer env:CALLER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_purge_holds_back_is_not_told_as_kept() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    // Ordered by a machine whose clock is ahead.
    ordered(&server, json!({ "all": true }), 60_000).await;
    let faq = desk.lines("faq.jsonl", &[json!({ "question": ASKED, "answer": "Press the button." })]);
    let (code, said) = desk.run(&["warm", &faq, "--model", "gpt-test"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("0 kept, 0 kept for the same request only, 1 refused"), "{said}");
    assert!(said.contains("faq.jsonl:1  a purge meets it"), "{said}");
    assert_eq!(entries(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_ours_that_is_not_known_here_is_no_caller() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.change("[[upstream]]\n", "[[upstream]]\nkey = \"env:KEY\"\n");
    let key = desk.file("key");
    fs::write(&key, format!("rpk-{}", "a".repeat(40))).unwrap();
    let faq = desk.lines("faq.jsonl", &[json!({ "question": ASKED, "answer": "Press the button." })]);
    let header = format!("authorization: Bearer file:{key}");
    let warm = ["warm", &faq, "--model", "gpt-test", "--header", &header];
    let (code, said) = desk.run(&warm).await;
    assert!(code == Some(1) && said.contains("no such key in the config; set ledger.path"), "{said}");
    let nowhere = desk.file("not the server's");
    desk.change("path = \"\"", &format!("path = \"{nowhere}\""));
    let (code, said) = desk.run(&warm).await;
    assert!(
        code == Some(1) && said.contains(&format!("no such key in {nowhere}, nor in the config")),
        "{said}"
    );
    assert!(said.contains("run it where the server's ledger lies"), "{said}");
    assert_eq!(entries(&server).await, 0);
    desk.warms(&["of a credential of the upstream's"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_none_is_told_by_its_number_and_all_others_are_kept() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    let good = |at: usize| json!({ "question": format!("q {at}"), "answer": "a" }).to_string();
    let mut lines: Vec<String> = (1..=40).map(good).collect();
    lines[2] = r#"{"question": "q", "anser": "a"}"#.to_owned();
    lines[9] = String::new();
    lines[34] = "no json".to_owned();
    let faq = desk.file("faq.jsonl");
    fs::write(&faq, lines.join("\n")).unwrap();
    let warm = ["warm", &faq, "--model", "gpt-test", "--header", CALLER];
    let world = started(&upstream, server.config(), super::super::exact).await;
    let of_a_server = run(&[&warm[..], &["--admin", world.admin("").trim_end_matches('/')]].concat()).await;
    let before = entries(&server).await;
    for (code, said) in [desk.run(&warm).await, of_a_server] {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("0 kept, 37 kept for the same request only, 2 refused"), "{said}");
        let third = "faq.jsonl:3  this cannot be understood: unknown field `anser`";
        assert!(said.contains(third) && said.contains(", at column 25\n"), "{said}");
        assert!(said.contains("faq.jsonl:35  this cannot be understood: expected ident"), "{said}");
    }
    assert!(entries(&server).await >= before.max(37));
}
