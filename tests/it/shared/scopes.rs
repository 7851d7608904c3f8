//! No answer crosses a scope or a context: pairs of requests at random, over each arrangement of tiers.
//!
//! A case asks one request in one place, and another one, which differs from it in some parts or in none, in the
//! same place or another. Where all agrees that shapes an answer, the second must get the first's; else it must
//! not, and neither may the first get the second's.

use super::{eventually, flowing};
use crate::store::kept_in;
use crate::world::redis::{Kind, Server};
use crate::world::upstream::Upstream;
use crate::world::{Answer, World, read};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use reprise::base::secret::Secret;
use reprise::cache::purge::Order;
use reprise::config::keys::{Grant, Listed};
use reprise::config::{Config, ScopeBy};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::Path;
use tempfile::TempDir;

const CASES: u32 = 60;
const MODELS: [&str; 2] = ["gpt-one", "gpt-two"];
const SYSTEMS: [&str; 2] = ["You work for a bank.", "You work for a zoo."];
/// Two wordings each, which serve one another wherever they may.
const QUESTIONS: [[&str; 2]; 3] = [
    ["How do I reset my password?", "How can I reset my password?"],
    ["What are your opening hours?", "What are the opening hours?"],
    ["How do I cancel my order?", "How can I cancel my order?"],
];

/// Who asks: with a virtual key, or with a credential of his own.
#[derive(Clone, Debug)]
struct Caller {
    text: String,
    /// Of the key; else the route's holds.
    scope: Option<ScopeBy>,
    team: Option<&'static str>,
    key: bool,
}

/// Two of each kind, and three that have no key.
fn callers() -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::new();
    for scope in [None, Some(ScopeBy::Key), Some(ScopeBy::Team), Some(ScopeBy::Global)] {
        for team in [None, Some("red"), Some("blue")] {
            for _ in 0..2 {
                let text = format!("rk-of-the-scene-{:02}", callers.len());
                callers.push(Caller { text, scope, team, key: true });
            }
        }
    }
    let own = |at| Caller { text: format!("sk-own-{at}"), scope: None, team: None, key: false };
    callers.extend((0..3).map(own));
    callers
}

/// Who shares with whom, by what the documentation says.
#[derive(Clone, Debug, PartialEq)]
enum Circle {
    One(usize),
    Team(&'static str),
    All,
}

/// One request, but for the words of its question.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    caller: usize,
    namespace: bool,
    model: usize,
    system: usize,
    parameter: usize,
    organisation: bool,
    version: bool,
    /// With an earlier turn: compared by its exact words only.
    turns: bool,
}

impl Asked {
    fn plain() -> Asked {
        Asked {
            caller: 0,
            namespace: false,
            model: 0,
            system: 0,
            parameter: 0,
            organisation: false,
            version: false,
            turns: false,
        }
    }

    fn strategy() -> impl Strategy<Value = Asked> {
        let switches = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
        (0..callers().len(), 0..MODELS.len(), 0..SYSTEMS.len(), 0..4usize, switches).prop_map(
            |(caller, model, system, parameter, (namespace, organisation, version, turns))| Asked {
                caller,
                namespace,
                model,
                system,
                parameter,
                organisation,
                version,
                turns,
            },
        )
    }

    /// This one, but for the parts that are to differ; `by` says by how much, where there is a choice.
    fn but(self, parts: [bool; 8], by: usize) -> Asked {
        let turn = |at: usize, ours: usize, of: usize| {
            if parts[at] { (ours + 1 + by % (of - 1)) % of } else { ours }
        };
        let switch = |at: usize, ours: bool| ours ^ parts[at];
        Asked {
            caller: turn(0, self.caller, callers().len()),
            namespace: switch(1, self.namespace),
            model: turn(2, self.model, MODELS.len()),
            system: turn(3, self.system, SYSTEMS.len()),
            parameter: turn(4, self.parameter, 4),
            organisation: switch(5, self.organisation),
            version: switch(6, self.version),
            turns: switch(7, self.turns),
        }
    }

