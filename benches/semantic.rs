//! Search, flat and in a graph, at 1,000, 10,000, 32,000 and 100,000 entries of one partition, with recall
//! beside latency; the bare forward pass of both models; and both together.
//!
//! `cargo bench --bench semantic` needs the fetched models. Building the graph of 100,000 takes
//! minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use criterion::{BenchmarkId, Criterion};
use reprise::base::digest::{ExactKey, Partition};
use reprise::config;
use reprise::semantic::codes::dot;
use reprise::semantic::index::Index;
use reprise::semantic::{Semantic, Vector};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// As the server's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTITION: Partition = Partition([7; 32]);
const QUESTION: &str = "how do I change the delivery address of an order I placed yesterday?";
const MULTILINGUAL: &str = "use-multilingual-v3-int8";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [small, multilingual] = ["all-minilm-l6-v2-int8", MULTILINGUAL].map(load);
    forward(&mut criterion, &small);
    forward(&mut criterion, &multilingual);
    let vectors = Vectors::made(&multilingual, &runtime);
    for entries in [1_000, 10_000, 32_000, 100_000] {
        let flat = filled(&vectors, entries, usize::MAX);
        let graph = filled(&vectors, entries, 1);
        recall(&vectors, &[("flat", &flat), ("hnsw", &graph)], entries);
        search(&mut criterion, &vectors, "flat", &flat, entries);
        search(&mut criterion, &vectors, "hnsw", &graph, entries);
        if entries == 10_000 {
            together(&mut criterion, &multilingual, &flat);
        }
    }
    criterion.final_summary();
}

fn load(model: &str) -> Semantic {
    let config = config::Semantic {
        model: model.to_owned(),
        models_dir: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models")),
        runtime: None,
        threads: 1,
        queue: 4_096,
        patience: Duration::from_secs(60),
        hnsw_from: 4_096,
        ..config::Semantic::default()
    };
    Semantic::load(&config).expect("run scripts/fetch first")
}

fn forward(criterion: &mut Criterion, semantic: &Semantic) {
    let model = semantic.model();
    let name = format!("forward/{}", semantic.model_name());
    criterion.bench_function(&name, |bencher| bencher.iter(|| model.embed(&[QUESTION])));
}

/// A forward pass and a search among 10,000: what a semantic hit costs beyond the exact path.
fn together(criterion: &mut Criterion, semantic: &Semantic, index: &Index) {
    let model = semantic.model();
    criterion.bench_function("forward and search/10000", |bencher| {
        bencher.iter(|| {
            let vector = model.embed(&[QUESTION]).pop().unwrap().unwrap();
            index.nearest(&PARTITION, &vector, 5, 0.5)
        });
    });
}

/// Support questions put together from parts and embedded, each with four noisy twins; and others,
/// never stored, to ask with.
struct Vectors {
    stored: Vec<Vector>,
    queries: Vec<Vector>,
}

impl Vectors {
    fn made(semantic: &Semantic, runtime: &tokio::runtime::Runtime) -> Vectors {
        let texts = sentences();
        println!("{} sentences", texts.len());
        let embedded = runtime.block_on(async {
            let mut vectors = Vec::new();
            for texts in texts.chunks(64) {
                let passes = texts.iter().map(|text| semantic.embed(text.as_str()));
                vectors.extend(futures_util::future::join_all(passes).await.into_iter().map(Result::unwrap));
            }
            vectors
        });
        let (queries, stored) = embedded.split_at(1_000);
        let noisy = (0..5).flat_map(|round| stored.iter().map(move |vector| noise(vector, round)));
        Vectors { stored: noisy.collect(), queries: queries.to_vec() }
    }
}

/// `vector` turned by about 15 degrees (a cosine of about 0.97) in a direction of its own.
fn noise(vector: &Vector, round: u64) -> Vector {
    if round == 0 {
        return Arc::clone(vector);
    }
    let mut state = u64::from(vector[0].to_bits()) << 20 | u64::from(vector[1].to_bits()) ^ round;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let width = 0.25 * (3.0 / vector.len() as f32).sqrt();
    let turned: Vec<f32> = vector.iter().map(|number| number + width * random()).collect();
    let length = turned.iter().map(|number| number * number).sum::<f32>().sqrt();
    turned.iter().map(|number| number / length).collect()
}

