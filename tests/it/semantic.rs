//! Scenes of comparison by meaning: the fetched models, the pool under trouble, the index.

use parking_lot::{Condvar, Mutex};
use reprise::base::digest::{ExactKey, Partition};
use reprise::canon::Bypass;
use reprise::config::{self, Strictness};
use reprise::semantic::embedder::{EmbedError, Embedder, Unit, Vector, unit};
use reprise::semantic::index::{Index, Inserted};
use reprise::semantic::pool::Pool;
use reprise::semantic::verify::{Judgement, Near, Reading, judge};
use reprise::semantic::{LoadError, Semantic};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ENGLISH: &str = "all-minilm-l6-v2-int8";
const MULTILINGUAL: &str = "use-multilingual-v3-int8";

fn settings(model: &str) -> config::Semantic {
    config::Semantic {
        model: model.to_owned(),
        models_dir: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models")),
        runtime: None,
        threads: 1,
        queue: 64,
        patience: Duration::from_secs(30),
        hnsw_from: 4_096,
    }
}

/// Panics with the remedy when `scripts/fetch` has not been run.
fn loaded(model: &str) -> Semantic {
    Semantic::load(&settings(model)).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn refused(config: &config::Semantic) -> LoadError {
    match Semantic::load(config) {
        Ok(_) => panic!("it loaded"),
        Err(error) => error,
    }
}

fn cosine(a: &Vector, b: &Vector) -> f32 {
    a.iter().zip(b.iter()).map(|(x, y)| x * y).sum()
}

fn key(number: u64) -> ExactKey {
    ExactKey(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

const HERE: Partition = Partition([1; 32]);
const THERE: Partition = Partition([2; 32]);

#[tokio::test]
async fn the_multilingual_model_puts_paraphrases_near_in_english_and_korean() {
    let semantic = loaded(MULTILINGUAL);
    for (asked, same, other) in [
        ("how can I get my money back?", "how do I get a refund?", "what are your opening hours?"),
        (
            "비밀번호를 잊어버렸어요. 어떻게 하나요?",
            "비밀번호를 잊었는데 어떻게 해야 하나요?",
            "배송은 얼마나 걸리나요?",
        ),
    ] {
        let [asked, same, other] = [asked, same, other].map(|text| semantic.embed(text));
        let (asked, same, other) = (asked.await.unwrap(), same.await.unwrap(), other.await.unwrap());
        assert_eq!(asked.len(), 512);
        assert!((cosine(&asked, &asked) - 1.0).abs() < 1e-5);
        assert!(cosine(&asked, &same) > cosine(&asked, &other) + 0.3);
    }
}

#[tokio::test]
async fn the_english_model_does_so_too_and_refuses_what_is_beyond_its_window() {
    let semantic = loaded(ENGLISH);
    let asked = semantic.embed("how can I get my money back?").await.unwrap();
    let same = semantic.embed("how do I get a refund?").await.unwrap();
    let other = semantic.embed("what are your opening hours?").await.unwrap();
    assert_eq!(asked.len(), 384);
    assert!(cosine(&asked, &same) > cosine(&asked, &other) + 0.3);

    let within = "word ".repeat(254);
    assert!(semantic.embed(within.as_str()).await.is_ok());
    let beyond = "word ".repeat(255);
    let too_long = EmbedError::TooLong { length: 257, max: 256, unit: Unit::Tokens };
    assert_eq!(semantic.embed(beyond.as_str()).await, Err(too_long));
}

#[tokio::test]
async fn the_multilingual_window_is_counted_in_characters_and_a_zero_byte_does_no_harm() {
    let semantic = loaded(MULTILINGUAL);
    assert_eq!(semantic.suits(&"가".repeat(500)), Ok(()));
    assert_eq!(semantic.suits(&"가".repeat(501)), Err(Bypass::TooLong));
    let too_long = EmbedError::TooLong { length: 501, max: 500, unit: Unit::Characters };
    assert_eq!(semantic.embed("가".repeat(501).as_str()).await, Err(too_long));
    assert!(semantic.embed("how\0are you").await.is_ok());
}

#[tokio::test]
async fn texts_that_wait_together_get_the_vectors_they_get_alone() {
    let semantic = loaded(MULTILINGUAL);
    let texts = [
        "refund my order",
        "환불해 주세요",
        "track a parcel",
        "배송 조회",
        "change my password",
        "hello there",
    ];
    let together = futures_util::future::join_all(texts.map(|text| semantic.embed(text))).await;
    for (text, together) in texts.iter().zip(together) {
        let alone = semantic.model().embed(&[text]).pop().unwrap().unwrap();
        assert!(cosine(&alone, &together.unwrap()) > 0.99, "{text}");
    }
}

#[tokio::test]
async fn a_paraphrase_is_found_in_its_own_partition_only_and_an_other_number_is_refused() {
    let semantic = loaded(MULTILINGUAL);
    let stored = "where is my order 1001?";
    let vector = semantic.embed(stored).await.unwrap();
    assert_eq!(semantic.insert(HERE, key(1), &vector, Arc::from(stored)), Inserted::Kept);

    let query = semantic.embed("where is order 1002?").await.unwrap();
    assert_eq!(semantic.nearest(&THERE, &query, 5, 0.0), []);
    let found = semantic.nearest(&HERE, &query, 5, 0.5);
    assert_eq!(found[0].key, key(1));
    let (asked, stored) = (Reading::of("where is order 1002?"), Reading::of(&found[0].question));
    let near = Near { asked: &asked, stored: &stored, cosine: found[0].score, gap: None };
    let judged = judge(&near, Strictness::Strict);
    assert!(matches!(judged, Judgement::Different(_)));

    semantic.remove(&HERE, &key(1));
    assert_eq!(semantic.nearest(&HERE, &query, 5, 0.0), []);
    assert_eq!(semantic.index().partitions(), 0);
}

#[test]
fn the_english_model_never_compares_korean() {
    let semantic = loaded(ENGLISH);
    assert_eq!(semantic.suits("환불하고 싶어요"), Err(Bypass::Language));
    assert_eq!(semantic.suits("I want a refund"), Ok(()));
}

#[test]
fn a_model_that_is_not_fetched_says_which_command_fetches_it() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("manifest.toml");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/models/manifest.toml"), manifest).unwrap();
    let config = config::Semantic { models_dir: folder.path().to_owned(), ..settings(ENGLISH) };
    let error = refused(&config);
    assert!(error.to_string().contains("run scripts/fetch"), "{error}");
}

#[test]
fn an_unknown_model_lists_the_known_ones() {
    let error = refused(&settings("no-such-model")).to_string();
    assert!(error.contains(ENGLISH) && error.contains(MULTILINGUAL), "{error}");
}

#[test]
fn a_model_file_that_is_no_model_is_an_error_and_not_the_end_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), b"no graph").unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), b"{}").unwrap();
    let config = settings(&folder.path().display().to_string());
    assert!(matches!(refused(&config), LoadError::Model { .. }));
}

