//! Routes: which decides, what it inherits, and which never could.

use super::{problems, read};
use reprise::config::{AuditBy, CacheMode, Flags, ScopeBy, Strictness};
use std::time::Duration;

const ROUTES: &str = r#"
[cache]
ttl = "10m"
[semantic]
threshold = 0.9

[[route]]
name = "faq"
match = { path = "/v1/chat/*", header = { name = "X-Feature", value = "faq" } }
cache = { scope = "global" }

[[route]]
name = "mini"
match = { model = "gpt-4o-mini*" }
cache = { ttl = "1d" }
semantic = { threshold = 0.8, verify = "balanced" }

[[route]]
name = "rest"
match.path = "/v1/embeddings"
cache.mode = "exact"

[[route]]
name = "team"
match = { key = "support-*" }
cache.ttl = "2h"
"#;

#[test]
fn the_first_route_that_matches_decides_and_inherits_the_rest() {
    let config = read(ROUTES).unwrap();
    let faq = |name: &str| (name == "x-feature").then_some("faq");
    let none = |_: &str| None;
    let nobody = || None;
    let chat = "/v1/chat/completions";

    let policy = config.policy_for(chat, Some("gpt-4o-mini"), faq, nobody);
    assert_eq!((policy.scope, policy.ttl), (ScopeBy::Global, Duration::from_secs(600)));
    assert_eq!(policy.semantic.threshold, Some(0.9));

    let policy = config.policy_for(chat, Some("gpt-4o-mini-2024"), none, nobody);
    assert_eq!((policy.scope, policy.ttl), (ScopeBy::Key, Duration::from_secs(86_400)));
    assert_eq!((policy.semantic.threshold, policy.semantic.verify), (Some(0.8), Strictness::Balanced));

    assert_eq!(config.policy_for("/v1/embeddings", Some("x"), none, nobody).mode, CacheMode::Exact);
    assert_eq!(config.policy_for(chat, None, none, nobody), &config.policy);
    assert_eq!(config.policy_for(chat, Some("gpt-4o"), |_| Some("FAQ"), nobody), &config.policy);
    assert_eq!(config.policy_for(chat, None, none, || Some("support-eu")).ttl, Duration::from_secs(7_200));
    assert_eq!(config.policy_for(chat, None, none, || Some("sales")), &config.policy);
}

#[test]
fn a_route_that_can_never_decide_is_refused() {
    let cases = [
        (
            "[[route]]\nname = \"a\"",
            "1:1  route  matches every request; give it `match` with path, model, key or header, or set [cache] and [semantic]",
        ),
        (
            "[[route]]\nname = \"a\"\nmatch.path = \"v1\"",
            "3:14  route.match.path  \"v1\" never matches; a path begins with /",
        ),
        ("[[route]]\nname = \"a\"\nmatch.path = \"/*/x\"", "3:14  route.match.path  only its end may be `*`"),
        (
            "[[route]]\nmatch.path = \"/a\"",
            "1:1  route  has no `name`; give it one, for instance name = \"faq\"",
        ),
        (
            "[[route]]\nname = \"a\"\nmatch.header = { name = \"x\" }",
            "3:16  route.match.header  needs both, for instance { name = \"x-team\", value = \"support\" }",
        ),
        (
            "[[route]]\nname = \"a\"\nmatch.path = \"/a*\"\n[[route]]\nname = \"b\"\nmatch.path = \"/ab\"\nmatch.model = \"m\"",
            "4:1  route  is never reached: the route in line 1 matches first; put this one before it",
        ),
        (
            "[[route]]\nname = \"a\"\nmatch.path = \"/a\"\n[[route]]\nname = \"a\"\nmatch.path = \"/b\"",
            "5:8  route.name  another route is named \"a\"; give each its own `name`",
        ),
        (
            "[[route]]\nname = \"a\"\nmatch.path = \"/a\"\ncache.memory = \"1GiB\"",
            "4:7  route.cache.memory  unknown key here; it belongs into [cache]",
        ),
    ];
    for (text, expected) in cases {
        let told = problems(text, &[], Flags::default());
        assert!(told.lines().any(|line| line == expected), "{text}\ngave\n{told}\nwithout\n{expected}");
    }
    assert_eq!(
        problems("", &[("REPRISE__ROUTE__NAME", "x")], Flags::default()),
        "REPRISE__ROUTE__NAME  routes are set in the file only"
    );
}

#[test]
fn a_budget_is_set_in_general_and_by_route_and_a_named_judge_is_asked() {
    let text = r#"
[semantic]
max_wrong_rate = 0.02
state = ""
[semantic.judge]
url = "http://judge:1/v1/"
model = "wise"
[[route]]
name = "faq"
match.path = "/v1/chat/completions"
semantic = { max_wrong_rate = 0.005, audit_share = 0.5, audit_by = "text" }
[[route]]
name = "watched"
match.path = "/v1/completions"
semantic = { mode = "observe" }
"#;
    let config = read(text).unwrap();
    assert_eq!(config.semantic.state, None);
    let judge = config.semantic.judge.as_ref().unwrap();
    assert_eq!((judge.url.as_str(), judge.model.as_str(), judge.error), ("http://judge:1/v1", "wise", 0.05));
    let audits: Vec<_> = config.policies().map(|policy| policy.semantic.audit.clone()).collect();
    let [general, faq, watched] = &audits[..] else { panic!("{audits:?}") };
    assert_eq!((general.max_wrong_rate, general.share, general.by), (Some(0.02), None, AuditBy::Judge));
    assert_eq!((faq.max_wrong_rate, faq.share, faq.by), (Some(0.005), Some(0.5), AuditBy::Text));
    assert_eq!((watched.max_wrong_rate, watched.by), (Some(0.02), AuditBy::Judge));
    assert!(config.routes[1].policy.observes() && config.policies().all(|policy| policy.is_watched()));
    assert!(!read("").unwrap().policy.is_watched());
}
