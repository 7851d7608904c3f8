//! TOML, environment and command line in; a checked `Config` or every problem out.

use super::policies::JudgeNamed;
use super::problem::{Problem, Problems};
use super::reader::{At, Place, Report, Section, as_table, as_tables, line_and_column};
use super::source::{Overrides, Source};
use super::{
    AuditBy, Cache, Config, Limits, Log, Policy, Semantic, Server, books, judge, models, policies, redis,
    store, upstreams, values,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const MONTH: Duration = Duration::from_secs(2_630_016);

impl Config {
    /// Reads and checks `source`. Values in the environment go before those of the file, and the
    /// command line's before both; each is checked even where another one counts.
    ///
    /// Costs a few small file reads: the config, and each secret given as `file:PATH`.
    ///
    /// # Errors
    /// Every problem in one run. A file that is not TOML is one problem alone, because what it meant
    /// to set is not known.
    pub fn read(source: &Source) -> Result<Config, Problems> {
        match load(source) {
            Ok(text) => Config::read_text(source, &text),
            Err(problem) => Err(Problems::new(source.name(), vec![problem])),
        }
    }

    /// As `read`, with the file's text already at hand.
    pub fn read_text(source: &Source, text: &str) -> Result<Config, Problems> {
        let document = DeTable::parse(text)
            .map_err(|wrong| Problems::new(source.name(), vec![syntax_problem(text, &wrong)]))?;
        let report = Report::new(text);
        let config = read_document(&report, &document, source);
        let problems = report.finish();
        if problems.is_empty() { Ok(config) } else { Err(Problems::new(source.name(), problems)) }
    }
}

/// Every key that the reader knows, as `(section, key)`; a route's are under `route`, `route.match`,
/// `route.cache` and `route.semantic`, a deployment's under `model.deployment`.
pub fn known_keys() -> BTreeSet<(&'static str, &'static str)> {
    let text = "[[upstream]]\n[[price]]\nlong = {}\n[[caller]]\n[[key]]\nbudget = {}\nwarn = {}\n\
                [[route]]\nmatch.header = {}\n[[model]]\n[[model.deployment]]\n\
                [[router.rule]]\nmatch.header = {}\n";
    let report = Report::new(text);
    if let Ok(document) = DeTable::parse(text) {
        read_document(&report, &document, &Source::default());
    }
    report.asked()
}

/// The file's text; empty where there is none.
fn load(source: &Source) -> Result<String, Problem> {
    let Some(file) = &source.file else { return Ok(String::new()) };
    let refuse = |place, message| Err(Problem { place, key: "(file)".to_owned(), message });
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(wrong) => {
            return refuse(None, format!("cannot be read: {}; check --config", values::plain(&wrong)));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(wrong) => {
            let good = wrong.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&wrong.as_bytes()[..good]).into_owned();
            refuse(Some(line_and_column(&text, good)), "is not UTF-8 text; save it as UTF-8".to_owned())
        }
    }
}

fn syntax_problem(text: &str, wrong: &toml::de::Error) -> Problem {
    let place = wrong.span().map(|span| line_and_column(text, span.start));
    let reason = wrong.message().lines().collect::<Vec<_>>().join("; ");
    Problem { place, key: "(syntax)".to_owned(), message: format!("is not TOML: {reason}") }
}

fn read_document(report: &Report<'_>, document: &Spanned<DeTable<'_>>, source: &Source) -> Config {
    let mut root = Root::new(report, document.get_ref(), source.overrides());
    let (server, limits) = read_server(report, &mut root, source);
    let mut cache_section = root.section("cache");
    let mut semantic_section = root.section("semantic");
    let cache = read_cache(report, &mut cache_section);
    let semantic = read_semantic(report, &mut semantic_section, source);
    let mut base = Policy::default();
    let named = if semantic_section.has("judge") { JudgeNamed::Yes } else { JudgeNamed::No };
    if named == JudgeNamed::Yes {
        base.semantic.audit.by = AuditBy::Judge;
    }
    let policy = policies::read(&mut cache_section, &mut semantic_section, &base, named);
    let routes = policies::read_routes(report, &root.tables("route"), &policy, named);
    judge::refuse_idle(report, &semantic_section, &policy, &routes);
    cache_section.finish();
    semantic_section.finish();
    let store = store::read(report, &mut root, source);
    let upstreams = upstreams::read(report, &mut root, source);
    let models = models::read(report, &root.tables("model"), &upstreams);
    let router = models::read_router(report, &mut root, &models, &upstreams);
    let (upstreams, models) = match upstreams::of_flag(report, source) {
        Some(only) => (vec![only], Vec::new()),
        None => (upstreams, models),
    };
    let redis = redis::read(report, &mut root, source);
    let mut log_section = root.section("log");
    let log = read_log(&mut log_section);
    log_section.finish();
    let accounts = books::read(report, &mut root, source, &upstreams);
    root.finish();
    Config {
        server,
        limits,
        cache,
        semantic,
        store,
        upstreams,
        models,
        router,
        policy,
        routes,
        redis,
        log,
        accounts,
    }
}

