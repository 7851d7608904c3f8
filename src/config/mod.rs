//! Raw file in, checked config out. A `Config` cannot be wrong: every problem of the file, with its
//! line and a remedy, is found in one run by `Config::read`, which `check`, `serve` and reload share.
//!
//! ```text
//! file, environment, command line ─ source ─> read ─┬ upstreams, policies ─> Config
//!                                             │     └ every Problem, by place
//!                                    reader (keys) ─ values (one value each)
//! ```
//!
//! | file | has |
//! |---|---|
//! | `kind` | the API that a deployment speaks, and the word for it |
//! | `policy` | what may differ by route: cache mode, scope, ttl, semantic settings |
//! | `route` | which requests get another policy |
//! | `source` | file, environment and command line, before they are read |
//! | `read` | TOML and environment -> `Config`, or all problems |
//! | `judge` | the part of `read` for `[semantic.judge]`, and audits that nothing asks for |
//! | `accounts`, `books` | prices, the ledger and names of callers, and the part of `read` for them |
//! | `database` | `ledger.url`, read as libpq does |
//! | `keys`, `grants` | virtual keys, likewise |
//! | `routing` | models, their deployments, and how to choose among them |
//! | `upstreams`, `models`, `policies` | the parts of `read` for `[[upstream]]`, for `[[model]]` and `[router]`, and for routes and what they override |
//! | `redis` | `[redis]`: its settings and their reader |
//! | `store` | `[store]`, and the part of `read` for it |
//! | `reader` | walks a document key by key; what is asked for is what is known |
//! | `values` | reads one value: its type, its range, its remedy |
//! | `unserved` | names of the contract that this version refuses |
//! | `problem` | one problem: place, key, what is wrong, remedy |
//! | `change` | which settings take effect only at the next start |
//! | `watch` | a new checked config after SIGHUP or a change of the file |

pub mod accounts;
mod books;
mod change;
pub mod database;
mod grants;
mod judge;
pub mod keys;
mod kind;
mod models;
mod policies;
pub mod policy;
pub mod problem;
pub mod read;
mod reader;
pub mod redis;
mod route;
pub mod routing;
pub mod source;
mod store;
mod unserved;
mod upstreams;
mod values;
pub mod watch;

pub use judge::Judge;
pub use kind::{Api, Kind};
pub use policy::{
    AuditBy, AuditPolicy, CacheMode, FuzzyPolicy, Policy, ScopeBy, SemanticMode, SemanticPolicy, Strictness,
};
pub use problem::{Problem, Problems};
pub use redis::{Redis, RedisServer};
pub use route::{Route, RouteMatch};
pub use source::{Flags, Source};
pub use store::{Store, StorePath};

use crate::base::secret::Secret;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything a running system needs to know, already checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub server: Server,
    pub limits: Limits,
    pub cache: Cache,
    pub semantic: Semantic,
    pub store: Store,
    pub upstreams: Vec<Upstream>,
    /// Empty where every upstream takes every model.
    pub models: Vec<routing::Model>,
    pub router: routing::Router,
    /// The policy where no route matches.
    pub policy: Policy,
    /// In the file's order; the first that matches decides.
    pub routes: Vec<Route>,
    /// `None`: nothing is shared.
    pub redis: Option<Redis>,
    pub log: Log,
    pub accounts: accounts::Accounts,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Default 127.0.0.1:9090. Beyond loopback only with `admin_token`.
    pub admin_listen: SocketAddr,
    pub admin_token: Option<Secret>,
    /// How long in-flight requests may go on after SIGTERM. Default 30 s.
    pub drain: Duration,
}

/// `[server]` too: `max_body`, `max_headers`, `header_timeout`, `body_timeout`,
/// `max_connections`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request body that is read whole. Default 32 MiB.
    pub max_body: usize,
    /// Bytes of a request head. Default 64 KiB.
    pub max_headers: usize,
    /// From connection (or the last answer) to a complete head. Default 30 s.
    pub header_timeout: Duration,
    /// From head to a complete body. Default 60 s.
    pub body_timeout: Duration,
    /// Connections at once; more wait in the kernel's queue. Default 10,000.
    pub max_connections: usize,
}

