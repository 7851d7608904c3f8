//! `/v1/embeddings`, input by input.

use crate::world::upstream::body;
use crate::world::{Answer, World, read};
use serde_json::{Value, json};

async fn embed(world: &World, input: Value) -> Answer {
    read(world.post("/v1/embeddings", &json!({ "model": "embed", "input": input }))).await
}

fn answer(vectors: &[f64], tokens: u64) -> Value {
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, value)| json!({ "object": "embedding", "index": index, "embedding": [value, 0.10] }))
        .collect();
    json!({ "object": "list", "data": data, "model": "embed", "usage": { "prompt_tokens": tokens, "total_tokens": tokens } })
}

fn firsts(answer: &Answer) -> Vec<f64> {
    let body = answer.json();
    let data = body["data"].as_array().expect("data");
    data.iter().enumerate().for_each(|(at, item)| assert_eq!(item["index"], at));
    data.iter().map(|item| item["embedding"][0].as_f64().expect("a number")).collect()
}

#[tokio::test]
async fn a_batch_with_three_known_and_one_new_input_asks_for_one() {
    let world = World::start().await;
    world.upstream.will(body(200, answer(&[1.0, 2.0, 3.0], 30)));
    assert_eq!(embed(&world, json!(["one", "two", "three"])).await.verdict(), "miss");
    world.upstream.will(body(200, answer(&[4.0], 7)));
    let mixed = embed(&world, json!(["three", "four", "one", "two"])).await;
    assert_eq!((mixed.verdict(), mixed.reason()), ("miss", Some("partly_known")));
    assert_eq!(world.upstream.asked(1).json()["input"], json!(["four"]));
    assert_eq!(firsts(&mixed), [3.0, 4.0, 1.0, 2.0]);
    assert_eq!(mixed.json()["usage"]["prompt_tokens"], 37, "the recorded shares and the new one");
    let hit = embed(&world, json!("four")).await;
    assert_eq!((hit.verdict(), hit.tier(), firsts(&hit)), ("hit", Some("l1"), vec![4.0]));
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn other_models_callers_and_parameters_are_other_embeddings() {
    let world = World::start().await;
    world.upstream.will(body(200, answer(&[1.0], 1)));
    embed(&world, json!("one")).await;
    for request in [
        json!({ "model": "other", "input": "one" }),
        json!({ "model": "embed", "input": "one", "dimensions": 8 }),
        json!({ "model": "embed", "input": "one", "encoding_format": "base64" }),
        json!({ "model": "embed", "input": "One" }),
    ] {
        world.upstream.will(body(200, answer(&[9.0], 1)));
        assert_eq!(read(world.post("/v1/embeddings", &request)).await.verdict(), "miss", "{request}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_batch_is_passed_on_and_not_kept() {
    let world = World::start().await;
    for strange in [answer(&[1.0], 1), json!({ "data": [] }), json!({ "error": { "message": "no" } })] {
        world.upstream.will(body(200, strange.clone()));
        let got = embed(&world, json!(["a", "b"])).await;
        assert_eq!((got.status, got.json()), (200, strange));
    }
    world.upstream.will(body(200, answer(&[1.0, 2.0], 2)));
    assert_eq!(embed(&world, json!(["a", "b"])).await.verdict(), "miss");
    assert_eq!(embed(&world, json!(["b", "a"])).await.verdict(), "hit");
}

#[tokio::test]
async fn an_empty_batch_is_the_upstreams_to_refuse() {
    let world = World::start().await;
    world.upstream.will(body(400, json!({ "error": { "message": "empty" } })));
    let got = embed(&world, json!([])).await;
    assert_eq!((got.status, got.verdict(), got.reason()), (400, "bypass", Some("no_input")));
}