/// 21,000 distinct questions in an order that mixes the parts, the first thousand to ask with.
fn sentences() -> Vec<String> {
    let openings = [
        "how do I",
        "can you help me",
        "I want to",
        "please tell me how to",
        "is it possible to",
        "what must I do to",
        "why can't I",
        "where can I",
    ];
    let verbs =
        ["cancel", "change", "track", "return", "pay for", "see", "delete", "update", "share", "print"];
    let things = [
        "my order",
        "the invoice",
        "my subscription",
        "a gift card",
        "the delivery address",
        "my password",
        "two-factor sign-in",
        "my payment method",
        "the refund",
        "a damaged parcel",
        "my newsletter",
        "the warranty",
        "a second account",
        "my loyalty points",
    ];
    let ends = [
        "",
        "from my phone",
        "before Friday",
        "without a receipt",
        "in another country",
        "for my company",
        "after I moved",
        "if it is already shipped",
        "when the app is frozen",
        "as a guest",
        "with a discount code",
        "twice",
        "on the website",
        "for a friend",
        "during the trial",
        "with support on the line",
        "that I bought in your shop in town",
        "although I have no e-mail",
        "at night",
        "next month",
    ];
    let count = openings.len() * verbs.len() * things.len() * ends.len();
    // A step without a common divisor visits every combination once, far apart.
    let at = |step: usize| step * 7_919 % count;
    let sentence = |number: usize| {
        let (number, opening) = (number / openings.len(), openings[number % openings.len()]);
        let (number, verb) = (number / verbs.len(), verbs[number % verbs.len()]);
        let (number, thing) = (number / things.len(), things[number % things.len()]);
        format!("{opening} {verb} {thing} {}", ends[number]).trim_end().to_owned()
    };
    (0..21_000.min(count)).map(|step| sentence(at(step))).collect()
}

fn filled(vectors: &Vectors, entries: usize, hnsw_from: usize) -> Index {
    let index = Index::new(MULTILINGUAL, vectors.stored[0].len(), hnsw_from);
    let began = Instant::now();
    for (number, vector) in vectors.stored.iter().take(entries).enumerate() {
        let key = ExactKey(*blake3::hash(&number.to_le_bytes()).as_bytes());
        index.insert(PARTITION, key, vector, Arc::from("a stored question of some words"));
    }
    let inserted = began.elapsed();
    index.settle();
    let kind = if hnsw_from > entries { "flat" } else { "hnsw" };
    println!(
        "{kind} of {entries}: inserted in {inserted:.2?}, settled after {:.2?}, {} MiB by its own count, {} MiB resident",
        began.elapsed(),
        index.bytes() >> 20,
        resident() >> 10,
    );
    index
}

/// KiB of this process in memory, where the system tells.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// How often the best neighbour is as good as the best of all, and the times of single searches.
fn recall(vectors: &Vectors, indexes: &[(&str, &Index)], entries: usize) {
    let best = |query: &Vector| {
        vectors.stored.iter().take(entries).map(|row| dot(query, row)).fold(-1.0, f32::max).min(1.0)
    };
    let best: Vec<f32> = vectors.queries.iter().map(best).collect();
    for (kind, index) in indexes {
        let mut times = Vec::new();
        let mut right = 0;
        for (query, best) in vectors.queries.iter().zip(&best) {
            let began = Instant::now();
            let found = index.nearest(&PARTITION, query, 5, -1.0);
            times.push(began.elapsed());
            right += usize::from(found.first().is_some_and(|found| found.score >= best - 1e-5));
        }
        times.sort_unstable();
        let share = right as f64 / vectors.queries.len() as f64;
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("{kind} at {entries}: recall@1 {share:.4}, search p50 {p50:.1?}, p99 {p99:.1?}");
    }
}

fn search(criterion: &mut Criterion, vectors: &Vectors, kind: &str, index: &Index, entries: usize) {
    let mut group = criterion.benchmark_group(format!("search/{kind}"));
    group.sample_size(30);
    let mut queries = vectors.queries.iter().cycle();
    group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
        bencher.iter(|| index.nearest(&PARTITION, queries.next().unwrap(), 5, 0.5));
    });
    group.finish();
}
