//! Who does what to whom: the order of shared words, and the roles that particles and prepositions give them.
//!
//! "From Seoul to Busan" / "from Busan to Seoul" and "What if Sheldon met Phoebe" / "What if Phoebe met Sheldon" have one bag of words each.
//! English is judged by order, but for a moved phrase ("in Python, how do I …") and for the two
//! sides of "and", "or", "between"; Korean by particles, because its words may stand in any order.

use super::align::Alignment;
use super::korean::Role;
use super::reading::Reading;
use super::word::Word;

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
    let crossing: Vec<(usize, usize)> = (0..n)
        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
        .filter(|(i, j)| places[*i] > places[*j])
        .collect();
    out.turned = crossing.len() as f32 / (n * (n - 1) / 2) as f32;
    let kept = places.windows(2).filter(|w| w[1] > w[0] && w[1] - w[0] <= 1).count();
    out.kept = kept as f32 / (n - 1) as f32;
    // "Is tax included in the price" / "does the price include tax": the passive turns round who and what.
    // "The difference between tea and coffee" is symmetric by itself.
    let compares = |w: &Word| w.text.starts_with("differ") || w.text.starts_with("compar");
    let symmetric = a.words.iter().chain(&b.words).any(compares);
    out.scrambled = !symmetric
        && a.passive == b.passive
        && !moved_phrase(&places)
        && crossing.iter().any(|pair| apart(&places, *pair));
    out
}

/// One block moved to the front or the end: a single drop, and all behind it is smaller than all before it.
fn moved_phrase(places: &[usize]) -> bool {
    places.windows(2).filter(|w| w[0] > w[1]).count() == 1 && places.last() < places.first()
}

/// Whether two words that changed places stand apart in both texts. Neighbours in one of them are only worded otherwise: "the status
/// of my order" / "my order status", "convert atoms" / "atoms converted". "Dogs chase cats" / "cats chase dogs" is another matter.
fn apart(places: &[usize], (i, j): (usize, usize)) -> bool {
    let between = places.iter().filter(|place| (places[j]..places[i]).contains(place)).count();
    j - i > 1 && between > 1
}

fn roles_clash(a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    let passed_on = |has: &dyn Fn(&Word) -> bool| passed_on(has, a, b, aligned);
    let plays = |role: Role| move |word: &Word| word.role == role;
    let goes = passed_on(&plays(Role::From)) || passed_on(&plays(Role::Than));
    let arrives = || passed_on(&plays(Role::To)) || passed_on(&plays(Role::At));
    // "How many pounds is 150 kilograms" / "how many kilograms is 150 pounds".
    let counts = || {
        let mut values = a.words.iter().filter_map(|word| word.counted);
        values.any(|value| passed_on(&|word: &Word| word.counted == Some(value)))
    };
    if goes || a.hangul && arrives() || counts() {
        return true;
    }
    if turned_to(a, b, aligned) || a.hangul && changed_places(a, b, aligned) || a.person.clashes(&b.person) {
        return true;
    }
    let (mut to_object, mut from_object, mut from_to, mut to_from) = (false, false, 0, 0);
    let mut rejected = false;
    let compares = |words: &[Word]| words.iter().any(|w| w.role == Role::Than);
    let both_compare = compares(&a.words) && compares(&b.words);
    for (word, other) in shared(a, b, aligned) {
        match (word.role, other.role) {
            (Role::From, Role::To) => from_to += 1,
            (Role::To, Role::From) => to_from += 1,
            (Role::Rejected, Role::Than) | (Role::Than, Role::Rejected) => {}
            (Role::Rejected, role) if role != Role::Rejected => {
                rejected |= !wanted_too(word, a) && !b.polarity.instead
            }
            (role, Role::Rejected) if role != Role::Rejected => {
                rejected |= !wanted_too(other, b) && !a.polarity.instead
            }
            (Role::Than, Role::Subject | Role::Topic | Role::Object) if !wanted_too(word, a) => return true,
            (Role::Subject | Role::Topic | Role::Object, Role::Than) if !wanted_too(other, b) => return true,
            (Role::Than, Role::None) | (Role::None, Role::Than) if both_compare => return true,
            (Role::Subject | Role::To, Role::Object) => to_object = true,
            (Role::Object, Role::Subject | Role::To) => from_object = true,
            _ => {}
        }
    }
    // "에서" and "로" also name where and by what means: one word alone turns round only on the way somewhere.
    let turned = if a.hangul { from_to > 0 && to_from > 0 || travels(a) || travels(b) } else { true };
    rejected || to_object && from_object || (from_to + to_from > 0 && turned)
}

