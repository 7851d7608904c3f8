//! Why it was a hit or a miss, and what a report changes.

use crate::world::{World, chat, chat_with, read};
use reprise::base::secret::Secret;
use serde_json::{Value, json};

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

fn with_system(question: &str, system: &str) -> Value {
    chat_with(
        question,
        json!({ "messages": [{ "role": "system", "content": system }, { "role": "user", "content": question }] }),
    )
}

/// What `explain` says is what then happens, and the words are the same.
#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    world.ask("Where is my order 1001?").await;
    let requests = [
        chat(ASKED),
        chat(REWORDED),
        chat("Where is my order 1002?"),
        chat("What is the boiling point of lead?"),
        chat("go on"),
        chat_with(REWORDED, json!({ "temperature": 1.7 })),
        chat_with(ASKED, json!({ "n": 2 })),
        chat_with(REWORDED, json!({ "stream": true })),
        with_system(REWORDED, "You work for a bank."),
    ];
    for request in requests {
        let told = world.explain(&request).await;
        let answer = world.send(&request).await;
        assert_eq!(told["outcome"], answer.verdict(), "{told}");
        assert_eq!(told["reason"].as_str(), answer.reason(), "{told}");
        assert_eq!(told["tier"].as_str(), answer.tier(), "{told}");
        assert_eq!(told["entry"]["id"].as_str(), answer.header("x-reprise-entry"), "{told}");
        let score = told["entry"]["score"].as_f64().map(|score| format!("{score:.4}"));
        assert_eq!(score.as_deref(), answer.header("x-reprise-score"), "{told}");
        assert!(!told["sentence"].as_str().unwrap().ends_with('.'));
    }
}

#[tokio::test]
async fn the_field_of_the_context_that_differs_is_named() {
    let world = World::with_meaning().await;
    let stored = chat_with(
        ASKED,
        json!({ "temperature": 0.7, "messages": [
        { "role": "system", "content": "You are the voice of a bank called Nordhaven." },
        { "role": "user", "content": ASKED }] }),
    );
    world.send(&stored).await;
    let changed = |field: &str, value: Value| {
        let mut request = stored.clone();
        request[field] = value;
        request
    };
    for (request, sentence) in [
        (changed("model", json!("gpt-other")), "model: gpt-other asked, gpt-test stored"),
        (changed("temperature", json!(0.2)), "temperature: 0.2 asked, 0.7 stored"),
        (changed("seed", json!(7)), "seed: 7 asked, none stored"),
        (
            changed("tools", json!([{ "type": "function", "function": { "name": "f" } }])),
            "tools: one asked, none stored",
        ),
    ] {
        let told = world.explain(&request).await;
        assert_eq!(told["meaning"]["nearest_partition"]["sentence"], sentence, "{told}");
        assert_eq!(told["meaning"]["inhabited"], false);
    }
    let mut other = changed("temperature", json!(0.2));
    other["messages"][0]["content"] = json!("You are the voice of a bank called Westmark.");
    let told = world.explain(&other).await;
    let sentence = "system prompt: another one asked than stored; temperature: 0.2 asked, 0.7 stored";
    assert_eq!(told["meaning"]["nearest_partition"]["sentence"], sentence, "{told}");
    assert!(!told.to_string().contains("Nordhaven"), "a prompt is never shown");
    let stranger = world.explain_with(&other, json!({ "authorization": "Bearer sk-two" })).await;
    assert_eq!(stranger["meaning"]["nearest_partition"], Value::Null, "another scope is another world");
}

#[tokio::test]
async fn the_nearest_of_several_partitions_is_the_one_compared_with() {
    let world = World::with_meaning().await;
    world.send(&chat_with(ASKED, json!({ "model": "far", "temperature": 0.1, "seed": 1 }))).await;
    world.send(&chat_with(ASKED, json!({ "temperature": 0.1 }))).await;
    let told = world.explain(&chat_with(ASKED, json!({ "temperature": 0.3 }))).await;
    let sentence = "temperature: 0.3 asked, 0.1 stored";
    assert_eq!(told["meaning"]["nearest_partition"]["sentence"], sentence, "{told}");
}

#[tokio::test]
async fn the_verifiers_rule_and_the_bar_are_shown() {
    let world = World::with_meaning().await;
    world.ask("Where is my order 1001?").await;
    let told = world.explain(&chat("Where is my order 1002?")).await;
    let near = &told["meaning"]["neighbours"][0];
    assert_eq!(
        (&near["judgement"], &near["rule"]),
        (&json!("different"), &json!("numbers_differ")),
        "{told}"
    );
    assert_eq!(near["question"], "Where is my order 1001?");
    assert_eq!(near["above_threshold"], true);
    assert!(near["p"].as_f64().is_some_and(|p| (0.0..=1.0).contains(&p)), "{told}");
    assert!(told["sentence"].as_str().unwrap().contains("numbers"), "{told}");
    assert!(
        told["meaning"]["threshold"]["from"].as_str().unwrap().contains("use-multilingual-v3-int8"),
        "{told}"
    );
    assert_eq!(told["meaning"]["verify"], json!({ "value": "strict", "from": "default of semantic.verify" }));
    let headers = json!({ "authorization": "Bearer sk-one", "x-reprise-threshold": "0.99" });
    let told = world.explain_with(&chat("Where is my order 1002?"), headers).await;
    let threshold = json!({ "value": 0.99, "from": "client header x-reprise-threshold" });
    assert_eq!(told["meaning"]["threshold"], threshold, "{told}");
    assert_eq!(told["reason"], "below_threshold");
}

