//! What a config may say, what is said about a wrong one, and how it changes while it is read.

mod layers;
mod reload;
mod routes;
mod shipped;

use proptest::prelude::*;
use reprise::cli::check::summary;
use reprise::config::read::known_keys;
use reprise::config::{Config, Flags, Policy, Problems, Source};
use std::fs;
use tempfile::TempDir;

fn read(text: &str) -> Result<Config, Problems> {
    read_with(text, &[], Flags::default())
}

fn read_with(text: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Config, Problems> {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read_text(&Source::new(None, pairs, flags), text)
}

/// The problems as `line:column key message`, one a line.
fn problems(text: &str, environment: &[(&str, &str)], flags: Flags) -> String {
    let problems = read_with(text, environment, flags).expect_err("nothing was found wrong");
    problems.list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    let config = read("").unwrap();
    assert_eq!(config.server, Config::default().server);
    assert_eq!(config.cache, Config::default().cache);
    assert_eq!(config.policy, Policy::default());
    assert!(config.upstreams.is_empty() && config.routes.is_empty());
}

#[test]
fn each_mistake_is_told_with_its_place_and_a_remedy() {
    let cases: &[(&str, &str)] = &[
        ("[cache]\nttll = \"1h\"", "2:1  cache.ttll  unknown key; did you mean `ttl`?"),
        ("[cache]\nthreshold = 0.9", "2:1  cache.threshold  unknown key here; it belongs into [semantic]"),
        (
            "[cache]\ntreshold = 0.9",
            "2:1  cache.treshold  unknown key here; did you mean `threshold` in [semantic]?",
        ),
        ("[chace]\nttl = \"1h\"", "1:2  chace  unknown section; did you mean `cache`?"),
        ("[log]\nzzzzzz = 1", "2:1  log.zzzzzz  unknown key; known here are filter, json"),
        ("cache = 3", "1:1  cache  expected a table, found an integer; write [cache]"),
        ("[[cache]]\nttl = \"1h\"", "1:3  cache  is one table, not a list; write [cache], not [[cache]]"),
        (
            "[upstream]\nurl = \"http://a\"",
            "1:2  upstream  is a list of tables; write [[upstream]], not [upstream]",
        ),
        (
            "[semantic]\nthreshold = 1.4",
            "2:13  semantic.threshold  1.4 is not a similarity; expected 0.0 to 1.0",
        ),
        (
            "[semantic]\nthreshold = nan",
            "2:13  semantic.threshold  nan is not a similarity; expected 0.0 to 1.0",
        ),
        (
            "[semantic]\nthreshold = \"x\"",
            "2:13  semantic.threshold  text is not a similarity; expected 0.0 to 1.0",
        ),
        (
            "[semantic]\nqueue = 0",
            "2:9  semantic.queue  0 is out of range; expected a whole number from 1 to 1000000",
        ),
        (
            "[semantic]\nqueue = -1",
            "2:9  semantic.queue  -1 is out of range; expected a whole number from 1 to 1000000",
        ),
        ("[semantic]\ntools = \"yes\"", "2:9  semantic.tools  expected true or false, found text"),
        (
            "[semantic]\nverify = \"stritc\"",
            "2:10  semantic.verify  \"stritc\" is none of \"strict\", \"balanced\", \"off\"; did you mean \"strict\"?",
        ),
        (
            "[semantic]\nmax_wrong_rate = 0.5",
            "2:18  semantic.max_wrong_rate  0.5 is not a rate of wrong hits that can be held; expected 0.0001 to 0.2",
        ),
        (
            "[semantic]\nmax_wrong_rate = 0",
            "2:18  semantic.max_wrong_rate  0 is not a rate of wrong hits that can be held; expected 0.0001 to 0.2",
        ),
        (
            "[semantic]\nmode = \"observe\"\naudit_by = \"judge\"",
            "3:12  semantic.audit_by  \"judge\" needs a [semantic.judge] with url and model",
        ),
        (
            "[semantic]\naudit_share = 0.5",
            "2:15  semantic.audit_share  nothing is audited; set `max_wrong_rate`, or mode = \"observe\"",
        ),
        (
            "[semantic]\nmax_wrong_rate = 0.01\n[semantic.judge]\nurl = \"http://h\"",
            "3:1  semantic.judge  has no `model`; write for instance model = \"gpt-4o-mini\"",
        ),
        (
            "[semantic]\nmodels_dir = \"/nowhere/models\"",
            "2:14  semantic.models_dir  there is no folder /nowhere/models",
        ),
        (
            "[cache]\nttl = 3600",
            "2:7  cache.ttl  3600 has no unit; write \"3600s\" for seconds or \"3600ms\" for milliseconds",
        ),
        (
            "[cache]\nttl = \"3600\"",
            "2:7  cache.ttl  3600 has no unit; write \"3600s\" for seconds or \"3600ms\" for milliseconds",
        ),
        (
            "[cache]\nttl = \"soon\"",
            "2:7  cache.ttl  \"soon\" is not a duration; write for instance \"250ms\", \"90s\", \"5m\" or \"1h\"",
        ),
        ("[cache]\nttl = \"0s\"", "2:7  cache.ttl  \"0s\" is out of range; expected 1ms to 1year"),
        (
            "[cache]\nmemory = 256",
            "2:10  cache.memory  256 has no unit; write \"256B\" for bytes or \"256MiB\" for mebibytes",
        ),
        (
            "[cache]\nmemory = \"lots\"",
            "2:10  cache.memory  \"lots\" is not a size; write for instance \"64KiB\", \"256MiB\" or \"2GiB\"",
        ),
        (
            "[cache]\nmax_entry = \"512MiB\"",
            "2:13  cache.max_entry  one entry of up to 512.0 MiB does not fit into 256.0 MiB; lower cache.max_entry or raise cache.memory",
        ),
        (
            "[ledger]\npath = \"postgres://db/ledger\"",
            "2:8  ledger.path  is a URL; name a folder of this machine here, and set ledger.url to the URL",
        ),
        (
            "[ledger]\nurl = \"postgres://me:s3cret@db/books\"",
            "2:7  ledger.url  holds a password; write for instance \"env:LEDGER_URL\", with \
             postgres://USER:PASSWORD@HOST:5432/NAME in that variable",
        ),
        (
            "[ledger]\npath = \"\"\nurl = \"postgres://db/books\"",
            "3:7  ledger.url  needs ledger.path, which rows are written to before they go over; name a folder there",
        ),
        (
            "[[price]]\nmodel = \"m\"\noutput = 1",
            "1:1  price  has no `input`; say it in USD per million tokens",
        ),
        (
            "[[caller]]\ndigest = \"short\"\nname = \"a\"",
            "2:10  caller.digest  expected 16 hex digits, as `reprise savings` shows them",
        ),
        (
            "[keys]\nrequired = true\n[[upstream]]\nurl = \"http://up\"",
            "1:2  keys  virtual keys are let in, but upstream up:80 has no `key` of its own to send in their place; give it one",
        ),
        (
            "[[key]]\nname = \"a\"\nsecret = \"rpk-plain\"",
            "3:10  key.secret  a secret is not written here itself; write \"env:NAME\" for a variable or \"file:PATH\" for a file",
        ),
        (
            "[cache]\nkey_headers = [\"Authorization\"]",
            "2:15  cache.key_headers  `authorization` is a credential; `scope` decides who shares answers, leave it out",
        ),
        ("[cache]\nkey_headers = [\"a b\"]", "2:15  cache.key_headers  \"a b\" is not a header name"),
        (
            "[server]\nlisten = \"localhost:80\"",
            "2:10  server.listen  \"localhost\" is a name; write its address, \"127.0.0.1:PORT\" or \"[::1]:PORT\"",
        ),
        (
            "[server]\nlisten = \"127.0.0.1\"",
            "2:10  server.listen  \"127.0.0.1\" has no port; write for instance \"127.0.0.1:8080\"",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:9090\"",
            "1:2  server.admin_listen  127.0.0.1:9090 is taken by server.listen; choose another port",
        ),
        (
            "[server]\nadmin_listen = \"0.0.0.0:9090\"",
            "2:16  server.admin_listen  0.0.0.0:9090 is reachable from other machines; set server.admin_token as well, or stay on 127.0.0.1",
        ),
        (
            "[server]\nadmin_token = \"hunter2\"",
            "2:15  server.admin_token  a secret is not written here itself; write \"env:NAME\" for a variable or \"file:PATH\" for a file",
        ),
        (
            "[server]\nadmin_token = \"env:ABSENT\"",
            "2:15  server.admin_token  the variable ABSENT is not set; set it, or name another",
        ),
        (
            "[server]\nadmin_token = \"file:/nowhere\"",
            "2:15  server.admin_token  cannot read the file /nowhere: no such file or directory",
        ),
        (
            "[log]\nfilter = \"a=b=c\"",
            "2:10  log.filter  is not a log filter; write for instance \"info\" or \"warn,reprise=debug\"",
        ),
        (
            "[[upstream]]\nname = \"a\"",
            "1:1  upstream  has no `url`; write for instance url = \"https://api.openai.com\"",
        ),
        (
            "[redis]\nurl = \"redis-cluster://h/1\"",
            "2:7  redis.url  names a database, and a cluster has only one; write for instance \"redis-cluster://one:6379,two:6379\"",
        ),
        (
            "[redis]\nurl = \"redis://user:hunter2@h\"",
            "2:7  redis.url  holds a credential; take it out and set `username` and `password`, as \"env:NAME\" or \"file:PATH\"",
        ),
        (
            "[redis]\nprefix = \"a\"",
            "1:2  redis  has no `url`; write for instance \"redis://127.0.0.1:6379\", or remove [redis]",
        ),
        (
            "[redis]\nurl = \"redis-sentinel://h\"",
            "2:7  redis.url  names no master; write for instance \"redis-sentinel://one:26379,two:26379/mymaster\"",
        ),
        (
            "[store]\nmax_bytes = \"1MiB\"",
            "2:13  store.max_bytes  \"1MiB\" is out of range; expected 64.0 MiB to 16.0 TiB",
        ),
        (
            "[[key]]\nname = \"a\"",
            "1:1  key  needs a `name` and a `secret`, as \"env:NAME\" or \"file:PATH\"",
        ),
        ("a = = 1", "1:5  (syntax)  is not TOML: extra `=`, expected nothing"),
        ("[log]\njson = true\njson = true", "3:1  (syntax)  is not TOML: duplicate key"),
    ];
    for (text, expected) in cases {
        assert_eq!(&problems(text, &[], Flags::default()), expected, "in\n{text}");
    }
}

#[test]
fn a_url_is_refused_without_being_repeated() {
    let cases = [
        ("api.example.com", "has no scheme; write for instance \"https://api.openai.com\""),
        ("ftp://h", "has the scheme ftp; expected http or https"),
        (
            "http://user:hunter2@h",
            "holds a credential; take it out and set `key` to \"env:NAME\" or \"file:PATH\"",
        ),
        ("http://h/?key=hunter2", "has a query or a fragment; keep only scheme, host, port and path"),
        (
            "http://h:99999",
            "is not a URL (invalid port number); write for instance \"https://api.openai.com\"",
        ),
    ];
    for (url, expected) in cases {
        let text = format!("[[upstream]]\nurl = \"{url}\"");
        assert_eq!(problems(&text, &[], Flags::default()), format!("2:7  upstream.url  {expected}"));
    }
}

#[test]
fn all_problems_come_in_one_run_by_place_and_aligned() {
    let text = "[semantic]\nthreshold = 1.4\n\n[cache]\nttll = 3\n";
    let environment = [("REPRISE__CACHE__TTL", "5"), ("REPRISE__CACH__TTL", "5s"), ("REPRISE__TTL", "5s")];
    let flags = Flags { listen: Some(":80".to_owned()), ..Flags::default() };
    let shown = read_with(text, &environment, flags).unwrap_err().to_string();
    let expected = r#"environment and command line: 6 problems
  2:13  semantic.threshold   1.4 is not a similarity; expected 0.0 to 1.0
  5:1   cache.ttll           unknown key; did you mean `ttl`?
        --listen             ":80" is not an address; write for instance "127.0.0.1:8080" or "[::1]:8080"
        REPRISE__CACHE__TTL  5 has no unit; write "5s" for seconds or "5ms" for milliseconds
        REPRISE__CACH__TTL   unknown section; did you mean `cache`?
        REPRISE__TTL         expected REPRISE__SECTION__KEY, for instance REPRISE__CACHE__TTL"#;
    assert_eq!(shown, expected);
}

#[test]
fn upstreams_with_one_name_are_told_apart() {
    let text = "[[upstream]]\nurl = \"http://a:1/x\"\n[[upstream]]\nurl = \"http://a:1/y\"";
    let expected = "4:7  upstream.url  another upstream is named \"a:1\" in line 2; give each its own `name`";
    assert_eq!(problems(text, &[], Flags::default()), expected);
}

#[test]
fn a_secret_is_read_from_its_file_and_shown_nowhere() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "hunter2\n").unwrap();
    let text =
        format!("[server]\nadmin_token = \"file:{}\"\nadmin_listen = \"0.0.0.0:9090\"", file.display());
    let config = read(&text).unwrap();
    assert_eq!(config.server.admin_token.as_ref().unwrap().expose(), "hunter2");
    let source = Source::new(
        None,
        [("REPRISE__SERVER__ADMIN_TOKEN".to_owned(), "hunter2".to_owned())],
        Flags::default(),
    );
    let refused = Config::read(&source).unwrap_err();
    for shown in [
        format!("{config:?}"),
        summary(&config),
        format!("{source:?}"),
        refused.to_string(),
        format!("{refused:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    fs::write(&file, "two words").unwrap();
    let told = problems(&text, &[], Flags::default());
    assert!(told.ends_with("holds white space or characters that no header can carry"), "{told}");
    fs::write(&file, "\n").unwrap();
    assert!(problems(&text, &[], Flags::default()).ends_with("is empty; put the secret into it"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z_=\"'.{},#\n 0-9é\u{0}-]{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn no_value_makes_the_reader_panic(
        section in prop::sample::select(vec!["[server]", "[cache]", "[semantic]", "[log]", "[[upstream]]", "[[route]]"]),
        key in prop::sample::select(known_keys().into_iter().map(|(_, key)| key).collect::<Vec<_>>()),
        value in prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_map(|n| format!("{n:e}").replace("NaN", "nan")),
            "\\PC{0,20}".prop_map(|text| toml::Value::String(text).to_string()),
            Just("[]".to_owned()), Just("[[1]]".to_owned()), Just("{ a = 1 }".to_owned()),
            Just("true".to_owned()), Just("1979-05-27".to_owned()),
            Just("99999999999999999999999999999999999999999999".to_owned()),
        ],
    ) {
        if let Err(problems) = read(&format!("{section}\n{key} = {value}\n")) {
            prop_assert!(!problems.list.is_empty());
        }
    }

    #[test]
    fn no_variable_makes_the_reader_panic(
        (section, key) in prop::sample::select(known_keys().into_iter().collect::<Vec<_>>()),
        value in "\\PC{0,20}",
    ) {
        let name = format!("REPRISE__{section}__{key}").to_uppercase();
        let _ = read_with("", &[(&name, &value)], Flags::default());
    }
}
