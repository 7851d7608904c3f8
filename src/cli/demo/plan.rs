//! Who asks what, in which order: the same for every run with one seed.

use super::sample::{Broken, Class, Language, Sample};
use crate::cli::stand_in::text::Dice;
use std::collections::{HashMap, HashSet};

/// Of a hundred requests, how many are Korean, one-off, about a fresh order number, streamed.
const KOREAN: usize = 45;
const ONE_OFF: usize = 3;
const FRESH: usize = 4;
const STREAMED: usize = 40;
/// Zipf's exponent: the second most popular class is asked half as often as the first.
const EXPONENT: f64 = 1.0;
/// Fresh order numbers start here, above all that the sample names.
const FRESH_FROM: u64 = 60_000;

/// One request to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub language: Language,
    pub text: String,
    /// Index into `Plan::classes`.
    pub class: usize,
    pub streamed: bool,
}

/// The whole workload.
#[derive(Clone, Debug)]
pub struct Plan {
    pub asks: Vec<Ask>,
    pub classes: Vec<Class>,
    /// Each text that may be asked, and its class.
    by_text: HashMap<String, usize>,
    by_answer: HashMap<String, usize>,
}

/// What no cache can exceed, as counts of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The class was asked before: a cache that never errs hits these.
    pub same_class: usize,
    /// The very text was asked before: an exact cache hits these.
    pub same_text: usize,
}

impl Plan {
    /// `requests` asks, drawn with `seed`.
    ///
    /// # Errors
    /// Only if a bundled file is broken.
    pub fn draw(requests: usize, seed: u64) -> Result<Plan, Broken> {
        let mut dice = Dice::new("reprise demo", seed);
        let mut plan = Plan {
            asks: Vec::new(),
            classes: Vec::new(),
            by_text: HashMap::new(),
            by_answer: HashMap::new(),
        };
        let mut decks = Vec::new();
        for language in Language::ALL {
            decks.push(Deck::new(Sample::read(language)?, &mut plan, &mut dice));
        }
        while plan.asks.len() < requests {
            let place = usize::from(dice.below(100) < KOREAN);
            if let Some(deck) = decks.get_mut(place) {
                let ask = deck.draw(&mut plan, &mut dice);
                plan.asks.push(ask);
            }
        }
        Ok(plan)
    }

    fn add(&mut self, class: Class) -> usize {
        let index = self.classes.len();
        for text in &class.say {
            self.by_text.insert(text.clone(), index);
        }
        self.by_answer.insert(class.answer.clone(), index);
        self.classes.push(class);
        index
    }

    /// The right answer to `text`.
    pub fn answer_to(&self, text: &str) -> Option<&str> {
        self.classes.get(*self.by_text.get(text)?).map(|class| class.answer.as_str())
    }

    /// The class that `answer` belongs to.
    pub fn class_of_answer(&self, answer: &str) -> Option<&Class> {
        self.classes.get(*self.by_answer.get(answer)?)
    }

    pub fn bounds(&self) -> Bounds {
        let (mut classes, mut texts) = (HashSet::new(), HashSet::new());
        let mut bounds = Bounds { same_class: 0, same_text: 0 };
        for ask in &self.asks {
            bounds.same_class += usize::from(!classes.insert(ask.class));
            bounds.same_text += usize::from(!texts.insert(&ask.text));
        }
        bounds
    }
}

/// One language's classes in order of popularity, and its one-off questions still unasked.
struct Deck {
    sample: Sample,
    /// Indices into `Plan::classes`, most popular first.
    ranked: Vec<usize>,
    /// Up to each rank, the sum of weights.
    reach: Vec<f64>,
    once: Vec<String>,
    next_fresh: u64,
}

impl Deck {
    fn new(sample: Sample, plan: &mut Plan, dice: &mut Dice) -> Deck {
        let mut ranked: Vec<usize> = sample.classes.iter().map(|class| plan.add(class.clone())).collect();
        shuffle(&mut ranked, dice);
        let mut once = sample.once.clone();
        shuffle(&mut once, dice);
        let mut sum = 0.0;
        let reach = (1..=ranked.len())
            .map(|rank| {
                sum += (rank as f64).powf(-EXPONENT);
                sum
            })
            .collect();
        Deck { sample, ranked, reach, once, next_fresh: FRESH_FROM }
    }

    fn draw(&mut self, plan: &mut Plan, dice: &mut Dice) -> Ask {
        let streamed = dice.below(100) < STREAMED;
        let kind = dice.below(100);
        let (choice, phrasing) = (dice.below(usize::MAX), dice.below(usize::MAX));
        let language = self.sample.language;
        let own = if kind < ONE_OFF {
            self.once.pop().map(|text| one_off(language, text))
        } else if kind < ONE_OFF + FRESH {
            self.next_fresh += 1 + dice.below(40) as u64;
            self.sample.fresh(choice, self.next_fresh)
        } else {
            None
        };
        let class = match own {
            Some(class) => plan.add(class),
            None => self.popular(dice),
        };
        let say = plan.classes.get(class).map_or(&[][..], |class| &class.say);
        let text = say.get(phrasing % say.len().max(1)).cloned().unwrap_or_default();
        Ask { language, text, class, streamed }
    }

    fn popular(&self, dice: &mut Dice) -> usize {
        let point = dice.share() * self.reach.last().copied().unwrap_or(0.0);
        let rank = self.reach.partition_point(|&reach| reach <= point);
        self.ranked.get(rank).copied().unwrap_or(0)
    }
}

fn one_off(language: Language, text: String) -> Class {
    let answer = match language {
        Language::English => format!("Good question! We have passed it on to a colleague: \"{text}\""),
        Language::Korean => format!("좋은 질문입니다. 담당자에게 전달했습니다: \"{text}\""),
    };
    Class { name: format!("{}/once: {text}", language.word()), trap: None, answer, say: vec![text] }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for last in (1..items.len()).rev() {
        items.swap(last, dice.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_one_plan_and_another_seed_another() {
        let one = Plan::draw(300, 1).unwrap();
        assert_eq!(one.asks, Plan::draw(300, 1).unwrap().asks);
        assert_ne!(one.asks, Plan::draw(300, 2).unwrap().asks);
    }

    #[test]
    fn every_ask_has_its_answer_and_every_answer_its_class() {
        let plan = Plan::draw(1_500, 7).unwrap();
        for ask in &plan.asks {
            let answer = plan.answer_to(&ask.text).unwrap();
            assert_eq!(plan.class_of_answer(answer).unwrap(), &plan.classes[ask.class], "{}", ask.text);
        }
        let bounds = plan.bounds();
        assert!(bounds.same_text < bounds.same_class && bounds.same_class < plan.asks.len());
        let streamed = plan.asks.iter().filter(|ask| ask.streamed).count();
        let korean = plan.asks.iter().filter(|ask| ask.language == Language::Korean).count();
        assert!((450..750).contains(&streamed) && (525..825).contains(&korean));
    }
}
