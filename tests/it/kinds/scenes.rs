//! Deployments of other kinds behind the real server, cache and all.

use super::Kind;
use crate::world::upstream::{Say, Upstream, body};
use crate::world::{Answer, World, chat, chat_with, read};
use reprise::base::secret::Secret;
use reprise::config::{Api, CacheMode, Config, Flags, Problems, Source};
use serde_json::{Value, json};

const MESSAGE: &str = include_str!("../golden/kinds/anthropic_plain.json");
const EVENTS: &str = include_str!("../golden/kinds/anthropic_plain.sse");
const GEMINI: &str = include_str!("../golden/kinds/gemini_plain.sse");

async fn before(kind: Kind) -> World {
    World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        config.upstreams[0].api = Api { kind, ..Api::default() };
        config.upstreams[0].key = Some(Secret::new("sk-ours".to_owned()));
    })
    .await
}

fn message() -> Say {
    body(200, serde_json::from_str(MESSAGE).unwrap())
}

fn streamed(question: &str) -> Value {
    chat_with(question, json!({"stream": true, "stream_options": {"include_usage": true}}))
}

#[tokio::test]
async fn a_chat_client_is_answered_by_anthropic_and_then_by_the_cache() {
    let world = before(Kind::Anthropic).await;
    world.upstream.will(message());
    let first = world.ask("capital of France?").await;
    assert_eq!((first.status, first.verdict()), (200, "miss"));
    assert_eq!(first.text(), "Paris is the capital of France.");
    let asked = world.upstream.asked(0);
    assert_eq!(asked.target, "/v1/messages");
    assert_eq!(asked.headers["x-api-key"], "sk-ours");
    assert_eq!(asked.headers.get("authorization"), None);
    assert_eq!(asked.headers.get_all("content-length").iter().count(), 1);
    assert_eq!(asked.json()["messages"][0]["content"][0]["text"], "capital of France?");

    let second = world.ask("capital of France?").await;
    assert_eq!((second.verdict(), &second.body), ("hit", &first.body));
    let third = world.send(&streamed("capital of France?")).await;
    assert_eq!((third.verdict(), third.streamed_text()), ("hit", first.text()));
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_translated_stream_is_kept_and_serves_a_plain_request() {
    for (kind, stream, text) in [
        (Kind::Anthropic, EVENTS, "Paris is the capital of France."),
        (Kind::Gemini, GEMINI, "Paris is the capital."),
    ] {
        let world = before(kind).await;
        let feed = world.upstream.streams();
        for piece in stream.as_bytes().chunks(97) {
            feed.raw(piece);
        }
        drop(feed);
        let first = world.send(&streamed("capital of France?")).await;
        assert_eq!((first.verdict(), first.streamed_text().as_str()), ("miss", text));
        let second = world.ask("capital of France?").await;
        assert_eq!((second.verdict(), second.text().as_str()), ("hit", text));
        assert!(second.json()["usage"]["prompt_tokens"].as_u64().unwrap() >= 20);
        assert_eq!(world.upstream.calls(), 1);
    }
}

#[tokio::test]
async fn a_field_without_counterpart_is_refused_before_anything_is_sent() {
    let world = before(Kind::Anthropic).await;
    let answer = world.send(&chat_with("hi", json!({"logit_bias": {"50256": -100}}))).await;
    assert_eq!(answer.status, 400);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "invalid_request");
    assert!(error["message"].as_str().unwrap().contains("`logit_bias`"), "{error}");
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn an_error_of_the_provider_is_told_in_the_clients_dialect_and_not_kept() {
    let world = before(Kind::Anthropic).await;
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    world.upstream.will(body(529, error));
    world.upstream.will(message());
    let answer = world.ask("hi").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("overloaded_error")));
    assert_eq!(world.ask("hi").await.status, 200);
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn a_stream_that_its_provider_cuts_is_not_kept() {
    let world = before(Kind::Anthropic).await;
    let feed = world.upstream.streams();
    feed.raw(&EVENTS.as_bytes()[..EVENTS.find("event: message_delta").unwrap()]);
    drop(feed);
    let request = streamed("capital of France?");
    let response = world.post("/v1/chat/completions", &request).send().await.unwrap();
    let whole = response.text().await;
    assert!(whole.is_err() || !whole.unwrap().contains("[DONE]"), "a cut answer does not look whole");
    world.upstream.will(message());
    assert_eq!(world.ask("capital of France?").await.verdict(), "miss");
}

