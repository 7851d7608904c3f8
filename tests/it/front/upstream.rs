//! Upstreams that are as they should be, and those that lie, cut, stall, refuse and babble.

use super::*;
use futures_util::StreamExt;
use http::Method;
use reprise::base::fault::Kind;
use reprise::base::secret::Secret;
use reprise::config;
use reprise::upstream::{Incoming, Outgoing, OutgoingBody, Upstream};
use reprise::wire::content_length;

/// An upstream whose every byte the scene writes itself.
struct Stage {
    listener: TcpListener,
    config: config::Upstream,
}

impl Stage {
    async fn set() -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = at(format!("http://{}", listener.local_addr().unwrap()));
        Stage { listener, config }
    }

    fn upstream(&self) -> Upstream {
        alone(self.config.clone())
    }

    async fn connection(&self) -> Raw<TcpStream> {
        Raw::new(self.listener.accept().await.unwrap().0)
    }

    /// Sends a plain request that is answered with `bytes`, and a close.
    async fn says(&self, bytes: &str) -> Result<Incoming, Fault> {
        let answering = async {
            let mut connection = self.connection().await;
            connection.head().await;
            connection.send(bytes).await;
        };
        let upstream = self.upstream();
        tokio::join!(upstream.send(outgoing("GET", "/v1/models")), answering).0
    }
}

fn of(upstreams: Vec<config::Upstream>) -> Upstream {
    let config = config::Config { upstreams, ..config::Config::default() };
    Upstream::new(&config, &Default::default()).unwrap()
}

fn alone(upstream: config::Upstream) -> Upstream {
    of(vec![upstream])
}

fn at(url: String) -> config::Upstream {
    config::Upstream {
        name: "stage".into(),
        url,
        api: config::Api::default(),
        key: None,
        connect_timeout: Duration::from_secs(500),
        first_byte_timeout: Duration::from_secs(300),
        idle_timeout: Duration::from_secs(120),
        total_timeout: None,
        region: None,
    }
}

fn outgoing(method: &str, target: &str) -> Outgoing {
    Outgoing {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: target.parse().unwrap(),
        headers: HeaderMap::new(),
        body: OutgoingBody::Whole(Bytes::new()),
    }
}

fn kind(sent: Result<Incoming, Fault>) -> Kind {
    match sent {
        Ok(incoming) => panic!("answered {}", incoming.status),
        Err(fault) => fault.kind,
    }
}

/// The body as far as it came, and how it ended.
async fn read(incoming: Incoming) -> (String, Option<Fault>) {
    let (mut text, mut body) = (String::new(), incoming.body);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Err(fault) => {
                assert!(body.next().await.is_none(), "something after the fault");
                return (text, Some(fault));
            }
        }
    }
    (text, None)
}

