//! `kill -9` of the real binary while it writes.

use super::exact_in;
use crate::world::World;
use crate::world::process::Process;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How often the scene that always runs kills; `a_hundred_kills` is run by hand.
const KILLS: usize = 8;

/// What may be lost: what came in within this time before the end.
const LOST: Duration = Duration::from_secs(1);

/// Each round: start, check that everything older than a second before the last kill is there, write on,
/// kill at a random moment.
async fn killed_again_and_again(kills: usize) {
    let folder = TempDir::new().unwrap();
    let mut world = World::start().await;
    let mut answered: Vec<(String, Instant)> = Vec::new();
    let mut checked = 0;
    for round in 0..kills {
        let process = Process::start(&world.upstream.url(), folder.path()).await;
        // Every other one lives long enough that something is due.
        let life = if round % 2 == 0 { 1_200..2_500 } else { 20..1_200 };
        let life = Duration::from_millis(rand::random_range(life));
        let until = Instant::now() + life;
        let mut number = 0;
        while Instant::now() < until {
            let question = format!("question {round} {number} {}", "long ".repeat(number % 400));
            let Ok(answer) = tokio::time::timeout_at(until, process.ask(&question)).await else { break };
            assert_eq!(answer.status, 200);
            answered.push((question, Instant::now()));
            number += 1;
        }
        let spared = Instant::now() - LOST;
        process.killed();

        world = world.restarted(exact_in(&folder.path().join("data"))).await;
        // From memory: a starved machine may take longer than a request waits for the disk.
        world.server.restored().await;
        super::proven(&world).await;
        let due: Vec<&String> =
            answered.iter().filter(|(_, at)| *at < spared).map(|(question, _)| question).collect();
        // Every one of this round and a sample of the others.
        for (at, question) in due.iter().enumerate() {
            if question.starts_with(&format!("question {round} ")) || at % (1 + due.len() / 50) == 0 {
                let answer = world.ask(question).await;
                let text = format!("You asked: {question}");
                assert_eq!((answer.verdict(), answer.text()), ("hit", text), "round {round}");
                checked += 1;
            }
        }
        for reason in ["corrupt", "foreign", "misplaced"] {
            let line = format!("reprise_undecodable_entries_total{{reason=\"{reason}\"}}");
            assert_eq!(world.metric(&line).await, None, "round {round}");
        }
        // What came within the last second may be there or not.
        answered.retain(|(_, at)| *at < spared);
        world.server.drain().await;
    }
    println!("{kills} kills, {} answers due, {checked} looked for", answered.len());
    assert!(checked > 0, "no round lived long enough to check anything");
}

#[tokio::test]
async fn a_killed_process_loses_at_most_the_last_second() {
    killed_again_and_again(KILLS).await;
}

#[tokio::test]
#[ignore = "two minutes: cargo test --test it a_hundred_kills -- --ignored"]
async fn a_hundred_kills() {
    killed_again_and_again(100).await;
}