#[tokio::test]
async fn a_client_of_anthropics_api_passes_byte_for_byte() {
    let world = before(Kind::Anthropic).await;
    world.upstream.will(message());
    let request =
        json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let answer = read(world.post("/v1/messages", &request)).await;
    assert_eq!((answer.status, answer.reason()), (200, Some("dialect_unread")));
    assert_eq!(answer.json(), serde_json::from_str::<Value>(MESSAGE).unwrap());
    let asked = world.upstream.asked(0);
    assert_eq!(asked.body, request.to_string());
    assert_eq!(
        (&asked.headers["x-api-key"], &asked.headers["anthropic-version"]),
        (
            &"sk-ours".parse::<http::HeaderValue>().unwrap(),
            &"2023-06-01".parse::<http::HeaderValue>().unwrap(),
        )
    );
}

#[tokio::test]
async fn azure_is_asked_at_the_path_of_its_deployment() {
    let world = World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        let api_version = Some("2024-10-21".to_owned());
        config.upstreams[0].api = Api { kind: Kind::AzureOpenAi, api_version, ..Api::default() };
    })
    .await;
    world.upstream.says("Paris.");
    assert_eq!(world.send(&chat("capital of France?")).await.text(), "Paris.");
    let asked = world.upstream.asked(0);
    assert_eq!(asked.target, "/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21");
    assert_eq!(asked.headers["api-key"], "sk-one", "the client's own, in the header that Azure reads");
    assert_eq!(asked.body, chat("capital of France?").to_string());
}

#[tokio::test]
async fn a_model_falls_back_to_another_kind() {
    let (openai, anthropic) = (Upstream::start().await, Upstream::start().await);
    let text = format!(
        "[[upstream]]\nname = \"o\"\nurl = \"{}\"\n[[upstream]]\nname = \"c\"\nkind = \"anthropic\"\nurl = \"{}\"\n\
         [[model]]\nname = \"gpt-test\"\n[[model.deployment]]\nupstream = \"o\"\n\
         [[model.deployment]]\nupstream = \"c\"\nmodel = \"claude-test-1\"\npriority = 2\n",
        openai.url(),
        anthropic.url()
    );
    let mut read = config(&text).unwrap();
    read.policy.mode = CacheMode::Exact;
    let world = World::of(openai.clone(), read).await;
    for request in [chat("plain"), streamed("streamed")] {
        let plain = request.get("stream").is_none();
        openai.will(body(500, json!({})));
        if plain {
            anthropic.will(message())
        } else {
            anthropic.streams().raw(EVENTS)
        }
        let text = |answer: &Answer| if plain { answer.text() } else { answer.streamed_text() };
        let answer = world.send(&request).await;
        assert_eq!((answer.status, answer.header("x-reprise-deployment")), (200, Some("c")));
        assert_eq!(text(&answer), "Paris is the capital of France.");
        let again = world.send(&request).await;
        assert_eq!((again.verdict(), text(&again)), ("hit", text(&answer)));
    }
    assert_eq!(anthropic.asked(1).json()["model"], "claude-test-1");
    // What only the first of them can be asked never reaches the second.
    let odd = chat_with("odd", json!({"logit_bias": {"5": 1}}));
    openai.will(body(500, json!({})));
    let answer = world.send(&odd).await;
    assert_eq!((answer.status, anthropic.calls()), (200, 2), "asked again where it can be asked");
}

fn config(text: &str) -> Result<Config, Problems> {
    Config::read_text(&Source::new(None, [], Flags::default()), text)
}

#[test]
fn a_kind_has_its_own_address_and_its_own_settings() {
    let read = config("[[upstream]]\nkind = \"anthropic\"\nmax_tokens = 100\n").unwrap();
    let upstream = &read.upstreams[0];
    assert_eq!(upstream.url, "https://api.anthropic.com");
    assert_eq!(upstream.api, Api { kind: Kind::Anthropic, max_tokens: 100, api_version: None });
    for (text, problem) in [
        ("[[upstream]]\nkind = \"bedrock\"\nurl = \"http://a\"", "2:8  upstream.kind  Amazon Bedrock"),
        ("[[upstream]]\nkind = \"azure-openai\"", "has no `url`"),
        (
            "[[upstream]]\nurl = \"http://a\"\nmax_tokens = 5",
            "3:14  upstream.max_tokens  is for kind = \"anthropic\" alone",
        ),
        ("[[upstream]]\nkind = \"gemini\"\napi_version = \"x\"", "is for kind = \"azure-openai\" alone"),
    ] {
        let told = config(text).unwrap_err().to_string();
        assert!(told.contains(problem), "{told}");
    }
}