    /// `case` is told to the model, so that no two cases share a context.
    fn body(&self, case: usize, question: &str) -> Value {
        let mut messages =
            vec![json!({ "role": "system", "content": format!("{} Case {case}.", SYSTEMS[self.system]) })];
        if self.turns {
            messages.push(json!({ "role": "user", "content": "Good morning." }));
            messages.push(json!({ "role": "assistant", "content": "Good morning. What can I do?" }));
        }
        messages.push(json!({ "role": "user", "content": question }));
        let mut body = json!({ "model": MODELS[self.model], "messages": messages });
        if let Some((name, value)) =
            [None, Some(("temperature", 0.2)), Some(("max_tokens", 50.0)), Some(("seed", 7.0))]
                [self.parameter]
        {
            body[name] = json!(value);
        }
        body
    }
}

#[derive(Clone, Debug)]
struct Case {
    first: Asked,
    second: Asked,
    topic: usize,
    reworded: bool,
    /// Where the first and the second ask.
    places: (usize, usize),
}

/// In most cases one part differs, which alone must hold the two apart, or another caller asks, who may share.
fn cases() -> impl Strategy<Value = Case> {
    let one = |at: usize| std::array::from_fn(|part| part == at);
    let parts = prop_oneof![
        1 => Just([false; 8]),
        2 => Just(one(0)),
        5 => (0..8usize).prop_map(one),
        1 => any::<[bool; 8]>(),
    ];
    let asked = (Asked::strategy(), parts, any::<usize>());
    (asked, 0..QUESTIONS.len(), any::<bool>(), (0..2usize, 0..2usize)).prop_map(
        |((first, parts, by), topic, reworded, places)| {
            let second = first.clone().but(parts, by);
            Case { first, second, topic, reworded, places }
        },
    )
}

/// What was recorded, and must be found again by whoever asked it.
struct Recorded {
    case: usize,
    asked: Asked,
    question: &'static str,
    text: String,
}

/// Replicas, and what they keep things in.
struct Place {
    worlds: Vec<World>,
    server: Option<Server>,
    by: ScopeBy,
    callers: Vec<Caller>,
    asked: Cell<usize>,
    recorded: RefCell<Vec<Recorded>>,
    /// Cases that were to agree exactly, by meaning, and not at all.
    seen: Cell<[usize; 3]>,
}

impl Place {
    async fn new(by: ScopeBy, redis: Option<Kind>, folder: Option<&Path>) -> Place {
        let server = redis.map(Server::start);
        let upstream = Upstream::start().await;
        let mut worlds = Vec::new();
        for _ in 0..1 + usize::from(server.is_some()) {
            let change = settings(by, server.as_ref(), folder);
            worlds.push(World::before(upstream.clone(), change).await);
        }
        let (asked, recorded, seen) = (Cell::new(0), RefCell::default(), Cell::new([0; 3]));
        let place = Place { worlds, server, by, callers: callers(), asked, recorded, seen };
        place.prepared().await;
        place
    }

    /// Models are loaded, and credentials that are nobody's key have been accepted.
    async fn prepared(&self) {
        for world in &self.worlds {
            if self.server.is_some() {
                flowing(world).await;
            }
            world.has_model().await;
            for caller in self.callers.iter().filter(|caller| !caller.key) {
                let hello =
                    json!({ "model": "gpt-one", "messages": [{ "role": "user", "content": "hello" }] });
                assert_eq!(world.send_as(&caller.text, &hello).await.status, 200);
            }
        }
    }

    fn circle(&self, asked: &Asked) -> Circle {
        let caller = &self.callers[asked.caller];
        match (caller.scope.unwrap_or(self.by), caller.team) {
            (ScopeBy::Global, _) => Circle::All,
            (ScopeBy::Team, Some(team)) => Circle::Team(team),
            (ScopeBy::Key | ScopeBy::Team, _) => Circle::One(asked.caller),
        }
    }

