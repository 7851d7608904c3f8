//! A second attempt beside a first one that is late.

use super::outcome::{Failed, Outcome};
use std::future::Future;
use std::time::Duration;
use tokio::time::sleep;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    First,
    Second,
}

/// What two attempts came to.
pub enum Raced {
    /// There was no second one.
    Alone(Outcome),
    /// This one was good before the other had come to anything.
    Won(Which, Outcome),
    /// This one failed first, and the other came to that.
    Both(Which, Failed, Outcome),
}

/// The first good outcome of the two. `second` is asked for once the first is `after` late, and may
/// decline. What loses is dropped, which closes its connection.
pub async fn race<F>(first: F, after: Duration, second: impl FnOnce() -> Option<F>) -> Raced
where
    F: Future<Output = Outcome>,
{
    tokio::pin!(first);
    tokio::select! {
        biased;
        outcome = &mut first => return Raced::Alone(outcome),
        () = sleep(after) => {}
    }
    let Some(second) = second() else { return Raced::Alone(first.await) };
    tokio::pin!(second);
    tokio::select! {
        biased;
        outcome = &mut first => match outcome {
            Outcome::Failed(failed) => Raced::Both(Which::First, failed, second.await),
            outcome => Raced::Won(Which::First, outcome),
        },
        outcome = &mut second => match outcome {
            Outcome::Failed(failed) => Raced::Both(Which::Second, failed, first.await),
            outcome => Raced::Won(Which::Second, outcome),
        },
    }
}