/// Whether a Korean text is about a way from somewhere to somewhere.
fn travels(text: &Reading) -> bool {
    const WAYS: &[&str] =
        &["가", "간", "갈", "오", "온", "올", "출발", "도착", "이동", "옮기", "옮겨", "보내", "떠나"];
    text.words.iter().any(|w| WAYS.contains(&&*w.text))
}

/// Whether a word that is rejected, or the lesser of two, also stands elsewhere in its text: "지난 겨울 말고 이번 겨울".
fn wanted_too(word: &Word, text: &Reading) -> bool {
    text.words.iter().any(|w| w.means(word) && !matches!(w.role, Role::Rejected | Role::Than))
}

/// "Dollars to euros" / "euros to dollars": `to` has gone to the other of two words that changed places. English only; before a verb
/// ("to check") it says nothing, and Korean marks the pair by particles.
fn turned_to(a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    let shared = || aligned.a.iter().enumerate().filter_map(|(i, found)| Some((i, found.to?)));
    let to = |words: &[Word], at: usize| words[at].role == Role::To && !words[at].hangul;
    shared().filter(|(i, j)| to(&a.words, *i) && !to(&b.words, *j)).any(|(i, j)| {
        shared().any(|(k, l)| {
            // A compound may be between them: "store credit into a voucher".
            let near = |words: &[Word], (p, q): (usize, usize)| telling(&words[p.min(q) + 1..p.max(q)]) < 2;
            let neighbours = || near(&a.words, (i, k)) || near(&b.words, (j, l));
            !to(&a.words, k) && to(&b.words, l) && (i < k) != (j < l) && neighbours()
        })
    })
}

fn telling(words: &[Word]) -> usize {
    words.iter().filter(|word| word.weight > 0.0).count()
}

/// Whether who does it and whom or where it reaches have changed places: "철수가 영희에게" / "영희가 철수에게", "이모가 저한테" /
/// "제가 이모한테".
fn changed_places(a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    let acts = |word: &Word| matches!(word.role, Role::Subject | Role::Topic);
    let gone = |end| shared(a, b, aligned).any(|(word, other)| acts(word) && other.role == end);
    let come = |end| shared(a, b, aligned).any(|(word, other)| word.role == end && acts(other));
    let (mine, theirs) = (a.person.reached, b.person.reached);
    let both = |end| gone(end) && come(end);
    both(Role::To)
        || both(Role::From)
        || mine && !theirs && gone(Role::To)
        || theirs && !mine && come(Role::To)
}

/// The words that stand in both, as pairs.
fn shared<'a>(
    a: &'a Reading,
    b: &'a Reading,
    aligned: &'a Alignment,
) -> impl Iterator<Item = (&'a Word, &'a Word)> {
    a.words.iter().zip(&aligned.a).filter_map(|(word, found)| Some((word, &b.words[found.to?])))
}

/// Whether what one shared word has there another has here: "서울에서 부산 가는" / "부산에서 서울 가는", where the other word
/// of the pair bears no particle.
fn passed_on(has: &dyn Fn(&Word) -> bool, a: &Reading, b: &Reading, aligned: &Alignment) -> bool {
    shared(a, b, aligned).any(|(word, other)| has(word) && !has(other))
        && shared(a, b, aligned).any(|(word, other)| !has(word) && has(other))
}

