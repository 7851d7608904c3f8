//! L1: what is the same request, and what an answer must be to be kept.

use crate::world::upstream::{Feed, Say, body, chunk, completion};
use crate::world::{World, chat, chat_with};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::test]
async fn the_same_question_is_asked_upstream_once() {
    let world = World::start().await;
    let first = world.ask("capital of France?").await;
    let second = world.ask("capital of France?").await;
    assert_eq!((first.verdict(), second.verdict()), ("miss", "hit"));
    assert_eq!(second.tier(), Some("l1"));
    assert_eq!(first.body, second.body, "byte for byte");
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_hit_says_where_it_comes_from() {
    let world = World::start().await;
    world.ask("q").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    let hit = world.ask("q").await;
    assert_eq!(hit.header("age"), Some("60"));
    let status = hit.header("cache-status").unwrap();
    assert!(
        ["reprise; hit; ttl=3540; detail=l1", "reprise; hit; ttl=3539; detail=l1"].contains(&status),
        "{status}"
    );
    assert_eq!(hit.header("x-reprise-entry").map(str::len), Some(32));
    assert_eq!(hit.header("x-reprise-score"), None);
    assert_eq!(hit.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_miss_passes_bytes_both_ways_unchanged() {
    let world = World::start().await;
    let odd = br#"{ "model":"gpt-test",  "temperature": 0.50, "messages":[{"role":"user","content":"caf\u00e9"}] }"#;
    let said: &[u8] = b"{\"choices\" : [ {\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":\"stop\"} ] }\n";
    let headers = vec![("content-type", "application/json".to_owned()), ("x-request-id", "abc".to_owned())];
    world.upstream.will(Say::Body { status: 200, headers, body: said.into() });
    let request = world.client().post(world.url("/v1/chat/completions?api-version=1")).body(odd.to_vec());
    let answer =
        crate::world::read(request.header("authorization", "Bearer k").header("x-custom", "1")).await;
    assert_eq!(answer.body, said);
    assert_eq!(answer.header("x-request-id"), Some("abc"));
    let asked = world.upstream.asked(0);
    assert_eq!(asked.body, odd.as_slice());
    assert_eq!(asked.target, "/v1/chat/completions?api-version=1");
    assert_eq!(asked.headers["authorization"], "Bearer k");
    assert_eq!(asked.headers["x-custom"], "1");
}

#[tokio::test]
async fn json_order_and_neutral_fields_do_not_matter_and_everything_else_does() {
    let world = World::start().await;
    world.ask("q").await;
    let same = r#"{"messages":[{"content":"q","role":"user"}],"user":"u","metadata":{"a":"b"},"store":false,"model":"gpt-test"}"#;
    let request = world
        .client()
        .post(world.url("/v1/chat/completions"))
        .body(same)
        .header("authorization", "Bearer sk-one");
    assert_eq!(crate::world::read(request).await.verdict(), "hit");
    for other in [
        json!({ "model": "gpt-other" }),
        json!({ "temperature": 0 }),
        json!({ "seed": 1 }),
        json!({ "some_new_field": null }),
        json!({ "messages": [{ "role": "system", "content": "be rude" }, { "role": "user", "content": "q" }] }),
        json!({ "messages": [{ "role": "user", "content": "Q" }] }),
        json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] }),
        json!({ "response_format": { "type": "json_object" } }),
    ] {
        assert_eq!(world.send(&chat_with("q", other.clone())).await.verdict(), "miss", "{other}");
    }
}

#[tokio::test]
async fn callers_namespaces_and_key_headers_never_share() {
    let world = World::start().await;
    world.send_as("one", &chat("q")).await;
    assert_eq!(world.send_as("two", &chat("q")).await.verdict(), "miss");
    assert_eq!(world.send_as("one", &chat("q")).await.verdict(), "hit");
    let headers = [("x-reprise-namespace", "beta")];
    assert_eq!(world.send_with(&chat("n"), &[]).await.verdict(), "miss");
    assert_eq!(world.send_with(&chat("n"), &headers).await.verdict(), "miss");
    assert_eq!(world.send_with(&chat("n"), &headers).await.verdict(), "hit");
    assert_eq!(world.send_with(&chat("n"), &[("openai-organization", "other")]).await.verdict(), "miss");
}

