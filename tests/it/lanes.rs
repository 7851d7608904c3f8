//! Connections on threads of their own, as `reprise serve` has them.

use crate::world::process::Process;
use crate::world::tls::Authority;
use crate::world::upstream::Upstream;
use crate::world::{Answer, World, chat, chat_with, read};
use futures_util::future::join_all;
use reprise::base::lanes::Lanes;
use reprise::config::CacheMode;
use serde_json::json;

fn exact(config: &mut reprise::config::Config) {
    config.policy.mode = CacheMode::Exact;
}

#[tokio::test]
async fn every_request_gets_its_own_answer_whatever_lane_it_is_on() {
    let lanes = Lanes::start(3).expect("threads");
    let world = World::over(&lanes, exact).await;
    let client = async |number: usize| {
        for turn in 0..5 {
            let question = format!("question {} of turn {turn}", number % 20);
            let streams = number % 2 == 1;
            let answer = world.send(&chat_with(&question, json!({ "stream": streams }))).await;
            let text = if streams { answer.streamed_text() } else { answer.text() };
            assert_eq!(text, format!("You asked: {question}"), "{answer:?}");
        }
    };
    join_all((0..60).map(client)).await;
    // Who asks what is being asked already follows, on his own lane or on another.
    assert_eq!(world.upstream.calls(), 100);
    assert_eq!(world.server.drain().await, 0);
}

#[tokio::test]
async fn a_connection_to_the_upstream_serves_all_lanes() {
    let lanes = Lanes::start(2).expect("threads");
    let world = World::over(&lanes, exact).await;
    // Both stay connected, so they are on two lanes.
    let clients = [keeping(), keeping()];
    for turn in 0..6 {
        let answer = ask(&world, &clients[turn % 2], &format!("question {turn}")).await;
        assert_eq!(answer.verdict(), "miss");
    }
    let first = world.upstream.asked(0).peer;
    assert!((1..6).all(|at| world.upstream.asked(at).peer == first), "one connection is enough");
}

#[tokio::test]
async fn a_lane_that_ends_takes_nobody_with_it() {
    let lanes = Lanes::start(1).expect("threads");
    let world = World::over(&lanes, exact).await;
    let feed = world.upstream.streams();
    let response =
        world.post("/v1/chat/completions", &chat_with("q", json!({ "stream": true }))).send().await;
    let response = response.expect("a head");
    feed.text("some");
    drop(lanes);
    assert!(response.bytes().await.is_err(), "the stream is cut");
    let ready = read(world.client().get(world.admin("/readyz"))).await;
    assert_eq!(ready.status, 200, "the admin side is on no lane");
}

#[tokio::test]
async fn over_tls_every_byte_goes_both_ways_and_only_to_a_server_that_is_trusted() {
    let (upstream, trusted, other) = (Upstream::start().await, Authority::new(), Authority::new());
    let url = trusted.terminates(upstream.addr).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let serve = |roots: &Authority, data: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reprise"));
        command.env("SSL_CERT_FILE", roots.path("cert.pem"));
        let data = folder.path().join(data);
        std::fs::create_dir(&data).expect("a folder");
        Process::spawn(command, &url, &data)
    };
    let process = serve(&trusted, "trusting");
    // From a line to more than any buffer holds.
    let questions: Vec<String> =
        (0..40).map(|number| format!("{number} {}", "why? ".repeat(number * 2_000))).collect();
    let answers = join_all(questions.iter().map(|question| process.ask(question))).await;
    for (question, answer) in questions.iter().zip(answers) {
        assert!(
            answer.text() == format!("You asked: {question}"),
            "{}: {} bytes",
            answer.status,
            answer.body.len()
        );
    }
    assert_eq!(upstream.calls(), 40);
    let refused = serve(&other, "wary").ask("q").await;
    assert_eq!((refused.status, upstream.calls()), (502, 40), "{refused:?}");
}

/// A client that keeps its connection.
fn keeping() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn ask(world: &World, client: &reqwest::Client, question: &str) -> Answer {
    let request = client.post(world.url("/v1/chat/completions")).body(chat(question).to_string());
    read(request.header("content-type", "application/json").header("authorization", "Bearer sk-one")).await
}
