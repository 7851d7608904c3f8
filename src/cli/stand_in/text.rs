//! What the stand-in says: a few sentences picked by a hash of the question, which they repeat.

use super::settings::Answers;

/// Characters of the question that an answer repeats at most.
const REPEATED: usize = 160;

const OPENINGS: [&str; 4] =
    ["You asked:", "Regarding", "Thanks for your question about", "Here is what I found on"];
const SENTENCES: [&str; 12] = [
    "The short version is that it depends on the plan you are on and on when the change was made.",
    "Open the settings page, choose the section it belongs to, and confirm the change at the bottom.",
    "It usually takes effect within a few minutes, though a busy day can stretch that to an hour.",
    "Nothing that you have already saved will be lost on the way.",
    "If the page shows an error instead, sign out once, sign in again and repeat the last step.",
    "You will get a confirmation by e-mail as soon as it is done.",
    "The same steps work in the mobile app, where the menu sits in the lower right corner.",
    "For a team account, an administrator has to approve this first.",
    "There is no charge for it, and you can undo it at any time.",
    "Keep the reference from the confirmation at hand in case you need to contact us later.",
    "On older devices the option may carry a slightly different name.",
    "Should that not help, write to us with the time at which it happened and we will look into it.",
];
const OPENINGS_KO: [&str; 3] =
    ["문의하신 내용:", "다음 질문에 대해 안내드립니다.", "질문 주셔서 감사합니다."];
const SENTENCES_KO: [&str; 8] = [
    "설정 화면에서 해당 항목을 선택하신 뒤 아래쪽의 확인 버튼을 눌러 주세요.",
    "보통 몇 분 안에 반영되지만, 이용자가 많은 시간에는 한 시간까지 걸릴 수 있습니다.",
    "이미 저장하신 내용은 그대로 유지됩니다.",
    "처리가 끝나면 등록하신 이메일로 알려 드립니다.",
    "모바일 앱에서도 같은 방법으로 진행하실 수 있습니다.",
    "오류가 나타나면 로그아웃 후 다시 로그인하여 마지막 단계를 반복해 주세요.",
    "별도의 비용은 없으며 언제든지 되돌리실 수 있습니다.",
    "그래도 해결되지 않으면 발생한 시각과 함께 고객센터로 문의해 주세요.",
];

pub const REFUSAL: &str = "I'm sorry, but I can't help with that request.";

/// The answer to `question`; `salt` tells the choices of one request apart.
pub fn answer(question: &str, salt: u64, answers: Option<&Answers>) -> String {
    if let Some(text) = answers.and_then(|answers| answers(question)) {
        return text;
    }
    let mut dice = Dice::new(question, salt);
    let repeated: String = question.chars().take(REPEATED).collect();
    let (openings, sentences): (&[&str], &[&str]) =
        if is_korean(question) { (&OPENINGS_KO, &SENTENCES_KO) } else { (&OPENINGS, &SENTENCES) };
    let mut text = format!("{} \"{repeated}\".", dice.pick(openings));
    for _ in 0..2 + dice.below(3) {
        text.push(' ');
        text.push_str(dice.pick(sentences));
    }
    text
}

/// What a reasoning model thinks before it answers `question`.
pub fn reasoning(question: &str) -> String {
    let repeated: String = question.chars().take(REPEATED).collect();
    format!(
        "The user wants to know: {repeated}\nI should check what applies here, then answer in a few sentences \
         and name the next step."
    )
}

fn is_korean(text: &str) -> bool {
    text.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c))
}

/// Numbers that follow from a text alone, the same on every machine (BLAKE3, then SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(text: &str, salt: u64) -> Dice {
        let mut seed = [0; 8];
        seed.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
        Dice(u64::from_le_bytes(seed) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1; 0 where `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// A number from 0.0 up to but not 1.0.
    pub fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.below(from.len())).copied().unwrap_or("")
    }
}
