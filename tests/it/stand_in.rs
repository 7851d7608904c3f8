//! The stand-in, asked over the wire.

use reprise::cli::stand_in::settings::{ENCODING_HEADER, FAULT_HEADER, LATENCY_HEADER};
use reprise::cli::stand_in::{Answers, Settings, StandIn, tokens};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

struct Scene {
    stand_in: StandIn,
    client: Client,
}

impl Scene {
    async fn start(settings: Settings) -> Scene {
        // A second install fails, and that is fine: the first one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        Scene { stand_in: StandIn::start(settings).await.unwrap(), client }
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.stand_in.url())).body(body.to_string())
    }

    async fn ask(&self, body: &Value) -> Value {
        read(self.post("/v1/chat/completions", body).send().await.unwrap()).await
    }

    async fn events(&self, path: &str, body: &Value) -> Vec<Value> {
        let text = self.post(path, body).send().await.unwrap().text().await.unwrap();
        events_of(&text)
    }

    async fn bad(&self, fault: &str, stream: bool) -> reqwest::Result<Response> {
        self.post("/v1/chat/completions", &chat("Hello?", json!({"stream": stream})))
            .header(FAULT_HEADER, fault)
            .send()
            .await
    }
}

async fn read(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// The events' data, `[DONE]` as a string.
fn events_of(text: &str) -> Vec<Value> {
    let data = text
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| event.strip_prefix("data: ").unwrap());
    data.map(|data| if data == "[DONE]" { json!(data) } else { serde_json::from_str(data).unwrap() })
        .collect()
}