/// `[cache]`, the part that no route overrides.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Bytes that entries, their vectors and the index may take together. Default 256 MiB.
    pub memory: u64,
    /// Bytes of one recorded answer at most. Default 4 MiB.
    pub max_entry: usize,
    /// Request headers that shape the answer and so are part of the key, lower case, sorted.
    pub key_headers: Vec<String>,
    /// Under `scope = "key"` in transparent mode: a credential without an upstream success within
    /// this time is sent upstream. Default 1 h.
    pub credential_ttl: Duration,
    /// How long the recorder reads on after the client left. Default 120 s.
    pub read_on: Duration,
}

/// `[semantic]`, the part that no route overrides.
#[derive(Clone, Debug, PartialEq)]
pub struct Semantic {
    /// A name in `models/manifest.toml`, a folder with `model.onnx` and `tokenizer.json`, or a name
    /// of fastembed's catalogue.
    pub model: String,
    /// Where `manifest.toml` and fetched weights lie. Default: `models` in the working directory, else
    /// the `models` with a `manifest.toml` beside an ancestor of the executable.
    pub models_dir: PathBuf,
    /// Threads of the embedder's own. Default: half the cores, at least one.
    pub threads: usize,
    /// The ONNX Runtime library. Default: the variable `ORT_DYLIB_PATH`, else `None` and the semantic
    /// tier looks for it.
    pub runtime: Option<PathBuf>,
    /// Questions that may wait; more are let through as misses. Default 256.
    pub queue: usize,
    /// The longest wait for an embedding. Default 50 ms.
    pub patience: Duration,
    /// Entries of one partition from which the index turns from flat to HNSW. Default 32,768.
    pub hnsw_from: usize,
    /// Whether a cross-encoder reads English pairs that the verifier's score is in doubt of. Default false.
    pub cross_encoder: bool,
    /// Where the evidence about wrong hits is kept; written only where a route gathers any. Default
    /// `data/budget.json`; `None` (an empty text): in memory only.
    pub state: Option<PathBuf>,
    pub judge: Option<Judge>,
}

/// `[[upstream]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// What `x-reprise-deployment` shows. Default: host and port of the URL.
    pub name: String,
    /// Scheme, host, port and, if any, a path prefix without a trailing slash.
    pub url: String,
    pub api: Api,
    /// Sent in place of the client's credential. Absent: the client's own passes on.
    pub key: Option<Secret>,
    /// Default 5 s.
    pub connect_timeout: Duration,
    /// From the request sent to the answer's head. Default 300 s.
    pub first_byte_timeout: Duration,
    /// Between two chunks of an answer. Default 120 s.
    pub idle_timeout: Duration,
    /// From the request sent to the end of the answer. Default: no limit.
    pub total_timeout: Option<Duration>,
    /// Where it is; requests bound to another region never go there.
    pub region: Option<String>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// A `tracing` filter, for instance `info` or `reprise=debug`. Default `info`.
    pub filter: String,
    pub json: bool,
}

