//! Deployments that fail: retries, budgets, breakers, fallbacks, hedges.

use super::stage::{Piece, Say, Stage, after, good, model_over, status, status_with};
use futures_util::future::join_all;
use reprise::base::fault::Kind;
use std::time::Duration;
use tokio::time::{Instant, advance, sleep};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// One model over `names`, and lines of `[router]`.
fn stage(names: &[&str], router: &str) -> Stage {
    Stage::set(&format!("{}[router]\nseed = 1\n{router}", model_over(names, "")))
}

#[tokio::test(start_paused = true)]
async fn another_deployment_answers_where_one_fails() {
    for failure in [
        status(500),
        status(503),
        status(429),
        Say::Fault(Kind::UpstreamBroke),
        Say::Fault(Kind::UpstreamUnreachable),
    ] {
        let stage = stage(&["a", "b"], "");
        stage.fake("a").always(failure);
        for _ in 0..4 {
            let got = stage.ask("m").await.unwrap();
            assert_eq!((got.status, &*got.way.deployment), (200, "b"));
            let tries = if got.way.tried.is_some() { 2 } else { 1 };
            assert_eq!(got.way.attempts, tries);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_the_clients_own_doing_is_not_tried_twice() {
    for word in [400, 401, 404, 413, 422] {
        let stage = stage(&["a", "b"], "");
        stage.fake("a").always(status(word));
        stage.fake("b").always(status(word));
        let got = stage.ask("m").await.unwrap();
        assert_eq!((got.status, got.way.attempts, got.way.tried), (word, 1, None));
        assert!(got.body.contains("by the scene"), "{}", got.body);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_passed_on_with_a_list_of_what_was_tried() {
    let stage = stage(&["a"], "retries = 2");
    stage.fake("a").will(Say::Fault(Kind::UpstreamUnreachable));
    stage.fake("a").always(status(500));
    let got = stage.ask("m").await.unwrap();
    assert_eq!((got.status, got.way.attempts), (500, 3));
    assert_eq!(got.way.tried.as_deref(), Some("a unreachable, a 500, a 500"));
    assert!(got.body.contains("500 by the scene"));

    let stage = super::stage::Stage::set(&model_over(&["a", "b"], ""));
    stage.fake("a").always(Say::Fault(Kind::UpstreamUnreachable));
    stage.fake("b").always(Say::Fault(Kind::UpstreamUnreachable));
    let fault = stage.ask("m").await.unwrap_err();
    assert_eq!(fault.kind, Kind::UpstreamUnreachable);
    assert!(fault.message.contains("a unreachable") && fault.message.contains("b unreachable"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retried_once_a_byte_of_a_stream_has_gone_out() {
    let stage = stage(&["a", "b"], "");
    let cut = Say::Stream(vec![Piece::Chunk("data: {\"choices\":[]}\n\n"), Piece::Cut]);
    stage.fake("a").always(cut.clone());
    stage.fake("b").always(cut);
    let got = stage.ask("m").await.unwrap();
    assert_eq!(got.fault.map(|fault| fault.kind), Some(Kind::UpstreamBroke));
    assert_eq!((got.way.attempts, got.body.as_str()), (1, "data: {\"choices\":[]}\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_or_refuses_before_its_first_event_is_retried() {
    let refusal = Say::Stream(vec![Piece::Chunk("data: {\"error\":{\"message\":\"overloaded\"}}\n\n")]);
    let silent = Say::Stream(vec![Piece::Pause(400 * S), Piece::Chunk("data: late\n\n")]);
    for bad in [Say::Stream(vec![Piece::Cut]), refusal, silent] {
        let stage = stage(&["a", "b"], "");
        stage.fake("a").always(bad.clone());
        for _ in 0..3 {
            let got = stage.ask("m").await.unwrap();
            assert_eq!((&*got.way.deployment, got.fault.is_none()), ("b", true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_body_that_lies_about_its_length_is_retried() {
    let json =
        |body: &str| Say::Body(200, vec![("content-type", "application/json".into())], body.to_owned());
    let stage = stage(&["a", "b"], "");
    stage.fake("a").always(json("{\"choices\":[{\"message\""));
    for _ in 0..3 {
        let got = stage.ask("m").await.unwrap();
        assert_eq!((&*got.way.deployment, got.status), ("b", 200));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_time_is_a_failure() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model.deployment]]\nupstream = \"b\"\npriority = 2\n",
    );
    stage.fake("a").always(Say::Hang);
    let began = Instant::now();
    assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "b");
    assert!(began.elapsed() >= 300 * S, "first_byte_timeout");
    assert_eq!((stage.fake("a").dropped(), stage.fake("a").calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn retries_wait_for_a_random_part_of_a_span_that_doubles() {
    let stage = stage(&["a"], "retries = 3\nbackoff = \"1s\"\nmax_backoff = \"2s\"\nbreaker.failures = 1000");
    stage.fake("a").always(status(500));
    let mut waits = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        stage.ask("m").await.unwrap();
        waits.push(began.elapsed());
    }
    assert!(waits.iter().all(|wait| *wait < 5 * S && *wait > 100 * MS), "{waits:?}");
    assert!(waits[0] != waits[1] && waits[1] != waits[2], "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_stay_within_their_share_of_the_traffic() {
    let stage = stage(
        &["a"],
        "retries = 2\nbackoff = \"0s\"\nretry_budget = 0.1\nbreaker.failures = 100000\nbreaker.error_rate = 1.0\nbreaker.min_requests = 100000",
    );
    stage.fake("a").always(status(500));
    for _ in 0..200 {
        stage.ask("m").await.unwrap();
    }
    assert_eq!(
        stage.fake("a").calls(),
        200 + 20 + 10,
        "a tenth of the requests, and the ten that are always allowed"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_by_every_request() {
    let stage = stage(&["a", "b"], "");
    stage.fake("a").will(status_with(429, &[("retry-after", "7")]));
    while stage.fake("a").calls() == 0 {
        assert_eq!(stage.ask("m").await.unwrap().status, 200);
    }
    let before = stage.fake("a").calls();
    advance(6 * S).await;
    for _ in 0..50 {
        assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "b");
    }
    assert_eq!(stage.fake("a").calls(), before);
    advance(2 * S).await;
    for _ in 0..50 {
        stage.ask("m").await.unwrap();
    }
    assert!(stage.fake("a").calls() > before, "seven seconds are over");
}

#[tokio::test(start_paused = true)]
async fn a_short_rest_is_waited_for_where_there_is_no_other_road() {
    let stage = stage(&["a"], "queue_timeout = \"5s\"");
    stage.fake("a").will(status_with(429, &[("retry-after", "3")]));
    let began = Instant::now();
    let got = stage.ask("m").await.unwrap();
    assert_eq!((got.status, got.way.attempts), (200, 2));
    assert!(began.elapsed() >= 3 * S && began.elapsed() < 4 * S, "{:?}", began.elapsed());
    stage.fake("a").will(status_with(429, &[("retry-after", "60")]));
    let got = stage.ask("m").await.unwrap();
    assert_eq!((got.status, got.way.attempts), (429, 1), "a minute is too long to wait");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_shuts_probes_and_flows_again() {
    let stage = stage(&["a"], "retries = 0\nqueue_timeout = \"10s\"");
    stage.fake("a").always(status(500));
    for _ in 0..5 {
        assert_eq!(stage.ask("m").await.unwrap().status, 500);
    }
    assert!(
        stage.shown().contains("reprise_deployment_state{model=\"m\",deployment=\"a\",state=\"shut\"} 1")
    );
    let fault = stage.ask("m").await.unwrap_err();
    assert_eq!((fault.kind, stage.fake("a").calls()), (Kind::UpstreamClosed, 5));
    assert!(fault.message.contains("a shut") && fault.retry == Some(30 * S), "{fault:?}");

    advance(30 * S).await;
    assert_eq!(stage.ask("m").await.unwrap().status, 500, "the first probe fails");
    assert_eq!(stage.ask("m").await.unwrap_err().kind, Kind::UpstreamClosed);

    stage.fake("a").always(after(S, good()));
    advance(30 * S).await;
    let probes = join_all((0..4).map(|_| stage.ask("m"))).await;
    assert!(probes.iter().all(|probe| probe.is_ok()), "one probe, two more, and one that waited for them");
    assert_eq!(stage.fake("a").calls(), 5 + 1 + 4);
    assert!(stage.shown().contains("state=\"open\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_counts_against_its_deployment() {
    let stage = stage(&["a"], "");
    stage.fake("a").always(Say::Stream(vec![Piece::Chunk("data: 1\n\n"), Piece::Cut]));
    for _ in 0..5 {
        assert!(stage.ask("m").await.unwrap().fault.is_some());
    }
    assert_eq!(stage.ask("m").await.unwrap_err().kind, Kind::UpstreamClosed);
}

fn chained(more: &str) -> Stage {
    Stage::set(&format!(
        "[[model]]\nname = \"m\"\n{more}\n[[model.deployment]]\nupstream = \"a\"\n\
         [[model]]\nname = \"n\"\n[[model.deployment]]\nupstream = \"b\"\nmodel = \"n-upstream\"\n\
         [[model]]\nname = \"large\"\n[[model.deployment]]\nupstream = \"c\"\n\
         [router]\nretries = 0"
    ))
}

#[tokio::test(start_paused = true)]
async fn the_chain_for_any_failure_is_followed_in_its_order() {
    let stage = chained("fallback = [\"n\", \"large\"]");
    stage.fake("a").always(status(500));
    let got = stage.ask("m").await.unwrap();
    assert_eq!((&*got.way.deployment, got.way.substitute, got.way.attempts), ("b", true, 2));
    assert_eq!(stage.fake("b").model(0), "n-upstream");
    assert_eq!(got.way.tried.as_deref(), Some("a 500"));
    stage.fake("b").always(Say::Fault(Kind::UpstreamTimeout));
    let got = stage.ask("m").await.unwrap();
    assert_eq!((&*got.way.deployment, stage.fake("c").model(0).as_str()), ("c", "large"));
    assert_eq!(got.way.tried.as_deref(), Some("a 500, b timeout"));
    let shown = stage.shown();
    assert!(shown.contains("reprise_fallbacks_total{model=\"m\",to=\"n\",why=\"failed\"} 2"), "{shown}");
    assert!(!stage.ask("n").await.unwrap_err().message.is_empty(), "a chain is not followed from its middle");
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_breaker_is_shut_falls_back_without_being_asked() {
    let stage = chained("fallback = [\"n\"]");
    stage.fake("a").always(status(500));
    for _ in 0..8 {
        assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "b");
    }
    assert_eq!(stage.fake("a").calls(), 5);
    assert!(stage.shown().contains("why=\"closed\"} 3"));
}

#[tokio::test(start_paused = true)]
async fn too_long_and_refused_have_chains_of_their_own() {
    let stage = chained("fallback_context_window = [\"large\"]\nfallback_content_policy = [\"n\"]");
    let say = |code: &str| Say::Body(400, vec![], format!("{{\"error\":{{\"code\":\"{code}\"}}}}"));
    stage.fake("a").will(say("context_length_exceeded"));
    assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "c");
    stage.fake("a").will(say("content_filter"));
    assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "b");
    stage.fake("a").will(say("invalid_value"));
    assert_eq!(stage.ask("m").await.unwrap().status, 400, "nothing that another model would take");
    stage.fake("a").will(status(500));
    assert_eq!(stage.ask("m").await.unwrap().status, 500, "there is no chain for failures");
    assert_eq!(stage.calls(&["a", "b", "c"]), [4, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_no_chain_takes_goes_to_the_client_as_it_is() {
    let stage = chained("");
    let body = "{\"error\":{\"code\":\"context_length_exceeded\"}}";
    stage.fake("a").will(Say::Body(400, vec![], body.to_owned()));
    let got = stage.ask("m").await.unwrap();
    assert_eq!((got.status, got.body.as_str()), (400, body));
}

#[tokio::test(start_paused = true)]
async fn a_late_first_byte_is_hedged_and_the_loser_is_cancelled() {
    let stage = stage(&["a", "b"], "hedge_after = \"500ms\"\nstrategy = \"latency\"");
    stage.fake("a").always(after(10 * S, good()));
    stage.fake("b").always(after(100 * MS, good()));
    // Once both are known, `b` is the better of two; but at first either may be drawn.
    stage.fake("b").will(after(10 * S, good()));
    stage.fake("a").will(after(100 * MS, good()));
    let began = Instant::now();
    let first = stage.ask("m").await.unwrap();
    let took = began.elapsed();
    if &*first.way.deployment == "a" && first.way.attempts == 1 {
        assert_eq!(took, 100 * MS);
        return;
    }
    assert_eq!((first.way.attempts, &*first.way.deployment), (2, "a"));
    assert_eq!(took, 600 * MS, "half a second, then the hedge's tenth");
    assert_eq!((stage.fake("b").dropped(), stage.fake("a").dropped()), (1, 0), "one loser, cancelled");
    assert_eq!(stage.calls(&["a", "b"]), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_first_fails_waits_for_the_second() {
    let stage = stage(&["a", "b"], "hedge_after = \"500ms\"\nretries = 0");
    for name in ["a", "b"] {
        stage.fake(name).always(after(S, status(500)));
    }
    let got = stage.ask("m").await.unwrap();
    assert_eq!((got.status, got.way.attempts), (500, 2));
    assert_eq!(got.way.tried.unwrap().matches("500").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn far_slower_ones_are_set_aside_but_never_the_last() {
    let stage = stage(&["a", "b", "c"], "");
    stage.fake("a").always(after(400 * MS, good()));
    stage.fake("b").always(after(20 * MS, good()));
    stage.fake("c").always(after(25 * MS, good()));
    for _ in 0..200 {
        stage.ask("m").await.unwrap();
    }
    let asked = stage.fake("a").calls();
    assert!((20..30).contains(&asked), "{asked}: judged after twenty answers");
    assert!(stage.shown().contains("deployment=\"a\",state=\"slow\"} 1"));
    sleep(31 * S).await;
    for _ in 0..100 {
        stage.ask("m").await.unwrap();
    }
    let again = stage.fake("a").calls() - asked;
    assert!((5..10).contains(&again), "{again}: judged sooner the second time");

    // With the others shut, one that is set aside is better than none.
    sleep(31 * S).await;
    for name in ["b", "c"] {
        stage.fake(name).always(status(500));
    }
    for _ in 0..100 {
        stage.ask("m").await.unwrap();
    }
    for _ in 0..100 {
        let got = stage.ask("m").await.unwrap();
        assert_eq!(&*got.way.deployment, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_exchange_and_frees_the_place() {
    let stage = stage(&["a"], "");
    stage.fake("a").will(Say::Hang);
    assert!(tokio::time::timeout(S, stage.ask("m")).await.is_err());
    assert_eq!(stage.fake("a").dropped(), 1);
    let shown = stage.shown();
    assert!(shown.contains("reprise_deployment_in_flight{model=\"m\",deployment=\"a\"} 0"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_on_too_long_is_ended() {
    let text = "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\ntotal_timeout = \"10s\"\n";
    let config = reprise::config::Config::read_text(&reprise::config::Source::default(), text).unwrap();
    let stage = Stage::of(&config);
    stage.fake("a").will(Say::Stream(vec![
        Piece::Chunk("data: 1\n\n"),
        Piece::Pause(60 * S),
        Piece::Chunk("data: 2\n\n"),
    ]));
    let began = Instant::now();
    let got = stage.ask("any").await.unwrap();
    assert_eq!(began.elapsed(), 10 * S);
    let fault = got.fault.unwrap();
    assert!(fault.kind == Kind::UpstreamTimeout && fault.message.contains("total_timeout"), "{fault}");
}
