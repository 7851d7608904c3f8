//! Whether a text has content words of its own.
//!
//! "Yes", "go on", "why?", "그래서?" mean whatever stood before them, so two of them that look alike ask
//! different things. The rule: a text all of whose words are of a closed class (pronouns, auxiliaries,
//! prepositions, question words, answers, thanks, and the verbs of carrying on) has no content. A word
//! that is not known to be of a closed class counts as content, in any language. A false alarm costs a
//! comparison by meaning, never an answer.

use ahash::AHashSet;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

/// Closed-class words of English, and the verbs and nouns that only steer a conversation.
const ENGLISH: &str = " a about above after again ahead all also am an and another any anyway anything are as at \
    back be because been before being below but by can cannot carry continue could cool correct did different do does \
    doing done don't each elaborate else etc even every everything exactly example examples except explain expand few \
    fine first for from further get give go going good got great had happened has have he hello help her here hers hey \
    hi him his hm hmm how however i if in instead into is it it's its just keep k last later less let let's like lot made \
    make many may maybe me mean means might mine more most much must my nah neither next nice no nope nor not nothing \
    now of off oh ok okay on once one ones only or other others our out over own perfect please pls plz point proceed \
    quite really repeat resume right same say second see shall she should show so some something sorry still stop such \
    sure tell than thank thanks that that's the their them then there these they thing things third this those though \
    thx to too true try two under until up us use very wait was way we well were what what's when where whether which \
    while who whom whose why will with without won't would wow wrong yeah yep yes yet you you're your yours yup ";

/// Korean words that stand alone, with or without a polite 요.
const KOREAN_WORDS: &str = " 네 넵 넹 예 응 응응 어 엉 웅 음 아 아니 아뇨 아니오 아니야 아닙니다 그래 그럼 그러면 그래서 그리고 \
    그런데 근데 그치만 하지만 그래도 그러니까 또는 혹은 왜 왜냐면 뭐 뭘 뭔데 뭐야 무엇 무슨 어떤 어떻게 어때 어디 언제 누구 누가 \
    얼마 얼마나 몇 계속 더 다시 또 좀 조금 많이 잠깐 잠시 그냥 그대로 그렇게 이렇게 저렇게 그거 이거 저거 그것 이것 저것 그게 이게 \
    저게 그건 이건 저건 그걸 이걸 저걸 여기 거기 저기 이 그 저 나 너 저희 우리 내 제 다른 다음 이전 먼저 이제 지금 방금 아까 나중 \
    좋아 좋네 좋습니다 오케이 오키 ㅇㅇ ㅇㅋ ㄴㄴ ㅋㅋ ㅎㅎ ㄱㄱ 굿 해 해라 해줘 해주세요 해주라 해봐 하자 합시다 하세요 해도 돼 되나 됩니까 \
    될까 돼요 있어 없어 있나 없나 있습니까 없습니까 맞아 맞죠 맞지 맞나 맞습니다 틀려 그렇지 그렇군 그렇구나 그렇습니다 그런가 \
    그럴까 진짜 정말 자세히 자세하게 간단히 간단하게 쉽게 짧게 길게 알겠어 알겠습니다 알았어 고마워 고맙습니다 안녕 안녕하세요 \
    줘 주세요 하나 둘 첫번째 두번째 첫째 둘째 번 것 거 수 건 게 ";

/// Korean stems that only steer a conversation, and what may follow them.
const KOREAN_STEMS: [&str; 18] = [
    "계속",
    "감사",
    "진행",
    "설명",
    "부탁",
    "확인",
    "반복",
    "요약",
    "이해",
    "동의",
    "예시",
    "알려",
    "말해",
    "들어",
    "보여",
    "이어서",
    "시작",
    "추가",
];
const KOREAN_ENDINGS: [&str; 30] = [
    "",
    "요",
    "해",
    "해요",
    "해줘",
    "해줘요",
    "해주세요",
    "해주실래요",
    "해라",
    "해봐",
    "해봐요",
    "해주라",
    "하자",
    "하세요",
    "합니다",
    "했어",
    "했어요",
    "할게",
    "할게요",
    "드려요",
    "드립니다",
    "줘",
    "줘요",
    "주세요",
    "주실래요",
    "봐",
    "봐요",
    "를",
    "을",
    "도",
];
/// Particles that a word of the first list may carry.
const KOREAN_PARTICLES: [&str; 16] =
    ["", "요", "은", "는", "이", "가", "을", "를", "도", "만", "로", "으로", "에", "야", "이야", "인데"];

