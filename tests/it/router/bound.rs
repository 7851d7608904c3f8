//! What binds a request: its model, rules, regions, and its length.

use super::stage::{Stage, model_over};
use reprise::base::fault::Kind;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn names_aliases_and_wildcards_find_their_models() {
    let stage = Stage::set(
        "[[model]]\nname = \"gpt-4o\"\naliases = [\"best\"]\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model]]\nname = \"gpt-*\"\n[[model.deployment]]\nupstream = \"b\"\n\
         [[model]]\nname = \"*\"\n[[model.deployment]]\nupstream = \"c\"\n",
    );
    for (asked, upstream, sent) in [
        ("gpt-4o", "a", "gpt-4o"),
        ("best", "a", "gpt-4o"),
        ("gpt-4o-mini", "b", "gpt-4o-mini"),
        ("claude", "c", "claude"),
    ] {
        let before = stage.fake(upstream).calls();
        assert_eq!(&*stage.ask(asked).await.unwrap().way.deployment, upstream);
        assert_eq!(stage.fake(upstream).model(before), sent);
    }
    assert_eq!(stage.router.names(), ["gpt-4o", "best"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_models_name_is_exchanged_in_the_body() {
    let stage =
        Stage::set("[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\nmodel = \"m-2024\"\n");
    let body = "{ \"zeta\":[1.0, 2e3],\n\"model\" :\"m\" , \"messages\":[{\"content\":\"\\u00e9 \\\"model\\\":\\\"m\\\"\"}]}";
    stage.send(body, &[]).await.unwrap();
    assert_eq!(stage.fake("a").body(0), body.replace("\"model\" :\"m\"", "\"model\" :\"m-2024\""));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_nobody_serves_is_said_so() {
    let stage = Stage::set(&model_over(&["a"], ""));
    let fault = stage.ask("gpt-9").await.unwrap_err();
    assert_eq!(fault.kind, Kind::UnknownModel);
    assert!(fault.message.contains("gpt-9") && fault.message.contains("one of m"), "{fault}");
    assert_eq!(stage.fake("a").calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_bound_to_a_region_never_leaves_it() {
    let stage = Stage::set(&format!(
        "{}[[router.rule]]\nname = \"german\"\nmatch.header = {{ name = \"x-country\", value = \"de\" }}\nregion = \"eu\"\n",
        model_over(&["a-eu", "b-us", "c"], "")
    ));
    let body = json!({ "model": "m" }).to_string();
    for _ in 0..30 {
        let got = stage.send(&body, &[("x-country", "de")]).await.unwrap();
        assert_eq!(&*got.way.deployment, "a-eu");
        let got = stage.send(&body, &[("x-reprise-region", "us")]).await.unwrap();
        assert_eq!(&*got.way.deployment, "b-us");
    }
    stage.fake("a-eu").always(super::stage::status(500));
    for _ in 0..9 {
        let _ = stage.send(&body, &[("x-country", "de")]).await;
    }
    assert_eq!((stage.fake("b-us").calls(), stage.fake("c").calls()), (30, 0), "not even when it fails");
    let fault = stage.send(&body, &[("x-country", "de"), ("x-reprise-region", "us")]).await.unwrap_err();
    assert_eq!(fault.kind, Kind::InvalidHeader);
    let fault = stage.send(&body, &[("x-reprise-region", "mars")]).await.unwrap_err();
    assert!(fault.kind == Kind::InvalidRequest && fault.message.contains("mars"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn rules_bind_by_tag_and_model_to_deployments_and_to_other_models() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n[[model.deployment]]\nupstream = \"b\"\n\
         [[model]]\nname = \"n\"\n[[model.deployment]]\nupstream = \"c\"\n\
         [[router.rule]]\nname = \"beta\"\nmatch.tag = \"cohort=beta\"\nmatch.model = \"m\"\ndeployments = [\"b*\"]\n\
         [[router.rule]]\nname = \"cheap\"\nmatch.header = { name = \"x-tier\", value = \"free\" }\nmodel = \"n\"\n",
    );
    let body = json!({ "model": "m" }).to_string();
    for _ in 0..20 {
        let got = stage.send(&body, &[("x-reprise-tags", "feature=x, cohort=beta")]).await.unwrap();
        assert_eq!(&*got.way.deployment, "b");
        let got = stage.send(&body, &[("x-tier", "free")]).await.unwrap();
        assert_eq!(&*got.way.deployment, "c");
    }
    assert_eq!(stage.fake("c").model(0), "n");
}

fn windows() -> Stage {
    Stage::set(
        "[[model]]\nname = \"m\"\nfallback_context_window = [\"huge\"]\n\
         [[model.deployment]]\nupstream = \"a\"\ncontext_window = 1000\n\
         [[model.deployment]]\nupstream = \"b\"\ncontext_window = 4000\n\
         [[model]]\nname = \"huge\"\n[[model.deployment]]\nupstream = \"c\"\ncontext_window = 100000\n",
    )
}

fn long(letters: usize, model: &str) -> String {
    let text = "word ".repeat(letters / 5);
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] }).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_where_it_fits() {
    let stage = windows();
    for _ in 0..20 {
        stage.send(&long(8_000, "m"), &[]).await.unwrap();
    }
    assert_eq!(stage.calls(&["a", "b", "c"]), [0, 20, 0], "two thousand tokens, likely");
    stage.send(&long(80_000, "m"), &[]).await.unwrap();
    assert_eq!(stage.calls(&["a", "b", "c"]), [0, 20, 1], "to a larger model");
}

#[tokio::test(start_paused = true)]
async fn what_certainly_does_not_fit_is_refused_before_it_is_sent() {
    let stage = windows();
    let fault = stage.send(&long(2_000_000, "m"), &[]).await.unwrap_err();
    assert_eq!(fault.kind, Kind::ContextTooLong);
    assert!(fault.message.contains("100000") || fault.message.contains("4000"), "{fault}");
    let limit = json!({ "model": "huge", "max_tokens": 100_001 }).to_string();
    assert_eq!(stage.send(&limit, &[]).await.unwrap_err().kind, Kind::ContextTooLong);
    assert_eq!(stage.calls(&["a", "b", "c"]), [0, 0, 0]);
}