#[tokio::test]
async fn a_revoked_credential_is_not_answered_from_the_shared_cache() {
    let world = World::with(|config| {
        config.policy.mode = reprise::config::CacheMode::Exact;
        config.policy.scope = reprise::config::ScopeBy::Global;
        config.cache.credential_ttl = Duration::from_secs(60);
    })
    .await;
    world.send_as("good", &chat("q")).await;
    world.upstream.will(body(401, json!({ "error": { "message": "who are you" } })));
    let stranger = world.send_as("stranger", &chat("q")).await;
    assert_eq!((stranger.status, stranger.reason()), (401, Some("credential_unproven")));
    assert_eq!(world.send_as("good", &chat("q")).await.verdict(), "hit");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    assert_eq!(world.send_as("good", &chat("q")).await.reason(), Some("credential_unproven"));
}

#[tokio::test]
async fn ttl_is_in_seconds_and_is_kept_to() {
    let world = World::start().await;
    let ttl = [("x-reprise-ttl", "90")];
    world.send_with(&chat("q"), &ttl).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(88)).await;
    tokio::time::resume();
    assert_eq!(world.ask("q").await.verdict(), "hit");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    assert_eq!(world.ask("q").await.verdict(), "miss");
    world.send_with(&chat("never kept"), &[("x-reprise-ttl", "0")]).await;
    assert_eq!(world.ask("never kept").await.verdict(), "miss");
}

#[tokio::test]
async fn cache_control_is_obeyed() {
    let world = World::start().await;
    let say = |directive| [("cache-control", directive)];
    let nothing = world.send_with(&chat("q"), &say("only-if-cached")).await;
    assert_eq!((nothing.status, nothing.json()["error"]["code"].as_str()), (504, Some("only_if_cached")));
    let private = world.send_with(&chat("q"), &say("no-store")).await;
    assert_eq!((private.verdict(), private.reason()), ("bypass", Some("client_no_store")));
    assert_eq!(private.header("cache-status"), Some("reprise; fwd=bypass; detail=client_no_store"));
    assert_eq!(world.ask("q").await.verdict(), "miss", "no-store kept nothing");
    assert_eq!(world.send_with(&chat("q"), &say("no-store")).await.verdict(), "bypass");
    assert_eq!(world.send_with(&chat("q"), &say("only-if-cached")).await.verdict(), "hit");
    world.upstream.says("a newer answer");
    assert_eq!(world.send_with(&chat("q"), &say("no-cache")).await.reason(), Some("client_no_cache"));
    assert_eq!(world.ask("q").await.text(), "a newer answer", "no-cache keeps what it brought");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(world.send_with(&chat("q"), &say("max-age=60")).await.verdict(), "hit");
    assert_eq!(world.send_with(&chat("q"), &say("max-age=5")).await.reason(), Some("too_old"));
}

