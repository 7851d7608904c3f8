//! What the commands work on: a running server's admin side, or the Redis of a config.

use super::{ConfigArgs, Failure};
use crate::app::headless::{Headless, Work};
use crate::base::secret::Secret;
use crate::config::{Config, Flags, Source};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Which server. Without `--admin` its address and token are the config's, as the server itself reads them.
#[derive(clap::Args, Clone, Debug)]
pub struct AdminArgs {
    /// The config file of the server [default: config/reprise.toml, if it is there]
    #[arg(long, short, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// The server's admin side, for instance http://127.0.0.1:9090; no config is read then
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// What the admin side asks for, as env:NAME or file:PATH
    #[arg(long, value_name = "SECRET", requires = "admin")]
    token: Option<String>,
    /// Work on the [redis] of the config itself, whether a server runs or not
    #[arg(long, conflicts_with_all = ["admin", "token"])]
    redis: bool,
}

/// The admin side of one server.
pub struct Admin {
    base: String,
    token: Option<Secret>,
    client: Client,
}

/// What a command works on.
pub enum Place {
    Server(Admin),
    /// The Redis of this config.
    Redis(Box<Config>),
}

impl AdminArgs {
    /// `upstream`: in place of the config's, for what lies in Redis.
    ///
    /// # Errors
    /// A config with problems, or a secret that is not there.
    pub fn place(&self, upstream: Option<&str>) -> Result<Place, Failure> {
        // Somebody else in this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let source = || {
            let (config, upstream) = (self.config.clone(), upstream.map(str::to_owned));
            let args = ConfigArgs { config, upstream, listen: None, admin_listen: None };
            args.source()
        };
        if self.redis {
            return Ok(Place::Redis(Box::new(Config::read(&source().quiet())?)));
        }
        let (base, token) = match &self.admin {
            Some(url) => {
                let token = self.token.as_deref().map(secret).transpose()?;
                (url.trim_end_matches('/').to_owned(), token)
            }
            None => {
                let server = Config::read(&source())?.server;
                (format!("http://{}", server.admin_listen), server.admin_token)
            }
        };
        let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        let client = client.map_err(|wrong| Failure::other(wrong.to_string()))?;
        Ok(Place::Server(Admin { base, token, client }))
    }
}

/// Does `work` with a replica of the config's fleet that serves nobody.
///
/// # Errors
/// Redis is not reached, or the work's own.
pub fn on_redis<T>(
    config: Config,
    kind: Work,
    work: impl AsyncFnOnce(&Headless) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let headless = Headless::open(config, kind).await.map_err(Failure::other)?;
        work(&headless).await
    })
}

/// What `env:NAME` or `file:PATH` stands for.
///
/// # Errors
/// Neither, or nothing there.
pub fn secret(given: &str) -> Result<Secret, Failure> {
    let found = if let Some(name) = given.strip_prefix("env:") {
        let source = Source::of_process(None, Flags::default());
        source.variable(name).ok_or_else(|| Failure::other(format!("the variable {name} is not set")))?
    } else if let Some(path) = given.strip_prefix("file:") {
        std::fs::read_to_string(path)
            .map_err(|wrong| Failure::other(format!("cannot read the file {path}: {wrong}")))?
    } else {
        return Err(Failure::other("a secret is not written here itself; write env:NAME or file:PATH"));
    };
    Ok(Secret::new(found.trim().to_owned()))
}

impl Admin {
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.bearing(self.client.get(format!("{}{path}", self.base)))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.bearing(self.client.post(format!("{}{path}", self.base)))
    }

    fn bearing(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// # Errors
    /// No server there, or what it says against it.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|wrong| {
            Failure::other(format!(
                "no server answers at {}: {}; start `reprise serve`, set --admin, or give --redis",
                self.base,
                wrong.without_url()
            ))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let said: Option<Value> =
            response.bytes().await.ok().and_then(|body| serde_json::from_slice(&body).ok());
        let error = said.as_ref().and_then(|said| said["error"].as_str());
        Err(Failure::other(match error {
            Some(error) => error.to_owned(),
            None => format!("the server at {} answered {status}; is it its admin side?", self.base),
        }))
    }

    /// # Errors
    /// As `send`; or an answer that is no JSON.
    pub async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let body = self.send(request).await?.bytes().await;
        let body = body.map_err(|wrong| Failure::other(format!("the server's answer broke off: {wrong}")))?;
        serde_json::from_slice(&body)
            .map_err(|wrong| Failure::other(format!("the server's answer cannot be read: {wrong}")))
    }
}

/// Runs a command's asynchronous part to its end.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
