//! Models and upstreams as TOML.

use crate::config::Kind;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

/// All that is carried.
#[derive(Default)]
pub(super) struct Fleet {
    pub upstreams: Vec<Upstream>,
    pub models: Vec<Model>,
    pub router: Router,
}

/// `[[upstream]]`. Two deployments that agree in all but the name share one.
#[derive(Clone, PartialEq)]
pub(super) struct Upstream {
    pub name: String,
    pub kind: Kind,
    pub url: String,
    pub key: Option<String>,
    pub api_version: Option<String>,
    /// Seconds.
    pub total_timeout: Option<f64>,
}

/// `[[model]]`
#[derive(Default)]
pub(super) struct Model {
    pub name: String,
    pub aliases: Vec<String>,
    pub fallback: Vec<String>,
    pub fallback_context_window: Vec<String>,
    pub fallback_content_policy: Vec<String>,
    pub deployments: Vec<Deployment>,
}

/// `[[model.deployment]]`
#[derive(Default)]
pub(super) struct Deployment {
    pub name: Option<String>,
    pub upstream: String,
    pub model: Option<String>,
    pub weight: Option<u64>,
    pub priority: Option<u64>,
    pub region: Option<String>,
    pub rpm: Option<u64>,
    pub tpm: Option<u64>,
    pub max_concurrency: Option<u64>,
    pub context_window: Option<u64>,
    /// Dollars for a million tokens: input, output.
    pub price: Option<(f64, f64)>,
}

/// `[router]`
#[derive(Default)]
pub(super) struct Router {
    pub strategy: Option<&'static str>,
    pub retries: Option<u64>,
    /// `[router.breaker]`
    pub failures: Option<u64>,
    /// Seconds.
    pub shut_for: Option<f64>,
}

impl Fleet {
    pub fn toml(&self) -> String {
        let mut document = DocumentMut::new();
        let router = self.router.table();
        if !router.is_empty() {
            document.insert("router", Item::Table(router));
        }
        let upstreams: ArrayOfTables = self.upstreams.iter().map(Upstream::table).collect();
        document.insert("upstream", Item::ArrayOfTables(upstreams));
        let models: ArrayOfTables = self.models.iter().map(Model::table).collect();
        document.insert("model", Item::ArrayOfTables(models));
        format!("# Converted from LiteLLM's config by `reprise convert litellm`.\n\n{document}")
    }
}

impl Upstream {
    fn table(&self) -> Table {
        let mut table = Table::new();
        put(&mut table, "name", Some(self.name.as_str()));
        put(&mut table, "kind", Some(self.kind.word()));
        put(&mut table, "url", Some(self.url.as_str()));
        put(&mut table, "key", self.key.as_deref());
        put(&mut table, "api_version", self.api_version.as_deref());
        put(&mut table, "total_timeout", self.total_timeout.map(span));
        table
    }
}

impl Model {
    fn table(&self) -> Table {
        let mut table = Table::new();
        put(&mut table, "name", Some(self.name.as_str()));
        put(&mut table, "aliases", list(&self.aliases));
        put(&mut table, "fallback", list(&self.fallback));
        put(&mut table, "fallback_context_window", list(&self.fallback_context_window));
        put(&mut table, "fallback_content_policy", list(&self.fallback_content_policy));
        let deployments: ArrayOfTables = self.deployments.iter().map(Deployment::table).collect();
        table.insert("deployment", Item::ArrayOfTables(deployments));
        table
    }
}

impl Deployment {
    fn table(&self) -> Table {
        let mut table = Table::new();
        put(&mut table, "name", self.name.as_deref());
        put(&mut table, "upstream", Some(self.upstream.as_str()));
        put(&mut table, "model", self.model.as_deref());
        put(&mut table, "weight", self.weight.map(whole));
        put(&mut table, "priority", self.priority.map(whole));
        put(&mut table, "region", self.region.as_deref());
        put(&mut table, "rpm", self.rpm.map(whole));
        put(&mut table, "tpm", self.tpm.map(whole));
        put(&mut table, "max_concurrency", self.max_concurrency.map(whole));
        put(&mut table, "context_window", self.context_window.map(whole));
        put(&mut table, "input_price", self.price.map(|(input, _)| input));
        put(&mut table, "output_price", self.price.map(|(_, output)| output));
        table
    }
}

impl Router {
    fn table(&self) -> Table {
        let mut table = Table::new();
        put(&mut table, "strategy", self.strategy);
        put(&mut table, "retries", self.retries.map(whole));
        let mut breaker = Table::new();
        put(&mut breaker, "failures", self.failures.map(whole));
        put(&mut breaker, "shut_for", self.shut_for.map(span));
        if !breaker.is_empty() {
            table.insert("breaker", Item::Table(breaker));
        }
        table
    }
}

fn put(table: &mut Table, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        table.insert(key, toml_edit::value(value));
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds as a duration of ours.
fn span(seconds: f64) -> String {
    if seconds.fract() == 0.0 { format!("{seconds}s") } else { format!("{}ms", (seconds * 1e3).round()) }
}

fn list(names: &[String]) -> Option<Array> {
    (!names.is_empty()).then(|| names.iter().map(String::as_str).collect())
}
