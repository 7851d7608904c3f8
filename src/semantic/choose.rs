//! The one place that decides by meaning: `cache::lookup` serves by it and `reprise eval` measures it.

use super::codes::dot;
use super::embedder::Vector;
use super::index::Neighbour;
use super::second::Second;
use super::verify::{self, Judgement, Near, Reading, Rule};
use super::wordings::{Wording, Wordings};
use crate::base::digest::ExactKey;
use crate::config::Strictness;
use std::borrow::Borrow;
use std::sync::Arc;

/// Neighbours tried, best first: the nearest may be refused and the next still serve.
pub const TRIED: usize = 5;

/// The probability from which no further neighbour is looked at. Below it the surest serves, not the nearest: on
/// `bitext_support_en` that left 0.15 % wrong answers of 0.45 %, for half a judgement more a question. Beyond 0.9 little is gained.
const SURE: f32 = 0.95;

/// From here on a strictly verified question is remembered as another wording of the stored one. From 0.85 on unseen support
/// questions go wrong more often, and 0.95 gives away half of what it gains.
const SURELY: f32 = 0.90;
/// Below it no second reader is asked.
const UNLIKELY: f32 = 0.10;
/// Nobody vouches for a question that the stored one itself makes less likely the same than this.
const LIKELY: f32 = 0.50;

/// A question.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub reading: &'a Reading,
    /// Who may vouch for it.
    pub vouchers: Option<Vouchers<'a>>,
    /// Who is asked where the learned score is in doubt.
    pub second: Option<&'a dyn Second>,
}

/// The other wordings of stored questions, and the vector, of the same model, to compare with theirs.
#[derive(Clone, Copy)]
pub struct Vouchers<'a> {
    /// What is asked; it does not vouch for itself.
    pub text: &'a str,
    pub vector: &'a Vector,
    pub wordings: &'a Wordings,
}

impl Vouchers<'_> {
    /// What is asked, to vouch for others.
    pub fn wording(&self) -> Wording {
        Wording { text: self.text.into(), vector: self.vector.clone() }
    }
}

/// What a stored question must pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The cosine from which a neighbour is a candidate.
    pub threshold: f32,
    /// Where wrong hits are watched: a neighbour from this cosine on is a candidate even where it lies below the threshold.
    pub floor: Option<f32>,
    pub verify: Strictness,
}

impl Bar {
    /// The cosine from which a neighbour is a candidate.
    pub fn least(&self) -> f32 {
        self.floor.map_or(self.threshold, |floor| floor.min(self.threshold))
    }
}

/// What became of one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// This entry's answer serves. `surely`: what was asked is another wording of the stored question.
    Serve { key: ExactKey, score: f32, surely: bool },
    /// Nothing serves. `nearest`: the best of what could have been served, with its cosine.
    Refuse { why: Refusal, nearest: Option<(ExactKey, f32)> },
}

/// Why nothing was served; of several reasons the nearest neighbour's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is stored, or nothing that could be served.
    Nothing,
    BelowThreshold,
    Refused(Rule),
}

/// Which of `neighbours` (best first; those past the first [`TRIED`] only tell how far apart they lie) has a stored question that
/// may share its answer with `asked`: the first that is [`SURE`], else the surest that passes.
///
/// With a floor below the threshold, neighbours from there on are candidates too: whatever threshold is in force, one and
/// the same neighbour is chosen, so what is learnt of the hits at one holds at another. The caller compares its score.
///
/// `stored` gives a neighbour's question, read; `None` for one that cannot be served (evicted, stale, in no form that the client
/// takes), which is then passed over as if it were not there. It is called for candidates only, in order, each at most once.
/// Pure; costs one judgement a candidate, and one a wording of those in doubt.
pub fn choose<R: Borrow<Reading>>(
    asked: Asked<'_>,
    neighbours: &[Neighbour],
    bar: Bar,
    mut stored: impl FnMut(&Neighbour) -> Option<R>,
) -> Choice {
    let mut surest: Option<(f32, &Neighbour)> = None;
    let mut refused = None;
    for (rank, neighbour) in neighbours.iter().take(TRIED).enumerate() {
        let seen = (neighbour.key, neighbour.score);
        if !reaches(neighbour.score, bar.least()) {
            refused.get_or_insert((Refusal::BelowThreshold, seen));
            break;
        }
        let Some(reading) = stored(neighbour) else { continue };
        let gap = neighbours.get(rank + 1).map(|next| neighbour.score - next.score);
        let near = Near { asked: asked.reading, stored: reading.borrow(), cosine: neighbour.score, gap };
        match weigh(asked, &near, neighbour, bar).judgement {
            Judgement::Same { p } => {
                if surest.is_none_or(|(most, _)| p > most) {
                    surest = Some((p, neighbour));
                }
                if p >= SURE {
                    break;
                }
            }
            Judgement::Doubted { rule, .. } | Judgement::Different(rule) => {
                refused.get_or_insert((Refusal::Refused(rule), seen));
            }
        }
    }
    match (surest, refused) {
        (Some((p, found)), _) => {
            let surely = bar.verify == Strictness::Strict && p >= SURELY;
            Choice::Serve { key: found.key, score: found.score, surely }
        }
        (None, Some((why, nearest))) => Choice::Refuse { why, nearest: Some(nearest) },
        (None, None) => Choice::Refuse { why: Refusal::Nothing, nearest: None },
    }
}

