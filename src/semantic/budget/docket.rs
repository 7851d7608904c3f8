//! Open audits, and the order in which their labels count.
//!
//! Labels count in the order in which they were drawn, not in which they come back. A wrong answer takes longer to
//! label (its verdict is asked for again), so counting as they come would make every look at the evidence a little too rosy.

use std::collections::VecDeque;

/// Audits that may be open at once; beyond it the oldest is given up as lost.
const OPEN: usize = 512;

/// Leave to audit one candidate. Hand it to `Budget::hear` with each verdict, or to `Budget::lose`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    pub(super) number: u64,
    /// Cosine, or whatever the route's threshold is compared with.
    pub score: f32,
    /// The verifier's own probability that the stored answer serves, where it gives one.
    pub p: Option<f32>,
    /// Probability with which this candidate was drawn; above 0.
    pub share: f32,
    pub(super) stake: f64,
    pub(super) differed: u8,
}

/// What an audit amounts to after all its verdicts.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub score: f32,
    pub p: Option<f32>,
    pub share: f32,
    pub stake: f64,
    pub wrong: bool,
}

#[derive(Debug)]
enum Place {
    Open,
    Labelled(Label),
    Lost,
}

#[derive(Debug, Default)]
pub struct Docket {
    first: u64,
    places: VecDeque<Place>,
    /// Audits that never came to a label.
    pub lost: u64,
}

impl Docket {
    pub fn after(lost: u64) -> Docket {
        Docket { lost, ..Docket::default() }
    }

    pub fn open(&mut self) -> u64 {
        if self.places.len() == OPEN
            && let Some(oldest) = self.places.front_mut()
            && matches!(oldest, Place::Open)
        {
            *oldest = Place::Lost;
        }
        self.places.push_back(Place::Open);
        self.first + self.places.len() as u64 - 1
    }

    /// Labels for a number that is not open (given up, heard twice, or from before a restart) change nothing.
    pub fn label(&mut self, number: u64, label: Label) {
        if let Some(place) = self.place(number) {
            *place = Place::Labelled(label);
        }
    }

    pub fn lose(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            *place = Place::Lost;
        }
    }

    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.places.get_mut(at).filter(|place| matches!(place, Place::Open))
    }

    /// The next label whose forerunners are all settled.
    pub fn next(&mut self) -> Option<Label> {
        while !matches!(self.places.front()?, Place::Open) {
            self.first += 1;
            match self.places.pop_front()? {
                Place::Labelled(label) => return Some(label),
                Place::Lost => self.lost += 1,
                Place::Open => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(score: f32) -> Label {
        Label { score, p: None, share: 1.0, stake: 1.0, wrong: false }
    }

    #[test]
    fn labels_count_in_the_order_drawn() {
        let mut docket = Docket::default();
        let (slow, lost, quick) = (docket.open(), docket.open(), docket.open());
        docket.label(quick, label(0.3));
        docket.lose(lost);
        assert_eq!(docket.next(), None, "the first is still out");
        docket.label(slow, label(0.1));
        assert_eq!(docket.next().map(|l| l.score), Some(0.1));
        assert_eq!(docket.next().map(|l| l.score), Some(0.3));
        assert_eq!((docket.next(), docket.lost), (None, 1));
    }

    #[test]
    fn an_audit_that_never_returns_does_not_stop_the_rest() {
        let mut docket = Docket::default();
        let never = docket.open();
        for _ in 0..OPEN {
            let number = docket.open();
            docket.label(number, label(0.5));
        }
        assert!(docket.next().is_some());
        docket.label(never, label(0.9));
        assert_eq!(std::iter::from_fn(|| docket.next()).filter(|l| l.score == 0.9).count(), 0);
    }
}
