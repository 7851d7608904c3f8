//! `reprise stand-in`: an OpenAI-compatible upstream for tests, demos and benches.
//!
//! ```text
//! request ─> serve ─> ask ─> answer (text, tools, embeddings) ─> write ─> script ─> client
//!              │ counts in state             defects and waits ──────────────┘
//! ```
//! Answers follow from the request alone: the same request gets the same bytes, on every machine.
//!
//! | file | has |
//! |---|---|
//! | `settings` | what it is told at its start and by headers: waits, defects, codings |
//! | `serve` | paths, limits, error bodies |
//! | `state` | counts, and requests kept for tests |
//! | `ask` | what it reads of a request |
//! | `answer` | one answer in a neutral form, with its usage |
//! | `text`, `tools`, `tokens` | what it says, which tools it calls, how it counts |
//! | `embeddings` | unit vectors by hash |
//! | `write` | bodies and events |
//! | `script` | a body as sends, waits and an ending |
//! | `bare` | the least that an axum server can do, for comparison |

mod answer;
mod ask;
mod bare;
mod embeddings;
mod script;
mod serve;
pub mod settings;
mod state;
pub(super) mod text;
pub mod tokens;
mod tools;
mod write;

pub use settings::{Answers, Defect, Latency, Manner, Settings};
pub use state::{Seen, Stats};

use crate::base::tasks::Tasks;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use state::State;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting rests after it failed, for instance for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// A running stand-in. Dropped, it takes no more connections and breaks off those it has.
pub struct StandIn {
    pub addr: SocketAddr,
    state: Arc<State>,
    tasks: Tasks,
}

impl StandIn {
    /// Listens, and serves on the current tokio runtime.
    pub async fn start(settings: Settings) -> io::Result<StandIn> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(settings));
        let tasks = Tasks::new();
        tasks.spawn(accept(listener, state.clone(), tasks.clone()));
        Ok(StandIn { addr, state, tasks })
    }

    /// For instance `http://127.0.0.1:41231`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Calls since the start or the last reset.
    pub fn calls(&self) -> u64 {
        self.stats().calls
    }

    /// Counts from zero, and forgets the requests kept.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// The latest requests, oldest first; as many as `Settings::keep` allows.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen()
    }

    /// Changes how it behaves, from the next request on.
    pub fn behave(&self, manner: Manner) {
        self.state.set_manner(manner);
    }

    /// Ends it as a drop does, and waits until its port is free.
    pub async fn stop(self) {
        self.tasks.stop();
        self.tasks.drained().await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, tasks: Tasks) {
    let mut stopping = pin!(tasks.stopping());
    loop {
        let accepted = tokio::select! {
            () = &mut stopping => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => tasks.spawn(connection(stream, state.clone(), tasks.clone())),
            Err(error) => {
                tracing::warn!(%error, "stand-in cannot accept; trying again");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>, tasks: Tasks) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |request| serve::respond(state.clone(), request));
    let served =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = tasks.stopping() => {}
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "stand-in connection ended");
        },
    }
}

/// An OpenAI-compatible upstream for tests, demos and benches.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9999")]
    listen: SocketAddr,
    /// Wait before every answer, for instance 250ms.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Wait before the first token, on top.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    first_token: Duration,
    /// Wait before each next token.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    per_token: Duration,
    /// Every answer is bad in this way, for instance status=503, cut=3 or html.
    #[arg(long)]
    fault: Option<Defect>,
    /// Answer every request with this file's bytes, from a bare axum handler: the yardstick of load tests.
    #[arg(long, value_name = "BODYFILE", hide = true)]
    bare: Option<PathBuf>,
}

/// Serves until ctrl-c or SIGTERM.
pub async fn run(args: Args) -> io::Result<()> {
    let tasks = Tasks::new();
    match &args.bare {
        Some(file) => {
            let listener = TcpListener::bind(args.listen).await?;
            let addr = bare::serve(listener, Bytes::from(tokio::fs::read(file).await?), &tasks).await?;
            say(&format!("bare handler on http://{addr}"))?;
            ended().await?;
            tasks.stop();
        }
        None => {
            let latency =
                Latency { whole: args.latency, first_token: args.first_token, per_token: args.per_token };
            let manner = Manner { latency, defect: args.fault };
            let stand_in =
                StandIn::start(Settings { listen: args.listen, manner, ..Settings::default() }).await?;
            say(&format!(
                "stand-in on {} (chat, completions, embeddings, models; counts at /stand-in/stats)",
                stand_in.url()
            ))?;
            ended().await?;
            stand_in.stop().await;
        }
    }
    Ok(())
}

async fn ended() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
