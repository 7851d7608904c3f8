//! Whether a text affirms, denies or forbids, and whether it reports that something does not work.
//!
//! "Can I cancel" / "can't I cancel" / "I cannot cancel" look alike to a cosine. Two signs are read: a denial ("not",
//! "never", "without", "no longer", 안, 못, -지 않-, -지 마, 말고, 없-) and trouble ("unable", "problem", "fail", "doesn't work"), because "I can't
//! log in", "unable to log in" and "problem logging in" are one question and "how do I log in" is another.
//!
//! A tag ("can't you", "don't you", "isn't it") at the head of a question is a manner of speaking and is not read as a denial.

/// What a text denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polarity {
    /// How many denials.
    pub denials: u32,
    /// How many words say that something shall not go on or not come: "stop", "avoid". A denial, unless the other text says it too.
    pub stops: u32,
    /// How many words say so, or name a way to it: "get rid of", "block", "cancel".
    pub ends: u32,
    /// Something fails, or cannot be done.
    pub trouble: bool,
    /// Said with a denial: "does not work", "cannot".
    pub fails: bool,
    /// An order not to: "don't …".
    pub forbids: bool,
    /// Says what not to do only to say what to do instead: "-지 말고". The denial may be left out, or said on its own.
    pub instead: bool,
}

impl Polarity {
    /// Whether two texts affirm and deny alike.
    pub fn agrees(self, other: Polarity) -> bool {
        let instead = self.instead || other.instead;
        let both_end = self.ends > 0 && self.ends == other.ends;
        (instead || self.negative(both_end) == other.negative(both_end)) && self.forbids == other.forbids
    }

    /// Denies once (two denials cancel out), or says that something does not work.
    fn negative(self, both_end: bool) -> bool {
        let stops = if both_end { 0 } else { self.stops };
        (self.denials + stops) % 2 == 1 || self.fails
    }
}

/// Reads English words that are already expanded (`can`, `not`).
pub fn english(words: &[&str]) -> Polarity {
    let mut found = Polarity::default();
    for (at, word) in words.iter().enumerate() {
        let before = |n: usize| at.checked_sub(n).map_or("", |i| words[i]);
        let after = |n: usize| words.get(at + n).copied().unwrap_or("");
        match *word {
            "not" if matches!(after(1), "remember" | "recall") => {}
            "not" if matches!(before(1), "can" | "could") && at >= 2 && after(1) != "i" => {
                (found.trouble, found.fails) = (true, true);
            }
            "not" if at <= 1 && matches!(after(1), "you" | "it" | "there" | "we") && before(1) != "why" => {}
            "not" if matches!(after(1), "only" | "sure") || ignorance(after(1)) || before(1) == "or" => {}
            "not" if matches!(after(1), "work" | "working" | "able") => {
                (found.trouble, found.fails) = (true, true)
            }
            "not" => {
                found.denials += 1;
                found.forbids |= before(1) == "do" && (at == 1 || matches!(before(2), "please" | "."));
            }
            "never" | "non" | "without" | "neither" | "nor" | "none" | "nobody" | "nothing" | "except"
            | "excluding" | "hardly" | "nowhere" | "unlike" => found.denials += 1,
            "stop" | "stops" | "stopping" | "stopped" | "avoid" | "avoids" | "avoiding" | "avoided"
            | "prevent" | "prevents" | "preventing" | "prevented" => {
                (found.stops, found.ends) = (found.stops + 1, found.ends + 1)
            }
            "rid" | "quit" | "block" | "blocking" | "cease" | "halt" | "eliminate" | "cancel" | "end"
            | "remove" | "cure" | "opt" | "overcome" | "overcoming" | "beat" => found.ends += 1,
            "no" if !matches!(after(1), "," | "." | "") && after(1) != "matter" => found.denials += 1,
            "unable" => (found.trouble, found.fails) = (true, true),
            "fail" | "fails" | "failed" | "failing" | "failure" | "problem" | "problems" | "issue"
            | "issues" | "trouble" | "troubles" | "error" | "errors" | "broken" | "stuck" | "impossible"
            | "difficulty" | "difficulties" | "wrong" | "glitch" | "bug" | "declined" | "inconvenience"
            | "inconveniences" => found.trouble = true,
            _ => {}
        }
    }
    found
}

/// "I don't know how to" only asks, and is often typed in a hurry ("dont knwo", "dont knos").
fn ignorance(word: &str) -> bool {
    word.starts_with("kn") && word != "known" && strsim::osa_distance(word, "know") <= 1
}

