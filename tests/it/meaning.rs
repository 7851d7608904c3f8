//! L2: the same question in other words, and the questions that only look the same.

use crate::world::{World, chat, chat_with};
use serde_json::json;

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

#[tokio::test]
async fn the_same_question_in_other_words_is_answered_from_the_cache() {
    let world = World::with_meaning().await;
    let first = world.ask(ASKED).await;
    let second = world.ask(REWORDED).await;
    assert_eq!((second.verdict(), second.tier()), ("hit", Some("l2")), "{:?}", second.headers);
    assert_eq!(first.body, second.body);
    let score: f32 = second.header("x-reprise-score").expect("a score").parse().expect("a number");
    assert!((0.7..=1.0).contains(&score), "{score}");
    assert!(second.header("cache-status").expect("a status").ends_with("detail=l2"));
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn korean_is_covered_by_the_default_model() {
    let world = World::with_meaning().await;
    world.ask("비밀번호를 어떻게 재설정하나요?").await;
    let second = world.ask("비밀번호 재설정은 어떻게 하나요?").await;
    assert_eq!((second.verdict(), second.tier()), ("hit", Some("l2")), "{:?}", second.headers);
}

#[tokio::test]
async fn another_number_is_another_question() {
    let world = World::with_meaning().await;
    world.ask("Where is my order 1001?").await;
    let other = world.ask("Where is my order 1002?").await;
    assert_eq!((other.verdict(), other.reason()), ("miss", Some("numbers_differ")));
}

#[tokio::test]
async fn the_context_is_never_fuzzy() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let system = json!([{ "role": "system", "content": "You work for a bank." }, { "role": "user", "content": REWORDED }]);
    for other in
        [json!({ "messages": system }), json!({ "model": "gpt-other" }), json!({ "temperature": 0.5 })]
    {
        assert_eq!(world.send(&chat_with(REWORDED, other.clone())).await.verdict(), "miss", "{other}");
    }
    assert_eq!(world.send_as("sk-two", &chat(REWORDED)).await.verdict(), "miss");
    let namespace = [("x-reprise-namespace", "beta")];
    assert_eq!(world.send_with(&chat(REWORDED), &namespace).await.verdict(), "miss");
}

#[tokio::test]
async fn what_may_not_be_compared_by_meaning_says_why() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let image = json!([{ "role": "user", "content": [{ "type": "text", "text": REWORDED },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } }] }]);
    let turns = json!([{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "hello" },
        { "role": "user", "content": REWORDED }]);
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    for (more, why) in [
        (json!({ "messages": image }), "has_image"),
        (json!({ "messages": turns }), "multi_turn"),
        (json!({ "tools": tools }), "tools"),
        (json!({ "temperature": 1.7 }), "temperature"),
        (json!({ "n": 2 }), "many_choices"),
    ] {
        let answer = world.send(&chat_with(REWORDED, more)).await;
        assert_eq!((answer.verdict(), answer.reason()), ("miss", Some(why)));
    }
    assert_eq!(world.ask("go on").await.reason(), Some("continuation"));
    let long = "why is the sky blue and the sea too ".repeat(400);
    assert_eq!(world.ask(&long).await.reason(), Some("too_long"));
    let exact = world.send_with(&chat(REWORDED), &[("x-reprise-cache", "exact")]).await;
    assert_eq!(exact.reason(), Some("exact_only"));
}

#[tokio::test]
async fn the_threshold_may_be_set_for_one_request() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let strict = world.send_with(&chat(REWORDED), &[("x-reprise-threshold", "0.9999")]).await;
    assert_eq!((strict.verdict(), strict.reason()), ("miss", Some("below_threshold")));
}

#[tokio::test]
async fn a_streamed_recording_is_found_by_meaning_and_played_plain() {
    let world = World::with_meaning().await;
    world.send(&chat_with(ASKED, json!({ "stream": true }))).await;
    let second = world.ask(REWORDED).await;
    assert_eq!((second.verdict(), second.text()), ("hit", format!("You asked: {ASKED}")));
}

#[tokio::test]
async fn an_expired_entry_is_not_found_by_meaning_either() {
    let world = World::with_meaning().await;
    world.send_with(&chat(ASKED), &[("x-reprise-ttl", "60")]).await;
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    tokio::time::resume();
    assert_eq!(world.ask(REWORDED).await.verdict(), "miss");
}
