//! English words -> stems, and contractions -> words.
//!
//! A light stemmer: plural, `-ing`, `-ed`, `-er`-less, a final `e` dropped, doubled consonants undone, the irregular verbs that
//! questions use. It may merge too much ("pass"/"passing") but never invents meaning: derivations that change the
//! part of speech ("cancel"/"cancellation") are left to `align`, which scores them lower.

use super::text::hash;

/// Irregular forms -> base form.
const IRREGULAR: &[(&str, &str)] = &[
    ("bought", "buy"),
    ("paid", "pay"),
    ("sent", "send"),
    ("got", "get"),
    ("gotten", "get"),
    ("made", "make"),
    ("went", "go"),
    ("gone", "go"),
    ("goes", "go"),
    ("took", "take"),
    ("taken", "take"),
    ("gave", "give"),
    ("given", "give"),
    ("found", "find"),
    ("lost", "lose"),
    ("forgot", "forget"),
    ("forgotten", "forget"),
    ("chose", "choose"),
    ("chosen", "choose"),
    ("sold", "sell"),
    ("told", "tell"),
    ("said", "say"),
    ("thought", "think"),
    ("knew", "know"),
    ("known", "know"),
    ("broke", "break"),
    ("broken", "break"),
    ("stole", "steal"),
    ("stolen", "steal"),
    ("wrote", "write"),
    ("written", "write"),
    ("spoke", "speak"),
    ("spoken", "speak"),
    ("left", "leave"),
    ("kept", "keep"),
    ("held", "hold"),
    ("met", "meet"),
    ("ran", "run"),
    ("began", "begin"),
    ("begun", "begin"),
    ("won", "win"),
    ("came", "come"),
    ("became", "become"),
    ("saw", "see"),
    ("seen", "see"),
    ("did", "do"),
    ("does", "do"),
    ("done", "do"),
    ("has", "have"),
    ("had", "have"),
    ("is", "be"),
    ("are", "be"),
    ("was", "be"),
    ("were", "be"),
    ("been", "be"),
    ("am", "be"),
    ("being", "be"),
    ("men", "man"),
    ("women", "woman"),
    ("children", "child"),
    ("people", "person"),
    ("mice", "mouse"),
    ("feet", "foot"),
    ("better", "better"),
    ("best", "best"),
    ("spent", "spend"),
    ("lent", "lend"),
    ("built", "build"),
    ("felt", "feel"),
    ("grew", "grow"),
    ("grown", "grow"),
    ("ate", "eat"),
    ("eaten", "eat"),
    ("drove", "drive"),
    ("driven", "drive"),
    ("bigger", "big"),
    ("dying", "die"),
    ("died", "die"),
    ("lives", "live"),
    ("u", "you"),
    ("ur", "your"),
    ("pls", "please"),
    ("plz", "please"),
    ("thx", "thanks"),
    ("wanna", "want"),
    ("gonna", "going"),
    ("info", "information"),
    ("acct", "account"),
    ("pwd", "password"),
    ("msg", "message"),
    ("qty", "quantity"),
    ("cancelled", "cancel"),
    ("cancelling", "cancel"),
    ("cancellation", "cancellation"),
    ("canceled", "cancel"),
    ("canceling", "cancel"),
    ("news", "news"),
    ("yes", "yes"),
    ("this", "this"),
    ("during", "during"),
    ("nothing", "nothing"),
    ("something", "something"),
    ("anything", "anything"),
    ("everything", "everything"),
    ("thing", "thing"),
    ("bring", "bring"),
    ("string", "string"),
    ("spring", "spring"),
    ("morning", "morning"),
    ("evening", "evening"),
    ("need", "need"),
    ("speed", "speed"),
    ("feed", "feed"),
    ("always", "always"),
    ("perhaps", "perhaps"),
    ("status", "status"),
    ("bus", "bus"),
    ("his", "his"),
    ("us", "us"),
    ("as", "as"),
    ("its", "its"),
    ("has", "have"),
    ("unless", "unless"),
    ("gas", "gas"),
    ("plus", "plus"),
    ("minus", "minus"),
    ("king", "king"),
    ("ring", "ring"),
    ("wing", "wing"),
    ("red", "red"),
    ("bed", "bed"),
    ("king", "king"),
    ("building", "building"),
    ("billing", "billing"),
    ("hundred", "hundred"),
];

/// Whether a word is an irregular participle that has no other use.
pub fn is_participle(word: &str) -> bool {
    const FORMS: &[&str] = &[
        "made", "built", "written", "sent", "taken", "given", "stolen", "spoken", "broken", "chosen",
        "known", "found", "sold", "bought", "paid", "held", "kept", "grown", "driven", "eaten", "drawn",
        "shown", "thrown", "worn",
    ];
    FORMS.contains(&word)
}

/// The key of a word: its stem's hash.
pub fn key(word: &str) -> u64 {
    hash(&stem(word))
}