/// The document's first level: its sections, each handed out once.
pub(super) struct Root<'a> {
    report: &'a Report<'a>,
    table: &'a DeTable<'a>,
    overrides: Overrides,
    taken: BTreeSet<&'static str>,
}

/// One `[[name]]` table.
pub(super) struct Item<'a> {
    pub table: &'a DeTable<'a>,
    pub place: Place,
}

impl<'a> Root<'a> {
    fn new(report: &'a Report<'a>, table: &'a DeTable<'a>, overrides: Overrides) -> Root<'a> {
        for name in &overrides.misshapen {
            let at = At { place: Place::Elsewhere, key: name.clone() };
            report.problem(&at, "expected REPRISE__SECTION__KEY, for instance REPRISE__CACHE__TTL");
        }
        Root { report, table, overrides, taken: BTreeSet::new() }
    }

    pub fn section(&mut self, name: &'static str) -> Section<'a> {
        let variables = self.variables(name);
        let found = self.value(name);
        let place = found.as_ref().map_or(Place::Elsewhere, |(at, _)| at.place.clone());
        let table = found.and_then(|(at, value)| as_table(self.report, &at, value));
        Section::new(self.report, name, name.to_owned(), table, place).with_variables(variables)
    }

    pub fn tables(&mut self, name: &'static str) -> Vec<Item<'a>> {
        let Some((at, value)) = self.value(name) else { return Vec::new() };
        let tables = as_tables(self.report, &at, value).into_iter();
        tables.map(|(span, table)| Item { table, place: Place::Span(span) }).collect()
    }

    /// The variables of one section; whoever takes them reads or refuses each.
    pub fn variables(
        &mut self,
        name: &'static str,
    ) -> std::collections::BTreeMap<String, super::reader::Variable> {
        self.report.knows("", name);
        self.taken.insert(name);
        self.overrides.sections.remove(name).unwrap_or_default()
    }

    fn value(&mut self, name: &'static str) -> Option<(At, &'a DeValue<'a>)> {
        self.report.knows("", name);
        self.taken.insert(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some((At { place: Place::Span(key.span()), key: name.to_owned() }, value.get_ref()))
    }

    fn finish(self) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.taken.contains(name) {
                self.report.unasked("", name, At { place: Place::Span(key.span()), key: name.to_owned() });
            }
        }
        for (section, variables) in self.overrides.sections {
            for variable in variables.into_values() {
                let at = At { place: Place::Elsewhere, key: variable.name };
                match section.as_str() {
                    "route" => self.report.problem(&at, "routes are set in the file only"),
                    "price" | "caller" | "key" => self.report.problem(&at, "set in the file only"),
                    _ => self.report.unasked("", &section, at),
                }
            }
        }
    }
}

fn read_server(report: &Report<'_>, root: &mut Root<'_>, source: &Source) -> (Server, Limits) {
    let mut section = root.section("server");
    let (server, limits) = (Server::default(), Limits::default());
    let lookup = |name: &str| source.variable(name);
    let admin_token =
        section.get("admin_token", |given| source.shown_to_others(values::secret(given, &lookup)));
    let listen = address(report, &mut section, "listen", ("--listen", &source.flags.listen));
    let flag = ("--admin-listen", &source.flags.admin_listen);
    let admin_listen = address(report, &mut section, "admin_listen", flag);
    let listen = listen.map_or(server.listen, |(address, _)| address);
    let (admin_listen, admin_at) = admin_listen.unwrap_or((server.admin_listen, section.at("admin_listen")));
    if !admin_listen.ip().to_canonical().is_loopback() && !section.has("admin_token") {
        report.problem(
            &admin_at,
            format!("{admin_listen} is reachable from other machines; set server.admin_token as well, or stay on 127.0.0.1"),
        );
    }
    let same_host = listen.ip() == admin_listen.ip()
        || [listen, admin_listen].iter().any(|address| address.ip().is_unspecified());
    if listen.port() == admin_listen.port() && listen.port() != 0 && same_host {
        report.problem(&admin_at, format!("{admin_listen} is taken by server.listen; choose another port"));
    }
    let drain = section.get("drain", |given| values::duration(given, Duration::ZERO..=HOUR));
    let server = Server { listen, admin_listen, admin_token, drain: drain.unwrap_or(server.drain) };
    let limits = read_limits(&mut section, limits);
    section.finish();
    (server, limits)
}

/// An address from the section or, before it, from a flag; and where it was given.
fn address(
    report: &Report<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    (flag, value): (&str, &Option<String>),
) -> Option<(std::net::SocketAddr, At)> {
    let of_section = section.get(key, values::address).map(|address| (address, section.at(key)));
    let Some(text) = value else { return of_section };
    let at = At { place: Place::Elsewhere, key: flag.to_owned() };
    match values::address(super::reader::Given::Variable(text)) {
        Ok(address) => Some((address, at)),
        Err(message) => {
            report.problem(&at, message);
            of_section
        }
    }
}

