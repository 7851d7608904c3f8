//! Four stand-ins behind the whole server; one at a time turns bad under load.
//!
//! `scripts/chaos` runs it: half a minute to two minutes, so not among the other scenes.

use crate::world::World;
use futures_util::future::join_all;
use parking_lot::Mutex;
use reprise::config::{CacheMode, Config, Source};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const REQUESTS: usize = 10_000;
/// Before the first phase, and after each, so that breakers and latencies settle.
const AROUND: usize = 1_000;
const CLIENTS: usize = 64;
/// One answer in so many is a stream.
const STREAMS: usize = 4;
const THINKING: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    Errors,
    Limits,
    Hangs,
    Cuts,
    Slow,
    LiesLong,
    LiesShort,
}

const BAD: [Mood; 7] =
    [Mood::Errors, Mood::Limits, Mood::Hangs, Mood::Cuts, Mood::Slow, Mood::LiesLong, Mood::LiesShort];

/// How often each request was answered in full, by whichever stand-in: what a provider charges for.
type Charged = Arc<Mutex<HashMap<String, usize>>>;

#[derive(Clone)]
struct StandIn {
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicUsize>,
    charged: Charged,
    address: SocketAddr,
}

#[allow(clippy::disallowed_methods, reason = "the scene's own servers, not part of what is drained")]
async fn stand_in(charged: Charged) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let one = StandIn { mood: Arc::new(Mutex::new(Mood::Well)), calls: Arc::default(), charged, address };
    let serving = one.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let serving = serving.clone();
            tokio::spawn(async move { serving.serve(connection).await });
        }
    });
    one
}

impl StandIn {
    async fn serve(&self, mut connection: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let request = read_request(&mut connection, &mut buffer).await?;
            self.calls.fetch_add(1, Ordering::Relaxed);
            let mood = *self.mood.lock();
            let (id, stream) = (request["user"].as_str()?.to_owned(), request["stream"] == json!(true));
            let thinking = if mood == Mood::Slow { THINKING * 10 } else { THINKING };
            match mood {
                Mood::Errors => whole(&mut connection, 500, "{\"error\":{\"message\":\"no\"}}", 0).await?,
                Mood::Limits => whole(&mut connection, 429, "{\"error\":{\"message\":\"wait\"}}", 0).await?,
                Mood::Hangs => std::future::pending::<()>().await,
                _ => sleep(thinking).await,
            }
            let plain = completion(&id);
            let lie = match mood {
                Mood::Errors | Mood::Limits => continue,
                Mood::LiesLong => 40,
                Mood::LiesShort => -40,
                _ => 0,
            };
            if stream {
                events(&mut connection, &id, mood == Mood::Cuts).await?;
            } else if mood == Mood::Cuts {
                whole(&mut connection, 200, &plain[..plain.len() / 2], plain.len() as i64 / 2).await?;
            } else {
                whole(&mut connection, 200, &plain, lie).await?;
            }
            if mood == Mood::Cuts || lie != 0 {
                if stream && lie != 0 {
                    *self.charged.lock().entry(id).or_default() += 1;
                }
                return None;
            }
            *self.charged.lock().entry(id).or_default() += 1;
        }
    }
}

async fn read_request(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Value> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length: usize = head.split("content-length: ").nth(1)?.lines().next()?.trim().parse().ok()?;
            if buffer.len() >= end + 4 + length {
                let body = serde_json::from_slice(&buffer[end + 4..end + 4 + length]).ok()?;
                buffer.drain(..end + 4 + length);
                return Some(body);
            }
        }
        if connection.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// `lie`: how far the declared length is from the true one.
async fn whole(connection: &mut TcpStream, status: u16, body: &str, lie: i64) -> Option<()> {
    let length = body.len() as i64 + lie;
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(answer.as_bytes()).await.ok()
}

async fn events(connection: &mut TcpStream, id: &str, cut: bool) -> Option<()> {
    let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await.ok()?;
    for (at, finish) in [json!(null), json!(null), json!("stop")].into_iter().enumerate() {
        let event = json!({ "id": id, "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": { "content": id }, "finish_reason": finish }] });
        chunk(connection, &format!("data: {event}\n\n")).await?;
        if cut && at == 0 {
            return Some(());
        }
    }
    chunk(connection, "data: [DONE]\n\n").await?;
    connection.write_all(b"0\r\n\r\n").await.ok()
}

