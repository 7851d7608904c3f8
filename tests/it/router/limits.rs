//! Limits of deployments: our count, the provider's word, the queue, and what is turned away.

use super::stage::{Stage, after, good, model_over, status_with};
use futures_util::future::join_all;
use reprise::base::fault::Kind;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, advance};

const S: Duration = Duration::from_secs(1);

fn limited(limits: &str, router: &str) -> Stage {
    Stage::set(&format!(
        "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n{limits}\n[router]\n{router}"
    ))
}

#[tokio::test(start_paused = true)]
async fn requests_a_minute_are_not_exceeded_in_any_minute() {
    let stage = limited("rpm = 5", "queue_timeout = \"1s\"");
    advance(Duration::from_millis(900)).await;
    for _ in 0..5 {
        stage.ask("m").await.unwrap();
    }
    let fault = stage.ask("m").await.unwrap_err();
    assert_eq!((fault.kind, stage.fake("a").calls()), (Kind::Overloaded, 5));
    let wait = fault.retry.unwrap();
    assert!(wait > 59 * S && wait <= 61 * S, "{wait:?}");
    assert!(fault.message.contains("a limited"), "{fault}");
    advance(59 * S).await;
    assert!(stage.ask("m").await.is_err(), "a minute is not over");
    advance(2 * S).await;
    stage.ask("m").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokens_a_minute_count_what_is_sent_then_what_was_used() {
    let stage = limited("tpm = 1000", "queue = 0");
    let request = json!({ "model": "m", "max_tokens": 600, "messages": [] }).to_string();
    stage.send(&request, &[]).await.unwrap();
    // It took twelve in the end, so there is room for another of six hundred.
    stage.send(&request, &[]).await.unwrap();
    stage.fake("a").always(after(S, good()));
    let both = join_all([stage.send(&request, &[]), stage.send(&request, &[])]).await;
    let served = both.iter().filter(|one| one.is_ok()).count();
    assert_eq!(served, 1, "two at once would be twelve hundred");
}

#[tokio::test(start_paused = true)]
async fn other_deployments_take_what_one_has_no_room_for() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\nrpm = 3\n\
         [[model.deployment]]\nupstream = \"b\"\npriority = 2\n",
    );
    for _ in 0..10 {
        stage.ask("m").await.unwrap();
    }
    assert_eq!(stage.calls(&["a", "b"]), [3, 7]);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_is_left_is_believed() {
    let stage = Stage::set(&model_over(&["a", "b"], ""));
    let empty = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "12s"),
    ];
    stage.fake("a").always(status_with(200, &empty));
    while stage.fake("a").calls() == 0 {
        stage.ask("m").await.unwrap();
    }
    for _ in 0..30 {
        assert_eq!(&*stage.ask("m").await.unwrap().way.deployment, "b");
    }
    advance(12 * S).await;
    for _ in 0..30 {
        stage.ask("m").await.unwrap();
    }
    assert_eq!(stage.fake("a").calls(), 2, "once more, and the same word again");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_at_once_and_the_rest_wait_in_a_bounded_queue() {
    let stage = limited("max_concurrency = 2", "queue = 3\nqueue_timeout = \"10s\"");
    stage.fake("a").always(after(S, good()));
    let began = Instant::now();
    let all = join_all((0..8).map(|_| stage.ask("m"))).await;
    let (served, shed): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), shed.len()), (5, 3), "two at once, three in the queue");
    assert_eq!(began.elapsed(), 3 * S);
    let fault = shed.into_iter().next().unwrap().unwrap_err();
    assert_eq!((fault.kind, fault.retry), (Kind::Overloaded, Some(S)));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_queues_time() {
    let stage = limited("max_concurrency = 1", "queue_timeout = \"2s\"");
    stage.fake("a").always(after(60 * S, good()));
    let began = Instant::now();
    let (one, other) = tokio::join!(stage.ask("m"), async {
        let other = stage.ask("m").await;
        (other, began.elapsed())
    });
    assert!(one.is_ok());
    assert_eq!(other.0.unwrap_err().kind, Kind::Overloaded);
    assert_eq!(other.1, 2 * S);
}