fn chat(question: &str, more: Value) -> Value {
    let mut body = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": question}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn a_plain_answer_repeats_the_question_and_counts_by_the_rule() {
    let scene = Scene::start(Settings::default()).await;
    let question = "How do I change my e-mail address?";
    let first = scene.ask(&chat(question, json!({}))).await;
    let text = first["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains(question));
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
    let prompt = tokens::count(question) + tokens::PER_MESSAGE + tokens::PER_PROMPT;
    assert_eq!(first["usage"]["prompt_tokens"], prompt);
    assert_eq!(first["usage"]["completion_tokens"], tokens::count(text));
    assert_eq!(first["usage"]["total_tokens"], prompt + tokens::count(text));
    assert_eq!(first, scene.ask(&chat(question, json!({}))).await, "the same request gets the same answer");
    let stats = scene.stand_in.stats();
    assert_eq!((stats.calls, stats.prompt_tokens), (2, 2 * prompt));
    assert_ne!(first["id"], scene.ask(&chat("Another one", json!({}))).await["id"]);
}

#[tokio::test]
async fn a_stream_says_what_the_plain_answer_says() {
    let scene = Scene::start(Settings::default()).await;
    let question = "환불은 언제 되나요?";
    let plain = scene.ask(&chat(question, json!({}))).await;
    let asked = chat(question, json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = scene.events("/v1/chat/completions", &asked).await;
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(
        joined(&events, "/choices/0/delta/content"),
        plain["choices"][0]["message"]["content"].as_str().unwrap()
    );
    let [.., finish, usage, done] = &events[..] else { panic!("too few events") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!((&usage["usage"], &usage["choices"]), (&plain["usage"], &json!([])));
    assert_eq!(done, "[DONE]");
    assert_eq!(events.len() as u64, plain["usage"]["completion_tokens"].as_u64().unwrap() + 4);
    assert!(events[..events.len() - 1].iter().all(|event| event["id"] == plain["id"]));

    let quiet = scene.events("/v1/chat/completions", &chat(question, json!({"stream": true}))).await;
    assert!(quiet.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn choices_logprobs_reasoning_and_caps_survive_both_ways() {
    let scene = Scene::start(Settings::default()).await;
    let more =
        json!({"n": 2, "logprobs": true, "top_logprobs": 2, "reasoning_effort": "low", "max_tokens": 9});
    let asked = chat("Which plan suits me?", more);
    let plain = scene.ask(&asked).await;
    let mut streamed = asked.clone();
    streamed["stream"] = json!(true);
    let events = scene.events("/v1/chat/completions", &streamed).await;
    for index in 0..2 {
        let whole = &plain["choices"][index];
        let pieces: Vec<Value> = events
            .iter()
            .filter(|event| event["choices"][0]["index"] == index)
            .map(|event| event["choices"][0].clone())
            .collect();
        let text = joined(&pieces, "/delta/content");
        assert_eq!(whole["message"]["content"], text);
        assert_eq!(whole["message"]["reasoning_content"], joined(&pieces, "/delta/reasoning_content"));
        assert_eq!((whole["finish_reason"].clone(), tokens::count(&text)), (json!("length"), 9));
        let told: Vec<Value> = pieces
            .iter()
            .filter_map(|piece| Some(piece["logprobs"]["content"].as_array()?.clone()))
            .flatten()
            .collect();
        assert_eq!(whole["logprobs"]["content"], json!(told));
        assert_eq!(told[0]["top_logprobs"].as_array().unwrap().len(), 2);
    }
    let uncapped = scene.ask(&chat("Which plan suits me?", json!({"n": 2}))).await;
    assert_ne!(uncapped["choices"][0]["message"]["content"], uncapped["choices"][1]["message"]["content"]);
}

#[tokio::test]
async fn a_tool_is_called_when_the_question_names_it() {
    let scene = Scene::start(Settings::default()).await;
    let schema = json!({"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string", "enum": ["c", "f"]}
    }});
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]);
    let asked = chat("Weather in Oslo for 3 days?", json!({"tools": tools}));
    let plain = scene.ask(&asked).await;
    let call = &plain["choices"][0]["message"]["tool_calls"][0];
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Weather in Oslo for 3 days?", "days": 3, "unit": "c"}));
    assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(plain["choices"][0]["message"]["content"], Value::Null);

    let mut streamed = asked.clone();
    streamed["stream"] = json!(true);
    let events = scene.events("/v1/chat/completions", &streamed).await;
    assert_eq!(
        joined(&events, "/choices/0/delta/tool_calls/0/function/arguments"),
        call["function"]["arguments"].as_str().unwrap()
    );
    assert_eq!(joined(&events, "/choices/0/delta/tool_calls/0/id"), call["id"].as_str().unwrap());
    assert!(events.len() > 6, "arguments come in pieces");

    for more in [json!({"tools": tools, "tool_choice": "none"}), json!({"tools": []})] {
        let told = scene.ask(&chat("Weather in Oslo?", more)).await;
        assert_eq!(told["choices"][0]["finish_reason"], "stop");
    }
    let words = scene.ask(&chat("Tell me a story", json!({"tools": tools}))).await;
    assert_eq!(words["choices"][0]["finish_reason"], "stop");
    let json_asked = chat("Tell me a story", json!({"response_format": {"type": "json_object"}}));
    let told = scene.ask(&json_asked).await;
    let inner: Value =
        serde_json::from_str(told["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(inner["question"], "Tell me a story");
}

#[tokio::test]
async fn completions_stream_what_they_say_plainly() {
    let scene = Scene::start(Settings::default()).await;
    let mut asked = json!({"model": "m", "prompt": ["Say a", "Say b"], "logprobs": 1});
    let plain = read(scene.post("/v1/completions", &asked).send().await.unwrap()).await;
    assert_eq!(plain["choices"].as_array().unwrap().len(), 2);
    asked["stream"] = json!(true);
    let events = scene.events("/v1/completions", &asked).await;
    for index in 0..2 {
        let pieces: Vec<Value> =
            events.iter().filter(|event| event["choices"][0]["index"] == index).cloned().collect();
        assert_eq!(plain["choices"][index]["text"], joined(&pieces, "/choices/0/text"));
        assert!(pieces.iter().all(|piece| piece["object"] == "text_completion"));
    }
    assert_eq!(events.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn embeddings_are_unit_vectors_in_the_order_asked() {
    let scene = Scene::start(Settings::default()).await;
    let vectors = async |input: Value| {
        let asked = json!({"model": "text-embedding-3-small", "input": input, "dimensions": 8});
        read(scene.post("/v1/embeddings", &asked).send().await.unwrap()).await
    };
    let both = vectors(json!(["a", "b"])).await;
    let b = vectors(json!("b")).await;
    assert_eq!(both["data"][1]["embedding"], b["data"][0]["embedding"]);
    assert_ne!(both["data"][0]["embedding"], both["data"][1]["embedding"]);
    let length: f64 =
        b["data"][0]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5);
    assert_eq!(both["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    let refused = scene.post("/v1/embeddings", &json!({"model": "m", "input": []})).send().await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn what_is_no_request_gets_the_apis_own_error() {
    let scene = Scene::start(Settings::default()).await;
    let unknown = scene.post("/v1/nothing", &json!({})).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(read(unknown).await["error"]["type"], "invalid_request_error");
    for body in [json!("text"), json!({"model": 3}), json!({"model": "m", "messages": "x"})] {
        let refused = scene.post("/v1/chat/completions", &body).send().await.unwrap();
        assert_eq!(refused.status(), 400);
        assert!(read(refused).await["error"]["message"].is_string());
    }
    let misspelt = scene.bad("explode", false).await.unwrap();
    assert_eq!(misspelt.status(), 400);
}

#[tokio::test]
async fn faults_of_a_whole_answer() {
    let scene = Scene::start(Settings::default()).await;
    let limited = scene.bad("status=429", true).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let page = scene.bad("html", false).await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html".parse().unwrap())
    );
    let garbage = scene.bad("garbage", false).await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&garbage).is_err());
    for fault in ["cut=10", "lie-length", "cut=0"] {
        let broken = scene.bad(fault, false).await;
        let body = match broken {
            Ok(response) => response.bytes().await,
            Err(error) => Err(error),
        };
        assert!(body.is_err(), "{fault} breaks the body");
    }
    assert_eq!(scene.bad("error-event=1", false).await.unwrap().status(), 500);
    let refused = read(scene.bad("refusal", false).await.unwrap()).await;
    assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    assert!(refused["choices"][0]["message"]["refusal"].is_string());
    let filtered = read(scene.bad("content-filter", false).await.unwrap()).await;
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(scene.stand_in.stats().in_flight, 0);
}

#[tokio::test]
async fn faults_of_a_stream() {
    let scene = Scene::start(Settings::default()).await;
    let mut cut = scene.bad("cut=3", true).await.unwrap();
    let mut got = Vec::new();
    let broken = loop {
        match cut.chunk().await {
            Ok(Some(bytes)) => got.extend_from_slice(&bytes),
            Ok(None) => panic!("a cut is not an end"),
            Err(error) => break error,
        }
    };
    assert!(broken.is_body() || broken.is_decode(), "{broken:?}");
    assert!(events_of(std::str::from_utf8(&got).unwrap()).len() <= 3);

    let text = async |fault: &str| scene.bad(fault, true).await.unwrap().bytes().await.unwrap();
    let undone = events_of(std::str::from_utf8(&text("no-done").await).unwrap());
    assert_eq!(undone.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let failed = events_of(std::str::from_utf8(&text("error-event=2").await).unwrap());
    assert_eq!(failed.len(), 3);
    assert_eq!(failed[2]["error"]["type"], "server_error");
    assert!(std::str::from_utf8(&text("garbage").await).is_err());
    assert!(scene.bad("lie-length", true).await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn a_stall_stays_in_flight_until_the_client_leaves() {
    let scene = Scene::start(Settings::default()).await;
    let mut stalled = scene.bad("stall=2", true).await.unwrap();
    assert!(stalled.chunk().await.unwrap().is_some());
    assert_eq!(scene.stand_in.stats().in_flight, 1);
    drop(stalled);
    while scene.stand_in.stats().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    let aside = scene.client.get(format!("{}/stand-in/stats", scene.stand_in.url())).send().await.unwrap();
    assert_eq!(read(aside).await["calls"], 1);
}

#[tokio::test]
async fn waits_are_kept_to() {
    let scene = Scene::start(Settings::default()).await;
    let started = tokio::time::Instant::now();
    let late = scene.post("/v1/chat/completions", &chat("Hi", json!({}))).header(LATENCY_HEADER, "30ms");
    late.send().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(30));
    let started = tokio::time::Instant::now();
    scene.bad("slow=1ms", true).await.unwrap().bytes().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(20), "one wait before each of more than 20 events");
}

#[tokio::test]
async fn every_coding_decodes_to_the_same_bytes() {
    let scene = Scene::start(Settings::default()).await;
    for stream in [false, true] {
        let asked = chat("Compress this", json!({"stream": stream}));
        let plain = scene.post("/v1/chat/completions", &asked).send().await.unwrap().bytes().await.unwrap();
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let request = scene.post("/v1/chat/completions", &asked).header(ENCODING_HEADER, coding);
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-encoding"], coding);
            let coded = response.bytes().await.unwrap();
            let mut decoded = Vec::new();
            match coding {
                "gzip" => flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut decoded),
                "deflate" => flate2::read::ZlibDecoder::new(&coded[..]).read_to_end(&mut decoded),
                "br" => brotli::Decompressor::new(&coded[..], 4096).read_to_end(&mut decoded),
                _ => zstd::Decoder::new(&coded[..]).unwrap().read_to_end(&mut decoded),
            }
            .unwrap();
            assert_eq!(decoded, plain, "{coding}, stream: {stream}");
        }
    }
}

#[tokio::test]
async fn answers_can_be_given_and_requests_kept() {
    let answers: Answers = Arc::new(|question| (question == "Who?").then(|| "Nobody.".to_owned()));
    let scene = Scene::start(Settings { answers: Some(answers), keep: 2, ..Settings::default() }).await;
    assert_eq!(scene.ask(&chat("Who?", json!({}))).await["choices"][0]["message"]["content"], "Nobody.");
    scene.ask(&chat("Else?", json!({}))).await;
    scene.ask(&chat("Last?", json!({}))).await;
    let seen = scene.stand_in.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].body, chat("Last?", json!({})).to_string());
    let Scene { stand_in, client } = scene;
    let url = stand_in.url();
    stand_in.stop().await;
    assert!(client.get(url).send().await.is_err(), "a stopped stand-in is gone");
}
