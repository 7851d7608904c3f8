//! The tokenizer of the multilingual model: SentencePiece, unigram, read from the model's own graph.
//!
//! The graph asks for one operator that ONNX Runtime has not, `SentencepieceTokenizer`, with the
//! tokenizer's model as its attribute. The published operator library is a Python extension and loads
//! inside a Python interpreter only, so the operator is written here. It gives the same tokens: the
//! test compares with what that library gave.
//!
//! ```text
//! text ─ normalise (a table inside the model: NFKC and more) ─> "▁how▁are▁you" ─ best path ─> ids
//! ```

use super::protobuf::{Fields, Value};
use ahash::{HashMap, HashMapExt};

/// Stands for a space.
const SPACE: char = '\u{2581}';
/// What an unknown character costs beyond the least likely piece (SentencePiece's constant).
const UNKNOWN_PENALTY: f32 = 10.0;

const UNKNOWN: i32 = 0;
const BEGIN: i32 = 1;
const END: i32 = 2;

/// A loaded tokenizer.
pub struct SentencePiece {
    pieces: HashMap<Box<str>, (i32, f32)>,
    longest: usize,
    unknown_score: f32,
    table: Table,
}

/// The model is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("its tokenizer cannot be read: {0}")]
pub struct Unreadable(&'static str);

impl SentencePiece {
    /// From the bytes of an ONNX model whose graph has a `SentencepieceTokenizer`.
    pub fn from_onnx(model: &[u8]) -> Result<SentencePiece, Unreadable> {
        // ModelProto.graph = 7, GraphProto.node = 1, NodeProto.op_type = 4 and attribute = 5,
        // AttributeProto.name = 1 and s = 4.
        let graphs = Fields(model).filter(|(number, _)| *number == 7);
        let nodes = graphs.flat_map(|(_, graph)| Fields(graph.bytes())).filter(|(number, _)| *number == 1);
        for (_, node) in nodes {
            let field = |wanted: u64| Fields(node.bytes()).filter(move |(number, _)| *number == wanted);
            if !field(4).any(|(_, name)| name.bytes() == b"SentencepieceTokenizer") {
                continue;
            }
            for (_, attribute) in field(5) {
                let part = |wanted: u64| Fields(attribute.bytes()).find(|(number, _)| *number == wanted);
                if part(1).is_some_and(|(_, name)| name.bytes() == b"model") {
                    let (_, model) = part(4).ok_or(Unreadable("an empty attribute"))?;
                    return SentencePiece::read(model.bytes());
                }
            }
        }
        Err(Unreadable("no SentencepieceTokenizer in the graph"))
    }

    /// From a SentencePiece model: pieces = 1 (text = 1, score = 2, type = 3), normaliser = 3
    /// (table = 2).
    fn read(model: &[u8]) -> Result<SentencePiece, Unreadable> {
        let mut pieces = HashMap::new();
        let (mut longest, mut least, mut table) = (0, f32::INFINITY, None);
        let mut id = 0;
        for (number, value) in Fields(model) {
            match number {
                1 => {
                    let (text, score, normal) = piece(value.bytes())?;
                    if normal {
                        longest = longest.max(text.chars().count());
                        least = least.min(score);
                        pieces.insert(Box::from(text), (id, score));
                    }
                    id += 1;
                }
                3 => {
                    let found = Fields(value.bytes()).find(|(number, _)| *number == 2);
                    table = found.and_then(|(_, table)| Table::read(table.bytes()));
                }
                _ => {}
            }
        }
        if pieces.is_empty() {
            return Err(Unreadable("no pieces"));
        }
        let table = table.ok_or(Unreadable("no normalisation table"))?;
        Ok(SentencePiece { pieces, longest, unknown_score: least - UNKNOWN_PENALTY, table })
    }

    /// Adds the ids of `text` to `ids`, between the marks for begin and end. Linear in the text.
    pub fn encode(&self, text: &str, ids: &mut Vec<i32>) {
        ids.push(BEGIN);
        let text = self.normalise(text);
        let mut was_unknown = false;
        for id in self.best_path(&text) {
            // A run of unknown characters is one unknown token.
            if !(was_unknown && id == UNKNOWN) {
                ids.push(id);
            }
            was_unknown = id == UNKNOWN;
        }
        ids.push(END);
    }

    /// Replaces by the table, folds runs of spaces into one, drops those at both ends, and puts a
    /// space in front.
    fn normalise(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 8);
        out.push(SPACE);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (taken, replacement) = match self.table.longest(rest.as_bytes()) {
                Some((taken, replacement)) if rest.is_char_boundary(taken) => (taken, replacement),
                _ => (first.len_utf8(), &rest[..first.len_utf8()]),
            };
            for c in replacement.chars() {
                match c {
                    ' ' if out.ends_with(SPACE) => {}
                    ' ' => out.push(SPACE),
                    c => out.push(c),
                }
            }
            rest = &rest[taken..];
        }
        while out.ends_with(SPACE) {
            out.pop();
        }
        out
    }

    /// The pieces with the greatest sum of scores (Viterbi over the places between characters).
    fn best_path(&self, text: &str) -> Vec<i32> {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        // For each place: the score of the best way to it, where its last piece began, and its id.
        let mut best = vec![(f32::NEG_INFINITY, 0usize, UNKNOWN); places.len()];
        best[0].0 = 0.0;
        for start in 0..places.len() - 1 {
            let here = best[start].0;
            let mut offer = |end: usize, score: f32, id: i32| {
                if here + score > best[end].0 {
                    best[end] = (here + score, start, id);
                }
            };
            let mut single = false;
            for end in start + 1..places.len().min(start + self.longest + 1) {
                if let Some((id, score)) = self.pieces.get(&text[places[start]..places[end]]) {
                    offer(end, *score, *id);
                    single |= end == start + 1;
                }
            }
            if !single {
                offer(start + 1, self.unknown_score, UNKNOWN);
            }
        }
        let mut ids = Vec::new();
        let mut at = places.len() - 1;
        while at > 0 {
            ids.push(best[at].2);
            at = best[at].1;
        }
        ids.reverse();
        ids
    }
}