/// The stem of a lower-case word. Non-ASCII words are only cut of a possessive.
pub fn stem(word: &str) -> String {
    let word = word.strip_suffix("'s").unwrap_or(word);
    if let Some((_, base)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return last_e((*base).to_owned());
    }
    if !word.is_ascii() || word.len() < 4 {
        return last_e(word.to_owned());
    }
    if let Some(head) = word.strip_suffix("ies").filter(|head| head.len() > 1) {
        return format!("{head}y");
    }
    if let Some(head) = word.strip_suffix("ied").filter(|head| head.len() > 1) {
        return format!("{head}y");
    }
    for tail in ["sses", "shes", "ches", "xes", "zes"] {
        if word.ends_with(tail) {
            return word[..word.len() - 2].to_owned();
        }
    }
    let single = match word.strip_suffix('s') {
        Some(head) if !head.ends_with(['s', 'u', 'i']) => head,
        _ => word,
    };
    for tail in ["ing", "ed"] {
        if let Some(head) = single.strip_suffix(tail)
            && head.len() >= 2
            && head.contains(['a', 'e', 'i', 'o', 'u', 'y'])
        {
            return last_e(undouble(head));
        }
    }
    last_e(single.to_owned())
}

fn undouble(head: &str) -> String {
    let bytes = head.as_bytes();
    let n = bytes.len();
    if n > 3 && bytes[n - 1] == bytes[n - 2] && !matches!(bytes[n - 1], b's' | b'z' | b'l' | b'e' | b'o') {
        return head[..n - 1].to_owned();
    }
    if n > 4 && head.ends_with("ll") && !matches!(bytes[n - 3], b'i' | b'a' | b'u' | b'o') {
        return head[..n - 1].to_owned();
    }
    head.to_owned()
}

fn last_e(mut word: String) -> String {
    if word.len() > 3 && word.ends_with('e') {
        word.pop();
    }
    word
}

/// The words of a contraction: `can't` -> `can`, `not`; `I'm` -> `i`, `be`. A word without one comes back alone.
pub fn expand(word: &str) -> (&str, Option<&'static str>) {
    match word {
        "can't" | "cannot" | "cant" => return ("can", Some("not")),
        "won't" | "wont" => return ("will", Some("not")),
        "don't" | "dont" => return ("do", Some("not")),
        "doesn't" | "doesnt" => return ("does", Some("not")),
        "didn't" | "didnt" => return ("did", Some("not")),
        "isn't" | "isnt" => return ("is", Some("not")),
        "shan't" => return ("shall", Some("not")),
        "couldn't" | "couldnt" => return ("could", Some("not")),
        "wouldn't" | "wouldnt" => return ("would", Some("not")),
        "shouldn't" | "shouldnt" => return ("should", Some("not")),
        "haven't" | "havent" => return ("have", Some("not")),
        "hasn't" | "hasnt" => return ("has", Some("not")),
        "aren't" | "arent" => return ("are", Some("not")),
        "wasn't" | "wasnt" => return ("was", Some("not")),
        "weren't" | "werent" => return ("were", Some("not")),
        "hadn't" | "hadnt" => return ("had", Some("not")),
        "let's" | "lets" => return ("let", None),
        "ain't" | "aint" => return ("is", Some("not")),
        "whats" => return ("what", Some("is")),
        "wheres" => return ("where", Some("is")),
        "hows" => return ("how", Some("is")),
        "whos" => return ("who", Some("is")),
        "whens" => return ("when", Some("is")),
        "thats" => return ("that", Some("is")),
        "theres" => return ("there", Some("is")),
        "youre" => return ("you", Some("be")),
        "theyre" => return ("they", Some("be")),
        _ => {}
    }
    if let Some(head) = word.strip_suffix("'s")
        && matches!(
            head,
            "what" | "where" | "how" | "who" | "when" | "why" | "that" | "there" | "it" | "here"
        )
    {
        return (head, Some("is"));
    }
    if let Some(head) = word.strip_suffix("n't") {
        return (head, Some("not"));
    }
    for (tail, full) in [("'m", "be"), ("'re", "be"), ("'ve", "have"), ("'ll", "will"), ("'d", "would")] {
        if let Some(head) = word.strip_suffix(tail) {
            return (head, Some(full));
        }
    }
    (word, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_of_a_word_share_a_stem() {
        for (a, b) in [
            ("cancels", "cancelled"),
            ("purchase", "purchasing"),
            ("stopped", "stop"),
            ("replies", "reply"),
            ("bought", "buy"),
            ("changing", "changed"),
        ] {
            assert_eq!(stem(a), stem(b), "{a} {b}");
        }
    }

    #[test]
    fn words_that_only_look_inflected_stay() {
        for word in ["status", "need", "string", "news"] {
            assert_eq!(stem(word), word);
        }
    }
}
