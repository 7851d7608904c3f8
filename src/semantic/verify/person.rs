//! What the speaker does and what is done to the speaker: "I owe Ben" / "Ben owes me".
//!
//! Pronouns are too common to weigh anything, and are the only words in which such questions differ.

use super::english::key;
use ahash::AHashSet;
use std::sync::LazyLock;

/// The speaker's part in a text.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Verbs that the speaker does, by stem: "do I owe".
    does: Vec<u64>,
    /// Verbs done to the speaker: "owes me", "borrow money from me".
    meets: Vec<u64>,
    /// Something is done to the speaker, other than the favour that is asked for: "저한테", "a crush on me".
    pub reached: bool,
}

/// Verbs with which it matters who does it to whom. With "book", "get" or "log out" it does not: "book me a room" is "can I book a room".
static VERBS: LazyLock<AHashSet<u64>> = LazyLock::new(|| VERB_LIST.iter().map(|verb| key(verb)).collect());

const VERB_LIST: &[&str] = &[
    "owe", "call", "pay", "send", "lend", "give", "tell", "ask", "email", "message", "text", "charge",
    "bill", "hire", "fire", "love", "like", "hate", "marry", "leave", "trust", "follow", "invite", "block",
    "report", "sue", "thank", "miss", "hurt", "forgive", "remind", "teach", "offer", "sell", "write", "ship",
    "forward", "notify", "inform", "warn", "visit", "phone", "borrow", "buy", "rent", "steal", "inherit",
];

/// Before "me" these only ask: "help me", "for me".
const FAVOURS: &[&str] = &[
    "help",
    "tell",
    "show",
    "let",
    "give",
    "get",
    "send",
    "book",
    "find",
    "teach",
    "allow",
    "guide",
    "assist",
    "remind",
    "for",
    "to",
    "with",
    "advise",
    "make",
    "want",
    "bring",
    "buy",
    "read",
    "play",
    "wake",
    "call",
    "text",
    "email",
    "excuse",
    "recommend",
    "inform",
    "notify",
];

const REACHED: &[&str] =
    &["저한테", "나한테", "저에게", "나에게", "제게", "내게", "저희에게", "저희한테", "우리에게", "우리한테"];

impl Person {
    /// Reads English words, expanded and lower case, and their keys.
    pub fn english(words: &[&str], keys: &[u64]) -> Person {
        let mut out = Person::default();
        for (at, (word, verb)) in words.iter().zip(keys).enumerate() {
            let before = at.checked_sub(1).map_or("", |i| words[i]);
            out.reached |= matches!(*word, "me" | "us") && !FAVOURS.contains(&before);
            if !VERBS.contains(verb) {
                continue;
            }
            if matches!(before, "i" | "we") {
                out.does.push(*verb);
            }
            let behind = &words[at + 1..words.len().min(at + 6)];
            let from_me = behind.windows(2).any(|pair| matches!(pair, ["from", "me" | "us"]));
            if behind.first().is_some_and(|next| matches!(*next, "me" | "us")) || from_me {
                out.meets.push(*verb);
            }
        }
        out
    }

    /// Reads the eojeols of a Korean text.
    pub fn korean(eojeols: &[&str]) -> Person {
        Person { reached: eojeols.iter().any(|word| REACHED.contains(word)), ..Person::default() }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        (self.does.capacity() + self.meets.capacity()) * 8
    }

    /// Whether the speaker does in one text what is done to the speaker in the other.
    pub fn clashes(&self, other: &Person) -> bool {
        let turned = |a: &Person, b: &Person| {
            a.does
                .iter()
                .any(|verb| !a.meets.contains(verb) && b.meets.contains(verb) && !b.does.contains(verb))
        };
        turned(self, other) || turned(other, self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reading;

    fn clash(a: &str, b: &str) -> bool {
        Reading::of(a).person.clashes(&Reading::of(b).person)
    }

    #[test]
    fn what_i_do_is_not_what_is_done_to_me() {
        assert!(clash("How much does Ben owe me?", "How much do I owe Ben?"));
        assert!(clash("Can I call you?", "Can you call me?"));
        assert!(clash("Should my son borrow money from me?", "Should I borrow money from my son?"));
        assert!(!clash("Can you book me a room?", "Can I book a room?"));
        assert!(!clash("Please send me the invoice", "Could you send me my invoice?"));
    }
}