impl Config {
    /// The first route that matches. `path` is without its query; `header` looks a lower-case name up, `key` says
    /// whose request it is, and both are called only where a route asks. Costs a few string comparisons a route.
    pub fn route_for<'h>(
        &self,
        path: &str,
        model: Option<&str>,
        header: impl Fn(&str) -> Option<&'h str>,
        key: impl Fn() -> Option<&'h str>,
    ) -> Option<usize> {
        self.routes.iter().position(|route| route.matches.matches(path, model, &header, &key))
    }

    /// The policy of a route, or the one where none matches.
    pub fn policy_of(&self, route: Option<usize>) -> &Policy {
        route.and_then(|at| self.routes.get(at)).map_or(&self.policy, |route| &route.policy)
    }

    /// The policy of the first route that matches, as `route_for` finds it.
    pub fn policy_for<'h>(
        &self,
        path: &str,
        model: Option<&str>,
        header: impl Fn(&str) -> Option<&'h str>,
        key: impl Fn() -> Option<&'h str>,
    ) -> &Policy {
        self.policy_of(self.route_for(path, model, header, key))
    }

    /// Every policy there is: the general one, then the routes' in order.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        [&self.policy].into_iter().chain(self.routes.iter().map(|route| &route.policy))
    }

    /// The longest `stale_if_error` of any route: so long are expired entries held.
    pub fn longest_stale(&self) -> Duration {
        self.policies().map(|policy| policy.stale_if_error).max().unwrap_or_default()
    }

    /// Whether any request may be compared by meaning: without one, no model need be loaded.
    pub fn wants_semantic(&self) -> bool {
        self.policies()
            .any(|policy| policy.mode == CacheMode::Semantic && policy.semantic.mode != SemanticMode::Off)
    }
}

/// Whether `text` is `pattern`, or begins with it where it ends in `*`.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    }
}

impl Default for Server {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server {
            listen: local(8080),
            admin_listen: local(9090),
            admin_token: None,
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body: 32 << 20,
            max_headers: 64 << 10,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            max_connections: 10_000,
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            memory: 256 << 20,
            max_entry: 4 << 20,
            key_headers: KEY_HEADERS.iter().map(|name| (*name).to_owned()).collect(),
            credential_ttl: Duration::from_secs(3_600),
            read_on: Duration::from_secs(120),
        }
    }
}

impl Default for Semantic {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Semantic {
            model: DEFAULT_MODEL.to_owned(),
            models_dir: PathBuf::from("models"),
            runtime: None,
            threads: (cores / 2).max(1),
            queue: 256,
            patience: Duration::from_millis(50),
            hnsw_from: 32_768,
            cross_encoder: false,
            state: Some(PathBuf::from("data/budget.json")),
            judge: None,
        }
    }
}

impl Upstream {
    /// An upstream that passes the client's own credential on, with the default time limits.
    pub fn at(url: String, name: String) -> Upstream {
        Upstream {
            name,
            url,
            api: Api::default(),
            key: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
            total_timeout: None,
            region: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { filter: "info".to_owned(), json: false }
    }
}

/// `cache.key_headers` by default, sorted. By these, providers (OpenAI, Anthropic) tell organisations,
/// projects, versions and beta features apart, and gateways (LiteLLM, Portkey, Helicone) choose provider,
/// model, prompt or guardrails. Portkey's metadata is among them because its conditional routing reads
/// it. Left out: Cloudflare's `cf-aig-*` and OpenRouter's `http-referer` and `x-title`, which name caching,
/// retries and the caller but no answer; and every credential, which is part of the scope.
pub const KEY_HEADERS: &[&str] = &[
    "anthropic-beta",
    "anthropic-version",
    "helicone-fallbacks",
    "helicone-llm-security-advanced",
    "helicone-llm-security-enabled",
    "helicone-model-override",
    "helicone-moderations-enabled",
    "helicone-openai-api-base",
    "helicone-prompt-id",
    "helicone-target-provider",
    "helicone-target-url",
    "helicone-token-limit-exception-handler",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "x-litellm-tags",
    "x-portkey-aws-region",
    "x-portkey-azure-api-version",
    "x-portkey-azure-deployment-id",
    "x-portkey-azure-resource-name",
    "x-portkey-config",
    "x-portkey-custom-host",
    "x-portkey-metadata",
    "x-portkey-provider",
    "x-portkey-strict-open-ai-compliance",
    "x-portkey-vertex-project-id",
    "x-portkey-vertex-region",
    "x-portkey-virtual-key",
];

const DEFAULT_MODEL: &str = "use-multilingual-v3-int8";