#[tokio::test]
async fn a_route_that_sets_the_bar_is_named() {
    let world = World::comparing(|config| {
        let mut policy = config.policy.clone();
        policy.semantic.threshold = Some(0.97);
        let matches = reprise::config::RouteMatch { model: Some("gpt-*".into()), ..Default::default() };
        config.routes = vec![reprise::config::Route { name: "support".into(), matches, policy }];
    })
    .await;
    let told = world.explain(&chat(ASKED)).await;
    assert_eq!(told["meaning"]["threshold"], json!({ "value": 0.97, "from": "route support" }), "{told}");
}

#[tokio::test]
async fn explaining_changes_nothing() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let before = (
        world.server.gateway().cache.size(),
        world.metric("reprise_saved_tokens_total{kind=\"prompt\"}").await,
    );
    for question in [ASKED, REWORDED, "What is the boiling point of lead?"] {
        world.explain(&chat(question)).await;
        world.explain(&with_system(question, "Be brief.")).await;
    }
    let after = (
        world.server.gateway().cache.size(),
        world.metric("reprise_saved_tokens_total{kind=\"prompt\"}").await,
    );
    assert_eq!(before, after);
    assert_eq!(world.upstream.calls(), 1, "the upstream was not asked");
    let chats = "reprise_requests_total{dialect=\"chat_completions\",verdict=";
    let hits = format!("{chats}\"hit\",tier=\"l2\",reason=\"\"}}");
    assert_eq!(world.metric(&hits).await, None);
    assert_eq!(world.metric(&format!("{chats}\"miss\",tier=\"\",reason=\"\"}}")).await, Some(1));
    assert_eq!(world.ask("What is the boiling point of lead?").await.verdict(), "miss", "nothing was stored");
}

#[tokio::test]
async fn a_caller_that_is_not_proven_and_a_client_that_wants_it_fresh_are_told_so() {
    let world = World::with(|config| config.policy.scope = reprise::config::ScopeBy::Global).await;
    world.ask(ASKED).await;
    let told = world.explain_with(&chat(ASKED), json!({})).await;
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("miss"), &json!("credential_unproven")),
        "{told}"
    );
    assert_eq!(told["entry"]["id"].as_str().map(str::len), Some(32), "the entry is named all the same");
    for (header, value, reason) in [
        ("cache-control", "no-cache", "client_no_cache"),
        ("cache-control", "no-store", "client_no_store"),
        ("x-reprise-cache", "off", "client_off"),
    ] {
        let told = world.explain_with(&chat(ASKED), json!({ header: value })).await;
        assert_eq!((&told["outcome"], &told["reason"]), (&json!("bypass"), &json!(reason)), "{told}");
    }
}

#[tokio::test]
async fn a_wrong_answer_is_gone_at_once() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let hit = world.ask(REWORDED).await;
    let entry = hit.header("x-reprise-entry").unwrap();
    let told = world.report(json!({ "entry": entry, "right": false })).await;
    assert_eq!((told.status, &told.json()["outcome"]), (200, &json!("dropped")));
    assert_eq!(world.server.gateway().cache.size().0, 0);
    assert_eq!(world.ask(REWORDED).await.verdict(), "miss");
    let again = world.report(json!({ "entry": entry, "right": false })).await;
    assert_eq!(again.status, 404);
    assert!(again.json()["error"].as_str().unwrap().contains("take the id of a recent hit"));
    assert_eq!(world.metric("reprise_feedback_total{word=\"dropped\"}").await, Some(1));
    assert_eq!(world.metric("reprise_feedback_total{word=\"unknown\"}").await, Some(1));
}

