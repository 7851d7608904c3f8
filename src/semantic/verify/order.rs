//! Who does what to whom: the order of shared words, and the roles that particles and prepositions give them.
//!
//! "From Seoul to Busan" / "from Busan to Seoul" and "What if Sheldon met Phoebe" / "What if Phoebe met Sheldon" have one bag of words each.
//! English is judged by order, but for a moved phrase ("in Python, how do I …") and for the two
//! sides of "and", "or", "between"; Korean by particles, because its words may stand in any order.

use super::align::Alignment;
use super::korean::Role;
use super::reading::{Reading, Word};

/// How the shared words are ordered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// Share of word pairs whose order is turned round, 0 to 1.
    pub turned: f32,
    /// Share of neighbouring pairs of the one that are neighbours in the other, 0 to 1.
    pub kept: f32,
    /// The order differs by more than one phrase that moved.
    pub scrambled: bool,
    /// A word is "from" here and "to" there, subject here and object there, or wanted here and rejected there.
    pub roles_clash: bool,
}

pub fn compare(a: &Reading, b: &Reading, aligned: &Alignment) -> Order {
    let telling = |words: &[Word], at: usize| words[at].weight > 0.0;
    let places: Vec<usize> = (aligned.a.iter().enumerate())
        .filter(|(i, _)| telling(&a.words, *i))
        .filter_map(|(_, m)| m.to.filter(|j| telling(&b.words, *j)))
        .collect();
    let n = places.len();
    let mut out = Order { kept: 1.0, roles_clash: roles_clash(a, b, aligned), ..Order::default() };
    if n < 2 {
        return out;
    }
    let turned =
        (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).filter(|(i, j)| places[*i] > places[*j]).count();
    out.turned = turned as f32 / (n * (n - 1) / 2) as f32;
    let kept = places.windows(2).filter(|w| w[1] > w[0] && w[1] - w[0] <= 1).count();
    out.kept = kept as f32 / (n - 1) as f32;
    let drops = places.windows(2).filter(|w| w[0] > w[1]).count();
    // "The difference between tea and coffee" is symmetric by itself.
    let symmetric = a.words.iter().any(|w| w.text.starts_with("differ") || w.text.starts_with("compar"));
    out.scrambled = drops > 0 && !symmetric && !moved_phrase(&places, drops);
    out
}

/// One block moved to the front or the end: a single drop, and all behind it is smaller than all before it.
fn moved_phrase(places: &[usize], drops: usize) -> bool {
    drops == 1 && places.last() < places.first()
}

fn roles_clash(a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    if [Role::From, Role::To, Role::Than].iter().any(|role| passed_on(*role, a, b, aligned)) {
        return true;
    }
    let mut swapped = 0;
    let compares = |words: &[Word]| words.iter().any(|w| w.role == Role::Than);
    let both_compare = compares(&a.words) && compares(&b.words);
    for (word, found) in a.words.iter().zip(&aligned.a) {
        let Some(other) = found.to.map(|at| &b.words[at]) else { continue };
        match (word.role, other.role) {
            (Role::From, Role::To) | (Role::To, Role::From) => return true,
            (Role::Rejected, x) | (x, Role::Rejected) if x != Role::Rejected => swapped += 2,
            (Role::Than, Role::Subject | Role::Topic | Role::Object)
            | (Role::Subject | Role::Topic | Role::Object, Role::Than) => swapped += 2,
            (Role::Than, Role::None) | (Role::None, Role::Than) if both_compare => return true,
            (Role::Subject | Role::To, Role::Object) | (Role::Object, Role::Subject | Role::To) => {
                swapped += 1
            }
            _ => {}
        }
    }
    swapped >= 2
}

/// Whether a role has gone from one shared word to another: "서울에서 부산 가는" / "부산에서 서울 가는", where
/// the other word of the pair bears no particle.
fn passed_on(role: Role, a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    let pairs =
        || a.words.iter().zip(&aligned.a).filter_map(|(word, found)| Some((word, &b.words[found.to?])));
    pairs().any(|(word, other)| word.role == role && other.role != role)
        && pairs().any(|(word, other)| word.role != role && other.role == role)
}

/// The role that an English preposition gives the content word behind it (an article may stand between).
pub fn english_role(before: &[&str]) -> Role {
    let before = match before {
        [head @ .., "the" | "a" | "an" | "my" | "your"] => head,
        all => all,
    };
    match before {
        [.., "rather", "than"] | [.., "instead", "of"] => Role::Rejected,
        [.., "from"] => Role::From,
        [.., "to" | "into"] => Role::To,
        [.., "than"] => Role::Than,
        _ => Role::None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Strictness;
    use crate::semantic::verify::{Judgement, Near, Reading, judge};

    fn refused(asked: &str, stored: &str) -> bool {
        let (asked, stored) = (Reading::of(asked), Reading::of(stored));
        let near = Near { asked: &asked, stored: &stored, cosine: 0.98, gap: None };
        matches!(judge(&near, Strictness::Strict), Judgement::Different(_))
    }

    #[test]
    fn roles_and_codes_that_differ_make_another_question() {
        for (asked, stored) in [
            ("서울에서 부산 가는 택배 기간이 궁금합니다", "부산에서 서울 가는 택배 기간이 궁금합니다"),
            ("플러스에서 베이직 요금제로 바꾸고 싶어요", "베이직에서 플러스 요금제로 바꾸고 싶어요"),
            ("move me from Plus to Basic please", "move me from Basic to Plus please"),
            ("ship 3 of item 5", "ship 5 of item 3"),
            ("what about case 4711-new-30 of my order", "what about case 4711-known-30 of my order"),
        ] {
            assert!(refused(asked, stored), "{asked} / {stored}");
        }
    }
}
