//! `[ledger] url`: the Postgres that the replicas of a fleet keep their books in together.

use super::reader::Given;
use super::values;
use std::path::{Path, PathBuf};
use tokio_postgres::Config as Settings;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

const EXAMPLE: &str =
    "write for instance \"env:LEDGER_URL\", with postgres://USER:PASSWORD@HOST:5432/NAME in that variable";

/// Where it is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub settings: Settings,
    /// Certificates (PEM) that are trusted in place of the system's: the URL's `sslrootcert`.
    pub ca: Option<PathBuf>,
}

impl Database {
    /// Reads a URL as libpq does. Where TLS is spoken the certificate is always verified, so `verify-ca` and
    /// `verify-full` are `require`.
    ///
    /// # Errors
    /// What is wrong with it; never holds a part of the URL that may be secret.
    pub fn read(text: &str) -> Result<Database, String> {
        let mut url =
            Url::parse(text.trim()).map_err(|wrong| format!("is not a URL ({wrong}); {EXAMPLE}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("has the scheme {}; {EXAMPLE}", url.scheme()));
        }
        let (mut ca, mut kept) = (None, Vec::new());
        // What is kept is kept as it is written: the driver does not read every way to write a space.
        for raw in url.query().unwrap_or_default().split('&').filter(|raw| !raw.is_empty()) {
            let pair = url::form_urlencoded::parse(raw.as_bytes()).next();
            match pair.as_ref().map(|(name, value)| (&**name, &**value)) {
                Some(("sslrootcert", path)) => ca = Some(PathBuf::from(path)),
                Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
                _ => kept.push(raw),
            }
        }
        let kept = kept.join("&");
        url.set_query(Some(&*kept).filter(|kept| !kept.is_empty()));
        if let Some(path) = ca.as_deref().filter(|path| !Path::is_file(path)) {
            return Err(format!("names {} as sslrootcert, and there is no such file", path.display()));
        }
        let mut settings: Settings = url.as_str().parse().map_err(|wrong| unread(&wrong))?;
        if settings.get_hosts().is_empty() && settings.get_hostaddrs().is_empty() {
            return Err(format!("has no host; {EXAMPLE}"));
        }
        if settings.get_application_name().is_none() {
            settings.application_name("reprise");
        }
        Ok(Database { settings, ca })
    }

    /// For logs and `check`; holds no credential.
    pub fn shown(&self) -> String {
        let named = self.settings.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = self.settings.get_hostaddrs().iter().map(ToString::to_string);
        let hosts: Vec<String> = match self.settings.get_hosts() {
            [] => addresses.collect(),
            _ => named.collect(),
        };
        let name = self.settings.get_dbname().or(self.settings.get_user()).unwrap_or("postgres");
        format!("Postgres {name} at {}", hosts.join(", "))
    }

    /// Whether a certificate may be looked at.
    pub fn speaks_tls(&self) -> bool {
        let local = |host: &Host| matches!(host, Host::Unix(_));
        self.settings.get_ssl_mode() != SslMode::Disable && !self.settings.get_hosts().iter().all(local)
    }
}

/// The library names what it does not know, and that may be a password with a `?` in it.
fn unread(wrong: &tokio_postgres::Error) -> String {
    let why = std::error::Error::source(wrong).map(ToString::to_string).unwrap_or_default();
    match why.starts_with("invalid value") {
        true => format!("is no URL for Postgres ({why}); {EXAMPLE}"),
        false => format!("is no URL for Postgres, or has a parameter that is not known; {EXAMPLE}"),
    }
}

/// A URL without a password stands in the file itself; any other in a variable or a file of its own.
pub(super) fn read(given: Given<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Database, String> {
    let in_file = matches!(given, Given::File(_));
    let text = values::text(given)?;
    if !text.starts_with("postgres") {
        let held = values::secret(given, variable).map_err(|wrong| format!("{wrong}; {EXAMPLE}"))?;
        return Database::read(held.expose());
    }
    let read = Database::read(&text)?;
    match in_file && read.settings.get_password().is_some() {
        true => Err(format!("holds a password; {EXAMPLE}")),
        false => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_libpq_does() {
        let read =
            Database::read("postgresql://me:s3cret@db.example:6432/books?sslmode=verify-full").unwrap();
        assert_eq!(read.settings.get_ports(), [6432]);
        assert_eq!(read.settings.get_ssl_mode(), SslMode::Require);
        assert_eq!(read.settings.get_password(), Some(&b"s3cret"[..]));
        assert_eq!(read.shown(), "Postgres books at db.example");
        assert!(read.speaks_tls());
        let path = "postgres://h/books?options=-c%20search_path%3Da&sslmode=verify-ca&application_name=b";
        let read = Database::read(path).unwrap();
        assert_eq!(read.settings.get_options(), Some("-c search_path=a"));
        assert_eq!(read.settings.get_ssl_mode(), SslMode::Require);
        let local = Database::read("postgres:///books?host=/run/postgresql&user=me").unwrap();
        assert_eq!(local.shown(), "Postgres books at /run/postgresql");
        assert!(!local.speaks_tls());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, told) in [
            ("redis://h/1", "scheme redis"),
            ("postgres://me:s3cret@h/books?sslmode=maybe", "sslmode"),
            ("postgres://me:s3cret@h/books?sslrootcert=/nowhere.pem", "no such file"),
            ("postgres://h/books?s3cret=1", "not known"),
            ("postgres:///books", "no host"),
            ("me:s3cret@h/books", "URL"),
        ] {
            let wrong = Database::read(text).unwrap_err();
            assert!(wrong.contains(told) && !wrong.contains("s3cret"), "{text}: {wrong}");
        }
    }
}
