//! A text that was surely the same question as a stored one vouches for it: a third one that the stored
//! question alone leaves in doubt is served.

use crate::world::{World, chat, read};
use reprise::config::{AuditBy, Policy, Route, RouteMatch, ScopeBy, SemanticMode, Strictness};
use serde_json::{Value, json};

/// Stored; surely the same; in doubt beside the stored one, and much like the second.
const ASKED: &str = "password reset how?";
const SURE: &str = "tell me how to reset a password";
const DOUBTED: &str = "how would I go about resetting my password";
/// Likewise, in Korean.
const KOREAN: [&str; 3] = [
    "토요일에 도서관 몇 시에 여나요?",
    "도서관은 토요일에 몇 시에 열어요?",
    "도서관이 토요일에는 몇 시에 문을 여나요",
];

async fn explain(world: &World, question: &str) -> Value {
    world.explain(&chat(question)).await
}

async fn report(world: &World, entry: &str, question: Option<&str>) -> Value {
    let told = world.report(json!({ "entry": entry, "right": false, "question": question })).await;
    assert_eq!(told.status, 200, "{:?}", told.body);
    told.json()
}

fn vouched_by(told: &Value) -> &Value {
    let near = &told["meaning"]["neighbours"][0];
    assert_eq!(near["question"], ASKED, "{told}");
    &near["vouched_by"]
}

async fn hits(world: &World, question: &str) -> bool {
    world.ask_the_cache(question).await.status == 200
}

#[tokio::test]
async fn a_sure_wording_vouches_for_a_doubtful_one() {
    for [asked, sure, doubted] in [[ASKED, SURE, DOUBTED], KOREAN] {
        let world = World::with_meaning().await;
        let first = world.ask(asked).await;
        assert!(!hits(&world, doubted).await, "{doubted}: else the scene shows nothing");
        assert_eq!(world.ask(sure).await.tier(), Some("l2"));
        let third = world.ask(doubted).await;
        assert_eq!((third.verdict(), third.tier()), ("hit", Some("l2")), "{doubted}");
        assert_eq!(third.header("x-reprise-entry"), world.ask(asked).await.header("x-reprise-entry"));
        assert_eq!((first.body, world.upstream.calls()), (third.body, 1));
    }
}

#[tokio::test]
async fn explaining_names_the_wording_and_teaches_none() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    assert_eq!(explain(&world, SURE).await["outcome"], "hit");
    let before = explain(&world, DOUBTED).await;
    assert_eq!(
        (&before["outcome"], &before["meaning"]["neighbours"][0]["vouched_by"]),
        (&json!("miss"), &Value::Null)
    );
    world.ask(SURE).await;
    let after = explain(&world, DOUBTED).await;
    let near = &after["meaning"]["neighbours"][0];
    assert_eq!(
        (&after["outcome"], &near["judgement"], &near["rule"]),
        (&json!("hit"), &json!("same"), &Value::Null)
    );
    assert_eq!((&near["vouched_by"], &near["question"]), (&json!(SURE), &json!(ASKED)));
    assert_eq!(near["p"], before["meaning"]["neighbours"][0]["p"], "of the stored question alone");
    assert_eq!(near["score"].as_f64(), after["entry"]["score"].as_f64());
}

#[tokio::test]
async fn after_a_report_nobody_vouches_for_the_entry() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    world.ask(SURE).await;
    let hit = world.ask(DOUBTED).await;
    let entry = hit.header("x-reprise-entry").expect("an entry");
    assert_eq!(report(&world, entry, Some(DOUBTED)).await["outcome"], "tightened");
    assert!(!hits(&world, DOUBTED).await);
    // Served still, as a nearer one, but not learnt from.
    assert!(hits(&world, SURE).await);
    assert_eq!(vouched_by(&explain(&world, DOUBTED).await), &Value::Null);
}