/// Reads the denials among the eojeols of a Korean text. Two cancel out ("하지 않으면 안 돼": must), so they are counted. "아니" and "모르겠" at the end of a request ("언제인지
/// 아니?", "어떻게 하는지 모르겠네") only ask, "아니면" only joins, and "X 말고" and "X 아닌" name what is not meant, which is a role, not a denial.
pub fn korean(hangul: &[&str]) -> Polarity {
    let mut found = Polarity::default();
    for (at, word) in hangul.iter().enumerate() {
        let next = hangul.get(at + 1).copied().unwrap_or("");
        let starts = |list: &[&str]| list.iter().any(|head| word.starts_with(head));
        let has = |list: &[&str]| list.iter().any(|part| word.contains(part));
        let last = at + 1 == hangul.len();
        let after = hangul.get(at + 2).copied().unwrap_or("");
        found.instead |= word.ends_with("지말고") || (word.ends_with('지') && next.starts_with("말고"));
        // "잊지 마" and "잊으면 안 돼" are "remember".
        let forgets = |word: &str| FORGETTING.iter().any(|head| word.starts_with(head));
        let reminds = forgets(word) || (at > 0 && forgets(hangul[at - 1]));
        if word.contains("말고")
            || next.starts_with("말고")
            || starts(&["아니면", "아니라면", "아니고", "아니라", "아닌"])
            || reminds
            || (starts(&["마", "말"]) && at > 0 && hangul[at - 1].ends_with('지'))
        {
            continue;
        }
        let forbids = has(&["지마", "지말", "지맙", "금물", "금지", "삼가", "자제"])
            || starts(&["금합", "금해", "그만", "큰일", "혼나", "혼난", "죽는"])
            || (word.ends_with('지') && (prohibits(next) || next == "좀" && prohibits(after)));
        let no_good = starts(&["안돼", "안된", "안됩", "안되"])
            || (*word == "안" && next.starts_with(['돼', '된', '됩', '되']));
        let denies = matches!(*word, "안" | "못")
            || denies_the_verb(word)
            || has(&["지않", "지못"])
            || starts(&["않", "못하", "못해", "못한", "없", "안하", "안해", "안가", "안먹"])
            || (word.starts_with("아니") && !last);
        found.denials += u32::from(forbids || no_good || denies);
        found.trouble |= starts(&["오류", "에러", "고장", "문제", "실패"]);
    }
    found
}

/// "안보여요", "못들어가요": the adverb written together with its verb, and not "안내해 주세요" or "안전한가요", which are words of their own.
fn denies_the_verb(word: &str) -> bool {
    let Some(verb) = word.strip_prefix(['안', '못']).filter(|verb| !verb.is_empty()) else { return false };
    const VERBS: &[&str] = &[
        "되", "돼", "됨", "됩", "된", "될", "됐", "보이", "보여", "보임", "보입", "보인", "나오", "나와",
        "나옴", "나왔", "나옵", "나온", "오나", "오네", "오는", "옵", "온다", "온", "와", "왔", "들리",
        "들려", "들립", "들어", "열리", "열려", "열립", "열린", "열림", "켜", "꺼지", "꺼져", "꺼집", "떠",
        "뜨", "뜸", "뜹", "뜬", "맞", "먹히", "먹혀", "먹힙", "가져", "가지", "했", "한", "할", "받", "주나",
        "주네", "주시", "줘", "줬", "내면", "냈", "써", "쓰", "찍", "읽", "찾", "알", "쉬", "자", "좋", "맵",
        "비싸", "빠지", "빠져", "사라", "풀리", "풀려", "눌러", "눌리", "넘어", "움직", "바뀌", "바뀜", "끊",
    ];
    VERBS.iter().any(|head| verb.starts_with(head))
}

/// Verbs whose denial asks to do something.
const FORGETTING: &[&str] = &["잊지", "잊으", "잊어", "까먹", "빼먹"];

/// Whether this word, behind `-지`, forbids: "마", "말아", "맙시다", and not "말해줘" or "마치".
fn prohibits(word: &str) -> bool {
    const FORMS: &[&str] = &["마", "말아", "말라", "말자", "말렴", "말거라", "말게", "말길", "말도록", "맙"];
    word == "말" || FORMS.iter().any(|form| word.starts_with(form) && !word.starts_with("마치"))
}

#[cfg(test)]
mod tests {
    use super::super::Reading;

    fn agree(a: &str, b: &str) -> bool {
        Reading::of(a).polarity.agrees(Reading::of(b).polarity)
    }

    #[test]
    fn a_denial_differs_from_its_affirmation() {
        assert!(!agree("Should I eat before the test?", "Should I not eat before the test?"));
        assert!(!agree("회의에 가도 돼?", "회의에 안 가도 돼?"));
        assert!(!agree("창문 열어", "창문 열지 마"));
    }

    #[test]
    fn to_forbid_has_many_forms_and_not_to_forget_is_to_remember() {
        assert!(agree("현관문 잠그지 마", "현관문 잠그지 좀 마라"));
        assert!(agree("현관문 잠그지 마", "현관문 잠그지 맙시다"));
        assert!(agree("회의 잊지 마", "회의 기억해"));
        assert!(agree("비 올지 눈 올지 말해줘", "비 올지 눈 올지 알려줘"));
        assert!(agree("큰길 피하지 말고 큰길로 가", "큰길로 가"));
        assert!(!agree("저장해줘", "저장하지 말아줘"));
        assert!(agree("How can we prevent fires?", "How can fires be avoided?"));
    }

    #[test]
    fn a_tag_or_an_alternative_is_no_denial() {
        assert!(agree("Can you send it?", "Can't you send it?"));
        assert!(agree("비 와 아니면 눈 와?", "비 와 눈 와?"));
        assert!(agree("I dont knwo how to pay", "how to pay"));
        assert!(!agree("please do not knock", "please knock"));
    }

    #[test]
    fn a_denial_may_be_written_together_with_its_verb() {
        assert!(agree("버튼이 안 보여요", "버튼이 안보이네요"));
        assert!(agree("취소가 안 돼요", "취소 안됨"));
        assert!(!agree("버튼이 보여요", "버튼이 안보여요"));
        assert!(agree("안내해 주세요", "알려 주세요"));
        assert!(agree("안주 추천해 주세요", "추천해 주세요"));
    }

    #[test]
    fn to_end_something_has_many_words() {
        assert!(agree("How do I get rid of hiccups?", "Tell me how to stop hiccups"));
        assert!(!agree("How do I stop the updates?", "How do I get the updates?"));
    }
}
