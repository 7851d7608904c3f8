//! The commands. Each is one file with its arguments and a `run`; what goes wrong comes back as a
//! `Failure`, which `main` prints and turns into the exit code.
//!
//! | file | command |
//! |---|---|
//! | `serve` | answers from the cache, and passes on what it cannot answer |
//! | `check` | says every problem of the config |
//! | `convert` | our config out of another gateway's |
//! | `demo` | a workload against a stand-in, and what was saved |
//! | `keys` | virtual keys: made, listed, rotated, disabled, expired |
//! | `savings` | what the ledger says was spent and saved |
//! | `eval` | hits against wrong answers, on labelled or own requests |
//! | `purge`, `carry`, `warm` | entries taken out of a running server or Redis, out to a file and in, and brought along |
//! | `admin` | how those reach either |
//! | `stand_in` | an upstream for tests, demos and benches |

mod admin;
mod carry;
pub mod check;
pub mod convert;
pub mod demo;
pub mod eval;
pub mod keys;
mod purge;
pub mod savings;
pub mod serve;
pub mod stand_in;
mod warm;

use crate::app;
use crate::config::{self, Config, Flags, Problems, Source, Strictness};
use clap::{Args, Parser, Subcommand};
use demo::{Course, Proxy};
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A semantic caching sidecar for LLM APIs whose hits can be trusted.
#[derive(Debug, Parser)]
#[command(name = "reprise", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer from the cache, and pass on what it cannot answer
    Serve(serve::Args),
    /// Play a small support workload through the proxy, and report hits, wrong answers and savings
    Demo(Demo),
    /// Say every problem of the config, with its line and a remedy
    Check(check::Args),
    /// Make, list, rotate, disable and expire virtual keys
    Keys(keys::Args),
    /// Say what was spent and saved, by key, team, tag, model or day
    Savings(savings::Args),
    /// Write a config out of another gateway's
    Convert(convert::Args),
    /// Measure hits against wrong answers, on your own requests or on labelled ones
    Eval(Box<eval::Args>),
    /// Take entries out of a running server or Redis, by what they are
    Purge(purge::Args),
    /// Write the entries of a running server or Redis to a file
    Export(carry::Args),
    /// Bring the entries of such a file into a running server or Redis
    Import(carry::Args),
    /// Bring questions and their answers into a running server or Redis
    Warm(warm::Args),
    /// Answer like an OpenAI-compatible API, for tests, demos and benches
    StandIn(stand_in::Args),
}

/// Where the config comes from; the same for every command that reads one.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// The config file [default: config/reprise.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Pass everything on to this one upstream, with the clients' own credentials. Goes before every
    /// upstream of the config, whose keys are then not used
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The API's address [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The address of metrics and administration [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
}

impl ConfigArgs {
    /// With this process's environment.
    pub fn source(self) -> Source {
        let flags = Flags { upstream: self.upstream, listen: self.listen, admin_listen: self.admin_listen };
        Source::of_process(self.config, flags)
    }
}

/// Why a command ended without having done its work. The text ends in a remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Other(Box<dyn Error + Send + Sync>),
}

impl Failure {
    pub fn other(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Other(reason.into())
    }
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What kept it from its work; nothing has been printed about it yet.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Eval(args) => eval::run(&args, &mut io::stdout().lock()).map_err(Failure::other),
            Command::Check(args) => check::run(args, &mut io::stdout().lock()),
            Command::Keys(args) => keys::run(args, &mut io::stdout().lock()),
            Command::Savings(args) => savings::run(&args, &mut io::stdout().lock()),
            Command::Convert(args) => convert::run(args, &mut io::stdout().lock(), &mut io::stderr().lock()),
            Command::Demo(args) => demonstrate(args),
            Command::Purge(args) => purge::run(&args, &mut io::stdout().lock()),
            Command::Export(args) => carry::export(&args, &mut io::stdout().lock()),
            Command::Import(args) => carry::import(&args, &mut io::stdout().lock()),
            Command::Warm(args) => warm::run(&args, &mut io::stdout().lock()),
            Command::StandIn(args) => {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                Ok(runtime.block_on(stand_in::run(args))?)
            }
        }
    }
}

#[derive(Args, Debug)]
struct Demo {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    demo: demo::Args,
}

/// Plays the demo with a proxy of its own for each course, set up as the config says.
fn demonstrate(args: Demo) -> Result<(), Failure> {
    let config = Config::read(&args.config.source())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = async |course: Course, upstream: &str| {
        let mut config = config.clone();
        // What is made up belongs into no books, and asks with no key.
        config.accounts = config::accounts::Accounts {
            prices: config.accounts.prices,
            ..config::accounts::Accounts::default()
        };
        config.upstreams = vec![config::Upstream::at(upstream.to_owned(), "stand-in".to_owned())];
        // Its answers are made up.
        config.store.path = config::StorePath::Off;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.server.listen, config.server.admin_listen) = (any_port, any_port);
        if course == Course::PlainCosine {
            config.policy.semantic.threshold = Some(0.85);
            config.policy.semantic.verify = Strictness::Off;
        }
        let running = app::start(config).await.map_err(|error| error.to_string())?;
        running.semantic_ready().await?;
        Ok(Proxy { url: format!("http://{}", running.api_addr()), alive: Box::new(running) })
    };
    runtime.block_on(demo::run(&args.demo, start)).map_err(Failure::other)
}

/// Writes `text` and a line break. A reader that has gone away (`| head`) is no failure.
fn say(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(wrong) if wrong.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::Output),
    }
}
