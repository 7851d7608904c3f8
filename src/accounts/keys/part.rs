//! What a meter keeps for the sake of other replicas: permits of the fleet's rate, holds by name, and what was
//! said and heard of money.

use super::fleet::{ByPeriod, Told, Word};
use super::meter::Meter;
use crate::base::clock::Millis;
use ahash::AHashSet;
use std::time::Duration;

/// Of a rate so many parts are taken from the fleet at once, and `MOST_PERMITS` at most: what one replica has
/// taken and does not use is lost to the others for the rest of the minute.
const PARTS: u64 = 64;
const MOST_PERMITS: u64 = 16;
/// Ended holds that go with a request's own question, so that they do not stand in its way.
const ALONG: usize = 64;
/// Rounds of the worker that a key is asked after for since its last use.
const ROUNDS: u8 = 10;
/// Ended holds that wait to be told; older ones lapse in the fleet by themselves.
const MOST_ENDED: usize = 4_096;
/// How long a hold outlives the replica that took it.
pub const LAPSE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub struct Part {
    /// Requests of this minute that were taken from the fleet and not used yet.
    permits: u64,
    /// One request is fetching a few of them.
    fetching: bool,
    /// The limit of which the fleet has nothing left in this minute.
    used_up: Option<u64>,
    open: AHashSet<u64>,
    renewed: Option<Millis>,
    /// Ended, and not told yet as far as is known; with the tokens that were used.
    ended: Vec<(u64, Option<u64>)>,
    /// The most that was ever said here of this replica's spending.
    said: ByPeriod,
    /// Of what was spent, what an earlier process spent.
    pub recalled: ByPeriod,
    /// An answer has come since the start.
    heard: bool,
    /// Rounds of the worker in which others are still listened to.
    rounds: u8,
    /// It is on the worker's list.
    listed: bool,
}

/// Whether a request is let in by what is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    Had,
    /// The fleet has none left in this minute; the request is not let in, and does not count.
    UsedUp,
    /// So many are to be taken from the fleet, for this minute.
    Ask {
        want: u64,
        minute: u64,
    },
}

/// Whether a request waits until the word has come and been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurry {
    Request,
    None,
}

impl Part {
    /// A request of the key came.
    pub fn used(&mut self) {
        self.rounds = ROUNDS;
    }

    pub fn begin_minute(&mut self) {
        (self.permits, self.fetching, self.used_up) = (0, false, None);
    }

    pub fn begin_period(&mut self, at: usize) {
        (self.said[at], self.recalled[at]) = (0, 0);
    }

    pub fn end(&mut self, id: u64, used: Option<u64>) {
        self.open.remove(&id);
        if self.ended.len() >= MOST_ENDED {
            self.ended.drain(..MOST_ENDED / 2);
        }
        self.ended.push((id, used));
    }
}

impl Meter {
    /// A request of this minute out of what was taken from the fleet. Of many that find nothing at hand, one fetches
    /// a few, and the others one each.
    pub fn permit(&self, most: u64, now: Millis) -> Permit {
        let mut state = self.state.lock();
        state.turn(now);
        let (minute, part) = (state.minute, &mut state.part);
        if part.permits > 0 {
            part.permits -= 1;
            return Permit::Had;
        }
        if part.used_up == Some(most) {
            state.requests = state.requests.saturating_sub(1);
            return Permit::UsedUp;
        }
        let few = (most / PARTS).clamp(1, MOST_PERMITS);
        let want = if std::mem::replace(&mut part.fetching, true) { 1 } else { few };
        Permit::Ask { want, minute }
    }

    /// So many were taken, of which one is used by whoever wanted them. With none it is not let in, and does not
    /// count.
    pub fn permitted(&self, (minute, most): (u64, u64), want: u64, granted: u64) {
        let mut state = self.state.lock();
        if state.minute != minute {
            return;
        }
        match granted {
            0 => {
                state.requests = state.requests.saturating_sub(1);
                state.part.used_up = Some(most);
            }
            more => state.part.permits += more - 1,
        }
        // Who wanted several was the one that fetches.
        state.part.fetching &= want == 1;
    }

    /// What there is to say now. A request's own question is kept short.
    pub fn word(&self, now: Millis, hurry: Hurry) -> Word {
        let mut state = self.state.lock();
        state.turn(now);
        let (minute, periods, spent, others) = (state.minute, state.periods, state.spent, state.others);
        let part = &mut state.part;
        for (said, spent) in part.said.iter_mut().zip(spent) {
            *said = spent.max(*said);
        }
        let from = match hurry {
            Hurry::Request => part.ended.len().saturating_sub(ALONG),
            Hurry::None => 0,
        };
        let over = part.ended[from..].to_vec();
        let due = part.renewed.is_none_or(|last| now.since(last) >= LAPSE / 3);
        let open = match hurry {
            Hurry::None if due && !part.open.is_empty() => {
                part.renewed = Some(now);
                part.open.iter().copied().collect()
            }
            _ => Vec::new(),
        };
        Word { now, minute, periods, spent, others, over, open }
    }

    /// A hold is being taken in the fleet, under this name.
    pub fn opened(&self, id: u64) {
        self.state.lock().part.open.insert(id);
    }

