//! An answer in progress that others join.

use crate::base::fault::{Fault, Kind};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// The head of the answer that is being recorded.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: StatusCode,
    /// End-to-end headers, less those that speak of the coding or the length: followers get plain text.
    pub headers: HeaderMap,
    pub deployment: Arc<str>,
}

/// How an answer ended, for those who follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveEnd {
    /// All of it was passed on.
    Complete,
    /// It broke off; followers see a cut, as the leader's client does.
    Cut(Kind, String),
    /// Nobody leads any more, and no head had come: one of the followers takes over.
    Abandoned,
    /// No answer could be had; followers get the same fault.
    Failed(Kind, String),
}

/// The plain bytes of one answer as they come: written by one leader, read by any number of
/// followers, each at its own pace. Bytes are kept until the end, up to a cap; past it nobody new may
/// join, and once nobody follows nothing more is kept.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    changed: Notify,
    cap: usize,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Head>,
    chunks: VecDeque<Bytes>,
    bytes: usize,
    followers: usize,
    closed: bool,
    end: Option<LiveEnd>,
}

/// Followers may make a live answer outgrow its cap by this much before they are cut off.
const FOLLOWED_FACTOR: usize = 16;

impl Live {
    /// `cap`: bytes from which nobody new may join.
    pub fn new(cap: usize) -> Arc<Live> {
        Arc::new(Live { state: Mutex::default(), changed: Notify::new(), cap })
    }

    pub fn set_head(&self, head: Head) {
        self.state.lock().head = Some(head);
        self.changed.notify_waiters();
    }

    /// Adds plain bytes. Never waits.
    pub fn push(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        {
            let mut state = self.state.lock();
            if state.end.is_some() || (state.closed && state.followers == 0) {
                state.chunks.clear();
                return;
            }
            state.bytes += chunk.len();
            state.closed |= state.bytes > self.cap;
            if state.bytes > self.cap.saturating_mul(FOLLOWED_FACTOR) {
                state.end =
                    Some(LiveEnd::Cut(Kind::Overloaded, "the answer is too long to be followed".into()));
            }
            state.chunks.push_back(chunk);
        }
        self.changed.notify_waiters();
    }

    /// Says how it ended; the first word counts.
    pub fn end(&self, end: LiveEnd) {
        self.state.lock().end.get_or_insert(end);
        self.changed.notify_waiters();
    }

    /// Joins from the first byte. `None`: too late, the answer is already longer than is kept.
    pub fn follow(self: &Arc<Live>) -> Option<Follower> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.followers += 1;
        drop(state);
        Some(Follower { live: self.clone(), next: 0 })
    }

    pub fn followers(&self) -> usize {
        self.state.lock().followers
    }
}

/// One reader of a live answer.
#[derive(Debug)]
pub struct Follower {
    live: Arc<Live>,
    next: usize,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.state.lock().followers -= 1;
    }
}

impl Follower {
    /// Waits for the head, or for the end if that comes first.
    pub async fn head(&mut self) -> Result<Head, LiveEnd> {
        self.until(|state, _| match (&state.head, &state.end) {
            (Some(head), _) => Some(Ok(head.clone())),
            (None, end) => end.clone().map(Err),
        })
        .await
    }

    /// Waits for the end, whatever comes before it.
    pub async fn ended(mut self) -> LiveEnd {
        self.until(|state, _| state.end.clone()).await
    }

    async fn chunk(&mut self) -> Option<Result<Bytes, Fault>> {
        self.until(|state, next| {
            if let Some(chunk) = state.chunks.get(*next) {
                *next += 1;
                return Some(Some(Ok(chunk.clone())));
            }
            state.end.as_ref().map(|end| match end {
                LiveEnd::Complete => None,
                LiveEnd::Cut(kind, why) | LiveEnd::Failed(kind, why) => {
                    Some(Err(Fault::new(*kind, why.clone())))
                }
                LiveEnd::Abandoned => {
                    Some(Err(Fault::new(Kind::UpstreamBroke, "the answer that was followed broke off")))
                }
            })
        })
        .await
    }

    /// Looks, and waits for a change, until there is something to see. A live answer always ends: its
    /// leader says how, or says by being dropped that it has abandoned it.
    async fn until<T>(&mut self, see: impl Fn(&State, &mut usize) -> Option<T>) -> T {
        loop {
            // From here on no change is missed, though it comes before the wait.
            let changed = self.live.changed.notified();
            if let Some(seen) = see(&self.live.state.lock(), &mut self.next) {
                return seen;
            }
            changed.await;
        }
    }

    /// The body from its first byte: chunks as they come, and one fault at most, last.
    pub fn body(self) -> impl Stream<Item = Result<Bytes, Fault>> + Send {
        futures_util::stream::unfold(Some(self), |follower| async {
            let mut follower = follower?;
            let chunk = follower.chunk().await?;
            let go_on = chunk.is_ok().then_some(follower);
            Some((chunk, go_on))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn head() -> Head {
        Head { status: StatusCode::OK, headers: HeaderMap::new(), deployment: "a".into() }
    }

    async fn text(follower: Follower) -> Result<Vec<u8>, Kind> {
        let mut all = Vec::new();
        let mut body = std::pin::pin!(follower.body());
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk.map_err(|fault| fault.kind)?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_late_follower_gets_it_from_the_first_byte() {
        let live = Live::new(100);
        live.set_head(head());
        live.push("one ".into());
        let mut follower = live.follow().unwrap();
        follower.head().await.unwrap();
        live.push("two".into());
        live.end(LiveEnd::Complete);
        assert_eq!(text(follower).await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn a_cut_reaches_followers_as_a_fault_after_the_bytes() {
        let live = Live::new(100);
        let follower = live.follow().unwrap();
        live.push("half".into());
        live.end(LiveEnd::Cut(Kind::UpstreamBroke, "cut".into()));
        assert_eq!(text(follower).await.unwrap_err(), Kind::UpstreamBroke);
    }

    #[test]
    fn past_the_cap_nobody_joins_and_nothing_is_kept_for_nobody() {
        let live = Live::new(10);
        live.push(Bytes::from(vec![0; 11]));
        assert!(live.follow().is_none());
        live.push(Bytes::from(vec![0; 11]));
        assert!(live.state.lock().chunks.is_empty());
    }

    #[tokio::test]
    async fn an_abandoned_flight_says_so_before_any_head() {
        let live = Live::new(10);
        let mut follower = live.follow().unwrap();
        live.end(LiveEnd::Abandoned);
        assert_eq!(follower.head().await.unwrap_err(), LiveEnd::Abandoned);
    }
}
