//! Which of file, environment and command line counts.

use super::read_with;
use reprise::config::{Flags, ScopeBy};
use std::time::Duration;

#[test]
fn the_environment_goes_before_the_file_and_the_command_line_before_both() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\n[cache]\nttl = \"1h\"\nscope = \"global\"";
    let environment = [
        ("REPRISE__SERVER__LISTEN", "127.0.0.1:11"),
        ("REPRISE__SERVER__ADMIN_LISTEN", "127.0.0.1:12"),
        ("REPRISE__CACHE__TTL", "10m"),
        ("REPRISE__CACHE__KEY_HEADERS", "X-Team, x-a,x-team"),
        ("REPRISE__SEMANTIC__TOOLS", "true"),
        ("REPRISE__SEMANTIC__THRESHOLD", "0.5"),
        ("UNRELATED", "x"),
    ];
    let flags = Flags { listen: Some("127.0.0.1:21".to_owned()), ..Flags::default() };
    let config = read_with(text, &environment, flags).unwrap();
    assert_eq!(config.server.listen.port(), 21);
    assert_eq!(config.server.admin_listen.port(), 12);
    assert_eq!(config.policy.ttl, Duration::from_secs(600));
    assert_eq!(config.policy.scope, ScopeBy::Global);
    assert_eq!(config.cache.key_headers, ["x-a", "x-team"]);
    assert!(config.policy.semantic.fuzzy.tools);
    assert_eq!(config.policy.semantic.threshold, Some(0.5));
}

#[test]
fn variables_set_the_only_upstream_and_the_flag_replaces_all() {
    let environment = [
        ("REPRISE__UPSTREAM__URL", "http://litellm:4000/"),
        ("REPRISE__UPSTREAM__KEY", "env:K"),
        ("K", "sk-1"),
    ];
    let config = read_with("", &environment, Flags::default()).unwrap();
    assert_eq!(
        (config.upstreams[0].url.as_str(), config.upstreams[0].name.as_str()),
        ("http://litellm:4000", "litellm:4000")
    );
    assert_eq!(config.upstreams[0].key.as_ref().unwrap().expose(), "sk-1");

    let flags = Flags { upstream: Some("https://other/api/".to_owned()), ..Flags::default() };
    let config =
        read_with("[[upstream]]\nurl = \"http://a\"\n[[upstream]]\nurl = \"http://b\"", &[], flags.clone())
            .unwrap();
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(
        (config.upstreams[0].url.as_str(), config.upstreams[0].name.as_str()),
        ("https://other/api", "other:443")
    );
    let config = read_with("", &environment, flags).unwrap();
    assert!(config.upstreams[0].key.is_none(), "a key meant for one upstream went to another");
}