#[tokio::test]
async fn any_folder_with_a_model_and_a_tokenizer_is_read_with_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        let from = settings(ENGLISH).models_dir.join(ENGLISH).join(file);
        std::fs::copy(&from, folder.path().join(file))
            .unwrap_or_else(|_| panic!("{}: run scripts/fetch", from.display()));
    }
    let said = "max_tokens = 16\nlanguages = [\"deu\"]\n[thresholds]\nstrict = 0.7\n";
    std::fs::write(folder.path().join("reprise-model.toml"), said).unwrap();
    let semantic = loaded(&folder.path().display().to_string());
    assert_eq!(semantic.threshold(Strictness::Strict), 0.7);
    assert!(matches!(
        semantic.embed("one two ".repeat(20).as_str()).await,
        Err(EmbedError::TooLong { max: 16, .. })
    ));
    let same = loaded(ENGLISH).embed("how do I get a refund?").await.unwrap();
    assert!(cosine(&semantic.embed("how do I get a refund?").await.unwrap(), &same) > 0.999);
}

/// An embedder that waits at a gate; "panic" makes it panic.
#[derive(Default)]
struct Gated {
    open: Mutex<bool>,
    opened: Condvar,
    passes: AtomicUsize,
    texts: Mutex<Vec<String>>,
}

