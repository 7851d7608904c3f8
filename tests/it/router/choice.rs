//! Which of several open deployments is asked.

use super::stage::{Stage, after, good, model_over, status};
use serde_json::json;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn shuffle_divides_ten_thousand_requests_by_weight() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\n\
         [[model.deployment]]\nupstream = \"a\"\nweight = 1\n\
         [[model.deployment]]\nupstream = \"b\"\nweight = 3\n\
         [[model.deployment]]\nupstream = \"c\"\nweight = 6\n[router]\nseed = 11",
    );
    for _ in 0..10_000 {
        stage.ask("m").await.unwrap();
    }
    for (calls, share) in stage.calls(&["a", "b", "c"]).into_iter().zip([0.1, 0.3, 0.6]) {
        let room = 4.0 * (10_000.0f64 * share * (1.0 - share)).sqrt();
        assert!((calls as f64 - 10_000.0 * share).abs() < room, "{calls} for {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lower_priority_number_goes_first_whatever_the_strategy() {
    for strategy in ["shuffle", "least-busy", "latency", "usage", "cost"] {
        let stage = Stage::set(&format!(
            "[[model]]\nname = \"m\"\nstrategy = \"{strategy}\"\n\
             [[model.deployment]]\nupstream = \"a\"\npriority = 2\ninput_price = 0.1\noutput_price = 0.1\n\
             [[model.deployment]]\nupstream = \"b\"\npriority = 1\ninput_price = 9\noutput_price = 9\n\
             [[model.deployment]]\nupstream = \"c\"\npriority = 1\ninput_price = 9\noutput_price = 9\n"
        ));
        for _ in 0..40 {
            stage.ask("m").await.unwrap();
        }
        let calls = stage.calls(&["a", "b", "c"]);
        assert!(calls[0] == 0 && calls[1] > 0 && calls[2] > 0, "{strategy}: {calls:?}");
        for name in ["b", "c"] {
            stage.fake(name).always(status(500));
        }
        for _ in 0..40 {
            assert_eq!(stage.ask("m").await.unwrap().status, 200, "{strategy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latency_learns_which_is_faster_and_forgets() {
    let stage = Stage::set(&format!(
        "{}[router]\nstrategy = \"latency\"\nbreaker.slow_factor = 1000",
        model_over(&["a", "b"], "")
    ));
    stage.fake("a").always(after(300 * MS, good()));
    stage.fake("b").always(after(30 * MS, good()));
    for _ in 0..100 {
        stage.ask("m").await.unwrap();
    }
    let [slow, fast] = stage.calls(&["a", "b"])[..] else { panic!("two") };
    assert!(slow <= 2 && fast >= 98, "{slow} to {fast}");
    tokio::time::advance(Duration::from_secs(60)).await;
    stage.fake("a").always(after(MS, good()));
    for _ in 0..200 {
        stage.ask("m").await.unwrap();
    }
    assert!(stage.fake("a").calls() > 150, "what was slow a minute ago is tried again");
}

#[tokio::test(start_paused = true)]
async fn cost_takes_the_cheapest_for_this_request() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\nstrategy = \"cost\"\n\
         [[model.deployment]]\nupstream = \"a\"\ninput_price = 1\noutput_price = 50\n\
         [[model.deployment]]\nupstream = \"b\"\ninput_price = 10\noutput_price = 1\n",
    );
    let long = "word ".repeat(4_000);
    let request = |text: &str, limit: u32| {
        json!({ "model": "m", "max_tokens": limit, "messages": [{ "role": "user", "content": text }] })
            .to_string()
    };
    stage.send(&request(&long, 1), &[]).await.unwrap();
    assert_eq!(stage.calls(&["a", "b"]), [1, 0], "a long question and a short answer");
    stage.send(&request("a poem", 4_000), &[]).await.unwrap();
    assert_eq!(stage.calls(&["a", "b"]), [1, 1], "a short question and a long answer");
}

#[tokio::test(start_paused = true)]
async fn usage_takes_the_one_with_the_most_room() {
    let stage = Stage::set(
        "[[model]]\nname = \"m\"\nstrategy = \"usage\"\n\
         [[model.deployment]]\nupstream = \"a\"\nrpm = 100\n\
         [[model.deployment]]\nupstream = \"b\"\nrpm = 300\n",
    );
    for _ in 0..100 {
        stage.ask("m").await.unwrap();
    }
    assert_eq!(stage.calls(&["a", "b"]), [25, 75], "in proportion to their limits");
}

#[tokio::test(start_paused = true)]
async fn least_busy_spreads_what_is_in_progress() {
    let stage =
        Stage::set(&format!("{}[router]\nstrategy = \"least-busy\"", model_over(&["a", "b", "c", "d"], "")));
    for name in ["a", "b", "c", "d"] {
        stage.fake(name).always(after(Duration::from_secs(1), good()));
    }
    futures_util::future::join_all((0..40).map(|_| stage.ask("m"))).await;
    assert_eq!(stage.calls(&["a", "b", "c", "d"]), [10, 10, 10, 10]);
}
