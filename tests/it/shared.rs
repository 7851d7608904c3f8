//! L3: what replicas share through a real Redis, of both kinds.

mod commands;
mod faults;
mod fleet;
mod isolation;
mod reports;
mod roads;
mod scopes;
mod wire;

use crate::world::redis::Server;
use crate::world::upstream::Upstream;
use crate::world::{Answer, World};
use reprise::cache::shared::State;
use reprise::config::{CacheMode, Config, Redis};
use std::time::Duration;

/// Replicas in front of one upstream and on one Redis, all of them connected.
async fn fleet<const N: usize>(server: &Server, change: impl Fn(&mut Config)) -> [World; N] {
    let upstream = Upstream::start().await;
    let mut replicas = Vec::new();
    for _ in 0..N {
        let world = replica(&upstream, server.config(), &change).await;
        flowing(&world).await;
        replicas.push(world);
    }
    replicas.try_into().unwrap_or_else(|_| unreachable!("as many as were started"))
}

pub async fn replica(upstream: &Upstream, redis: Redis, change: impl Fn(&mut Config)) -> World {
    World::before(upstream.clone(), |config| {
        config.semantic.patience = Duration::from_secs(10);
        config.redis = Some(redis);
        change(config);
    })
    .await
}

fn exact(config: &mut Config) {
    config.policy.mode = CacheMode::Exact;
}

pub async fn state(world: &World, state: State) {
    let shared = world.server.gateway().cache.shared().expect("a shared tier").clone();
    tokio::time::timeout(Duration::from_secs(20), shared.until(state))
        .await
        .unwrap_or_else(|_| panic!("not {state:?} in time, but {:?}", shared.state()));
}

pub async fn flowing(world: &World) {
    state(world, State::Flowing).await;
}

/// Waits until everything that this replica has to write is written.
async fn written(world: &World, outcome: &str, at_least: u64) {
    counted(world, &format!("reprise_shared_writes_total{{outcome=\"{outcome}\"}}"), at_least).await;
}

/// Waits until a counter has come that far.
async fn counted(world: &World, name: &str, at_least: u64) {
    eventually(&format!("{name} is {at_least}"), async || count(world, name) >= at_least).await;
}

pub fn count(world: &World, name: &str) -> u64 {
    let shown = world.server.gateway().metrics.encode(Default::default());
    let line = shown.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or(0)
}

/// Something that another process does; looked at again and again, for a bounded time.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Asks until the answer is a hit, and gives it back.
pub async fn hit(world: &World, question: &str) -> Answer {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let answer = world.ask_the_cache(question).await;
        if answer.verdict() == "hit" {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "never a hit: {:?}", answer.headers);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