impl Gated {
    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

impl Embedder for Gated {
    fn name(&self) -> &str {
        "gated"
    }
    fn dim(&self) -> usize {
        2
    }
    fn batch(&self) -> usize {
        4
    }
    fn surely_too_long(&self, _text: &str) -> bool {
        false
    }
    fn embed(&self, texts: &[&str]) -> Vec<Result<Vector, EmbedError>> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        self.texts.lock().extend(texts.iter().map(|text| (*text).to_owned()));
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
        assert!(!texts.contains(&"panic"), "as asked");
        texts.iter().map(|text| unit(&[text.len() as f32, 1.0], 2)).collect()
    }
}

fn gated(queue: usize, patience: Duration) -> (Arc<Gated>, Arc<Pool>) {
    let embedder = Arc::new(Gated::default());
    let pool = Pool::start(vec![Arc::clone(&embedder) as Arc<dyn Embedder>], queue, patience).unwrap();
    (embedder, Arc::new(pool))
}

const LONG: Duration = Duration::from_secs(60);

/// Lets the pool's thread take the first text, so that what follows waits.
async fn taken(embedder: &Gated) {
    while embedder.passes.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_queue_sheds_at_once_and_those_who_wait_share_a_pass() {
    let (embedder, pool) = gated(3, LONG);
    let (first, rest, _) = tokio::join!(
        pool.embed("first"),
        async {
            taken(&embedder).await;
            futures_util::future::join_all(["a", "b", "c", "d"].map(|text| pool.embed(text))).await
        },
        async {
            while pool.metrics().shed.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            embedder.open();
        }
    );
    assert!(first.is_ok());
    assert_eq!(rest.iter().filter(|vector| vector.is_ok()).count(), 3);
    assert_eq!(rest[3], Err(EmbedError::Shed));
    assert_eq!(embedder.passes.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_patience_ends_is_shed_and_its_text_is_skipped() {
    let (embedder, pool) = gated(8, Duration::from_millis(50));
    let (first, late) = tokio::join!(pool.embed("first"), async {
        taken(&embedder).await;
        pool.embed("late").await
    });
    assert_eq!((first, late), (Err(EmbedError::Shed), Err(EmbedError::Shed)));
    embedder.open();
    drop(pool);
    assert_eq!(*embedder.texts.lock(), ["first"]);
}

#[tokio::test]
async fn a_caller_that_leaves_costs_no_pass() {
    let (embedder, pool) = gated(8, LONG);
    let first = pool.embed("first");
    let leaver = async {
        taken(&embedder).await;
        let mut leaving = Box::pin(pool.embed("left"));
        assert!(futures_util::poll!(leaving.as_mut()).is_pending());
        drop(leaving);
        embedder.open();
    };
    assert!(tokio::join!(first, leaver).0.is_ok());
    assert!(pool.embed("next").await.is_ok());
    assert_eq!(*embedder.texts.lock(), ["first", "next"]);
}

#[tokio::test]
async fn a_panic_in_the_model_fails_its_text_and_not_the_pool() {
    let (embedder, pool) = gated(8, LONG);
    embedder.open();
    assert!(matches!(pool.embed("panic").await, Err(EmbedError::Model(_))));
    assert!(pool.embed("fine").await.is_ok());
}

#[tokio::test]
async fn a_text_asked_again_skips_its_pass() {
    let (embedder, pool) = gated(8, LONG);
    embedder.open();
    assert_eq!(pool.embed("twice").await, pool.embed("twice").await);
    assert_eq!(embedder.passes.load(Ordering::SeqCst), 1);
    assert_eq!(pool.metrics().remembered.load(Ordering::Relaxed), 1);
}

/// A unit vector of 32 numbers that depends on `seed` only.
fn vector(seed: u64) -> Vector {
    let hash = blake3::hash(&seed.to_le_bytes());
    let raw: Vec<f32> = hash.as_bytes().iter().map(|byte| f32::from(*byte) - 127.5).collect();
    unit(&raw, 32).unwrap()
}

fn insert(index: &Index, number: u64) {
    let question = Arc::from(format!("question {number}"));
    assert_eq!(index.insert(HERE, key(number), &vector(number), question), Inserted::Kept);
}

/// How many of `numbers` are found as their own best neighbour.
fn found(index: &Index, numbers: impl Iterator<Item = u64>) -> usize {
    let finds = |number: &u64| {
        let best = index.nearest(&HERE, &vector(*number), 1, 0.99);
        best.first()
            .is_some_and(|best| best.key == key(*number) && *best.question == format!("question {number}"))
    };
    numbers.filter(finds).count()
}

#[test]
fn a_large_partition_turns_into_a_graph_and_nothing_is_lost_on_the_way() {
    let index = Index::new("model", 32, 300);
    for number in 0..1_000 {
        insert(&index, number);
        // Searched while the graph is being built: what was inserted is found at once.
        assert!(number % 100 != 0 || found(&index, number..=number) == 1, "{number}");
    }
    index.settle();
    assert_eq!(index.len(), 1_000);
    assert!(found(&index, 0..1_000) >= 990);
}

#[test]
fn the_dead_are_never_found_and_their_graph_is_rebuilt_without_them() {
    let index = Index::new("model", 32, 200);
    (0..800).for_each(|number| insert(&index, number));
    index.settle();
    let full = index.bytes();
    (0..600).for_each(|number| index.remove(&HERE, &key(number)));
    assert_eq!(found(&index, 0..600), 0);
    index.settle();
    assert_eq!(found(&index, 0..600), 0);
    assert!(found(&index, 600..800) >= 198);
    assert!(index.bytes() < full / 2, "{} of {full}", index.bytes());
    (600..800).for_each(|number| index.remove(&HERE, &key(number)));
    assert_eq!((index.len(), index.partitions()), (0, 0));
}

#[test]
fn a_key_inserted_again_has_its_newest_vector_only() {
    let index = Index::new("model", 32, 1_000);
    insert(&index, 1);
    index.insert(HERE, key(1), &vector(2), Arc::from("newer"));
    assert_eq!(index.len(), 1);
    assert_eq!(index.nearest(&HERE, &vector(1), 5, 0.99), []);
    assert_eq!(&*index.nearest(&HERE, &vector(2), 5, 0.99)[0].question, "newer");
}

#[test]
fn a_vector_of_another_model_is_not_taken_and_finds_nothing() {
    let index = Index::new("model", 32, 1_000);
    insert(&index, 1);
    let other: Vector = unit(&[1.0; 16], 16).unwrap();
    assert_eq!(index.insert(HERE, key(2), &other, Arc::from("other")), Inserted::WrongLength);
    assert_eq!(index.nearest(&HERE, &other, 5, -1.0), []);
    assert_eq!(index.len(), 1);
}

#[test]
fn neighbours_come_best_first_and_no_more_than_asked() {
    let index = Index::new("model", 32, 1_000);
    (0..50).for_each(|number| insert(&index, number));
    let near = index.nearest(&HERE, &vector(7), 3, -1.0);
    assert_eq!(near.len(), 3);
    assert_eq!(near[0].key, key(7));
    assert!(near[0].score >= near[1].score && near[1].score >= near[2].score);
}

#[test]
fn inserts_searches_and_removals_from_many_threads_keep_every_promise() {
    let index = Index::new("model", 32, 100);
    std::thread::scope(|threads| {
        for lane in 0..4u64 {
            let index = &index;
            threads.spawn(move || {
                for number in (lane * 1_000)..(lane * 1_000 + 200) {
                    insert(index, number);
                    index.nearest(&HERE, &vector(number), 2, 0.9);
                    if number % 2 == 0 {
                        index.remove(&HERE, &key(number));
                    }
                }
            });
        }
    });
    index.settle();
    assert_eq!(index.len(), 400);
    let kept =
        (0..4u64).flat_map(|lane| (lane * 1_000)..(lane * 1_000 + 200)).filter(|number| number % 2 == 1);
    assert!(found(&index, kept) >= 396);
    let removed =
        (0..4u64).flat_map(|lane| (lane * 1_000)..(lane * 1_000 + 200)).filter(|number| number % 2 == 0);
    assert_eq!(found(&index, removed), 0);
}
