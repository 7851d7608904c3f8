//! Clients that are slow, broken, hostile or gone.

use super::*;
use reprise::base::fault::Kind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_declared_or_not() {
    let served = listen(echo, limits()).await;
    let large = "x".repeat(1_001);
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1f4\r\n{}\r\n1f5\r\n{}\r\n0\r\n\r\n",
        "x".repeat(500),
        "x".repeat(501)
    );
    for request in [post(CHAT, &large), chunked] {
        let mut client = served.connect().await;
        client.send(request).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("http/1.1 413"), "{head}");
        assert!(body.contains("body_too_large") && body.contains("server.max_body"), "{body}");
    }
    let mut client = served.connect().await;
    client.send(post(CHAT, &large[1..])).await;
    assert_eq!(client.answer().await.1.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_a_408() {
    let served = piped(echo, limits());
    let mut client = served.connect();
    let began = Instant::now();
    client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n{{")).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("http/1.1 408") && body.contains("request_timeout"), "{head}{body}");
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(client.rest().await, "", "the connection stays open");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dribbles_in_ends_the_connection_in_time() {
    let served = piped(echo, limits());
    let (mut dribbling, mut idle) = (served.connect(), served.connect());
    idle.send(get("/first")).await;
    assert_eq!(idle.answer().await.1, "/first");
    let began = Instant::now();
    dribbling.send("GET / HTTP/1.1\r\n").await;
    let mut sent = 0;
    while dribbling.io.write_all(b"a: b\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sent += 1;
        assert!(sent < 40, "kept for ever");
    }
    assert!((29..=32).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(idle.rest().await, "", "an idle connection is kept for ever");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_harms_nobody_else() {
    let served = listen(echo, limits()).await;
    let huge = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "y".repeat(9_000));
    let endless = format!("GET /{} ", "z".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(200));
    let cases: [(&str, &[&str]); 10] = [
        ("\0\u{1}\u{2} nonsense\r\n\r\n", &["400"]),
        ("GET\r\n\r\n", &["400"]),
        ("GET / HTTP/9.9\r\n\r\n", &["400", "505"]),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", &["400"]),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", &["400"]),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n", &["400"]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["400", "505", ""]),
        (&huge, &["431"]),
        (&endless, &["414", "431"]),
        (&many, &["431"]),
    ];
    for (request, statuses) in cases {
        let mut client = served.connect().await;
        let _ = client.io.write_all(request.as_bytes()).await;
        let answer = client.rest().await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{:?}: {answer:?}", &request[..request.len().min(60)]);
    }
    let mut broken = served.connect().await;
    broken.send(format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")).await;
    let (head, body) = broken.answer().await;
    assert!(head.starts_with("http/1.1 400") && body.contains("invalid_request"), "{head}{body}");

    let mut after = served.connect().await;
    after.send(get("/alive")).await;
    assert_eq!(after.answer().await.1, "/alive");
}

#[tokio::test]
async fn tunnels_are_refused_in_words_and_other_upgrades_are_left_unanswered() {
    let served = listen(echo, limits()).await;
    for request in [
        "GET /v1/realtime HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n",
    ] {
        let mut client = served.connect().await;
        client.send(request).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("http/1.1 501") && body.contains("upgrade_not_supported"), "{head}{body}");
        assert_eq!(client.rest().await, "");
    }
    let mut java = served.connect().await;
    java.send("GET /v1/models HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings\r\n").await;
    java.send("upgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n\r\n").await;
    assert_eq!(java.answer().await.1, "/v1/models");
}

/// Tells when it is dropped.
struct Farewell(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_work_along() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let served = listen(
        move |ask: Ask| {
            let (told, begun) = (told.clone(), begun.clone());
            async move {
                if ask.target.path() == "/waiting" {
                    let _farewell = Farewell(told, "service");
                    begun.send(()).unwrap();
                    return std::future::pending().await;
                }
                let farewell = Farewell(told, "body");
                let first = stream::iter([Ok(Bytes::from("first"))]);
                let never = stream::unfold(farewell, |_farewell| std::future::pending());
                Ok(flow(Box::pin(futures_util::StreamExt::chain(first, never))))
            }
        },
        limits(),
    )
    .await;
    let mut reading = served.connect().await;
    reading.send(get("/stream")).await;
    reading.until("first").await;
    drop(reading);
    assert_eq!(tells.recv().await, Some("body"));

    let mut waiting = served.connect().await;
    waiting.send(get("/waiting")).await;
    begins.recv().await.unwrap();
    drop(waiting);
    assert_eq!(tells.recv().await, Some("service"));
}

#[tokio::test]
async fn a_reply_that_breaks_looks_cut_not_ended() {
    let served = listen(
        |_| async move {
            let chunks = [
                Ok(Bytes::from("some")),
                Err(Fault::new(Kind::UpstreamBroke, "gone")),
                Ok(Bytes::from("more")),
            ];
            Ok(flow(Box::pin(stream::iter(chunks))))
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    client.send(get("/")).await;
    let all = client.rest().await;
    assert!(!all.contains("0\r\n\r\n") && !all.contains("more"), "{all}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_goes_on() {
    let served = listen(
        |ask: Ask| async move {
            assert_ne!(ask.target.path(), "/panic", "on purpose");
            echo(ask).await
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    client.send(get("/panic")).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("http/1.1 500") && body.contains("internal"), "{head}{body}");
    client.send(get("/fine")).await;
    assert_eq!(client.answer().await.1, "/fine");
}

/// A listener whose process has no file descriptor left, a few times over.
struct OutOfFiles {
    tries: Arc<AtomicUsize>,
    pipe: Option<DuplexStream>,
}

impl Accept for OutOfFiles {
    type Accepted = DuplexStream;
    type Connection = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        const EMFILE: i32 = 24;
        if self.tries.fetch_add(1, Ordering::Relaxed) < 5 {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        match self.pipe.take() {
            Some(pipe) => Ok((pipe, None)),
            None => std::future::pending().await,
        }
    }

    fn open(accepted: DuplexStream) -> io::Result<DuplexStream> {
        Ok(accepted)
    }
}

#[tokio::test(start_paused = true)]
async fn without_file_descriptors_it_waits_and_then_goes_on() {
    let tries = Arc::new(AtomicUsize::new(0));
    let (ours, theirs) = tokio::io::duplex(1_024);
    let began = Instant::now();
    let listener = OutOfFiles { tries: tries.clone(), pipe: Some(theirs) };
    let _served = Served::run((), listener, echo, limits());
    let mut client = Raw::new(ours);
    client.send(get("/late")).await;
    assert_eq!(client.answer().await.1, "/late");
    // 10 + 20 + 40 + 80 + 160 ms.
    assert!((310..400).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}
