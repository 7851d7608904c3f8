//! Raw file in, checked config out. A `Config` cannot be wrong: every problem of the file, with its
//! line and a remedy, is found in one run by `read`, which `check`, `serve` and reload share.
//!
//! | file | has |
//! |---|---|
//! | `policy` | what may differ by route: cache mode, scope, ttl, semantic settings |
//! | `read` | TOML and environment -> `Config`, or all problems |
//! | `problem` | one problem: place, key, what is wrong, remedy |

pub mod policy;
pub mod problem;
pub mod read;

pub use policy::{CacheMode, FuzzyPolicy, Policy, ScopeBy, SemanticMode, SemanticPolicy, Strictness};
pub use problem::Problem;

use crate::base::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a running system needs to know, already checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub server: Server,
    pub limits: Limits,
    pub cache: Cache,
    pub semantic: Semantic,
    pub upstreams: Vec<Upstream>,
    /// The policy where no route matches.
    pub policy: Policy,
    /// In the file's order; the first that matches decides.
    pub routes: Vec<Route>,
    pub log: Log,
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

/// `[server]` too: `max_body`, `max_headers`, `header_timeout`, `body_timeout`, `idle_timeout`, `max_connections`.
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
    /// Where `manifest.toml` and fetched weights lie. Default `models`.
    pub models_dir: PathBuf,
    /// Threads of the embedder's own. Default: half the cores, at least one.
    pub threads: usize,
    /// Questions that may wait; more are let through as misses. Default 256.
    pub queue: usize,
    /// The longest wait for an embedding. Default 50 ms.
    pub patience: Duration,
    /// Entries of one partition from which the index turns from flat to HNSW. Default 4,096.
    pub hnsw_from: usize,
}

/// `[[upstream]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// What `x-reprise-deployment` shows. Default: host and port of the URL.
    pub name: String,
    /// Scheme, host, port and, if any, a path prefix without a trailing slash.
    pub url: String,
    /// Sent in place of the client's credential. Absent: the client's own passes on.
    pub key: Option<Secret>,
    /// Default 5 s.
    pub connect_timeout: Duration,
    /// From the request sent to the answer's head. Default 300 s.
    pub first_byte_timeout: Duration,
    /// Between two chunks of an answer. Default 120 s.
    pub idle_timeout: Duration,
}

/// `[[route]]`: which requests, and the policy they get (already merged with `[cache]`, `[semantic]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub name: String,
    pub matches: RouteMatch,
    pub policy: Policy,
}

/// All that are given must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteMatch {
    /// The exact path, or a prefix that ends in `*`.
    pub path: Option<String>,
    /// The exact model name, or a prefix that ends in `*`.
    pub model: Option<String>,
    /// Lower-case header name, and its exact value.
    pub header: Option<(String, String)>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// A `tracing` filter, for instance `info` or `reprise=debug`. Default `info`.
    pub filter: String,
    pub json: bool,
}
