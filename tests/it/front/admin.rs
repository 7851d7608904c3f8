//! The admin side.

use super::*;
use reprise::base::secret::Secret;
use reprise::http::admin::{Admin, Readiness};

async fn admin(token: Option<&str>, readiness: Readiness) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Admin::new(
        token.map(|token| Secret::new(token.into())),
        move || readiness.clone(),
        || "# EOF\n".to_owned(),
    );
    let stop = CancellationToken::new();
    let stopping = stop.clone().cancelled_owned();
    let tasks = Tasks::new();
    tasks.clone().spawn(async move {
        let drain = Duration::from_secs(1);
        admin.run(listener, address, &limits(), drain, &tasks, stopping).await.unwrap();
    });
    (address, stop.drop_guard())
}

async fn ask(address: SocketAddr, path: &str, authorization: &str) -> (String, String) {
    let mut client = Raw::new(TcpStream::connect(address).await.unwrap());
    client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: {authorization}\r\n\r\n")).await;
    client.answer().await
}

#[tokio::test]
async fn health_is_open_and_the_rest_asks_for_the_token() {
    let (address, _stop) = admin(Some("s3cret"), Readiness::Ready).await;
    for path in ["/healthz", "/readyz"] {
        assert!(ask(address, path, "").await.0.starts_with("http/1.1 200"), "{path}");
    }
    for path in ["/metrics", "/api/entries", "/"] {
        for wrong in ["", "Bearer ", "Bearer s3cre", "Bearer s3cret1", "Basic s3cret", "s3cret"] {
            assert!(ask(address, path, wrong).await.0.starts_with("http/1.1 401"), "{path} with {wrong:?}");
        }
    }
    let (head, body) = ask(address, "/metrics", "bearer s3cret").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("openmetrics"), "{head}");
    assert_eq!(body, "# EOF\n");
    assert!(ask(address, "/nothing", "Bearer s3cret").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn not_ready_is_a_503_with_its_reasons() {
    let reasons = vec!["draining".to_owned(), "the model is loading".to_owned()];
    let (address, _stop) = admin(None, Readiness::NotReady(reasons)).await;
    let (head, body) = ask(address, "/readyz", "").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, serde_json::json!({"ready": false, "reasons": ["draining", "the model is loading"]}));
    assert!(ask(address, "/healthz", "").await.0.starts_with("http/1.1 200"));
    assert!(ask(address, "/metrics", "").await.0.starts_with("http/1.1 200"), "a token where there is none");
}

#[tokio::test]
async fn beyond_loopback_it_needs_a_token() {
    for (address, token, serves) in [
        ("0.0.0.0:9090", None, false),
        ("[::]:9090", None, false),
        ("10.0.0.1:9090", None, false),
        ("0.0.0.0:9090", Some("t"), true),
        ("127.0.0.1:9090", None, true),
        ("[::1]:9090", None, true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = Admin::new(token.map(|t: &str| Secret::new(t.into())), || Readiness::Ready, String::new);
        let (stop, limits, tasks) = (std::future::ready(()), limits(), Tasks::new());
        let ran = admin.run(listener, address.parse().unwrap(), &limits, Duration::ZERO, &tasks, stop).await;
        assert_eq!(ran.is_ok(), serves, "{address} with {token:?}");
    }
}