#[tokio::test]
async fn a_header_of_ours_that_makes_no_sense_is_refused_with_a_remedy() {
    let world = World::start().await;
    let answer = world.send_with(&chat("q"), &[("x-reprise-threshold", "high")]).await;
    assert_eq!(answer.status, 400);
    let error = &answer.json()["error"];
    assert_eq!(
        (error["code"].as_str(), error["type"].as_str()),
        (Some("invalid_header"), Some("invalid_request_error"))
    );
    assert!(error["message"].as_str().unwrap().contains("expected"), "{error}");
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn only_whole_answers_are_kept() {
    let cut_json = &completion("x").to_string()[..40];
    let with_finish = |reason: &str| {
        let mut answer = completion("half");
        answer["choices"][0]["finish_reason"] = reason.into();
        answer
    };
    let json_header = || vec![("content-type", "application/json".to_owned())];
    let bad: Vec<(&str, Say)> = vec![
        ("cut by length", body(200, with_finish("length"))),
        ("filtered", body(200, with_finish("content_filter"))),
        (
            "no finish reason",
            body(200, {
                let mut answer = completion("x");
                answer["choices"][0]["finish_reason"] = Value::Null;
                answer
            }),
        ),
        ("an error as 200", body(200, json!({ "error": { "message": "no" } }))),
        ("a 500", body(500, completion("x"))),
        ("a 202", body(202, completion("x"))),
        (
            "html",
            Say::Body {
                status: 200,
                headers: vec![("content-type", "text/html".into())],
                body: "<html>".into(),
            },
        ),
        ("half a json", Say::Body { status: 200, headers: json_header(), body: cut_json.to_owned().into() }),
        (
            "an unknown coding",
            Say::Body {
                status: 200,
                headers: vec![("content-encoding", "deflate".into())],
                body: completion("x").to_string().into(),
            },
        ),
    ];
    let world = World::start().await;
    for (name, say) in bad {
        world.upstream.will(say);
        assert_eq!(world.ask(name).await.verdict(), "miss", "{name}");
        assert_eq!(world.ask(name).await.verdict(), "miss", "{name} was kept");
    }
}

#[tokio::test]
async fn only_whole_streams_are_kept() {
    let world = World::start().await;
    let request = |name: &str| chat_with(name, json!({ "stream": true }));
    type Script = (&'static str, fn(Feed));
    let scripts: [Script; 4] = [
        ("no end", |feed| feed.text("half")),
        ("no done", |feed| {
            feed.text("all");
            feed.event(&chunk(json!({}), json!("stop")));
        }),
        ("done without a finish reason", |feed| {
            feed.text("half");
            feed.raw("data: [DONE]\n\n");
        }),
        ("an error inside", |feed| {
            feed.event(&json!({ "error": { "message": "overloaded" } }));
            feed.done();
        }),
    ];
    for (name, script) in scripts {
        script(world.upstream.streams());
        assert_eq!(world.send(&request(name)).await.verdict(), "miss", "{name}");
        assert_eq!(world.send(&request(name)).await.verdict(), "miss", "{name} was kept");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_in_an_error_for_the_client_and_is_not_kept() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let request = chat_with("q", json!({ "stream": true }));
    let response = world.post("/v1/chat/completions", &request).send().await.unwrap();
    feed.text("half");
    feed.cut();
    let all = response.text().await.unwrap();
    assert!(all.contains("upstream_broke") && !all.contains("[DONE]"), "{all}");
    assert_eq!(world.send(&request).await.verdict(), "miss");
}

#[tokio::test]
async fn coded_answers_are_passed_on_as_they_are_and_kept_plain() {
    use std::io::Write;
    let world = World::start().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(completion("zipped").to_string().as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let headers =
        vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
    world.upstream.will(Say::Body { status: 200, headers, body: zipped.clone().into() });
    let first = world.send_with(&chat("q"), &[("accept-encoding", "gzip")]).await;
    assert_eq!((first.header("content-encoding"), &first.body[..]), (Some("gzip"), &zipped[..]));
    let second = world.ask("q").await;
    assert_eq!((second.verdict(), second.header("content-encoding")), ("hit", None));
    assert_eq!(second.text(), "zipped");
}

#[tokio::test]
async fn what_is_no_json_of_ours_goes_upstream_as_it_is() {
    let world = World::start().await;
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for bad in [
        "not json",
        "[]",
        "{}",
        r#"{"model":1,"messages":[]}"#,
        r#"{"model":"m","messages":"hi"}"#,
        "\u{feff}{",
        &deep,
    ] {
        world.upstream.will(body(400, json!({ "error": { "message": "bad" } })));
        let request = world.client().post(world.url("/v1/chat/completions")).body(bad.to_owned());
        let answer = crate::world::read(request).await;
        assert_eq!((answer.status, answer.reason()), (400, Some("unreadable")), "{bad:.40}");
        assert_eq!(world.upstream.asked(world.upstream.calls() - 1).body, bad.as_bytes());
    }
    let request = world.client().post(world.url("/v1/chat/completions")).body(vec![b'"', 0xff, 0xfe]);
    assert_eq!(crate::world::read(request).await.reason(), Some("unreadable"));
}

#[tokio::test]
async fn other_paths_go_upstream_untouched() {
    let world = World::start().await;
    let (feed, chunks) = mpsc::unbounded_channel();
    feed.send(Ok("anything".into())).unwrap();
    drop(feed);
    world.upstream.will(Say::Flow { headers: vec![("x-odd", "1".into())], chunks });
    let answer = crate::world::read(world.client().get(world.url("/v1/models?limit=2"))).await;
    assert_eq!(
        (&answer.body[..], answer.header("x-odd"), answer.header("cache-status")),
        (&b"anything"[..], Some("1"), None)
    );
    assert_eq!(world.upstream.asked(0).target, "/v1/models?limit=2");
    let answer = crate::world::read(world.post("/v1/responses", &json!({ "input": "x" }))).await;
    assert_eq!((answer.verdict(), answer.reason()), ("bypass", Some("dialect_unread")));
}