    fn agree(&self, one: &Asked, other: &Asked) -> bool {
        let alike = Asked { caller: one.caller, ..other.clone() };
        alike == *one && self.circle(one) == self.circle(other)
    }

    async fn ask(&self, place: usize, case: usize, asked: &Asked, question: &str, only: bool) -> Answer {
        let world = &self.worlds[place % self.worlds.len()];
        let path = if asked.version { "/v1/chat/completions?api-version=2" } else { "/v1/chat/completions" };
        let mut builder = world.client().post(world.url(path)).body(asked.body(case, question).to_string());
        builder = builder.bearer_auth(&self.callers[asked.caller].text);
        if asked.namespace {
            builder = builder.header("x-reprise-namespace", "beta");
        }
        if asked.organisation {
            builder = builder.header("openai-organization", "org-two");
        }
        if only {
            builder = builder.header("cache-control", "only-if-cached");
        }
        read(builder).await
    }

    /// Asks without the upstream until there is an answer.
    async fn known(&self, place: usize, case: usize, asked: &Asked, question: &str) -> Answer {
        let answer = RefCell::new(None);
        eventually(&format!("{question:?} of {asked:?} is known"), async || {
            let now = self.ask(place, case, asked, question, true).await;
            let hit = now.verdict() == "hit";
            answer.replace(Some(now));
            hit
        })
        .await;
        answer.into_inner().expect("asked at least once")
    }

    /// Waits until what was recorded is where the other place would find it.
    async fn passed_on(&self, from: usize, to: usize, id: &str, by_meaning: bool) {
        let Some(server) = &self.server else { return };
        let name = format!("reprise:1:e:{id}*");
        eventually("it is in Redis", async || !server.names(&name).await.is_empty()).await;
        let to = &self.worlds[to % self.worlds.len()];
        let followed = server.kind() == Kind::Seven && by_meaning && from != to_index(to, &self.worlds);
        if followed {
            let order = Order { entry: Some(id.to_owned()), ..Order::default() };
            eventually("it is followed", async || {
                to.server.gateway().cache.purge(&order, true).await.is_ok_and(|found| found.in_memory == 1)
            })
            .await;
        }
    }

    async fn check(&self, case: &Case) -> Result<(), TestCaseError> {
        let at = self.asked.replace(self.asked.get() + 1);
        let Case { first, second, topic, reworded, places: (here, there) } = case;
        let [own, other] = QUESTIONS[*topic];
        let upstream = &self.worlds[0].upstream;
        upstream.unsay();
        let text = format!("the first's answer {at}");
        upstream.says(&text);
        let answer = self.ask(*here, at, first, own, false).await;
        prop_assert_eq!((answer.verdict(), answer.text()), ("miss", text.clone()));
        let again = self.known(*here, at, first, own).await;
        prop_assert_eq!(again.text(), text.clone());
        let id = again.header("x-reprise-entry").unwrap_or_default();
        self.passed_on(*here, *there, id, !first.turns).await;
        self.remember(at, first, own, &text);

        let question = if *reworded { other } else { own };
        let agree = self.agree(first, second);
        if agree && !(*reworded && first.turns) {
            self.saw(usize::from(*reworded));
            let answer = self.known(*there, at, second, question).await;
            prop_assert_eq!(answer.text(), text);
            return Ok(());
        }
        self.saw(2);
        let its_own = format!("the second's answer {at}");
        upstream.says(&its_own);
        let answer = self.ask(*there, at, second, question, false).await;
        prop_assert_eq!((answer.verdict(), answer.text()), ("miss", its_own.clone()), "it crossed");
        prop_assert_eq!(self.known(*there, at, second, question).await.text(), its_own.clone());
        // The first one has its own still, in every place.
        for place in 0..self.worlds.len() {
            prop_assert_eq!(self.known(place, at, first, own).await.text(), text.clone(), "it crossed back");
        }
        self.remember(at, second, question, &its_own);
        Ok(())
    }