fn read_limits(section: &mut Section<'_>, base: Limits) -> Limits {
    let bytes = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let max_body = section.get("max_body", |given| values::size(given, 1 << 10..=1 << 30));
    let max_headers = section.get("max_headers", |given| values::size(given, 1 << 10..=1 << 20));
    let header_timeout = section.get("header_timeout", |given| values::duration(given, MS..=HOUR));
    let body_timeout = section.get("body_timeout", |given| values::duration(given, MS..=HOUR));
    let max_connections = section.get("max_connections", |given| values::count(given, 1..=1_000_000));
    Limits {
        max_body: max_body.map_or(base.max_body, bytes),
        max_headers: max_headers.map_or(base.max_headers, bytes),
        header_timeout: header_timeout.unwrap_or(base.header_timeout),
        body_timeout: body_timeout.unwrap_or(base.body_timeout),
        max_connections: max_connections.unwrap_or(base.max_connections),
    }
}

fn read_cache(report: &Report<'_>, section: &mut Section<'_>) -> Cache {
    let base = Cache::default();
    let memory = section.get("memory", |given| values::size(given, 1 << 16..=1 << 40)).unwrap_or(base.memory);
    let max_entry = section.get("max_entry", |given| values::size(given, 1 << 10..=1 << 30));
    let max_entry = max_entry.unwrap_or(base.max_entry as u64);
    if max_entry > memory {
        let at = section.at(if section.has("max_entry") { "max_entry" } else { "memory" });
        let [entry, all] =
            [max_entry, memory].map(|bytes| bytesize::ByteSize::b(bytes).display().iec().to_string());
        report.problem(&at, format!("one entry of up to {entry} does not fit into {all}; lower cache.max_entry or raise cache.memory"));
    }
    let key_headers = section.get("key_headers", values::header_names);
    let credential_ttl = section.get("credential_ttl", |given| values::duration(given, SECOND..=MONTH));
    let read_on = section.get("read_on", |given| values::duration(given, Duration::ZERO..=HOUR));
    Cache {
        memory,
        max_entry: usize::try_from(max_entry).unwrap_or(usize::MAX),
        key_headers: key_headers.unwrap_or(base.key_headers),
        credential_ttl: credential_ttl.unwrap_or(base.credential_ttl),
        read_on: read_on.unwrap_or(base.read_on),
    }
}

fn read_semantic(report: &Report<'_>, section: &mut Section<'_>, source: &Source) -> Semantic {
    let base = Semantic::default();
    let models_dir = section.get("models_dir", |given| values::existing(given, "folder", Path::is_dir));
    let threads = section.get("threads", |given| values::count(given, 1..=256));
    let queue = section.get("queue", |given| values::count(given, 1..=1_000_000));
    let patience = section.get("patience", |given| values::duration(given, MS..=10 * SECOND));
    let hnsw_from = section.get("hnsw_from", |given| values::count(given, 16..=10_000_000));
    Semantic {
        model: section.get("model", values::text).unwrap_or(base.model),
        models_dir: models_dir.unwrap_or_else(find_models_dir),
        runtime: read_runtime(report, section, source),
        threads: threads.unwrap_or(base.threads),
        queue: queue.unwrap_or(base.queue),
        patience: patience.unwrap_or(base.patience),
        hnsw_from: hnsw_from.unwrap_or(base.hnsw_from),
        cross_encoder: section.get("cross_encoder", values::boolean).unwrap_or(base.cross_encoder),
        state: section.get("state", values::path_or_none).unwrap_or(base.state),
        judge: judge::read(report, section, source),
    }
}

/// `semantic.runtime`, or the variable that ONNX Runtime's own users know.
fn read_runtime(report: &Report<'_>, section: &mut Section<'_>, source: &Source) -> Option<PathBuf> {
    const NAME: &str = "ORT_DYLIB_PATH";
    let library = |given: super::reader::Given<'_>| values::existing(given, "library", Path::is_file);
    let given = section.get("runtime", library);
    if section.has("runtime") {
        return given;
    }
    let path = source.variable(NAME).filter(|path| !path.is_empty())?;
    let found = library(super::reader::Given::Variable(&path));
    found
        .map_err(|message| report.problem(&At { place: Place::Elsewhere, key: NAME.to_owned() }, message))
        .ok()
}

/// `models` in the working directory if it is there; else the one beside an ancestor of the
/// executable that has a `manifest.toml` (a build lies under `target/` in the repository, an
/// installation in `bin/` beside it); else `models`.
fn find_models_dir() -> PathBuf {
    let here = PathBuf::from("models");
    if here.is_dir() {
        return here;
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let beside = executable.ancestors().map(|folder| folder.join("models"));
    beside.into_iter().find(|models| models.join("manifest.toml").is_file()).unwrap_or(here)
}

fn read_log(section: &mut Section<'_>) -> Log {
    let base = Log::default();
    let filter = section.get("filter", |given| {
        let text = values::text(given)?;
        match tracing_subscriber::EnvFilter::builder().parse(&text) {
            Ok(_) => Ok(text),
            Err(_) => {
                Err("is not a log filter; write for instance \"info\" or \"warn,reprise=debug\"".to_owned())
            }
        }
    });
    Log {
        filter: filter.unwrap_or(base.filter),
        json: section.get("json", values::boolean).unwrap_or(base.json),
    }
}