static ENGLISH_SET: LazyLock<AHashSet<&str>> = LazyLock::new(|| ENGLISH.split_whitespace().collect());
static KOREAN_SET: LazyLock<AHashSet<&str>> = LazyLock::new(|| KOREAN_WORDS.split_whitespace().collect());

/// True where no word of `text` carries content: answers, fillers, digits, punctuation alone.
pub(super) fn is_continuation(text: &str) -> bool {
    // A text this long that begins with closed-class words only is not worth the search.
    let start = text.char_indices().nth(400).map_or(text, |(end, _)| &text[..end]);
    let text: String = match start.is_ascii() {
        true => start.to_ascii_lowercase(),
        false => start.nfc().flat_map(char::to_lowercase).collect(),
    };
    if text.chars().filter(|symbol| symbol.is_alphabetic()).count() <= 1 {
        return true;
    }
    let inside = |symbol: char| symbol.is_alphanumeric() || symbol == '\'' || symbol == '’';
    let mut words = text.split(|symbol: char| !inside(symbol)).filter(|word| !word.is_empty());
    words.all(|word| !carries_content(&word.replace('’', "'")))
}

fn carries_content(word: &str) -> bool {
    if word.chars().all(|symbol| !symbol.is_alphabetic()) {
        return false;
    }
    if word.is_ascii() {
        return !ENGLISH_SET.contains(word.trim_matches('\''));
    }
    let word = word.trim_start_matches(|symbol: char| symbol.is_ascii_digit());
    let bare = KOREAN_PARTICLES
        .iter()
        .any(|end| word.strip_suffix(end).is_some_and(|word| KOREAN_SET.contains(word)));
    let steering = KOREAN_STEMS
        .iter()
        .any(|stem| word.strip_prefix(stem).is_some_and(|end| KOREAN_ENDINGS.contains(&end)));
    !(bare || steering)
}

#[cfg(test)]
mod tests {
    use super::is_continuation;

    #[test]
    fn what_only_carries_on_is_told() {
        let texts = [
            "yes",
            "Yes!",
            "go on",
            "ok thanks",
            "why?",
            "Why not?",
            "tell me more",
            "and then?",
            "1002",
            "2",
            "b",
            "...",
            "👍",
            "'yes'",
            "I don’t",
            "what else is there",
            "네",
            "넵!",
            "계속해줘",
            "계속 해줘",
            "응 그렇게 해줘",
            "그래서?",
            "왜요?",
            "더 자세히 설명해줘",
            "알겠습니다 감사합니다",
            "다음은?",
            "이건 뭐야?",
            "",
            "   ",
            "ㅇㅋ",
            "그럼 1번은?",
        ];
        for text in texts {
            assert!(is_continuation(text), "{text}");
        }
    }

    #[test]
    fn what_has_content_of_its_own_is_told() {
        let texts = [
            "How do I reset my password?",
            "refund",
            "turn on dark mode",
            "continue my subscription",
            "What is Rust?",
            "비밀번호를 어떻게 바꾸나요?",
            "환불",
            "배송 언제 와요?",
            "구독 해지해줘",
            "해지",
            "설명서 보여줘",
            "order 1001",
            "続けてください",
            "Où est la gare ?",
            "iphone15",
        ];
        for text in texts {
            assert!(!is_continuation(text), "{text}");
        }
    }

    #[test]
    fn hangul_in_parts_is_the_same_word() {
        let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("계속해줘").collect();
        assert!(is_continuation(&decomposed));
    }
}
