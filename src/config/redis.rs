//! `[redis]`: the shared tier.

use super::read::Root;
use super::reader::{Given, Report};
use super::source::Source;
use super::values;
use crate::base::secret::Secret;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// `[redis]`, all of it (restart).
#[derive(Clone, Debug, PartialEq)]
pub struct Redis {
    pub server: RedisServer,
    /// The ACL user. Default: the server's default user.
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Certificates (PEM) that are trusted in place of the system's; for a private authority.
    pub ca: Option<PathBuf>,
    /// What the fleet's scopes are keyed with. Default: made once and kept in Redis.
    pub secret: Option<Secret>,
    /// Begins every key. Default `reprise`.
    pub prefix: String,
    /// The longest that a request waits for one look-up. Default 5 ms.
    pub timeout: Duration,
    /// Default 1 s; nobody waits for it.
    pub connect_timeout: Duration,
    /// How long a request waits for another replica that asks the same upstream. Default 10 s; zero:
    /// not at all.
    pub flight_wait: Duration,
    /// Entries that a replica fetches at its start, where Redis has no vector sets. Default 10,000.
    pub backlog: usize,
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq)]
pub enum RedisServer {
    Tcp {
        host: String,
        port: u16,
        tls: bool,
        db: i64,
    },
    Unix {
        path: PathBuf,
        db: i64,
    },
    /// Asked for the address of `master`, which is reached with the same user, password and TLS.
    Sentinel {
        sentinels: Vec<(String, u16)>,
        master: String,
        tls: bool,
        db: i64,
    },
    /// Any node that answers names the one which the fleet's hash tag belongs to; that one is asked.
    Cluster {
        nodes: Vec<(String, u16)>,
        tls: bool,
    },
}

impl Redis {
    /// With every default.
    pub fn at(server: RedisServer) -> Redis {
        Redis {
            server,
            username: None,
            password: None,
            ca: None,
            secret: None,
            prefix: "reprise".to_owned(),
            timeout: Duration::from_millis(5),
            connect_timeout: Duration::from_secs(1),
            flight_wait: Duration::from_secs(10),
            backlog: 10_000,
        }
    }
}

impl RedisServer {
    /// For logs and `check`; holds no credential.
    pub fn shown(&self) -> String {
        match self {
            RedisServer::Tcp { host, port, tls, .. } => {
                format!("{host}:{port}{}", if *tls { " with TLS" } else { "" })
            }
            RedisServer::Unix { path, .. } => path.display().to_string(),
            RedisServer::Sentinel { sentinels, master, .. } => {
                format!("{master} of {} sentinels", sentinels.len())
            }
            RedisServer::Cluster { nodes, tls } => {
                let with = if *tls { " with TLS" } else { "" };
                format!("a cluster, by {} of its nodes{with}", nodes.len())
            }
        }
    }
}

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const EXAMPLE: &str = "write for instance \"redis://127.0.0.1:6379\"";

pub(super) fn read(report: &Report<'_>, root: &mut Root<'_>, source: &Source) -> Option<Redis> {
    let mut section = root.section("redis");
    let server = section.get("url", server);
    if section.is_given() && !section.has("url") {
        report.problem(section.own(), format!("has no `url`; {EXAMPLE}, or remove [redis]"));
    }
    let lookup = |name: &str| source.variable(name);
    let username = section.get("username", values::text);
    let password = section.get("password", |given| values::secret(given, &lookup));
    if section.has("username") && !section.has("password") {
        report.problem(&section.at("username"), "has no `password` beside it; set it, or remove both");
    }
    let ca = section.get("ca", |given| values::existing(given, "file", Path::is_file));
    let secret = section.get("secret", |given| fleet_secret(given, &lookup));
    let prefix = section.get("prefix", prefix);
    let timeout = section.get("timeout", |given| values::duration(given, MS..=Duration::from_secs(10)));
    let connect_timeout = section.get("connect_timeout", |given| values::duration(given, 10 * MS..=MINUTE));
    let flight_wait =
        section.get("flight_wait", |given| values::duration(given, Duration::ZERO..=10 * MINUTE));
    let backlog = section.get("backlog", |given| values::count(given, 0..=100_000));
    section.finish();
    let base = Redis::at(server?);
    Some(Redis {
        username,
        password,
        ca,
        secret,
        prefix: prefix.unwrap_or(base.prefix),
        timeout: timeout.unwrap_or(base.timeout),
        connect_timeout: connect_timeout.unwrap_or(base.connect_timeout),
        flight_wait: flight_wait.unwrap_or(base.flight_wait),
        backlog: backlog.unwrap_or(base.backlog),
        server: base.server,
    })
}

