//! How the process shows what it does: logs and numbers.
//!
//! Logs go to standard error, one line an event, at the level of `log.filter`; a prompt, an answer or
//! a credential is never in them.
//!
//! | file | has |
//! |---|---|
//! | `metrics` | the closed list of names, and what counts requests, answers and tiers |
//! | `accounts` | the numbers of the books, by key |
//! | `deployments` | those of the upstreams |
//! | `stored` | those of the store |

pub mod accounts;
pub mod deployments;
pub mod metrics;
pub mod models;
pub mod stored;

use crate::config::Log;
use tracing_subscriber::EnvFilter;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Unlogged {
    #[error(
        "log.filter {filter:?} is not a tracing filter: {why}; expected for instance info or reprise=debug"
    )]
    Filter { filter: String, why: String },
    #[error("logging is set up already")]
    Twice,
}

/// Sends `tracing` to standard error. Once per process.
pub fn init(log: &Log) -> Result<(), Unlogged> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|why| Unlogged::Filter { filter: log.filter.clone(), why: why.to_string() })?;
    // At debug the driver writes down what each statement was given, the fleet's secret and keys' hashes among it.
    let quiet = ["tokio_postgres=info", "tokio_postgres::query=info"];
    let quiet = quiet.into_iter().filter_map(|directive| directive.parse().ok());
    let filter = quiet.fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if log.json { lines.json().try_init() } else { lines.compact().with_target(false).try_init() };
    set.map_err(|_| Unlogged::Twice)
}