    /// What the fleet said to a `word` of these periods, with these holds in it. True where somebody else
    /// speaks in this replica's name.
    pub fn heard(&self, periods: ByPeriod, told: &Told, over: &[(u64, Option<u64>)]) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !over.is_empty() {
            let told: AHashSet<u64> = over.iter().map(|(id, _)| *id).collect();
            state.part.ended.retain(|(id, _)| !told.contains(id));
        }
        let (first, mut twin) = (!std::mem::replace(&mut state.part.heard, true), false);
        for (at, period) in periods.into_iter().enumerate() {
            if state.periods[at] != period {
                continue;
            }
            state.others[at] = state.others[at].max(told.others[at]);
            let before = told.before[at];
            if before <= state.part.said[at] {
                continue;
            }
            if first {
                // An earlier process was killed before its ledger had what it told.
                let lost = before.saturating_sub(state.part.recalled[at]);
                state.spent[at] = state.spent[at].saturating_add(lost);
            }
            twin |= !first;
            state.part.said[at] = before;
        }
        twin
    }

    /// Puts it on the worker's list; false where it is there.
    pub fn is_news(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().part.listed, true)
    }

    /// Takes it off.
    pub fn is_told(&self) {
        self.state.lock().part.listed = false;
    }

    /// Whether anything was not told yet, as far as is known.
    pub fn owes(&self) -> bool {
        let state = self.state.lock();
        state.part.listed || !state.part.ended.is_empty() || state.spent != state.part.said
    }

    /// Whether the key is in use, or was lately: then what others spend of it matters here. One round of the worker;
    /// `anew` begins them again.
    pub fn is_in_use(&self, anew: bool) -> bool {
        let part = &mut self.state.lock().part;
        if anew {
            part.used();
        }
        let listens = part.rounds > 0 || !part.open.is_empty();
        part.rounds = part.rounds.saturating_sub(1);
        listens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::NanoUsd;

    const NOW: Millis = Millis(86_400_000 * 20_000);

    fn told(before: u64, others: u64) -> Told {
        Told { refused: None, before: [before; 4], others: [others; 4] }
    }

    #[test]
    fn what_a_killed_process_had_told_counts_though_its_ledger_lost_it() {
        let meter = Meter::default();
        meter.recall(20_000, NanoUsd(5), NOW);
        let word = meter.word(NOW, Hurry::Request);
        assert_eq!(word.spent, [5; 4]);
        // Spent while the answer was on its way.
        meter.settle(NOW, None, None, NanoUsd(1));
        assert!(!meter.heard(word.periods, &told(7, 10), &[]));
        assert!(!meter.heard(word.periods, &told(7, 10), &[]), "said twice, it counts once");
        let word = meter.word(NOW, Hurry::Request);
        assert_eq!((word.spent, word.others), ([8; 4], [10; 4]));
        assert_eq!(meter.spent(NOW), [NanoUsd(18); 4]);
        // What is said of another moment's day is not for this one, and nobody unsays what he spent.
        assert!(!meter.heard([0; 4], &told(0, 99), &[]));
        assert!(!meter.heard(word.periods, &told(0, 3), &[]));
        assert_eq!(meter.word(NOW, Hurry::Request).others, [10, 10, 10, 99]);
        assert!(meter.heard(word.periods, &told(9, 3), &[]), "somebody else speaks in our name");
        assert_eq!(meter.word(NOW, Hurry::Request).spent, [8; 4], "and is not taken for us");
    }

    #[test]
    fn one_fetches_a_few_permits_and_the_rest_one_each() {
        let (meter, most) = (Meter::default(), 64 * 8);
        let minute = NOW.0 / 60_000;
        assert_eq!(meter.permit(most, NOW), Permit::Ask { want: 8, minute });
        assert_eq!(meter.permit(most, NOW), Permit::Ask { want: 1, minute });
        meter.permitted((minute, most), 1, 1);
        assert_eq!(meter.permit(most, NOW), Permit::Ask { want: 1, minute });
        meter.permitted((minute, most), 8, 3);
        assert_eq!([meter.permit(most, NOW), meter.permit(most, NOW)], [Permit::Had; 2]);
        assert_eq!(meter.permit(most, NOW), Permit::Ask { want: 8, minute });
        meter.permitted((minute, most), 8, 0);
        assert_eq!(meter.permit(most, NOW), Permit::UsedUp, "and nobody is asked any more");
        assert_eq!(
            meter.permit(most + 1, NOW),
            Permit::Ask { want: 8, minute },
            "unless the limit was raised"
        );
        meter.permitted((minute, most + 1), 8, 8);
        let next = Millis(NOW.0 + 60_000);
        assert_eq!(meter.permit(most, next), Permit::Ask { want: 8, minute: minute + 1 }, "those are gone");
        assert_eq!(meter.permit(10, Millis(next.0 + 60_000)), Permit::Ask { want: 1, minute: minute + 2 });
    }

    #[test]
    fn an_ended_hold_is_told_until_it_is_heard() {
        let meter = Meter::default();
        meter.opened(7);
        assert_eq!(meter.word(NOW, Hurry::None).open, [7]);
        assert!(meter.word(NOW, Hurry::None).open.is_empty(), "renewed just now");
        assert_eq!(meter.word(NOW.plus(LAPSE / 3), Hurry::None).open, [7]);
        meter.state.lock().part.end(7, Some(3));
        let word = meter.word(NOW, Hurry::Request);
        assert_eq!((word.over.as_slice(), word.open.len()), (&[(7, Some(3))][..], 0));
        assert!(meter.owes());
        meter.heard(word.periods, &told(0, 0), &word.over);
        assert!(meter.word(NOW, Hurry::None).over.is_empty() && !meter.owes());
        (0..10_000).for_each(|id| meter.state.lock().part.end(id, None));
        assert!(meter.word(NOW, Hurry::None).over.len() <= MOST_ENDED);
        assert_eq!(meter.word(NOW, Hurry::Request).over.len(), ALONG);
    }
}
