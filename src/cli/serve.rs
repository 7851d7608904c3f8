//! `reprise serve`: the proxy itself.

use super::stand_in::{self, StandIn};
use super::{ConfigArgs, Failure};
use crate::app::{self, Running};
use crate::base::lanes::Lanes;
use crate::base::tasks::Tasks;
use crate::config::{self, Config, Source, watch};
use crate::telemetry;
use std::io::{self, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Reads the config and serves until the process is told to end, then drains.
///
/// # Errors
/// Every problem of the config at once; an address that cannot be listened on; an upstream that
/// cannot be used.
pub fn run(args: Args) -> Result<(), Failure> {
    let source = args.config.source();
    let config = Config::read(&source)?;
    telemetry::init(&config.log).map_err(Failure::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let lanes = Lanes::start(thread::available_parallelism().map_or(1, NonZero::get))?;
    runtime.block_on(serve(source, config, Tasks::over(&lanes)))
}

async fn serve(source: Source, mut config: Config, tasks: Tasks) -> Result<(), Failure> {
    let stand_in = if config.upstreams.is_empty() { Some(stand_in(&mut config).await?) } else { None };
    let first = Arc::new(config.clone());
    let running = app::start_with(config, tasks).await.map_err(Failure::other)?;
    announce(&running, stand_in.as_ref(), &first)?;
    let told = told_to_end();
    if stand_in.is_some() {
        told.await?;
    } else {
        let watched = watch::watch(source, first, running.tasks());
        tokio::select! {
            told = told => told?,
            () = running.follow(watched.config) => {}
        }
    }
    drain(&running).await
}

/// With no upstream at all there is still something to try.
async fn stand_in(config: &mut Config) -> Result<StandIn, Failure> {
    let stand_in = StandIn::start(stand_in::Settings::default()).await?;
    config.upstreams = vec![config::Upstream::at(stand_in.url(), "stand-in".to_owned())];
    // Made-up answers must not be served as real ones after a restart.
    config.store.path = config::StorePath::Off;
    Ok(stand_in)
}

fn announce(running: &Running, stand_in: Option<&StandIn>, config: &Config) -> Result<(), Failure> {
    let upstreams: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.url.as_str()).collect();
    let mut out = io::stderr().lock();
    writeln!(out, "reprise {} on http://{}", env!("CARGO_PKG_VERSION"), running.api_addr())?;
    writeln!(out, "  admin     http://{}  (/healthz /readyz /metrics)", running.admin_addr())?;
    match stand_in {
        None => writeln!(out, "  upstream  {}", upstreams.join(", "))?,
        Some(_) => writeln!(
            out,
            "  upstream  none given: the built-in stand-in answers with made-up text; \
             pass --upstream URL or set [[upstream]] for a real one"
        )?,
    }
    Ok(())
}

/// Lets requests in progress finish; a second signal ends at once.
async fn drain(running: &Running) -> Result<(), Failure> {
    tracing::info!("draining; send the signal again to end at once");
    tokio::select! {
        cut = running.drain() => match cut {
            0 => Ok(()),
            cut => Err(Failure::other(format!("{cut} connections were cut at the drain limit"))),
        },
        again = told_to_end() => {
            again?;
            Err(Failure::other("ended before the drain was over"))
        }
    }
}

/// SIGTERM or ctrl-c.
async fn told_to_end() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminated.recv() => {}
    }
    Ok(())
}