async fn chunk(connection: &mut TcpStream, text: &str) -> Option<()> {
    connection.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.ok()
}

fn completion(id: &str) -> String {
    json!({ "id": id, "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": id }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 } })
    .to_string()
}

struct Phase {
    failed: usize,
    p50: Duration,
    p99: Duration,
}

async fn phase(world: &World, http: &reqwest::Client, name: &str, requests: usize) -> Phase {
    let next = AtomicUsize::new(0);
    let client = async || {
        let mut took = Vec::new();
        let mut failed = 0;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                return (took, failed);
            }
            let id = format!("{name}-{number}");
            let began = Instant::now();
            match ask(world, http, &id, number.is_multiple_of(STREAMS)).await {
                true => took.push(began.elapsed()),
                false => failed += 1,
            }
        }
    };
    let all = join_all((0..CLIENTS).map(|_| client())).await;
    let failed = all.iter().map(|(_, failed)| failed).sum();
    let mut took: Vec<Duration> = all.into_iter().flat_map(|(took, _)| took).collect();
    took.sort();
    Phase { failed, p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
}

/// Whether the right answer came, whole, once.
async fn ask(world: &World, http: &reqwest::Client, id: &str, stream: bool) -> bool {
    let request = json!({ "model": "m", "user": id, "stream": stream, "messages": [{ "role": "user", "content": id }] });
    let sent = http.post(world.url("/v1/chat/completions")).body(request.to_string()).send();
    let Ok(response) = sent.await else { return false };
    let good = response.status() == 200;
    let Ok(body) = response.text().await else { return false };
    let contents = body.matches(&format!("\"content\":\"{id}\"")).count();
    let whole = if stream { contents == 3 && body.ends_with("data: [DONE]\n\n") } else { contents == 1 };
    good && whole
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes under load; scripts/chaos runs it"]
async fn one_of_four_turns_bad() {
    let charged = Charged::default();
    let stand_ins = join_all((0..4).map(|_| stand_in(charged.clone()))).await;
    let mut text = String::new();
    for (at, one) in stand_ins.iter().enumerate() {
        text += &format!(
            "[[upstream]]\nname = \"d{at}\"\nurl = \"http://{}\"\nfirst_byte_timeout = \"1s\"\n",
            one.address
        );
    }
    text += "[router]\nstrategy = \"latency\"\nbreaker.shut_for = \"3s\"\nbreaker.window = \"3s\"\n";
    let mut config = Config::read_text(&Source::default(), &text).unwrap();
    config.policy.mode = CacheMode::Off;
    let world = World::of(crate::world::upstream::Upstream::start().await, config).await;

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    phase(&world, &http, "warm", AROUND).await;
    let healthy = phase(&world, &http, "healthy", REQUESTS).await;
    println!("{:<10} {:>6} failed  p50 {:?}  p99 {:?}", "healthy", healthy.failed, healthy.p50, healthy.p99);
    assert_eq!(healthy.failed, 0);
    let mut wrong = Vec::new();
    for (at, mood) in BAD.into_iter().enumerate() {
        let bad = &stand_ins[at % 4];
        *bad.mood.lock() = mood;
        let before = bad.calls.load(Ordering::Relaxed);
        let name = format!("{mood:?}");
        let went = phase(&world, &http, &name, REQUESTS).await;
        let calls = bad.calls.load(Ordering::Relaxed) - before;
        println!(
            "{name:<10} {:>6} failed  p50 {:?}  p99 {:?}  {calls} calls to the bad one",
            went.failed, went.p50, went.p99
        );
        if went.failed * 1_000 > REQUESTS || went.p99 > 3 * healthy.p99 {
            wrong.push(name);
        }
        *bad.mood.lock() = Mood::Well;
        // Until its breaker has let it in again.
        sleep(Duration::from_secs(4)).await;
        phase(&world, &http, &format!("after-{mood:?}"), AROUND).await;
    }
    let twice = charged.lock().values().filter(|count| **count > 1).count();
    println!("{twice} requests answered in full more than once");
    assert!(wrong.is_empty() && twice == 0, "{wrong:?}, {twice} charged twice");
}
