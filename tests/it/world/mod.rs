//! Our server on port 0 and a scripted upstream; both die with the world.

pub mod postgres;
pub mod process;
pub mod redis;
pub mod tls;
pub mod upstream;

use reprise::app::{self, Running};
use reprise::base::corked;
use reprise::base::lanes::Lanes;
use reprise::base::tasks::Tasks;
use reprise::config::{CacheMode, Config, Flags, Source, StorePath};
use serde_json::{Value, json};
use std::time::Duration;
use upstream::Upstream;

pub struct World {
    pub upstream: Upstream,
    pub server: Running,
    client: reqwest::Client,
}

/// What came back, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: bytes::Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ascii"))
    }

    pub fn verdict(&self) -> &str {
        self.header("x-reprise-verdict").unwrap_or("none")
    }

    pub fn tier(&self) -> Option<&str> {
        self.header("x-reprise-tier")
    }

    pub fn reason(&self) -> Option<&str> {
        self.header("x-reprise-reason")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The text of a plain chat completion.
    pub fn text(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
    }

    /// The data of every event.
    pub fn events(&self) -> Vec<String> {
        let text = std::str::from_utf8(&self.body).expect("utf-8");
        text.split("\n\n").filter_map(|frame| frame.strip_prefix("data: ").map(str::to_owned)).collect()
    }

    /// The text of a streamed chat completion.
    pub fn streamed_text(&self) -> String {
        let events = self.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "the stream ends in its own word");
        let chunks = events.iter().filter(|event| *event != "[DONE]");
        let text = |event: &String| {
            let chunk: Value = serde_json::from_str(event).expect("json");
            chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        };
        chunks.map(text).collect()
    }
}

/// A chat request that asks `question`.
pub fn chat(question: &str) -> Value {
    json!({ "model": "gpt-test", "messages": [{ "role": "user", "content": question }] })
}

/// `chat`, with more fields or other ones.
pub fn chat_with(question: &str, more: Value) -> Value {
    let mut request = chat(question);
    for (name, value) in more.as_object().expect("an object") {
        request[name] = value.clone();
    }
    request
}

