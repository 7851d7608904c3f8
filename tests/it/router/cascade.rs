//! A cheaper model first, and a larger one where its answer shows a signal.

use super::stage::{Got, Piece, Say, Stage, status};
use crate::world::upstream::{Say as Body, Upstream, body as answer_of};
use crate::world::{World, chat_with};
use reprise::accounts::ledger::report::{self, By, Wanted};
use reprise::config::accounts::Ledger;
use reprise::config::{CacheMode, Config, Source};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A model `m` on `a`, with these lines of its cascade to `large` on `b`.
fn cascade(lines: &str) -> Stage {
    Stage::set(&format!(
        "[[model]]\nname = \"m\"\n[model.cascade]\nto = \"large\"\n{lines}\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model]]\nname = \"large\"\n[[model.deployment]]\nupstream = \"b\"\n[router]\nretries = 0\n"
    ))
}

/// A whole answer of one choice.
fn says(finish: &str, message: &Value, logprobs: &Value) -> Say {
    let body = json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 },
    });
    Say::Body(200, vec![("content-type", "application/json".into())], body.to_string())
}

fn text(finish: &str, content: &str) -> Say {
    says(finish, &json!({ "role": "assistant", "content": content }), &Value::Null)
}

/// Who answered, and what the first answer showed.
fn seen(got: &Got) -> (&str, Option<&str>) {
    (&got.way.deployment, got.way.escalated.as_ref().map(|escalated| escalated.signal))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_shows_a_signal_is_bettered_and_any_other_is_not() {
    let refusal = json!({ "role": "assistant", "content": null, "refusal": "I will not." });
    let schema =
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "array" } } });
    let cases = [
        (text("stop", "fine"), json!({}), ("a", None)),
        (says("stop", &refusal, &Value::Null), json!({}), ("b", Some("refusal"))),
        (text("content_filter", ""), json!({}), ("b", Some("refusal"))),
        (text("length", "it is cut at"), json!({}), ("b", Some("truncated"))),
        (text("length", "as long as I may"), json!({ "max_tokens": 3 }), ("a", None)),
        (text("length", "shorter than I may"), json!({ "max_tokens": 4 }), ("b", Some("truncated"))),
        (text("stop", "[1]"), json!({ "response_format": schema }), ("a", None)),
        (text("stop", "{}"), json!({ "response_format": schema }), ("b", Some("schema"))),
    ];
    for (first, more, expected) in cases {
        let stage = cascade("");
        stage.fake("a").will(first);
        stage.fake("b").will(text("stop", "by the larger one"));
        let mut request = json!({ "model": "m", "messages": [] });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let got = stage.send(&request.to_string(), &[]).await.unwrap();
        assert_eq!(seen(&got), expected, "{request}");
        assert_eq!((got.status, got.body.contains("by the larger one")), (200, expected.0 == "b"));
        if let Some(first) = &got.way.escalated {
            assert_eq!((&*first.model, first.usage.unwrap().completion), ("m", 3));
            assert_eq!(
                (got.way.model.as_deref(), got.way.substitute, got.way.attempts),
                (Some("large"), false, 2)
            );
            assert_eq!(stage.fake("b").model(0), "large");
            let line =
                format!("reprise_escalations_total{{model=\"m\",to=\"large\",why=\"{}\"}} 1", first.signal);
            assert!(stage.shown().contains(&line), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn confidence_is_asked_for_only_where_the_client_says_nothing_of_it() {
    let unsure = json!({ "content": [{ "token": "x", "logprob": -2.0 }] });
    let message = json!({ "role": "assistant", "content": "x" });
    let stage = cascade("on = [\"low_confidence\"]\nmin_confidence = 0.5");
    for (least, expected) in [(-0.1, ("a", None)), (-2.0, ("b", Some("low_confidence")))] {
        let sure = json!({ "content": [{ "token": "x", "logprob": least }] });
        stage.fake("a").will(says("stop", &message, &sure));
        assert_eq!(seen(&stage.ask("m").await.unwrap()), expected);
    }
    assert_eq!(stage.fake("a").body(0), r#"{"logprobs":true,"messages":[],"model":"m"}"#);
    assert_eq!(stage.fake("b").body(0), r#"{"messages":[],"model":"large"}"#, "the larger one is not judged");
    stage.fake("a").will(says("stop", &message, &unsure));
    let own = r#"{"model":"m","messages":[],"logprobs":false}"#;
    assert_eq!(seen(&stage.send(own, &[]).await.unwrap()).0, "b");
    assert_eq!(stage.fake("a").body(2), own);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_until_it_can_be_judged() {
    const START: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Well\"},\"finish_reason\":null}]}\n\n";
    const CUT: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
    const WHOLE: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let stage = cascade("");
    let asked = r#"{"model":"m","messages":[],"stream":true}"#;
    stage.fake("a").will(Say::Stream(vec![Piece::Chunk(START), Piece::Chunk(WHOLE)]));
    let got = stage.send(asked, &[]).await.unwrap();
    assert_eq!((seen(&got), got.body.as_str()), (("a", None), format!("{START}{WHOLE}").as_str()));
    stage.fake("a").will(Say::Stream(vec![Piece::Chunk(START), Piece::Chunk(CUT)]));
    stage.fake("b").will(Say::Stream(vec![Piece::Chunk(START), Piece::Chunk(WHOLE)]));
    let got = stage.send(asked, &[]).await.unwrap();
    assert_eq!(seen(&got), ("b", Some("truncated")));
    assert_eq!(got.way.escalated.unwrap().usage, None, "the stream did not say");
    assert_eq!(got.body, format!("{START}{WHOLE}"), "nothing of the first answer went out");
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_stands_where_the_larger_model_has_none() {
    for failure in [status(500), status(400), Say::Fault(reprise::base::fault::Kind::UpstreamUnreachable)] {
        let stage = cascade("");
        stage.fake("a").will(text("length", "it is cut at"));
        stage.fake("b").always(failure);
        let got = stage.ask("m").await.unwrap();
        assert_eq!((seen(&got), got.status), (("a", None), 200));
        assert!(got.body.contains("it is cut at"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_not_judged_and_falls_back_as_ever() {
    let stage = cascade("");
    stage.fake("a").will(status(400));
    assert_eq!(stage.ask("m").await.unwrap().status, 400);
    stage.fake("a").will(status(500));
    assert_eq!(stage.ask("m").await.unwrap().status, 500, "`fallback` is another setting");
    assert_eq!(stage.calls(&["a", "b"]), [2, 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_a_fallback_for_a_cascade_of_its_own() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\nfallback = [\"n\"]\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model]]\nname = \"n\"\ncascade = { to = \"m\", on = [\"low_confidence\"] }\n[[model.deployment]]\nupstream = \"b\"\n\
         [router]\nretries = 0\n",
    );
    stage.fake("a").will(status(500));
    assert_eq!(seen(&stage.ask("m").await.unwrap()), ("b", None));
    assert_eq!(stage.fake("b").body(0), r#"{"messages":[],"model":"n"}"#);
}

#[tokio::test]
async fn both_answers_are_in_the_ledger_and_the_second_is_kept() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let text = format!(
        "[[upstream]]\nname = \"a\"\nurl = \"{}\"\n[[upstream]]\nname = \"b\"\nurl = \"{}\"\n\
         [[model]]\nname = \"gpt-4.1-mini\"\n[model.cascade]\nto = \"gpt-4.1\"\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model]]\nname = \"gpt-4.1\"\n[[model.deployment]]\nupstream = \"b\"\n",
        a.url(),
        b.url()
    );
    let folder = TempDir::new().unwrap();
    let mut config = Config::read_text(&Source::default(), &text).unwrap();
    config.policy.mode = CacheMode::Exact;
    config.accounts.ledger.path = Some(folder.path().to_owned());
    let world = World::of(a.clone(), config).await;
    let refused: Body = answer_of(
        200,
        json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4.1-mini",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": null, "refusal": "no" }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100 },
        }),
    );
    a.will(refused);
    let asked = chat_with("q", json!({ "model": "gpt-4.1-mini" }));
    let first = world.send(&asked).await;
    assert_eq!(
        (first.header("x-reprise-deployment"), first.header("x-reprise-escalated")),
        (Some("b"), Some("refusal"))
    );
    let second = world.send(&asked).await;
    assert_eq!((second.verdict(), second.header("x-reprise-escalated")), ("hit", None));
    world.server.gateway().accounts.flush();
    let wanted = Wanted { by: By::Model, since: 0, until: u64::MAX };
    let report = report::read(&Ledger::at(folder.path()), wanted, &[]).unwrap();
    let of = |name: &str| &report.lines.iter().find(|line| line.name == name).unwrap().sums;
    // The refused answer's 1,000 tokens at 0.40 USD a million and 100 at 1.60; the larger model's 9 at 2 and 3 at 8.
    assert_eq!((of("gpt-4.1-mini").spent, of("gpt-4.1-mini").overhead), (0, 560_000));
    assert_eq!((of("gpt-4.1").requests, of("gpt-4.1").spent, of("gpt-4.1").overhead), (1, 42_000, 0));
    assert_eq!(report.total.requests, 2);
}