#[tokio::test]
async fn an_answer_that_was_wrong_for_one_question_goes_on_to_serve_the_others() {
    let world = World::comparing(|config| {
        // The verifier would refuse the wrong one by itself.
        config.policy.semantic.verify = reprise::config::Strictness::Off;
        config.policy.semantic.threshold = Some(0.5);
    })
    .await;
    world.ask(ASKED).await;
    let wrong = "How do I reset my router?";
    let hit = world.ask(wrong).await;
    assert_eq!(hit.verdict(), "hit", "else the scene shows nothing");
    let (entry, score) = (hit.header("x-reprise-entry").unwrap(), hit.header("x-reprise-score").unwrap());
    let told = world.report(json!({ "entry": entry, "right": false, "question": wrong })).await.json();
    assert_eq!(told["outcome"], "tightened");
    assert!(
        (told["wrong_at"].as_f64().unwrap() - score.parse::<f64>().unwrap()).abs() < 1e-3,
        "{told} {score}"
    );

    let explained = world.explain(&chat(wrong)).await;
    assert_eq!((&explained["outcome"], &explained["reason"]), (&json!("miss"), &json!("reported_wrong")));
    let near = &explained["meaning"]["neighbours"][0];
    assert_eq!((&near["unserved"], &near["wrong"]), (&json!("reported_wrong"), &json!(1)), "{explained}");
    assert_eq!(
        world.explain(&chat("How can I reset my router?")).await["outcome"],
        "miss",
        "nearer to the wrong one"
    );

    assert_eq!(world.ask(REWORDED).await.verdict(), "hit", "another paraphrase");
    assert_eq!(world.ask(ASKED).await.tier(), Some("l1"), "its own question");
    let refused = world.ask(wrong).await;
    assert_eq!((refused.verdict(), refused.reason()), ("miss", Some("reported_wrong")));
    assert_eq!(refused.text(), format!("You asked: {wrong}"));
    assert_eq!(
        world.ask("How can I reset my router?").await.text(),
        format!("You asked: {wrong}"),
        "its own answer now"
    );
}

#[tokio::test]
async fn an_answer_wrong_for_its_own_question_is_dropped() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let entry = world.ask(ASKED).await.header("x-reprise-entry").unwrap().to_owned();
    let told = world.report(json!({ "entry": entry, "right": false, "question": ASKED })).await;
    assert_eq!(told.json()["outcome"], "dropped");
    assert_eq!(world.ask(ASKED).await.verdict(), "miss");
}

#[tokio::test]
async fn a_right_answer_is_counted() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let entry = world.ask(ASKED).await.header("x-reprise-entry").unwrap().to_owned();
    assert_eq!(world.report(json!({ "entry": entry, "right": true })).await.json()["outcome"], "right");
    assert_eq!(world.metric("reprise_feedback_total{word=\"right\"}").await, Some(1));
    let told = world.explain(&chat(REWORDED)).await;
    assert_eq!(told["meaning"]["neighbours"][0]["right"], 1, "{told}");
    assert_eq!(world.ask(REWORDED).await.verdict(), "hit");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_a_remedy() {
    let world = World::with(|config| config.limits.max_body = 1_000).await;
    let unknown = "0".repeat(32);
    for (path, body, status, remedy) in [
        ("/api/explain", "{", 400, "the body cannot be understood"),
        ("/api/explain", "{}", 400, "expected one of `body`"),
        ("/api/explain", r#"{"bodi": {}}"#, 400, "expected one of `path`"),
        (
            "/api/explain",
            r#"{"path": "/v1/embeddings", "body": {}}"#,
            400,
            "explain reads /v1/chat/completions",
        ),
        ("/api/explain", r#"{"path": "no path", "body": {}}"#, 400, "expected one such as"),
        ("/api/explain", r#"{"headers": {"a b": "c"}, "body": {}}"#, 400, "that HTTP allows"),
        ("/api/explain", r#"{"headers": {"x-reprise-threshold": "2"}, "body": {}}"#, 400, "from 0.0 to 1.0"),
        ("/api/feedback", r#"{"entry": "abc", "right": true}"#, 400, "expected the 32 hex digits"),
        ("/api/feedback", r#"{"entry": "abc"}"#, 400, "missing field `right`"),
        ("/api/feedback", &format!(r#"{{"entry": "{unknown}", "right": true}}"#), 404, "recent hit"),
    ] {
        let answer = world.post_admin(path, body.to_owned()).await;
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(remedy), "{error}");
    }
    let long = json!({ "body_text": "x".repeat(70_000) }).to_string();
    assert_eq!(world.post_admin("/api/explain", long.clone()).await.status, 413);
    assert_eq!(world.post_admin("/api/feedback", long).await.status, 413);
    let got = read(world.client().get(world.admin("/api/explain"))).await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    let told = world.post_admin("/api/explain", r#"{"body_text": "no json"}"#).await.json();
    assert_eq!((&told["outcome"], &told["reason"]), (&json!("bypass"), &json!("unreadable")), "{told}");
}

#[tokio::test]
async fn both_ask_for_the_token() {
    let world = World::with(|config| config.server.admin_token = Some(Secret::new("s3cret".into()))).await;
    for path in ["/api/explain", "/api/feedback"] {
        assert_eq!(world.post_admin(path, "{}").await.status, 401, "{path}");
        let with = world.client().post(world.admin(path)).header("authorization", "Bearer s3cret").body("{}");
        assert_eq!(read(with).await.status, 400, "{path}");
    }
}