/// The usual config of a scene before this upstream, changed so.
fn config_before(upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Config {
    let flags = Flags {
        upstream: Some(upstream.url()),
        listen: Some("127.0.0.1:0".into()),
        admin_listen: Some("127.0.0.1:0".into()),
    };
    let source = Source::new(None, [], flags);
    let mut config = Config::read(&source).expect("a config");
    // No scene writes into the source tree; one that is about the store names a folder of its own.
    config.store.path = StorePath::Off;
    // Scenes run beside each other: one that wants a ledger says where.
    config.accounts.ledger.path = None;
    change(&mut config);
    config
}

impl World {
    /// Exact cache only: starts in milliseconds.
    pub async fn start() -> World {
        World::with(|config| config.policy.mode = CacheMode::Exact).await
    }

    /// With the default model. A model that is not there fails the scene.
    pub async fn with_meaning() -> World {
        World::comparing(|_| {}).await
    }

    /// Likewise, with other settings; evidence is kept in memory only.
    pub async fn comparing(change: impl FnOnce(&mut Config)) -> World {
        let world = World::with(|config| {
            // A busy machine shall make a scene slow, not another scene.
            config.semantic.patience = Duration::from_secs(10);
            config.semantic.state = None;
            change(config);
        })
        .await;
        world.has_model().await;
        world
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let upstream = Upstream::start().await;
        World::before(upstream, change).await
    }

    /// Its connections on these lanes, as `reprise serve` has them; elsewhere they share the scene's own runtime.
    pub async fn over(lanes: &Lanes, change: impl FnOnce(&mut Config)) -> World {
        let upstream = Upstream::start().await;
        let config = config_before(&upstream, change);
        World::with_tasks(upstream, config, Tasks::over(lanes)).await
    }

    pub async fn before(upstream: Upstream, change: impl FnOnce(&mut Config)) -> World {
        let config = config_before(&upstream, change);
        World::of(upstream, config).await
    }

    /// By this config, with free ports for its own; `upstream` is one of those that it names.
    pub async fn of(upstream: Upstream, config: Config) -> World {
        World::with_tasks(upstream, config, Tasks::new()).await
    }

    async fn with_tasks(upstream: Upstream, mut config: Config, tasks: Tasks) -> World {
        config.server.listen.set_port(0);
        config.server.admin_listen.set_port(0);
        if config.store.path == StorePath::Default {
            config.store.path = StorePath::Off;
        }
        if config.accounts.ledger.path.as_deref() == Some("data".as_ref()) {
            config.accounts.ledger.path = None;
        }
        // Somebody else's scene may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // As on a lane.
        corked::take_turns(&tokio::runtime::Handle::current());
        let server = app::start_with(config, tasks).await.expect("the server starts");
        // A connection of its own for each request: scenes move the clock past the keep-alive limit.
        let client =
            reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        World { upstream, server, client }
    }

    /// Ended in good order, and started again before the same upstream.
    pub async fn restarted(self, change: impl FnOnce(&mut Config)) -> World {
        let World { upstream, server, client } = self;
        server.drain().await;
        drop((server, client));
        World::before(upstream, change).await
    }

    /// The value of the metric on the line that begins so; `None` where there is no such line.
    pub async fn metric(&self, line: &str) -> Option<u64> {
        let shown = read(self.client.get(self.admin("/metrics"))).await;
        let text = String::from_utf8(shown.body.to_vec()).expect("text");
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    /// Looks again until the metric has this value.
    pub async fn until_metric(&self, line: &str, value: u64) {
        let settled = async { while self.metric(line).await != Some(value) {} };
        let last = tokio::time::timeout(Duration::from_secs(60), settled).await;
        assert!(last.is_ok(), "{line} never became {value}");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.api_addr())
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.admin_addr())
    }

    pub fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url(path)).body(body.to_string());
        request.header("content-type", "application/json").header("authorization", "Bearer sk-one")
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Asks one plain question with the usual key.
    pub async fn ask(&self, question: &str) -> Answer {
        self.send(&chat(question)).await
    }

    pub async fn send(&self, request: &Value) -> Answer {
        read(self.post("/v1/chat/completions", request)).await
    }

    /// Asks one plain question that only the cache may answer.
    pub async fn ask_the_cache(&self, question: &str) -> Answer {
        self.send_with(&chat(question), &[("cache-control", "only-if-cached")]).await
    }

    /// Asks the admin side.
    pub async fn post_admin(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        read(self.client.post(self.admin(path)).body(body)).await
    }

    /// Explains a chat request of the usual key.
    pub async fn explain(&self, request: &Value) -> Value {
        self.explain_with(request, json!({ "authorization": "Bearer sk-one" })).await
    }

    pub async fn explain_with(&self, request: &Value, headers: Value) -> Value {
        let asked = json!({ "path": "/v1/chat/completions", "headers": headers, "body": request });
        let answer = self.post_admin("/api/explain", asked.to_string()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()
    }

    /// Says something of an entry.
    pub async fn report(&self, report: Value) -> Answer {
        self.post_admin("/api/feedback", report.to_string()).await
    }

    /// Waits for the embedding model.
    pub async fn has_model(&self) {
        self.server.semantic_ready().await.expect("the model loads; run scripts/fetch");
    }

    /// Sends with more headers.
    pub async fn send_with(&self, request: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut builder = self.post("/v1/chat/completions", request);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        read(builder).await
    }

    /// Sends as another caller.
    pub async fn send_as(&self, key: &str, request: &Value) -> Answer {
        let builder = self.client.post(self.url("/v1/chat/completions")).body(request.to_string());
        read(builder.header("authorization", format!("Bearer {key}"))).await
    }
}

/// Sends and reads the whole answer; a hang fails the scene.
pub async fn read(builder: reqwest::RequestBuilder) -> Answer {
    let whole = async {
        let response = builder.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a whole body") }
    };
    tokio::time::timeout(Duration::from_secs(20), whole).await.expect("no hang")
}
