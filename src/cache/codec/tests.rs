use super::*;
use crate::base::clock::Millis;
use crate::base::digest::{Partition, Scope};
use crate::base::secret::Secret;
use crate::cache::entry::{Content, Embedded};
use crate::semantic::embedder::unit;
use crate::tape::{Reeled, Tape};
use crate::wire::Dialect;
use crate::wire::answer::{Finish, Outline};
use crate::wire::embeddings::{Frame, Item};
use crate::wire::usage::Usage;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn usage() -> impl Strategy<Value = Usage> {
    any::<[u64; 5]>().prop_map(|[prompt, completion, cached, cache_write, reasoning]| Usage {
        prompt,
        completion,
        cached,
        cache_write,
        reasoning,
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..2_000).prop_map(Bytes::from),
        (".{0,40}", 1..200usize).prop_map(|(text, times)| Bytes::from(text.repeat(times))),
    ]
}

fn outline() -> impl Strategy<Value = Outline> {
    let finish = prop::sample::select(vec![
        Finish::Stop,
        Finish::Length,
        Finish::ToolCalls,
        Finish::ContentFilter,
        Finish::FunctionCall,
        Finish::Other,
    ]);
    (vec(finish, 0..4), option::of(usage()), any::<[bool; 2]>(), option::of(".{0,20}")).prop_map(
        |(finish, usage, [error, terminal], model)| Outline { finish, usage, error, terminal, model },
    )
}

fn answer() -> impl Strategy<Value = Content> {
    let dialects = prop::sample::select(vec![
        Dialect::ChatCompletions,
        Dialect::Completions,
        Dialect::Embeddings,
        Dialect::Responses,
        Dialect::Messages,
    ]);
    let place = option::of(any::<[prop::sample::Index; 2]>());
    (dialects, outline(), bytes(), place, any::<bool>()).prop_map(|(dialect, outline, bytes, place, body)| {
        let usage = place.map(|ends| ends.map(|end| end.index(bytes.len() + 1)));
        let usage = usage.map(|[one, other]| one.min(other)..one.max(other));
        let reeled = if body { Reeled::Body(bytes) } else { Reeled::Frames { frames: bytes, usage } };
        Content::Answer(Tape::of_reeled(dialect, reeled, outline).expect("a range inside"))
    })
}