/// The verifier's word on a candidate.
pub struct Weighed {
    pub judgement: Judgement,
    /// What the second reader said, in log-odds, where it was asked.
    pub second: Option<f32>,
    /// The wording of the stored question that made it so.
    pub by: Option<Arc<str>>,
}

/// Judges a stored question. Where it breaks no rule and the score is in doubt, a second reader's opinion is added to it. Where it is
/// [`LIKELY`] then but not [`SURE`], its other wordings are judged too, those as near as a neighbour must be, and the surest counts. Only
/// where verification is strict.
pub fn weigh(asked: Asked<'_>, near: &Near, stored: &Neighbour, bar: Bar) -> Weighed {
    let mut judgement = verify::judge(near, bar.verify);
    let mut second = None;
    if let Judgement::Doubted { rule, p } = judgement
        && p >= UNLIKELY
        && near.asked.is_english()
        && near.stored.is_english()
    {
        second = asked.second.and_then(|second| second.log_odds(&stored.question));
        judgement = second.map_or(judgement, |said| verify::reconsider(p, rule, said, bar.verify));
    }
    let mut weighed = Weighed { judgement, second, by: None };
    let (Judgement::Same { p } | Judgement::Doubted { p, .. }) = judgement else { return weighed };
    let Some(Vouchers { text, vector, wordings }) = asked.vouchers else { return weighed };
    if bar.verify != Strictness::Strict || !(LIKELY..SURE).contains(&p) {
        return weighed;
    }
    let mut surest = p;
    for wording in wordings.of(&stored.key).iter().flat_map(|wordings| wordings.iter().rev()) {
        let cosine = dot(vector, &wording.vector);
        if *wording.text == *text || !reaches(cosine, bar.least()) {
            continue;
        }
        let stored = Reading::of(&wording.text);
        let near = Near { asked: asked.reading, stored: &stored, cosine, gap: None };
        if let judgement @ Judgement::Same { p } = verify::judge(&near, bar.verify)
            && p > surest
        {
            surest = p;
            weighed = Weighed { judgement, by: Some(wording.text.clone()), ..weighed };
            if p >= SURE {
                break;
            }
        }
    }
    weighed
}