#[tokio::test]
async fn bytes_pass_unchanged_and_hop_by_hop_headers_do_not() {
    let mut stage = Stage::set().await;
    stage.config.url.push_str("/openai/v1");
    let mut request = outgoing("POST", "/v1/chat/completions?x=%20y");
    request.body = OutgoingBody::Whole(" {\"model\" : 1}\n".into());
    for (name, value) in [
        ("host", "proxy:8080"),
        ("authorization", "Bearer theirs"),
        ("accept-encoding", "br, zstd"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("content-length", "99"),
        ("x-reprise-cache", "off"),
        ("accept", "application/json"),
    ] {
        request.headers.append(name, value.parse().unwrap());
    }
    let upstream = stage.upstream();
    let answering = async {
        let mut connection = stage.connection().await;
        let head = connection.head().await;
        assert!(head.starts_with("post /openai/v1/chat/completions?x=%20y http/1.1\r\n"), "{head}");
        let mut lines: Vec<&str> = head.trim_end().lines().skip(1).collect();
        lines.sort_unstable();
        let host = format!("host: {}", stage.listener.local_addr().unwrap());
        let mut expected = vec![
            "accept-encoding: br, zstd",
            "accept: application/json",
            "authorization: bearer theirs",
            "content-length: 15",
            &host,
            "x-twice: 1",
            "x-twice: 2",
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(connection.take(15).await, " {\"model\" : 1}\n");
        connection
            .send(
                "HTTP/1.1 302 Found\r\nlocation: /else\r\nset-cookie: a\r\nset-cookie: b\r\nkeep-alive: timeout=5\r\n\
                 connection: keep-alive, x-gone\r\nx-gone: 1\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
            )
            .await;
        connection
    };
    let (sent, _connection) = tokio::join!(upstream.send(request), answering);
    let incoming = sent.unwrap();
    assert_eq!((incoming.status.as_u16(), &*incoming.way.deployment), (302, "stage"));
    let mut names: Vec<&str> = incoming.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-encoding", "content-length", "location", "set-cookie", "set-cookie"]);
    assert_eq!(read(incoming).await.0, "nope", "a body was decoded, or a redirect followed");
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let answering = async {
        let mut connection = stage.connection().await;
        for (line, length) in [("get /a ", None), ("post /b ", Some("0")), ("delete /c ", None)] {
            let head = connection.head().await;
            assert!(head.starts_with(line), "{head}");
            assert_eq!(field(&head, "content-length"), length, "{head}");
            assert_eq!(field(&head, "accept"), None, "{head}");
            connection.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    };
    let asking = async {
        for (method, target) in [("GET", "/a"), ("POST", "/b"), ("DELETE", "/c")] {
            let incoming = upstream.send(outgoing(method, target)).await.unwrap();
            assert_eq!(read(incoming).await.0, "");
        }
    };
    tokio::join!(asking, answering);
}

#[tokio::test]
async fn an_answer_in_chunks_gives_its_connection_back() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let answering = async {
        let mut connection = stage.connection().await;
        for _ in 0..3 {
            connection.head().await;
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").await;
            connection.send("1\r\nc\r\n0\r\n\r\n").await;
        }
    };
    let asking = async {
        for _ in 0..3 {
            let incoming = upstream.send(outgoing("GET", "/a")).await.unwrap();
            assert_eq!(read(incoming).await.0, "abc");
        }
    };
    tokio::join!(asking, answering);
}

#[tokio::test]
async fn bodies_flow_both_ways_as_they_come() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let (client, chunks) = channel();
    let mut request = outgoing("PUT", "/v1/files");
    request.body = OutgoingBody::Flow(chunks);
    let (mut connection, sent) = tokio::join!(
        async {
            let mut connection = stage.connection().await;
            assert!(connection.head().await.contains("transfer-encoding: chunked\r\n"));
            client.send(Ok("one".into())).unwrap();
            assert_eq!(connection.until("one\r\n").await, "3\r\none\r\n");
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
            connection
        },
        upstream.send(request)
    );
    let mut incoming = sent.unwrap();
    assert!(incoming.headers.is_empty(), "{:?}", incoming.headers);
    assert_eq!(incoming.body.next().await.unwrap().unwrap(), "a");
    client.send(Ok("two".into())).unwrap();
    assert_eq!(connection.until("two\r\n").await, "3\r\ntwo\r\n");
    connection.send("1\r\nb\r\n0\r\nx-trailer: 1\r\n\r\n").await;
    assert_eq!(incoming.body.next().await.unwrap().unwrap(), "b");
    assert!(incoming.body.next().await.is_none());
}

#[tokio::test]
async fn a_flow_of_declared_length_keeps_it() {
    let stage = Stage::set().await;
    let mut request = outgoing("PUT", "/v1/files");
    request.headers.insert("content-length", "6".parse().unwrap());
    request.body = OutgoingBody::Flow(Box::pin(stream::iter([Ok("one".into()), Ok("two".into())])));
    let answering = async {
        let mut connection = stage.connection().await;
        let head = connection.head().await;
        assert!(head.contains("content-length: 6\r\n") && !head.contains("chunked"), "{head}");
        assert_eq!(connection.take(6).await, "onetwo");
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    };
    let (sent, ()) = tokio::join!(async { stage.upstream().send(request).await }, answering);
    assert_eq!(sent.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_the_upstreams_fault() {
    let stage = Stage::set().await;
    let mut request = outgoing("PUT", "/v1/files");
    let chunks = [Ok("one".into()), Err(Fault::new(Kind::RequestTimeout, "too slow"))];
    request.body = OutgoingBody::Flow(Box::pin(stream::iter(chunks)));
    let (sent, seen) = tokio::join!(async { stage.upstream().send(request).await }, async {
        stage.connection().await.rest().await
    });
    assert_eq!(kind(sent), Kind::RequestTimeout);
    assert!(!seen.ends_with("0\r\n\r\n"), "the upstream took it for whole: {seen}");
}

#[tokio::test]
async fn our_key_replaces_the_clients() {
    let mut stage = Stage::set().await;
    stage.config.key = Some(Secret::new("sk-ours".into()));
    let mut request = outgoing("GET", "/v1/models");
    request.headers.insert("x-api-key", "theirs".parse().unwrap());
    let answering = async {
        let mut connection = stage.connection().await;
        let head = connection.head().await;
        assert!(head.contains("x-api-key: sk-ours\r\n") && !head.contains("theirs"), "{head}");
        connection.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\nwhy").await;
    };
    let (sent, ()) = tokio::join!(async { stage.upstream().send(request).await }, answering);
    let incoming = sent.unwrap();
    assert_eq!((incoming.status.as_u16(), content_length(&incoming.headers)), (401, Some(3)));
    assert_eq!(read(incoming).await.0, "why");
}

#[tokio::test]
async fn one_that_is_away_is_unreachable_and_said_so_without_a_secret() {
    let mut stage = Stage::set().await;
    stage.config.key = Some(Secret::new("sk-ours".into()));
    let upstream = stage.upstream();
    drop(stage);
    let Err(fault) = upstream.send(outgoing("GET", "/v1/models?key=hunter2")).await else {
        panic!("answered")
    };
    assert_eq!(fault.kind, Kind::UpstreamUnreachable);
    assert!(fault.message.contains("stage") && fault.message.contains("refused"), "{fault}");
    let all = format!("{fault:?}");
    assert!(!all.contains("hunter2") && !all.contains("sk-ours"), "{all}");
    assert_eq!(kind(of(Vec::new()).send(outgoing("GET", "/")).await), Kind::UpstreamUnreachable);
}

#[tokio::test]
async fn one_that_babbles_or_hangs_up_broke() {
    let stage = Stage::set().await;
    for bytes in
        ["", "HTTP/1.1 200", "<html>hello</html>\r\n\r\n", "\0\u{1}\u{2}", "HTTP/1.1 999999 ?\r\n\r\n"]
    {
        assert_eq!(kind(stage.says(bytes).await), Kind::UpstreamBroke, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_body_that_stops_short_is_broken_not_whole() {
    let stage = Stage::set().await;
    for (head, body) in [
        ("content-length: 9\r\n\r\n", "short"),
        ("transfer-encoding: chunked\r\n\r\n", "5\r\nshort\r\n"),
        ("transfer-encoding: chunked\r\n\r\n", "5\r\nshort\r\nzz\r\n"),
    ] {
        let incoming = stage.says(&format!("HTTP/1.1 200 OK\r\n{head}{body}")).await.unwrap();
        let (text, fault) = read(incoming).await;
        assert_eq!(text, "short");
        let fault = fault.unwrap_or_else(|| panic!("{head}{body} was taken for whole"));
        assert_eq!(fault.kind, Kind::UpstreamBroke);
    }
    // More than declared belongs to nobody; no length at all ends with the connection.
    for bytes in ["content-length: 5\r\n\r\nshorter", "\r\nshort"] {
        let incoming = stage.says(&format!("HTTP/1.1 200 OK\r\n{bytes}")).await.unwrap();
        let (text, fault) = read(incoming).await;
        assert_eq!((text.as_str(), fault.is_none()), ("short", true), "{bytes:?}");
    }
}

#[tokio::test]
async fn one_that_stalls_before_its_answer_is_late() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let stalling = async {
        let mut connection = stage.connection().await;
        connection.head().await;
        // From here on the clock runs to the next limit as soon as everybody waits.
        tokio::time::pause();
        connection
    };
    let (sent, _connection) = tokio::join!(upstream.send(outgoing("GET", "/")), stalling);
    let Err(fault) = sent else { panic!("answered") };
    assert_eq!(fault.kind, Kind::UpstreamTimeout);
    assert!(fault.message.contains("5m") && fault.message.contains("first_byte_timeout"), "{fault}");
}

#[tokio::test]
async fn a_slow_upload_is_not_a_late_answer() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let mut request = outgoing("PUT", "/v1/files");
    // Ten chunks, 200 s apart, where the limit is 300 s from the last of them.
    request.body = OutgoingBody::Flow(Box::pin(stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_secs(200)).await;
        (sent < 10).then(|| (Ok(Bytes::from("x")), sent + 1))
    })));
    let answering = async {
        let mut connection = stage.connection().await;
        connection.head().await;
        tokio::time::pause();
        let body = connection.until("0\r\n\r\n").await;
        tokio::time::resume();
        assert_eq!(body.matches("1\r\nx\r\n").count(), 10);
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    };
    let (sent, ()) = tokio::join!(upstream.send(request), answering);
    assert_eq!(sent.unwrap().status, 200);
}

#[tokio::test]
async fn one_that_stalls_in_its_answer_is_late_but_a_slow_reader_is_not_to_blame() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let answering = async {
        let mut connection = stage.connection().await;
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome").await;
        connection
    };
    let (sent, mut connection) = tokio::join!(upstream.send(outgoing("GET", "/")), answering);
    let mut body = sent.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "some");
    // Waits for a moment, so that the limit runs; then the chunk comes, and nobody reads for an hour.
    assert!(futures_util::poll!(body.next()).is_pending());
    connection.send("more").await;
    assert_eq!(body.next().await.unwrap().unwrap(), "more");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let began = tokio::time::Instant::now();
    let fault = body.next().await.unwrap().unwrap_err();
    assert_eq!(fault.kind, Kind::UpstreamTimeout);
    assert!(fault.message.contains("2m") && fault.message.contains("idle_timeout"), "{fault}");
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test]
async fn dropping_the_answer_hangs_up() {
    let stage = Stage::set().await;
    let upstream = stage.upstream();
    let answering = async {
        let mut connection = stage.connection().await;
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome").await;
        connection
    };
    let (sent, mut connection) = tokio::join!(upstream.send(outgoing("GET", "/")), answering);
    drop(sent.unwrap());
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn one_that_takes_no_connection_is_unreachable_in_time() {
    // A queue of one, already full: the kernel lets every further connection wait.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _queued = TcpStream::connect(address).await.unwrap();
    let upstream = alone(config::Upstream {
        connect_timeout: Duration::from_secs(5),
        ..at(format!("http://{address}"))
    });
    tokio::time::pause();
    let Err(fault) = upstream.send(outgoing("GET", "/")).await else { panic!("answered") };
    assert_eq!(fault.kind, Kind::UpstreamUnreachable);
    assert!(fault.message.contains("5s") && fault.message.contains("connect_timeout"), "{fault}");
}