/// Text, score, and whether it is a normal piece (type 1, the default).
fn piece(message: &[u8]) -> Result<(&str, f32, bool), Unreadable> {
    let (mut text, mut score, mut normal) = ("", 0.0, true);
    for (number, value) in Fields(message) {
        match (number, value) {
            (1, Value::Bytes(bytes)) => {
                text = str::from_utf8(bytes).map_err(|_| Unreadable("a piece is no text"))?
            }
            (2, Value::Four(bits)) => score = f32::from_bits(bits),
            (3, Value::Number(kind)) => normal = kind == 1,
            _ => {}
        }
    }
    Ok((text, score, normal))
}

/// The normaliser's table: a double-array trie (as darts-clone lays it out) from byte strings to
/// places in a list of zero-ended replacements.
struct Table {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

impl Table {
    /// Bytes of the trie in four bytes, the trie, the replacements; all little-endian.
    fn read(bytes: &[u8]) -> Option<Table> {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*size)).ok()?)?;
        let units = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Some(Table { units, replacements: replacements.to_vec() })
    }

    /// The longest entry that `text` begins with: its length in bytes, and what stands for it.
    fn longest(&self, text: &[u8]) -> Option<(usize, &str)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & 0x200) >> 6)) as usize;
        let mut node = offset(*self.units.first()?);
        let mut found = None;
        for (at, byte) in text.iter().enumerate() {
            node ^= usize::from(*byte);
            let Some(unit) = self.units.get(node).copied() else { break };
            if unit & 0x8000_00ff != u32::from(*byte) {
                break;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                found = self.units.get(node).map(|leaf| (at + 1, (leaf & 0x7fff_ffff) as usize));
            }
        }
        let (length, place) = found?;
        let replacement = self.replacements.get(place..)?.split(|byte| *byte == 0).next()?;
        Some((length, str::from_utf8(replacement).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the published operator library gives for the same model.
    #[test]
    fn the_tokens_are_those_of_the_reference() {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/use-multilingual-v3-int8/model.onnx");
        let model = std::fs::read(model).expect("run scripts/fetch");
        let tokenizer = SentencePiece::from_onnx(&model).unwrap();
        let reference: &[(&str, &[i32])] = &[
            ("", &[1, 2]),
            ("  ", &[1, 2]),
            ("a  b ", &[1, 10, 254, 2]),
            ("１００１ ﷺ ㍿ ½", &[1, 966, 182, 1312, 40632, 9681, 15314, 102894, 6, 21873, 32259, 2]),
            ("e\u{0301}t\u{e9} na\u{ef}ve", &[1, 2133, 163, 12747, 344, 2]),
            ("\u{200b}zero", &[1, 7697, 2]),
            ("日本語のテスト。", &[1, 71578, 73, 29335, 27, 2]),
            ("مرحبا بالعالم", &[1, 21991, 33916, 668, 2459, 55036, 2]),
            ("สวัสดีครับ", &[1, 19000, 4448, 40709, 5835, 3119, 10644, 2]),
            ("Привет, мир!", &[1, 85019, 1183, 7, 19201, 42, 2]),
            ("😀😡 ok 🇰🇷", &[1, 6, 0, 2116, 6, 0, 2]),
            ("\ttabs\nnew\r\nlines", &[1, 8868, 9, 484, 7466, 2]),
            ("\u{1112}\u{1161}\u{11ab} decomposed", &[1, 6192, 13, 149, 42732, 2]),
            ("ﬁnance ﬀ", &[1, 19794, 6, 5901, 2]),
            ("<s> </s> <unk>", &[1, 87, 9, 65, 6372, 9, 65, 87, 39089, 65, 2]),
        ];
        for (text, expected) in reference {
            let mut ids = Vec::new();
            tokenizer.encode(text, &mut ids);
            assert_eq!(&ids, expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        for bytes in [&b""[..], b"no graph", &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80; 64]] {
            assert!(SentencePiece::from_onnx(bytes).is_err());
        }
    }
}