fn embedded() -> impl Strategy<Value = Content> {
    let frame = (option::of(".{0,20}"), vec((".{0,9}", ".{0,9}"), 0..4));
    (bytes(), option::of(usage()), frame).prop_map(|(item, usage, (model, rest))| {
        let frame = Arc::new(Frame { model, rest });
        Content::Embedding(Embedded { item: Item(item), usage, frame })
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let tags = vec((".{0,9}", ".{0,9}"), 0..4);
    let texts = (option::of(".{0,20}"), ".{0,20}", option::of(".{0,200}"), tags);
    let content = prop_oneof![3 => answer(), 1 => embedded()];
    (any::<[[u8; 32]; 3]>(), texts, any::<[u64; 2]>(), content).prop_map(
        |([key, partition, scope], (namespace, model, question, tags), [stored, expires], content)| Entry {
            key: ExactKey(key),
            partition: Partition(partition),
            scope: Scope(scope),
            namespace: namespace.map(Box::from),
            model: model.into(),
            question: question.map(Arc::from),
            tags: tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            stored: Millis(stored),
            expires: Millis(expires),
            content,
        },
    )
}

fn embedding() -> impl Strategy<Value = Option<Embedding>> {
    let raw = vec(-1.0f32..1.0, 1..600);
    let raw = raw.prop_filter("not all zeros", |raw| raw.iter().any(|number| number.abs() > 1e-3));
    option::of((".{1,20}", raw).prop_map(|(model, raw)| Embedding {
        model: model.into(),
        vector: unit(&raw, raw.len()).expect("a vector"),
    }))
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn keys(current: Option<&str>, old: Option<&str>) -> Keys {
    Keys::of(current.map(secret).as_ref(), old.map(secret).as_ref())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_encoded_comes_back_equal(entry in entry(), embedding in embedding(), sealing: bool) {
        let keys = if sealing { keys(Some("a"), None) } else { Keys::none() };
        let bytes = encode(&entry, embedding.as_ref(), &keys);
        let stored = decode_for(&entry.key, &bytes, &keys).expect("decodes");
        prop_assert_eq!(&stored.entry, &entry);
        prop_assert_eq!(stored.embedding, embedding);
        prop_assert_eq!(stored.sealed, if sealing { Sealed::Current } else { Sealed::Plain });
        prop_assert_eq!(stored.entry.size(), entry.size());
    }

    #[test]
    fn every_changed_or_missing_byte_is_an_error(
        entry in entry(),
        embedding in embedding(),
        sealing: bool,
        places in vec(any::<prop::sample::Index>(), 20),
        change in 1u8..,
    ) {
        let keys = if sealing { keys(Some("a"), None) } else { Keys::none() };
        let bytes = encode(&entry, embedding.as_ref(), &keys);
        for place in places {
            let at = place.index(bytes.len());
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            prop_assert!(decode(&damaged, &keys).is_err(), "byte {at} of {}", bytes.len());
            prop_assert!(decode(&bytes[..at], &keys).is_err(), "cut at {at} of {}", bytes.len());
            damaged = bytes.clone();
            damaged.insert(at, change);
            prop_assert!(decode(&damaged, &keys).is_err(), "a byte more at {at}");
        }
    }

    /// A checksum that fits does not save bytes that make no sense.
    #[test]
    fn nonsense_with_a_right_checksum_is_no_panic(
        entry in entry(),
        embedding in embedding(),
        noise in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&entry, embedding.as_ref(), &Keys::none());
        let end = bytes.len() - 16;
        for (place, byte) in noise {
            bytes[place.index(end)] = byte;
        }
        let sum = blake3::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.as_bytes()[..16]);
        let _ = decode(&bytes, &Keys::none());
    }

    #[test]
    fn anything_else_is_foreign(bytes in vec(any::<u8>(), 0..100)) {
        prop_assume!(!bytes.starts_with(&[0x89]));
        prop_assert_eq!(decode(&bytes, &Keys::none()).unwrap_err(), Undecodable::Foreign);
    }
}

fn simple(body: &str) -> Entry {
    let outline = Outline { finish: vec![Finish::Stop], terminal: true, ..Outline::default() };
    Entry {
        key: ExactKey([1; 32]),
        partition: Partition([2; 32]),
        scope: Scope([3; 32]),
        namespace: None,
        model: "m".into(),
        question: Some("Q?".into()),
        tags: Vec::new(),
        stored: Millis(1_000),
        expires: Millis(2_000),
        content: Content::Answer(Tape::of_body(
            Dialect::ChatCompletions,
            Bytes::copy_from_slice(body.as_bytes()),
            outline,
        )),
    }
}

#[test]
fn keys_rotate_and_what_they_do_not_fit_is_said_by_name() {
    let entry = simple("Paris.");
    let (none, a, b) = (Keys::none(), keys(Some("a"), None), keys(Some("b"), None));
    let (b_after_a, only_old) = (keys(Some("b"), Some("a")), keys(None, Some("a")));
    let (plain, by_a) = (encode(&entry, None, &none), encode(&entry, None, &a));
    let sealed = |bytes: &[u8], keys: &Keys| decode(bytes, keys).map(|stored| stored.sealed);
    assert_eq!(sealed(&by_a, &a), Ok(Sealed::Current));
    assert_eq!(sealed(&by_a, &b), Err(Undecodable::WrongKey));
    assert_eq!(sealed(&by_a, &none), Err(Undecodable::WrongKey));
    assert_eq!(sealed(&by_a, &b_after_a), Ok(Sealed::Old));
    assert_eq!(sealed(&by_a, &only_old), Ok(Sealed::Old));
    assert_eq!(sealed(&plain, &only_old), Ok(Sealed::Plain));
    assert_eq!(sealed(&plain, &a), Err(Undecodable::Unsealed), "nobody slips in what is not encrypted");
    assert_eq!(sealed(&encode(&entry, None, &b_after_a), &b), Ok(Sealed::Current));
    assert_ne!(encode(&entry, None, &a), by_a, "another nonce each time");
}

#[test]
fn nothing_of_an_encrypted_entry_can_be_read() {
    let bytes = encode(&simple("the secret answer"), None, &keys(Some("a"), None));
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    let shown = format!("{:?}", keys(Some("hunter2"), None));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_newer_version_is_said_by_name_and_so_is_another_entrys_place() {
    let mut bytes = encode(&simple("Paris."), None, &Keys::none());
    assert_eq!(decode_for(&ExactKey([9; 32]), &bytes, &Keys::none()).unwrap_err(), Undecodable::Misplaced);
    bytes[4] += 1;
    assert_eq!(decode(&bytes, &Keys::none()).unwrap_err(), Undecodable::Newer);
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let packed = zstd::bulk::compress(&vec![0u8; 64 << 20], 3).unwrap();
    let mut bytes = vec![0x89, b'R', b'P', b'E', 1, 1];
    cursor::number(&mut bytes, 64 << 20);
    cursor::bytes(&mut bytes, &packed);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(&sum.as_bytes()[..16]);
    assert_eq!(decode(&bytes, &Keys::none()).unwrap_err(), Undecodable::Corrupt);
}

/// A lying length must not be believed before the bytes are there.
#[test]
fn a_length_beyond_the_bytes_is_refused() {
    let mut bytes = vec![0x89, b'R', b'P', b'E', 1, 0];
    cursor::number(&mut bytes, u64::MAX);
    cursor::number(&mut bytes, u64::MAX);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(&sum.as_bytes()[..16]);
    assert_eq!(decode(&bytes, &Keys::none()).unwrap_err(), Undecodable::Corrupt);
}

#[test]
fn an_answer_that_compresses_beyond_the_bound_is_still_kept() {
    let entry = simple(&"a".repeat(1 << 20));
    let bytes = encode(&entry, None, &Keys::none());
    assert_eq!(decode(&bytes, &Keys::none()).unwrap().entry, entry);
    let text = simple(&"The capital of France is Paris. ".repeat(40));
    assert!(encode(&text, None, &Keys::none()).len() < text.size() / 2);
}