    fn saw(&self, what: usize) {
        let mut seen = self.seen.get();
        seen[what] += 1;
        self.seen.set(seen);
    }

    fn remember(&self, case: usize, asked: &Asked, question: &'static str, text: &str) {
        let (asked, text) = (asked.clone(), text.to_owned());
        self.recorded.borrow_mut().push(Recorded { case, asked, question, text });
    }

    /// Everything that was recorded is found again, by its own circle, as it was.
    async fn recheck(&self) {
        for Recorded { case, asked, question, text } in &self.recorded.take() {
            assert_eq!(self.known(0, *case, asked, question).await.text(), *text, "{asked:?}");
        }
    }
}

fn to_index(world: &World, worlds: &[World]) -> usize {
    worlds.iter().position(|other| std::ptr::eq(other, world)).unwrap_or_default()
}

fn settings(by: ScopeBy, server: Option<&Server>, folder: Option<&Path>) -> impl FnOnce(&mut Config) + use<> {
    let (redis, keep) = (server.map(Server::config), folder.map(kept_in));
    move |config| {
        if let Some(keep) = keep {
            keep(config);
        }
        config.semantic.patience = std::time::Duration::from_secs(10);
        config.policy.scope = by;
        config.redis = redis;
        config.upstreams[0].key = Some(Secret::new("sk-the-upstreams-own".to_owned()));
        let keys = callers().into_iter().filter(|caller| caller.key);
        let listed = keys.map(|Caller { text, scope, team, .. }| {
            let grant =
                Grant { name: text.clone(), team: team.map(str::to_owned), scope, ..Grant::default() };
            Listed { secret: Secret::new(text), expires: None, grant }
        });
        config.accounts.keys.listed = listed.collect();
    }
}

/// Draws cases until one fails, which is made as small as it can be, or all have passed.
fn never_crosses(by: ScopeBy, redis: Option<Kind>, folder: Option<&Path>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new(by, redis, folder));
    let settings = ProptestConfig {
        cases: CASES,
        max_shrink_time: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // Few of those that are drawn share at all.
    for reworded in [false, true] {
        let first = Asked::plain();
        let case = Case { second: first.clone(), first, topic: 0, reworded, places: (0, 1) };
        runtime.block_on(place.check(&case)).unwrap_or_else(|lost| panic!("{lost}"));
    }
    let run = TestRunner::new(settings).run(&cases(), |case| runtime.block_on(place.check(&case)));
    run.unwrap_or_else(|crossed| panic!("{crossed}"));
    let [exactly, by_meaning, apart] = place.seen.get();
    assert!(exactly > 0 && by_meaning > 0 && apart > 5, "{exactly} {by_meaning} {apart}: nothing was shown");
    let Some(folder) = folder else { return };
    // What comes back from the disk belongs to whom it did.
    runtime.block_on(async {
        let Place { mut worlds, server, .. } = place;
        let world = worlds.remove(0).restarted(self::settings(by, server.as_ref(), Some(folder))).await;
        world.server.restored().await;
        let place = Place { worlds: vec![world], server, ..place };
        place.prepared().await;
        place.recheck().await;
    });
}

#[test]
fn in_memory() {
    never_crosses(ScopeBy::Key, None, None);
}

#[test]
fn on_disk_and_back() {
    let folder = TempDir::new().unwrap();
    never_crosses(ScopeBy::Team, None, Some(folder.path()));
}

#[test]
fn over_redis_7() {
    never_crosses(ScopeBy::Team, Some(Kind::Seven), None);
}

#[test]
fn over_redis_8() {
    never_crosses(ScopeBy::Global, Some(Kind::Eight), None);
}
