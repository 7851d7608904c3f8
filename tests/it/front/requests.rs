//! Requests that are as they should be.

use super::*;
use futures_util::StreamExt;
use reprise::base::fault::Kind;

#[tokio::test]
async fn a_known_post_comes_whole_and_its_reply_declares_its_length() {
    let served = listen(
        |ask: Ask| async move {
            let AskBody::Whole(bytes) = ask.body else { panic!("the body flows") };
            assert_eq!(ask.headers.get_all("x-twice").iter().count(), 2);
            assert_eq!(ask.target.as_str(), "/v1/chat/completions?x=1");
            let mut headers = HeaderMap::new();
            headers.append("x-twice", "a".parse().unwrap());
            headers.append("x-twice", "b".parse().unwrap());
            headers.insert("content-length", "99".parse().unwrap());
            let pieces = vec![bytes.slice(..2), Bytes::new(), bytes.slice(2..)];
            Ok(Reply { status: StatusCode::CREATED, headers, body: ReplyBody::Whole(pieces) })
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    for _ in 0..2 {
        client
            .send("POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: h\r\nx-twice: 1\r\nx-twice: 2\r\n")
            .await;
        client.send("transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n").await;
        client.send("2\r\nlo\r\n0\r\n\r\n").await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("http/1.1 201"), "{head}");
        assert!(head.contains("content-length: 5\r\n") && head.matches("content-length").count() == 1);
        assert!(head.contains("x-twice: a\r\nx-twice: b\r\n"), "{head}");
        assert_eq!(body, "hello");
    }
}

#[tokio::test]
async fn other_bodies_flow_both_ways_as_they_come() {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let served = listen(
        move |ask: Ask| {
            let heard = heard.clone();
            async move {
                let AskBody::Flow(chunks) = ask.body else { panic!("the body was held back") };
                Ok(flow(Box::pin(chunks.map(move |chunk| {
                    heard.send(chunk.as_ref().unwrap().clone()).unwrap();
                    chunk
                }))))
            }
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    client.send("PUT /v1/files HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert!(client.head().await.contains("transfer-encoding: chunked"));
    for word in ["one", "two"] {
        client.send(format!("3\r\n{word}\r\n")).await;
        assert_eq!(hears.recv().await.unwrap(), word);
        assert_eq!(client.until(&format!("{word}\r\n")).await, format!("3\r\n{word}\r\n"));
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.until("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_the_reply_back() {
    let (made, mut makes) = mpsc::unbounded_channel();
    let served = piped(
        move |_| {
            let made = made.clone();
            async move {
                let chunks = stream::repeat_with(move || {
                    made.send(()).unwrap();
                    Ok(Bytes::from_static(&[b'x'; 1_000]))
                });
                Ok(flow(Box::pin(chunks)))
            }
        },
        limits(),
    );
    let mut client = served.connect();
    client.send(get("/")).await;
    // The clock only moves once everybody waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut count = 0;
    while makes.try_recv().is_ok() {
        count += 1;
    }
    assert!((1..=64).contains(&count), "{count} chunks of 1,000 bytes made for nobody");
}

#[tokio::test]
async fn a_head_request_gets_the_length_and_no_body() {
    let served = listen(
        |ask: Ask| async move {
            assert_eq!(ask.method, "HEAD");
            let mut reply = flow(Box::pin(stream::empty()));
            reply.headers.insert("content-length", "1234".parse().unwrap());
            Ok(reply)
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send("HEAD /v1/models HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert!(client.head().await.contains("content-length: 1234\r\n"));
    }
}

#[tokio::test]
async fn a_flow_of_known_length_is_not_chunked() {
    let served = listen(
        |_| async move {
            let chunks = [Ok(Bytes::from("abc")), Ok(Bytes::from("de"))];
            let mut reply = flow(Box::pin(stream::iter(chunks)));
            reply.headers.insert("content-length", "5".parse().unwrap());
            Ok(reply)
        },
        limits(),
    )
    .await;
    let mut client = served.connect().await;
    client.send(get("/")).await;
    let (head, body) = client.answer().await;
    assert!(!head.contains("chunked"), "{head}");
    assert_eq!(body, "abcde");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_when_its_body_is_wanted() {
    let served = listen(echo, limits()).await;
    let mut client = served.connect().await;
    let head = |length| {
        format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    client.send(head(2)).await;
    assert!(client.head().await.starts_with("http/1.1 100"));
    client.send("{}").await;
    assert_eq!(client.answer().await.1, "{}");

    client.send(head(1_001)).await;
    assert!(client.head().await.starts_with("http/1.1 413"), "an unwanted body was asked for");
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_order_and_old_clients_too() {
    let served = listen(echo, limits()).await;
    let mut client = served.connect().await;
    client.send([get("/a"), post(CHAT, "b"), get("/c")].concat()).await;
    for body in ["/a", "b", "/c"] {
        assert_eq!(client.answer().await.1, body);
    }
    let mut old = served.connect().await;
    old.send("GET /old HTTP/1.0\r\n\r\n").await;
    assert!(old.rest().await.ends_with("\r\n\r\n/old"));
}

#[tokio::test]
async fn every_fault_has_its_status_and_the_dialects_body() {
    let faults = [
        (Kind::InvalidHeader, 400),
        (Kind::InvalidRequest, 400),
        (Kind::BodyTooLarge, 413),
        (Kind::RequestTimeout, 408),
        (Kind::OnlyIfCached, 504),
        (Kind::UpstreamUnreachable, 502),
        (Kind::UpstreamTimeout, 504),
        (Kind::UpstreamBroke, 502),
        (Kind::Draining, 503),
        (Kind::Overloaded, 503),
        (Kind::Internal, 500),
    ];
    for (kind, status) in faults {
        let served = listen(
            move |_| async move { Err(Fault::new(kind, "say so").retry_after(Duration::from_millis(1_200))) },
            limits(),
        )
        .await;
        let mut client = served.connect().await;
        for (path, message) in
            [(CHAT, "/error/message"), ("/v1/messages", "/error/message"), ("/x", "/error/message")]
        {
            client.send(post(path, "{}")).await;
            let (head, body) = client.answer().await;
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{kind:?}: {head}");
            assert_eq!(field(&head, "retry-after"), Some("2"));
            assert_eq!(field(&head, "content-type"), Some("application/json"));
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body.pointer(message).unwrap(), "say so");
            assert_eq!(body.pointer("/error/code").unwrap(), kind.code());
            assert_eq!(body.get("type").is_some(), path == "/v1/messages", "the wrong dialect: {body}");
        }
    }
}