/// Whether a neighbour is a candidate. A cosine that is no number never is.
pub fn reaches(score: f32, threshold: f32) -> bool {
    score >= threshold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::wordings::MEMORY;

    const ASKED: &str = "How do I cancel my gym membership?";
    const NEAR: &str = "I would like to cancel the membership at the gym";
    const SAME: &str = "how do i cancel my gym membership";

    /// The place of the neighbour that serves, and how many were looked at.
    fn chosen(found: &[(f32, &str)], threshold: f32, floor: Option<f32>) -> (Option<u8>, usize) {
        let neighbours: Vec<Neighbour> = (0u8..)
            .zip(found)
            .map(|(at, (score, text))| Neighbour {
                key: ExactKey([at; 32]),
                score: *score,
                question: (*text).into(),
            })
            .collect();
        let mut looked = 0;
        let bar = Bar { threshold, floor, verify: Strictness::Strict };
        let asked = Asked { reading: &Reading::of(ASKED), vouchers: None, second: None };
        let choice = choose(asked, &neighbours, bar, |neighbour| {
            looked += 1;
            Some(Reading::of(&neighbour.question))
        });
        match choice {
            Choice::Serve { key, .. } => (Some(key.0[0]), looked),
            Choice::Refuse { .. } => (None, looked),
        }
    }

    #[test]
    fn the_surest_serves_where_the_nearest_is_less_sure() {
        assert_eq!(chosen(&[(0.90, NEAR)], 0.8, None), (Some(0), 1));
        assert_eq!(chosen(&[(0.90, NEAR), (0.89, SAME)], 0.8, None), (Some(1), 2));
        assert_eq!(chosen(&[(0.90, "How do I feed a parrot?"), (0.89, NEAR)], 0.8, None), (Some(1), 2));
    }

    #[test]
    fn nothing_is_looked_at_behind_a_sure_one() {
        assert_eq!(chosen(&[(0.99, SAME), (0.90, NEAR)], 0.8, None), (Some(0), 1));
    }

    #[test]
    fn with_a_floor_the_threshold_does_not_move_the_choice() {
        let found = [(0.90, NEAR), (0.85, SAME)];
        for threshold in [0.8, 0.88, 0.95, f32::INFINITY] {
            assert_eq!(chosen(&found, threshold, Some(0.8)), (Some(1), 2), "{threshold}");
        }
        assert_eq!(chosen(&found, 0.88, None), (Some(0), 1));
        assert_eq!(chosen(&found, f32::INFINITY, None), (None, 0));
    }

    /// What a stored question and one other wording of it come to.
    fn weighed(asked: &str, stored: &str, wording: &str, bar: Bar) -> (Judgement, bool) {
        let (key, vector, wordings) = (ExactKey([0; 32]), Vector::from([0.9, 0.1]), Wordings::new(MEMORY));
        wordings.note(key, &Wording { text: wording.into(), vector: Vector::from([1.0, 0.0]) });
        let vouchers = Some(Vouchers { text: asked, vector: &vector, wordings: &wordings });
        let reading = Reading::of(asked);
        let neighbour = Neighbour { key, score: 0.9, question: stored.into() };
        let near = Near { asked: &reading, stored: &Reading::of(stored), cosine: 0.9, gap: None };
        let asked = Asked { reading: &reading, vouchers, second: None };
        let weighed = weigh(asked, &near, &neighbour, bar);
        (weighed.judgement, weighed.by.is_some())
    }

    #[test]
    fn nobody_vouches_against_the_stored_question() {
        let strict = Bar { threshold: 0.7, floor: None, verify: Strictness::Strict };
        let (asked, stored) = ("how would I go about resetting my password", "password reset how?");
        let wording = "tell me how to reset a password";
        assert!(weighed(asked, stored, wording, strict).1, "else this shows nothing");
        assert!(!weighed(asked, stored, asked, strict).1, "nobody vouches for himself");
        let far = Bar { threshold: 0.95, ..strict };
        assert!(!weighed(asked, stored, wording, far).1, "a wording must be near as well");
        let (judged, vouched) =
            weighed("Where is order 1002?", "Where is order 1001?", "where is order 1002", strict);
        assert_eq!((judged, vouched), (Judgement::Different(Rule::Numbers), false));
        let (judged, vouched) = weighed(ASKED, "How do I clean my gym shoes?", SAME, strict);
        assert!(judged.refusal().is_some() && !vouched, "{judged:?}: it is not likely at all");
    }

    /// Says the same of every pair, and counts how often it was asked.
    struct Says(Option<f32>, std::cell::Cell<usize>);

    impl Second for Says {
        fn log_odds(&self, _: &Arc<str>) -> Option<f32> {
            self.1.set(self.1.get() + 1);
            self.0
        }
    }

    /// What a pair comes to where a second reader says this, and how often it was asked.
    fn read_twice(asked: &str, stored: &str, said: Option<f32>, verify: Strictness) -> (Judgement, usize) {
        let (key, reading, second) = (ExactKey([0; 32]), Reading::of(asked), Says(said, 0.into()));
        let neighbour = Neighbour { key, score: 0.8, question: stored.into() };
        let near = Near { asked: &reading, stored: &Reading::of(stored), cosine: 0.8, gap: None };
        let asked = Asked { reading: &reading, vouchers: None, second: Some(&second) };
        let bar = Bar { threshold: 0.7, floor: None, verify };
        (weigh(asked, &near, &neighbour, bar).judgement, second.1.get())
    }

    #[test]
    fn a_second_reader_decides_what_is_in_doubt_and_nothing_else() {
        let (asked, stored) = ("how would I go about resetting my password", "password reset how?");
        let strict = |said| read_twice(asked, stored, said, Strictness::Strict);
        let alone = verify::judge(
            &Near { asked: &Reading::of(asked), stored: &Reading::of(stored), cosine: 0.8, gap: None },
            Strictness::Strict,
        );
        assert_eq!(strict(None), (alone, 1), "silence changes nothing");
        assert!(matches!(strict(Some(6.0)).0, Judgement::Same { p } if p > 0.9));
        assert!(matches!(strict(Some(-6.0)).0, Judgement::Doubted { p, .. } if p < 0.1));
        assert!(matches!(alone, Judgement::Doubted { .. }), "else this shows nothing");
        for (asked, stored) in [
            ("Where is order 1002?", "Where is order 1001?"),
            ("how do I turn the light off", "how do I turn the light on"),
            (stored, "how to reset password"),
            ("비밀번호 재설정은 어떻게 하나요?", "비밀번호를 어떻게 재설정하면 될까요?"),
            ("cómo restablezco la contraseña", "cómo puedo restablecer mi contraseña"),
        ] {
            assert_eq!(read_twice(asked, stored, Some(9.0), Strictness::Strict).1, 0, "{asked} / {stored}");
        }
        assert_eq!(read_twice(asked, stored, Some(-9.0), Strictness::Off), (Judgement::Same { p: 1.0 }, 0));
    }
}
