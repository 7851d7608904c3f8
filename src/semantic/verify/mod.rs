//! Whether one answer serves both questions.
//!
//! ```text
//! text ─ text ─> tokens ─┬ slots ──────────────────────────┐
//!                        ├ english, korean ─ lexicon ─ words ├─> Reading (once a text)
//!                        └ polarity, kind, person ─────────┘
//! Reading + Reading + cosine ─ align, order ─ features ─ rules, then score ─> Judgement
//! ```
//!
//! | file | decides | example it tells apart |
//! |---|---|---|
//! | `text` | what is one token | `10:30`, `ORD-77`, `a@b.c` |
//! | `slots`, `numerals` | values | order 1001 / 1002; 3pm / 15:00 are one |
//! | `english`, `latin`, `korean` | stems, phrases, particles, endings | "cancelled" / "cancel"; "켜줘" / "켜 주세요" are one |
//! | `lexicon` | synonyms, contrasts, rarity | enable / turn on are one, enable / disable two |
//! | `polarity` | denial, prohibition, trouble | "can I" / "can't I" |
//! | `kind` | what is asked for | who / when / why |
//! | `align` | which words correspond | "Pro account" / "Basic account" |
//! | `order` | direction and roles | from A to B / from B to A |
//! | `person` | what the speaker does, and what is done to the speaker | "I owe Ben" / "Ben owes me" |
//! | `answers` | what two answers to one question may not differ in | "within 3 days" / "within 5 days" |
//! | `features`, `score` | the learned probability | everything that no rule names |
//!
//! Pure and without locks: one call costs some tens of microseconds, reading a text among them. Other languages than English and Korean
//! get values, alignment by spelling and the score, in which an unknown word weighs most: they degrade to strictness.

mod align;
mod answers;
mod english;
mod features;
mod judge;
mod kind;
mod korean;
mod latin;
mod lexicon;
mod numerals;
mod order;
mod person;
mod polarity;
mod reading;
mod score;
mod slots;
mod text;
mod word;

pub use answers::{clash, yes_against_no};
pub use features::{COUNT, NAMES};
pub use judge::{Judgement, Near, Rule, judge, measure, reconsider};
pub use reading::Reading;
pub use score::{edition, logistic};
pub(crate) use word::Word;

/// Reads the word lists and the trained score, so that no request waits for it: some 25 ms, once a process.
pub fn prepare() {
    std::sync::LazyLock::force(&lexicon::LEXICON);
    score::prepare();
}
