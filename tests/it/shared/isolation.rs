//! No entry crosses a scope, a namespace or a context, whatever the backend.

use super::{count, counted, eventually, fleet};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{body, completion};
use crate::world::{World, chat_with, read};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::HashMap;

const KEYS: [&str; 3] = ["sk-one", "sk-two", "sk-three"];
const NAMESPACES: [Option<&str>; 2] = [None, Some("beta")];
const SYSTEMS: [&str; 2] = ["You work for a bank.", "You work for a zoo."];
/// Pairs that serve one another within a scope.
const QUESTIONS: [&str; 6] = [
    "How do I reset my password?",
    "How can I reset my password?",
    "What are your opening hours?",
    "What are the opening hours?",
    "How do I cancel my order?",
    "How can I cancel my order?",
];

/// Everything that must be equal for an answer to be shared, but for the words of the question.
type Context = (usize, usize, usize);

#[tokio::test]
async fn random_traffic_over_two_replicas_never_crosses_a_scope() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b]: [World; 2] = fleet(&server, |_| ()).await;
        for world in [&a, &b] {
            world.has_model().await;
        }
        let mut random = StdRng::seed_from_u64(20_261_121);
        let mut recorded: HashMap<String, (Context, usize)> = HashMap::new();
        let (mut hits, mut far) = (0, 0u64);
        for step in 0..240 {
            let context: Context =
                (random.random_range(0..3), random.random_range(0..2), random.random_range(0..2));
            let question = random.random_range(0..QUESTIONS.len());
            let world = if random.random() { &a } else { &b };
            let text = format!("answer {step}");
            let calls = world.upstream.calls();
            world.upstream.will(body(200, completion(&text)));
            let answer = ask(world, context, QUESTIONS[question]).await;
            match answer.verdict() {
                "miss" => {
                    assert_eq!(answer.text(), text, "a miss is the upstream's own answer");
                    recorded.insert(text, (context, question));
                    // What others follow is passed on before the next one asks.
                    eventually("it is written", async || {
                        world.server.gateway().cache.shared().unwrap().queued() == 0
                    })
                    .await;
                }
                "hit" => {
                    hits += 1;
                    far += u64::from(answer.tier() == Some("l3"));
                    let (whose, of) = recorded[&answer.text()];
                    assert_eq!(whose, context, "{kind:?}, step {step}: an answer crossed");
                    assert_eq!(of / 2, question / 2, "{kind:?}, step {step}: another question's answer");
                    assert_eq!(world.upstream.calls(), calls);
                    // The script was not used up.
                    world.upstream.unsay();
                }
                other => panic!("{other}"),
            }
        }
        if kind == Kind::Seven {
            counted(&a, "reprise_shared_followed_total{kind=\"entry\"}", 6).await;
        }
        let followed = count(&a, "reprise_shared_followed_total{kind=\"entry\"}");
        let exchanged = if kind == Kind::Eight { far } else { followed };
        assert!(
            hits > 100 && exchanged > 5,
            "{kind:?}: {hits} hits, {exchanged} exchanged: there was something to cross"
        );
    }
}

async fn ask(world: &World, (key, namespace, system): Context, question: &str) -> crate::world::Answer {
    let messages =
        json!([{ "role": "system", "content": SYSTEMS[system] }, { "role": "user", "content": question }]);
    let request = chat_with(question, json!({ "messages": messages }));
    let mut builder = world.client().post(world.url("/v1/chat/completions")).body(request.to_string());
    builder = builder.header("authorization", format!("Bearer {}", KEYS[key]));
    if let Some(namespace) = NAMESPACES[namespace] {
        builder = builder.header("x-reprise-namespace", namespace);
    }
    read(builder).await
}
