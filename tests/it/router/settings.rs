//! What the config says of models and the router, and what is said about a wrong one.

use reprise::config::routing::{Router, Strategy};
use reprise::config::{Config, Flags, Source};
use std::time::Duration;

fn problems(text: &str) -> String {
    let problems = Config::read_text(&Source::default(), text).expect_err("nothing was found wrong");
    problems.list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const UPSTREAM: &str = "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\nregion = \"eu\"\n";

#[test]
fn each_mistake_is_told_with_its_place_and_a_remedy() {
    let cases = [
        (
            "[[model]]\nname = \"m\"",
            "5:1  model  has no [[model.deployment]]; add one, for instance with upstream = \"openai\"",
        ),
        (
            "[[model]]\n[[model.deployment]]\nupstream = \"a\"",
            "5:1  model  has no `name`; give it the one that clients use, or \"*\" for all",
        ),
        (
            "[[model]]\nname = \"m\"\n[[model.deployment]]",
            "7:1  model.deployment  has no `upstream`; write the name of an [[upstream]]",
        ),
        (
            "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"aa\"",
            "8:12  model.deployment.upstream  no [[upstream]] is named \"aa\"; did you mean \"a\"?",
        ),
        (
            "[[model]]\nname = \"m\"\nfallback = [\"n\"]\n[[model.deployment]]\nupstream = \"a\"",
            "7:12  model.fallback  no model is named \"n\"; did you mean \"m\"?",
        ),
        (
            "[[model]]\nname = \"m\"\nstrategy = \"fastest\"\n[[model.deployment]]\nupstream = \"a\"",
            "7:12  model.strategy  \"fastest\" is none of \"shuffle\", \"least-busy\", \"latency\", \"usage\", \"cost\"",
        ),
        (
            "[[model]]\nname = \"m\"\nstrategy = \"cost\"\n[[model.deployment]]\nupstream = \"a\"",
            "8:1  model.deployment  has no `input_price` and `output_price`, which strategy = \"cost\" goes by",
        ),
        (
            "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\ninput_price = 2",
            "7:1  model.deployment  needs both `input_price` and `output_price`, in dollars for a million tokens",
        ),
        (
            "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n[[model.deployment]]\nupstream = \"a\"",
            "9:1  model.deployment  another deployment of this model is named \"a\"; give each its own `name`",
        ),
        (
            "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n[[model]]\nname = \"n\"\naliases = [\"m\"]\n[[model.deployment]]\nupstream = \"a\"",
            "9:1  model  \"m\" is taken by the model in line 5; give each its own names",
        ),
        ("[router]\nretry_budget = 20", "6:16  router.retry_budget  20 is not a share; expected 0.0 to 1.0"),
        (
            "[router]\nbreaker.shut = \"1s\"",
            "6:9  router.breaker.shut  unknown key; known here are error_rate, failures, min_requests, probes, shut_for, slow_factor, window",
        ),
        (
            "[router]\nstrategy = \"cost\"",
            "6:12  router.strategy  \"cost\" goes by prices; give every deployment `input_price` and `output_price`",
        ),
        (
            "[[router.rule]]\nname = \"r\"\nmatch.tag = \"x=y\"",
            "5:1  router.rule  binds nothing; give it `region`, `deployments` or `model`",
        ),
        (
            "[[router.rule]]\nname = \"r\"\nregion = \"us\"",
            "7:10  router.rule.region  no deployment lies in region \"us\"; set `region` in its [[upstream]]",
        ),
        (
            "[[router.rule]]\nname = \"r\"\nmatch.tag = \"x\"\nregion = \"eu\"",
            "7:13  router.rule.match.tag  \"x\" is not a tag; write for instance \"cohort=beta\"",
        ),
        (
            "[[router.rule]]\nname = \"r\"\ndeployments = [\"b*\"]",
            "7:15  router.rule.deployments  no deployment is named \"b*\"; name those of [[model.deployment]]",
        ),
        (
            "[router]\ncascade = [\"n\"]",
            "6:1  router.cascade  a cascade is one model's; write [model.cascade] below its [[model]], with `to`",
        ),
        (
            "[[model]]\nname = \"m\"\ncascade = { to = \"m\" }\n[[model.deployment]]\nupstream = \"a\"",
            "7:18  model.cascade.to  \"m\" is this model itself; name a larger one",
        ),
        (
            "[[model]]\nname = \"m\"\ncascade = { to = \"n\" }\n[[model.deployment]]\nupstream = \"a\"",
            "7:18  model.cascade.to  no model is named \"n\"; did you mean \"m\"?",
        ),
        (
            "[[model]]\nname = \"m*\"\ncascade = { to = \"n\", on = [\"refusals\"] }\n[[model.deployment]]\nupstream = \"a\"\n[[model]]\nname = \"n\"\n[[model.deployment]]\nupstream = \"a\"",
            "7:28  model.cascade.on  \"refusals\" is none of \"refusal\", \"truncated\", \"schema\", \"low_confidence\"; did you mean \"refusal\"?",
        ),
        (
            "[[model]]\nname = \"m*\"\ncascade = { to = \"n\", min_confidence = 0.5 }\n[[model.deployment]]\nupstream = \"a\"\n[[model]]\nname = \"n\"\n[[model.deployment]]\nupstream = \"a\"",
            "7:40  model.cascade.min_confidence  does nothing without \"low_confidence\" in `on`; add it, or leave this out",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&format!("{UPSTREAM}{text}")), expected, "{text}");
    }
}

#[test]
fn one_upstream_alone_is_transparent_and_anything_more_is_routed() {
    let read = |text: &str| Config::read_text(&Source::default(), text).unwrap();
    let plain = "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n";
    assert!(read("").is_transparent() && read(plain).is_transparent());
    for more in [
        "region = \"eu\"",
        "total_timeout = \"1m\"",
        "[router]\nretries = 1",
        "[[upstream]]\nname = \"b\"\nurl = \"http://b\"",
        "[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"",
    ] {
        assert!(!read(&format!("{plain}{more}")).is_transparent(), "{more}");
    }
}

#[test]
fn the_flag_stands_for_one_transparent_upstream_in_place_of_all() {
    let flags = Flags { upstream: Some("http://b".into()), ..Flags::default() };
    let text = format!("{UPSTREAM}[[model]]\nname = \"m\"\n[[model.deployment]]\nupstream = \"a\"\n");
    let config = Config::read_text(&Source::new(None, [], flags), &text).unwrap();
    assert!(config.is_transparent() && config.models.is_empty());
}

#[test]
fn variables_set_the_router_too() {
    let environment = [("REPRISE__ROUTER__STRATEGY", "latency"), ("REPRISE__ROUTER__HEDGE_AFTER", "2s")];
    let pairs = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::read_text(&Source::new(None, pairs, Flags::default()), UPSTREAM).unwrap();
    let expected = Router {
        strategy: Strategy::Latency,
        hedge_after: Some(Duration::from_secs(2)),
        given: true,
        ..Router::default()
    };
    assert_eq!(config.router, expected);
    assert!(!config.is_transparent());
}