/// No message repeats the URL: somebody may have put a password into it.
fn server(given: Given<'_>) -> Result<RedisServer, String> {
    let text = values::text(given)?;
    let Some((scheme, rest)) = text.split_once(':') else { return Err(format!("has no scheme; {EXAMPLE}")) };
    match scheme {
        "redis" => tcp(&text, false),
        "rediss" => tcp(&text, true),
        "unix" => unix(rest),
        "redis-sentinel" => sentinel(rest, false),
        "rediss-sentinel" => sentinel(rest, true),
        "redis-cluster" => cluster(rest, false),
        "rediss-cluster" => cluster(rest, true),
        _ => Err(format!(
            "has the scheme {scheme}; expected redis or rediss, unix, redis-sentinel or rediss-sentinel, redis-cluster \
             or rediss-cluster"
        )),
    }
}

fn tcp(text: &str, tls: bool) -> Result<RedisServer, String> {
    let url = Url::parse(text).map_err(|wrong| format!("is not a URL ({wrong}); {EXAMPLE}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(credential());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; keep only scheme, host, port and database".to_owned());
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(format!("has no host; {EXAMPLE}"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let db = database(url.path().trim_start_matches('/'))?;
    Ok(RedisServer::Tcp { host, port: url.port().unwrap_or(6_379), tls, db })
}

fn unix(rest: &str) -> Result<RedisServer, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let (path, db) = match path.split_once("?db=") {
        Some((path, db)) => (path, database(db)?),
        None => (path, 0),
    };
    if !path.starts_with('/') {
        return Err("is no absolute path; write for instance \"unix:///run/redis/redis.sock\"".to_owned());
    }
    Ok(RedisServer::Unix { path: PathBuf::from(path), db })
}

fn sentinel(rest: &str, tls: bool) -> Result<RedisServer, String> {
    const SHAPE: &str = "write for instance \"redis-sentinel://one:26379,two:26379/mymaster\"";
    let rest = rest.strip_prefix("//").ok_or(SHAPE)?;
    if rest.contains('@') {
        return Err(credential());
    }
    let mut parts = rest.split('/');
    let hosts = parts.next().filter(|hosts| !hosts.is_empty()).ok_or(format!("has no host; {SHAPE}"))?;
    let master = parts.next().filter(|name| !name.is_empty());
    let master = master.ok_or(format!("names no master; {SHAPE}"))?.to_owned();
    let db = database(parts.next().unwrap_or_default())?;
    Ok(RedisServer::Sentinel { sentinels: places(hosts, 26_379, SHAPE)?, master, tls, db })
}

fn cluster(rest: &str, tls: bool) -> Result<RedisServer, String> {
    const SHAPE: &str = "write for instance \"redis-cluster://one:6379,two:6379\"";
    let rest = rest.strip_prefix("//").ok_or(SHAPE)?;
    if rest.contains('@') {
        return Err(credential());
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    match (hosts, path) {
        ("", _) => Err(format!("has no host; {SHAPE}")),
        (_, "" | "0") => Ok(RedisServer::Cluster { nodes: places(hosts, 6_379, SHAPE)?, tls }),
        _ => Err(format!("names a database, and a cluster has only one; {SHAPE}")),
    }
}

/// `HOST:PORT,HOST:PORT`, of which a port may be left out.
fn places(hosts: &str, usual: u16, shape: &str) -> Result<Vec<(String, u16)>, String> {
    let place = |host: &str| match host.rsplit_once(':') {
        None if !host.is_empty() => Ok((host.to_owned(), usual)),
        Some((host, port)) if !host.is_empty() => match port.parse() {
            Ok(port) => Ok((host.to_owned(), port)),
            Err(_) => Err(format!("has a host without a good port; {shape}")),
        },
        _ => Err(format!("has a host without a good port; {shape}")),
    };
    hosts.split(',').map(place).collect()
}

fn credential() -> String {
    "holds a credential; take it out and set `username` and `password`, as \"env:NAME\" or \"file:PATH\""
        .to_owned()
}

fn database(text: &str) -> Result<i64, String> {
    match text.parse() {
        _ if text.is_empty() => Ok(0),
        Ok(db) if (0..=1_000_000).contains(&db) => Ok(db),
        _ => Err("names no database; what follows the host is its number, for instance /0".to_owned()),
    }
}

fn fleet_secret(given: Given<'_>, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Secret, String> {
    let secret = values::secret(given, lookup)?;
    match secret.expose().len() {
        ..16 => Err("is shorter than 16 characters; put a random one there".to_owned()),
        _ => Ok(secret),
    }
}

fn prefix(given: Given<'_>) -> Result<String, String> {
    let text = values::text(given)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    match text.len() <= 64 && text.bytes().all(plain) {
        true => Ok(text),
        false => {
            Err("is no prefix; expected up to 64 letters, digits, \"-\", \"_\", \".\" or \":\"".to_owned())
        }
    }
}
