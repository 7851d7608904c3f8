//! Connections to Redis: how they come about, and what the server on the other end can do.

use super::breaker::Trouble;
use super::names::Names;
use crate::config::{Redis, RedisServer};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates,
    Value,
};
use std::future::Future;
use std::time::Duration;

/// What a query takes: RESP3, and no time limit of the driver's own, because every call has ours.
const PROTOCOL: ProtocolVersion = ProtocolVersion::RESP3;

/// How this server lets a fleet learn by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It searches: Redis 8 vector sets.
    VectorSets,
    /// It tells each replica what the others admit, and each searches its own memory.
    Stream,
}

/// The connections to one server. Look-ups have one of their own, so that none stands behind a long
/// write.
pub struct Lines {
    pub read: MultiplexedConnection,
    pub write: MultiplexedConnection,
    pub meaning: Meaning,
}

/// Connects to whatever the config names. Costs nothing until it is asked to.
pub struct Dialler {
    server: RedisServer,
    login: RedisConnectionInfo,
    ca: Option<Vec<u8>>,
    limit: Duration,
    /// A name of ours in a cluster: all of them lie where this one does.
    tag: String,
}

impl Dialler {
    /// # Errors
    /// A certificate file that cannot be read.
    pub fn new(config: &Redis) -> std::io::Result<Dialler> {
        let db = match &config.server {
            RedisServer::Tcp { db, .. } | RedisServer::Unix { db, .. } | RedisServer::Sentinel { db, .. } => {
                *db
            }
            RedisServer::Cluster { .. } => 0,
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(db)
            .set_protocol(PROTOCOL)
            .set_lib_name("reprise", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &config.username {
            login = login.set_username(username);
        }
        if let Some(password) = &config.password {
            login = login.set_password(password.expose());
        }
        let ca = config.ca.as_ref().map(std::fs::read).transpose()?;
        let tag = Names::tagged(&config.prefix).secret();
        Ok(Dialler { server: config.server.clone(), login, ca, limit: config.connect_timeout, tag })
    }

    /// One connection, made within `redis.connect_timeout`.
    pub async fn dial(&self) -> Result<MultiplexedConnection, Trouble> {
        let address = match &self.server {
            RedisServer::Tcp { host, port, tls, .. } => tcp(host, *port, *tls),
            RedisServer::Unix { path, .. } => ConnectionAddr::Unix(path.clone()),
            RedisServer::Sentinel { sentinels, master, tls, .. } => {
                let (host, port) = self.master(sentinels, master, *tls).await?;
                tcp(&host, port, *tls)
            }
            RedisServer::Cluster { nodes, tls } => {
                let (host, port) = self.owner(nodes, *tls).await?;
                tcp(&host, port, *tls)
            }
        };
        self.connect(address, self.login.clone()).await
    }

    async fn connect(
        &self,
        address: ConnectionAddr,
        login: RedisConnectionInfo,
    ) -> Result<MultiplexedConnection, Trouble> {
        let connecting = async {
            let settings =
                AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
            let info: ConnectionInfo = address.into_connection_info()?.set_redis_settings(login);
            let certificates = TlsCertificates { client_tls: None, root_cert: self.ca.clone() };
            let client = match (info.addr(), &self.ca) {
                (ConnectionAddr::TcpTls { .. }, Some(_)) => Client::build_with_tls(info, certificates)?,
                _ => Client::open(info)?,
            };
            client.get_multiplexed_async_connection_with_config(&settings).await
        };
        within(self.limit, connecting).await.map_err(|trouble| match trouble {
            Trouble::Late => Trouble::Broken("no connection within redis.connect_timeout".to_owned()),
            other => other,
        })
    }

    /// The first sentinel that knows the master is believed; the connection's own probe finds out
    /// whether it is one.
    async fn master(
        &self,
        sentinels: &[(String, u16)],
        master: &str,
        tls: bool,
    ) -> Result<(String, u16), Trouble> {
        let login = RedisConnectionInfo::default().set_protocol(PROTOCOL).set_skip_set_lib_name();
        let mut last = Trouble::Broken("no sentinel answers".to_owned());
        for (host, port) in sentinels {
            let asked = async {
                let mut line = self.connect(tcp(host, *port, tls), login.clone()).await?;
                let mut call = redis::cmd("SENTINEL");
                call.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
                within(self.limit, call.query_async::<Option<(String, u16)>>(&mut line)).await
            };
            match asked.await {
                Ok(Some(address)) => return Ok(address),
                Ok(None) => last = Trouble::Broken(format!("no sentinel knows the master {master}")),
                Err(trouble) => last = trouble,
            }
        }
        Err(last)
    }
}

impl Dialler {
    /// The node that our names lie on, by the word of the first one that gives it. Where they have been moved since, that node
    /// says so to the first look-up, the breaker shuts, and the next connection asks again.
    async fn owner(&self, nodes: &[(String, u16)], tls: bool) -> Result<(String, u16), Trouble> {
        let mut last = Trouble::Broken("no node of the cluster answers".to_owned());
        for (host, port) in nodes {
            let asked = async {
                let mut line = self.connect(tcp(host, *port, tls), self.login.clone()).await?;
                let mut slot = redis::cmd("CLUSTER");
                slot.arg("KEYSLOT").arg(&self.tag);
                let slot = within(self.limit, slot.query_async::<i64>(&mut line)).await?;
                let mut slots = redis::cmd("CLUSTER");
                let slots = within(self.limit, slots.arg("SLOTS").query_async::<Value>(&mut line)).await?;
                Ok(owner_of(&slots, slot))
            };
            match asked.await {
                // A node that knows no name for itself is the one that was asked.
                Ok(Some((name, at))) if name.is_empty() => return Ok((host.clone(), at)),
                Ok(Some(owner)) => return Ok(owner),
                Ok(None) => last = Trouble::Broken("no node of the cluster has our slot".to_owned()),
                Err(Trouble::Refused(code)) => last = Trouble::Broken(refused_by_node(&code)),
                Err(trouble) => last = trouble,
            }
        }
        Err(last)
    }
}

fn refused_by_node(code: &str) -> String {
    match code {
        "ERR" => "it is no node of a Redis Cluster; write redis:// in redis.url".to_owned(),
        code => format!(
            "it answers CLUSTER with {code}; let redis.username use `CLUSTER KEYSLOT` and `CLUSTER SLOTS`"
        ),
    }
}

/// Of `CLUSTER SLOTS`, a list of ranges, each with its first and last slot and then its nodes, the master first: that
/// master's host, which may be empty, and port.
fn owner_of(slots: &Value, slot: i64) -> Option<(String, u16)> {
    let Value::Array(ranges) = slots else { return None };
    ranges.iter().find_map(|range| {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let host = Option::<String>::from_redis_value_ref(host).ok()?.unwrap_or_default();
        (*first..=*last).contains(&slot).then_some((host, u16::try_from(*port).ok()?))
    })
}

fn tcp(host: &str, port: u16, tls: bool) -> ConnectionAddr {
    match tls {
        true => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host.to_owned(), port),
    }
}

impl Dialler {
    /// Whether `line` leads to a server that can be used, which answers within `limit`.
    pub async fn examine(&self, line: &mut MultiplexedConnection, limit: Duration) -> Result<(), Trouble> {
        let hello = within(limit, redis::cmd("HELLO").query_async::<Value>(line)).await?;
        let clustered = matches!(self.server, RedisServer::Cluster { .. });
        match field(&hello, "mode").as_deref() {
            Some("cluster") if clustered => Ok(()),
            Some("cluster") => Err(Trouble::Broken(
                "it is a node of a Redis Cluster; write redis-cluster:// in redis.url".to_owned(),
            )),
            Some("standalone") | None => Ok(()),
            Some(other) => Err(Trouble::Broken(format!("it runs as {other}; name a Redis server"))),
        }
    }
}

/// What the server offers for comparison by meaning. One that lets this user use no vector sets
/// counts as one that has none.
pub async fn meaning_of(
    line: &mut MultiplexedConnection,
    set: &str,
    limit: Duration,
) -> Result<Meaning, Trouble> {
    match within(limit, redis::cmd("VCARD").arg(set).query_async::<Value>(line)).await {
        Ok(_) => Ok(Meaning::VectorSets),
        Err(Trouble::Refused(_)) => Ok(Meaning::Stream),
        Err(trouble) => Err(trouble),
    }
}

fn field(value: &Value, name: &str) -> Option<String> {
    let text = |value: &Value| String::from_redis_value_ref(value).ok();
    let Value::Map(fields) = value else { return None };
    fields.iter().find(|(key, _)| text(key).as_deref() == Some(name)).and_then(|(_, value)| text(value))
}

/// Waits for `work`, and no longer than `limit`.
pub async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, work).await {
        Err(_) => Err(Trouble::Late),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(trouble(&error)),
    }
}

/// A server's error keeps its code only: the text may quote what was sent.
pub fn trouble(error: &RedisError) -> Trouble {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(_) | ErrorKind::Extension, Some(code)) => Trouble::Refused(code.to_owned()),
        (ErrorKind::AuthenticationFailed, _) => {
            Trouble::Broken("it refuses redis.username and redis.password".to_owned())
        }
        (ErrorKind::Io, _) => Trouble::Broken(plain(error)),
        (ErrorKind::RESP3NotSupported, _) => {
            Trouble::Broken("it is older than Redis 6 and does not speak RESP3; upgrade it".to_owned())
        }
        (kind, _) => Trouble::Broken(format!("what it says cannot be understood ({kind:?})")),
    }
}

fn plain(error: &RedisError) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
