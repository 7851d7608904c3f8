//! Scenes of comparison by meaning: the fetched models, the pool under trouble, the index.

use crate::world::World;
use parking_lot::{Condvar, Mutex};
use reprise::base::digest::{ExactKey, Partition};
use reprise::canon::Bypass;
use reprise::config::{self, Strictness};
use reprise::semantic::embedder::{EmbedError, Embedder, Unit, Vector, unit};
use reprise::semantic::index::Inserted;
use reprise::semantic::manifest::Thresholds;
use reprise::semantic::pool::{Embeds, Pool};
use reprise::semantic::verify::{Near, Reading, judge};
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
        ..config::Semantic::default()
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
    assert!(judged.refusal().is_some());

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

fn gated(queue: usize, patience: Duration) -> (Arc<Gated>, Arc<Pool<Embeds>>) {
    let embedder = Arc::new(Gated::default());
    let pool = Pool::start("embed", vec![Arc::new(Embeds(embedder.clone()))], queue, patience).unwrap();
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
        pool.ask("first"),
        async {
            taken(&embedder).await;
            futures_util::future::join_all(["a", "b", "c", "d"].map(|text| pool.ask(text))).await
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
    let (first, late) = tokio::join!(pool.ask("first"), async {
        taken(&embedder).await;
        pool.ask("late").await
    });
    assert_eq!((first, late), (Err(EmbedError::Shed), Err(EmbedError::Shed)));
    embedder.open();
    drop(pool);
    assert_eq!(*embedder.texts.lock(), ["first"]);
}

#[tokio::test]
async fn a_caller_that_leaves_costs_no_pass() {
    let (embedder, pool) = gated(8, LONG);
    let first = pool.ask("first");
    let leaver = async {
        taken(&embedder).await;
        let mut leaving = Box::pin(pool.ask("left"));
        assert!(futures_util::poll!(leaving.as_mut()).is_pending());
        drop(leaving);
        embedder.open();
    };
    assert!(tokio::join!(first, leaver).0.is_ok());
    assert!(pool.ask("next").await.is_ok());
    assert_eq!(*embedder.texts.lock(), ["first", "next"]);
}

#[tokio::test]
async fn a_panic_in_the_model_fails_its_text_and_not_the_pool() {
    let (embedder, pool) = gated(8, LONG);
    embedder.open();
    assert!(matches!(pool.ask("panic").await, Err(EmbedError::Model(_))));
    assert!(pool.ask("fine").await.is_ok());
}

#[tokio::test]
async fn a_text_asked_again_skips_its_pass() {
    let (embedder, pool) = gated(8, LONG);
    embedder.open();
    assert_eq!(pool.ask("twice").await, pool.ask("twice").await);
    assert_eq!(embedder.passes.load(Ordering::SeqCst), 1);
    assert_eq!(pool.metrics().remembered.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn idle_work_waits_for_every_question_and_is_bounded_like_them() {
    let (embedder, pool) = gated(2, LONG);
    let (_, _, idle, asked) = tokio::join!(
        pool.ask("first"),
        taken(&embedder),
        async {
            taken(&embedder).await;
            futures_util::future::join_all(["i", "j", "k"].map(|text| pool.ask_idly(text, LONG))).await
        },
        async {
            while pool.metrics().shed.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let asked = pool.ask("asked");
            let (asked, ()) = tokio::join!(asked, async { embedder.open() });
            asked
        }
    );
    assert!(asked.is_ok() && idle[0].is_ok() && idle[1].is_ok());
    assert_eq!(idle[2], Err(EmbedError::Shed), "it has its own room, and no more");
    assert_eq!(*embedder.texts.lock(), ["first", "asked", "i", "j"]);
}

/// Under load a question that was shed used to be pushed in again at once, for its answer's sake: twice the work for
/// an embedder that could not do it once.
#[tokio::test]
async fn a_question_that_was_shed_is_embedded_when_nobody_waits() {
    let nothing = tempfile::tempdir().unwrap();
    let world = World::with(|config| config.semantic.models_dir = nothing.path().to_owned()).await;
    assert!(world.server.semantic_ready().await.is_err(), "so that the scene's own model stays");
    let embedder = Arc::new(Gated::default());
    let quick = config::Semantic { patience: Duration::from_millis(50), ..settings("gated") };
    let embedders = vec![Arc::clone(&embedder) as Arc<dyn Embedder>];
    let semantic = Semantic::of(embedders, &["eng".to_owned()], Thresholds::default(), &quick).unwrap();
    let semantic = Arc::new(semantic);
    world.server.gateway().cache.set_semantic(Arc::clone(&semantic));

    embedder.open();
    world.ask("How do I reset my password?").await;
    *embedder.open.lock() = false;
    let (shed, ..) = tokio::join!(
        async {
            while embedder.passes.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            let shed = world.ask("Where do I find my invoice?").await;
            let waiting = semantic.embed_patiently("Who painted the ceiling?");
            let (waited, ()) = tokio::join!(waiting, async { embedder.open() });
            assert!(waited.is_ok());
            shed
        },
        semantic.embed_patiently("held up"),
    );
    assert_eq!((shed.verdict(), shed.reason()), ("miss", Some("embedder_shed")));
    while semantic.index().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        *embedder.texts.lock(),
        ["How do I reset my password?", "held up", "Who painted the ceiling?", "Where do I find my invoice?"],
        "each once, and those who wait first"
    );
}