#[tokio::test]
async fn wordings_go_with_their_entry() {
    let world = World::with_meaning().await;
    world.ask(ASKED).await;
    let entry = world.ask(SURE).await;
    assert!(hits(&world, DOUBTED).await);
    let entry = entry.header("x-reprise-entry").expect("an entry");
    assert_eq!(report(&world, entry, None).await["outcome"], "dropped");
    world.ask(ASKED).await;
    let told = explain(&world, DOUBTED).await;
    assert_eq!((vouched_by(&told), &told["outcome"]), (&Value::Null, &json!("miss")));
}

#[tokio::test]
async fn only_strict_verification_listens_and_learns() {
    let routed = |name: &str, verify| {
        let header = Some(("x-team".to_owned(), name.to_owned()));
        let matches = RouteMatch { header, ..RouteMatch::default() };
        let mut policy = Policy::default();
        policy.semantic.verify = verify;
        Route { name: name.to_owned(), matches, policy }
    };
    let world = World::comparing(|config| {
        config.routes = vec![routed("loose", Strictness::Balanced), routed("off", Strictness::Off)];
    })
    .await;
    let as_team =
        async |team: &str, question: &str| world.send_with(&chat(question), &[("x-team", team)]).await;
    world.ask(ASKED).await;
    for team in ["loose", "off"] {
        assert_eq!(as_team(team, SURE).await.tier(), Some("l2"), "{team}");
    }
    assert_eq!(vouched_by(&explain(&world, DOUBTED).await), &Value::Null, "not learnt from them");
    world.ask(SURE).await;
    assert_eq!(vouched_by(&explain(&world, DOUBTED).await), &json!(SURE));
    let headers = json!({ "authorization": "Bearer sk-one", "x-team": "loose" });
    let told = world.explain_with(&chat(DOUBTED), headers).await;
    assert_eq!(vouched_by(&told), &Value::Null, "not heard by them");
}

#[tokio::test]
async fn what_is_not_served_or_not_to_be_kept_teaches_nothing() {
    let world = World::comparing(|config| config.policy.scope = ScopeBy::Global).await;
    world.ask(ASKED).await;
    let strict = [("x-reprise-threshold", "0.99"), ("cache-control", "only-if-cached")];
    assert_eq!(world.send_with(&chat(SURE), &strict).await.status, 504);
    // A credential that the upstream has not accepted gets no hit.
    let unproven = world.client().post(world.url("/v1/chat/completions")).body(chat(SURE).to_string());
    let unproven =
        unproven.header("cache-control", "only-if-cached").header("authorization", "Bearer made-up");
    assert_eq!(read(unproven).await.status, 504);
    // Nothing of this one is to be kept.
    assert_eq!(world.send_with(&chat(SURE), &[("x-reprise-ttl", "0")]).await.verdict(), "hit");
    assert!(!hits(&world, DOUBTED).await);
    assert!(hits(&world, SURE).await && hits(&world, DOUBTED).await);
}

/// In observe mode nothing is served, and what would have been teaches as if it were, unless it proves wrong.
#[tokio::test]
async fn an_observed_hit_teaches_unless_the_upstream_says_otherwise() {
    for (outcome, vouches) in [("agreed", json!(SURE)), ("differed", Value::Null)] {
        let world = World::comparing(|config| {
            config.policy.semantic.mode = SemanticMode::Observe;
            config.policy.semantic.audit.by = AuditBy::Text;
        })
        .await;
        if outcome == "agreed" {
            (0..2).for_each(|_| world.upstream.says("Under Settings."));
        }
        world.ask(ASKED).await;
        assert_eq!(world.ask(SURE).await.reason(), Some("observed"));
        let line = format!("reprise_audits_total{{of=\"observed\",outcome=\"{outcome}\"}}");
        world.until_metric(&line, 1).await;
        assert_eq!(vouched_by(&explain(&world, DOUBTED).await), &vouches, "{outcome}");
    }
}
