//! Postgres: the books and the virtual keys of a fleet, in one database.
//!
//! ```text
//! request ─> ledger.sqlite of each replica ─ outbox ─> reprise_entry, reprise_charge ─> reports
//! keys create, disable, … ─> reprise_key ─ looked at every 250 ms ─> ring of each replica, and its `keys.copy`
//! ```
//! | file | has |
//! |---|---|
//! | `mod` | one connection, blocking, with a limit on every step |
//! | `tables` | the tables, made at the first contact |
//! | `outbox`, `rows` | rows from the replica's own ledger to the database, each exactly once |
//! | `keys` | virtual keys there |
//! | `copy` | the keys as they were last seen, for a start while the database is away |
//!
//! Promises: no request waits for the database. While it is away rows stay in the replica's own ledger and go
//! over when it is back, and keys stay as they were last seen; nobody can change them until then.

pub mod copy;
pub mod keys;
pub(super) mod outbox;
mod rows;
mod tables;

use crate::accounts::keys::store::Unkept;
use crate::accounts::ledger::report::Group;
use crate::config::database::Database;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The longest that one step may take: a connection, a batch, a report.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reports read many rows.
const LONG: Duration = Duration::from_secs(60);
const VERSION: i64 = 1;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{0} does not answer within {1:?}; is ledger.url right, and the server up?")]
    Silent(String, Duration),
    #[error("{0} cannot be used: {1}; is ledger.url right, the server up, and may this user make tables?")]
    Refused(String, String),
    #[error(
        "the books in {0} have version {1}, and this program reads {VERSION}; use the program that wrote them"
    )]
    Version(String, i64),
    #[error(
        "TLS to {0} cannot be spoken: {1}; set sslrootcert in ledger.url to the certificate of its authority"
    )]
    Tls(String, io::Error),
    #[error("no thread for Postgres: {0}")]
    Runtime(io::Error),
}

/// One connection. Blocks: off the async threads. After an error it is done with; open another.
pub struct Session {
    client: Client,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// For messages.
    shown: String,
}

impl Session {
    /// Connects, and makes the tables where they are absent, with what `folder` has to give: the first replica's
    /// secret and keys, or what this one last saw of a fleet whose database was lost.
    ///
    /// # Errors
    /// The database cannot be used; each step takes five seconds at most.
    pub fn open(database: &Database, folder: &Path) -> Result<Session, Unkept> {
        let mut session = Session::connect(database)?;
        session.found(folder)?;
        Ok(session)
    }

    /// Connects to tables that are there, or makes no difference: a report of nothing would be a lie.
    ///
    /// # Errors
    /// `Trouble`; also where no replica has made the tables yet.
    pub fn to_read(database: &Database) -> Result<Session, Trouble> {
        let mut session = Session::connect(database)?;
        session.check()?;
        Ok(session)
    }

    fn connect(database: &Database) -> Result<Session, Trouble> {
        let shown = database.shown();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Trouble::Runtime)?;
        let client = match database.speaks_tls() {
            true => {
                let tls = tls(database).map_err(|wrong| Trouble::Tls(shown.clone(), wrong))?;
                dial(&runtime, database, MakeRustlsConnect::new(tls), &shown)
            }
            false => dial(&runtime, database, tokio_postgres::NoTls, &shown),
        };
        Ok(Session { client: client?, runtime: Some(runtime), shown })
    }

    /// One step, within `PATIENCE`.
    fn step<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Trouble> {
        self.step_within(PATIENCE, work)
    }

    fn step_within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Trouble> {
        let Some(runtime) = &self.runtime else { return Err(Trouble::Silent(self.shown.clone(), limit)) };
        within(runtime, limit, &self.shown, work(&mut self.client))
    }

    /// Lines of a text and so many numbers, as a report groups them. A sum of nothing is `None`.
    pub fn grouped(&mut self, text: &str, span: [i64; 2], numbers: usize) -> Result<Vec<Group>, Trouble> {
        self.step_within(LONG, async |client| {
            // One that we no longer wait for ends there too.
            client.batch_execute(&format!("SET statement_timeout = {}", LONG.as_millis())).await?;
            let rows = client.query(text, &[&span[0], &span[1]]).await?;
            let numbers = 1..=numbers;
            let group = |row: &tokio_postgres::Row| {
                let sums = numbers.clone().map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
                Ok((row.try_get(0)?, sums))
            };
            rows.iter().map(group).collect()
        })
    }
}

/// A transaction that the server ends when nobody goes on with it: a machine that is lost in the middle must not
/// keep its rows locked.
async fn begin(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let step = client.transaction().await?;
    step.batch_execute("SET LOCAL idle_in_transaction_session_timeout = '10s'").await?;
    Ok(step)
}

impl Drop for Session {
    fn drop(&mut self) {
        // Dropping it otherwise would block, which an async thread may not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn dial<T>(runtime: &Runtime, database: &Database, tls: T, shown: &str) -> Result<Client, Trouble>
where
    T: MakeTlsConnect<tokio_postgres::Socket> + Send + 'static,
    T::Stream: Send + 'static,
{
    let limit = database.settings.get_connect_timeout().map_or(PATIENCE, |set| PATIENCE.min(*set));
    let (client, connection) = within(runtime, limit, shown, database.settings.connect(tls))?;
    // Its error comes to whoever asks next.
    runtime.spawn(async move { drop(connection.await) });
    Ok(client)
}

fn within<T>(
    runtime: &Runtime,
    limit: Duration,
    shown: &str,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Trouble> {
    let done = runtime.block_on(async { tokio::time::timeout(limit, work).await });
    match done {
        Ok(done) => done.map_err(|wrong| Trouble::Refused(shown.to_owned(), told(&wrong))),
        Err(_) => Err(Trouble::Silent(shown.to_owned(), limit)),
    }
}

/// The library's word, and what lies under it: "db error" alone helps nobody. Holds no password.
fn told(wrong: &tokio_postgres::Error) -> String {
    let mut text = wrong.to_string();
    let mut cause = std::error::Error::source(wrong);
    while let Some(deeper) = cause {
        text.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    text
}

fn tls(database: &Database) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    match &database.ca {
        None => Ok(builder.with_platform_verifier().map_err(io::Error::other)?.with_no_client_auth()),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
            Ok(builder.with_root_certificates(roots).with_no_client_auth())
        }
    }
}