/// The role that an English preposition gives the content word behind it (an article may stand between).
pub fn english_role(before: &[&str]) -> Role {
    let before = match before {
        [head @ .., "the" | "a" | "an" | "my" | "your"] => head,
        all => all,
    };
    match before {
        [.., "rather", "than"] | [.., "instead", "of"] => Role::Rejected,
        // One leaves a list, whichever word stands there.
        [.., verb, "from" | "to"] if verb.starts_with("unsubscrib") => Role::None,
        [.., "from"] => Role::From,
        [.., "to" | "into"] => Role::To,
        [.., "than"] => Role::Than,
        _ => Role::None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Strictness;
    use crate::semantic::verify::{Near, Reading, judge};

    fn refused(asked: &str, stored: &str) -> bool {
        let (asked, stored) = (Reading::of(asked), Reading::of(stored));
        let near = Near { asked: &asked, stored: &stored, cosine: 0.98, gap: None };
        judge(&near, Strictness::Strict).refusal().is_some()
    }

    fn clash(a: &str, b: &str) -> bool {
        let (a, b) = (Reading::of(a), Reading::of(b));
        let compared = crate::semantic::verify::features::compare(&a, &b, 0.95);
        compared.order.roles_clash || compared.order.scrambled
    }

    #[test]
    fn the_same_roles_in_other_words_do_not_clash() {
        for (a, b) in [
            ("check the current status of my order", "see my order current status"),
            ("does the price include tax", "is tax included in the price"),
            ("I want to track the refund", "refund tracking please"),
            ("unsubscribe from your newsletter", "unsubscribe to your newsletter"),
            ("why have you declined my card payment", "why was the payment on my card declined"),
            (
                "네이트 메일에서 어떻게 전체 메일을 보내?",
                "전체 메일을 보내려면 네이트 메일에서 어떻게 해야해?",
            ),
            ("실외 말고 실내로 계획을 잡아", "실외보다는 실내로 계획을 잡아"),
            ("지난 겨울 말고 이번 겨울 사용량", "이번 겨울 사용량"),
            ("나쁜 생각 하지 말고 쉬어", "나쁜 생각 말고 쉬어"),
            (
                "remove duplicate rows from a table in Postgres",
                "delete duplicated rows from a Postgres table",
            ),
        ] {
            assert!(!clash(a, b), "{a} | {b}");
        }
    }

    #[test]
    fn swapped_roles_clash() {
        for (a, b) in [
            ("convert dollars to euros", "convert euros to dollars"),
            ("why do dogs chase cats", "why do cats chase dogs"),
            ("is Java faster than Python", "is Python faster than Java"),
            ("우산 말고 우비 챙겨", "우비 말고 우산 챙겨"),
            ("철수가 영희를 좋아해", "영희가 철수를 좋아해"),
            ("철수가 영희에게 돈을 빌려줬어?", "영희가 철수에게 돈을 빌려줬어?"),
            ("언니는 엄마한테 전화했어?", "엄마는 언니한테 전화했어?"),
            ("이모가 저한테 보낸 택배 어디 있어요?", "제가 이모한테 보낸 택배 어디 있어요?"),
            ("한국어 문장을 영어로 번역해줘", "영어 문장을 한국어로 번역해줘"),
            ("맥에서 윈도우로 옮기는 법", "윈도우에서 맥으로 옮기는 법"),
            ("PDF를 워드로 바꿔줘", "워드를 PDF로 바꿔줘"),
            ("gift card를 debit card로 바꿔줘", "debit card를 gift card로 바꿔줘"),
            ("'서울'에서 '부산'으로 가는 기차", "'부산'에서 '서울'로 가는 기차"),
            ("How many pounds is 150 kilograms?", "How many kilograms is 150 pounds?"),
            ("turn my store credit into a gift voucher", "turn my gift voucher into store credit"),
        ] {
            assert!(clash(a, b), "{a} | {b}");
        }
    }

    #[test]
    fn roles_and_codes_that_differ_make_another_question() {
        for (asked, stored) in [
            ("서울에서 부산 가는 택배 기간이 궁금합니다", "부산에서 서울 가는 택배 기간이 궁금합니다"),
            ("플러스에서 베이직 요금제로 바꾸고 싶어요", "베이직에서 플러스 요금제로 바꾸고 싶어요"),
            ("move me from Plus to Basic please", "move me from Basic to Plus please"),
            ("how do I subscribe to updates", "how do I unsubscribe to updates"),
            ("ship 3 of item 5", "ship 5 of item 3"),
            ("import bookmarks from Chrome in Firefox", "import bookmarks from Firefox in Chrome"),
            ("track 9400110200881234567890", "track 9400110200881234567891"),
            ("stay for twenty-one days", "stay for twenty days"),
            ("how do I stop blocking a number", "how do I block a number"),
            ("이번 주말 날씨 알려줘", "이번 주 날씨 알려줘"),
            ("이번 주문 취소해 주세요", "이번 주소 취소해 주세요"),
            ("할부 몇 개월 돼요", "할부 몇 개 돼요"),
            ("이번 주말고 다음 주로 예약해줘", "다음 주말고 이번 주로 예약해줘"),
            ("1번 문제 다시 한번 설명해줘", "문제 다시 한번 설명해줘"),
            ("어른 둘 다음 주 예약", "어른 다음 주 예약"),
            ("세일 배송 되나요", "3일 배송 되나요"),
            ("如何取消订单", "如何取消订阅"),
            ("보험료 얼마예요", "보험금 얼마예요"),
            ("what about case 4711-new-30 of my order", "what about case 4711-known-30 of my order"),
        ] {
            assert!(refused(asked, stored), "{asked} / {stored}");
        }
    }
}
