//! `reprise eval` on small files, with a model of words: what it measures, says and refuses.

use reprise::cli::eval::{Args, EvalError, Sweep, calibrate, run_with};
use reprise::config::{self, Config, Flags, Source, Strictness};
use reprise::semantic::Semantic;
use reprise::semantic::embedder::{EmbedError, Embedder, Vector, unit};
use reprise::semantic::manifest::{Manifest, Thresholds};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Counts words: two texts are as near as they share words, whatever their order.
struct Words;

const DIM: usize = 64;

impl Embedder for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn batch(&self) -> usize {
        8
    }

    fn surely_too_long(&self, text: &str) -> bool {
        text.len() > 300
    }

    fn embed(&self, texts: &[&str]) -> Vec<Result<Vector, EmbedError>> {
        let vector = |text: &&str| {
            let mut counts = [0.0; DIM];
            for word in text.to_lowercase().split_whitespace() {
                counts[usize::from(blake3::hash(word.as_bytes()).as_bytes()[0]) % DIM] += 1.0;
            }
            unit(&counts, DIM)
        };
        texts.iter().map(vector).collect()
    }
}

/// A folder with inputs and outputs, and a model. All goes on drop.
struct Desk {
    folder: tempfile::TempDir,
    semantic: Semantic,
}

impl Desk {
    fn new() -> Desk {
        let config = config::Semantic {
            patience: Duration::from_secs(60),
            queue: 4_096,
            ..config::Semantic::default()
        };
        let semantic =
            Semantic::of(vec![Arc::new(Words)], &["eng".to_owned()], Thresholds::default(), &config);
        Desk { folder: tempfile::tempdir().expect("a folder"), semantic: semantic.expect("a model") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, lines: &[Value]) -> PathBuf {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        self.text(name, &lines.join("\n"))
    }

    fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn run(&self, args: &Args) -> (Result<(), EvalError>, String) {
        let config = Config::read(&Source::new(None, [], Flags::default())).expect("the default config");
        let mut out = Vec::new();
        let ran = run_with(args, config, &self.semantic, "reprise eval", &mut out);
        (ran, String::from_utf8(out).expect("utf-8"))
    }

    /// Runs, and reads the JSON.
    fn json(&self, args: Args) -> Value {
        let path = self.path("out.json");
        let (ran, _) = self.run(&Args { json: Some(path.clone()), ..args });
        ran.expect("measured");
        serde_json::from_slice(&std::fs::read(path).expect("written")).expect("JSON")
    }
}

fn asked(prompt: &str, class: &str) -> Value {
    json!({ "prompt": prompt, "class": class })
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Four questions of three classes; the third is served another's answer by the cosine alone, so its
/// repetition is too, and is never stored.
fn small_stream() -> Vec<Value> {
    vec![
        asked("please turn the garden light on", "on"),
        asked("turn the garden light on please", "on"),
        asked("please turn the garden light off", "off"),
        asked("please turn the garden light on", "on"),
        asked("please turn the garden light off", "off"),
        asked("where can I buy fresh bread", "bread"),
    ]
}

fn plain(stream: PathBuf, threshold: f32) -> Args {
    Args {
        stream: vec![stream],
        threshold: Some(threshold),
        verify: Some(Strictness::Off),
        ..Args::default()
    }
}

#[test]
fn a_stream_is_replayed_as_the_cache_would_serve_it() {
    let desk = Desk::new();
    let stream = desk.file("s.jsonl", &small_stream());
    let got = desk.json(plain(stream.clone(), 0.8));
    assert_eq!(got["requests"], 6);
    assert_eq!((got["ceiling"].as_f64(), got["exact"].as_f64()), (Some(0.5), Some(0.333333)));
    let served = &got["served"];
    assert_eq!(
        (served["hit"].as_f64(), served["right"].as_f64()),
        (Some(0.666667), Some(0.333333)),
        "{served}"
    );
    assert_eq!(served["wrong"].as_f64(), Some(0.333333));

    let high = desk.json(plain(stream, 1.0));
    assert_eq!(high["served"]["wrong"], 0.0, "the two orders of words have one vector, on and off have not");
    assert_eq!(high["served"]["right"].as_f64(), Some(0.5));
}

#[test]
fn the_json_of_a_stream_has_the_contracts_shape() {
    let desk = Desk::new();
    let stream = desk.file("s.jsonl", &small_stream());
    let sweep = Some(Sweep(vec![0.7, 0.9]));
    let got = desk.json(Args { stream: vec![stream.clone()], sweep, ..Args::default() });
    assert_eq!(keys(&got), ["ceiling", "exact", "input", "model", "requests", "served", "sweep"]);
    let served = ["embed_p50_ms", "hit", "right", "threshold", "verify", "verify_p50_ms", "wrong"];
    assert_eq!(keys(&got["served"]), served);
    assert_eq!(got["model"], "words");
    assert_eq!(got["input"], stream.display().to_string());
    assert_eq!((&got["served"]["threshold"], &got["served"]["verify"]), (&json!(0.85), &json!("strict")));
    assert!(got["served"]["embed_p50_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    let settings: Vec<(f64, &str)> = got["sweep"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            assert_eq!(keys(row), ["hit", "right", "threshold", "verify", "wrong"]);
            (row["threshold"].as_f64().expect("a number"), row["verify"].as_str().expect("a word"))
        })
        .collect();
    assert_eq!(settings, [(0.7, "strict"), (0.7, "off"), (0.9, "strict"), (0.9, "off")]);
}

#[test]
fn several_inputs_stand_in_one_list() {
    let desk = Desk::new();
    let stream = desk.file("s.jsonl", &small_stream());
    let pairs = desk.file("p.jsonl", &[json!({ "a": "red apple", "b": "apple red", "label": 1 })]);
    let got = desk.json(Args { stream: vec![stream], pairs: vec![pairs], ..Args::default() });
    let inputs = got["inputs"].as_array().expect("a list");
    assert_eq!(inputs.len(), 2);
    assert!(inputs[0]["input"].as_str().expect("a path").ends_with("p.jsonl"));
}

#[test]
fn pairs_give_precision_recall_and_what_was_refused() {
    let desk = Desk::new();
    let pair = |a: &str, b: &str, label: u8| json!({ "a": a, "b": b, "label": label });
    let pairs = desk.file(
        "p.jsonl",
        &[
            pair("where is order 1001", "where is order 1001", 1),
            pair("where is order 1001 now", "where is order 1002 now", 0),
            pair("green tea please", "please green tea", 1),
            pair("my bicycle is broken", "the weather looks fine", 1),
            pair("my bicycle is broken", "who wrote this novel", 0),
        ],
    );
    let args =
        Args { pairs: vec![pairs], threshold: Some(0.75), sweep: Some(Sweep(vec![0.75])), ..Args::default() };
    let got = desk.json(args);
    assert_eq!(keys(&got), ["auc", "input", "model", "requests", "served", "sweep"]);
    let strict = &got["sweep"][0];
    assert_eq!(
        keys(strict),
        ["auc", "passed_same", "precision", "recall", "refused_different", "threshold", "verify"]
    );
    assert_eq!((strict["precision"].as_f64(), strict["refused_different"].as_f64()), (Some(1.0), Some(1.0)));
    let off = &got["sweep"][1];
    assert_eq!((off["precision"].as_f64(), off["recall"].as_f64()), (Some(0.666667), Some(0.666667)));
    assert_eq!((off["refused_different"].as_f64(), off["passed_same"].as_f64()), (Some(0.0), Some(1.0)));
    assert_eq!(got["served"]["precision"], strict["precision"]);
}

#[test]
fn a_log_gives_hits_and_an_estimate_from_recorded_answers() {
    let desk = Desk::new();
    let chat = |question: &str, system: &str| {
        json!({ "model": "gpt", "messages": [
        { "role": "system", "content": system }, { "role": "user", "content": question }] })
    };
    let mut first = chat("open the big red door", "be kind");
    first["response"] = json!({ "choices": [{ "message": { "content": "It is open." } }] });
    let mut second = chat("the big red door open", "be kind");
    second["response"] = json!("It is open.");
    let mut third = chat("open the big red gate", "be kind");
    third["response"] = json!("No gate is known here at all.");
    let elsewhere = chat("open the big red door", "be rude");
    let log = desk
        .file("l.jsonl", &[first, second, third, elsewhere, json!({ "prompt": "open the big red door" })]);
    let args =
        Args { log: vec![log], threshold: Some(0.75), verify: Some(Strictness::Off), ..Args::default() };
    let got = desk.json(args);
    assert_eq!(keys(&got), ["exact", "input", "model", "requests", "served", "sweep"]);
    let served = &got["served"];
    assert_eq!((served["hit"].as_f64(), served["compared"].as_u64()), (Some(0.4), Some(2)), "{served}");
    assert_eq!((served["same_text"].as_f64(), served["same_meaning"].as_f64()), (Some(0.5), Some(0.5)));
}

/// Questions from few words, so that many are equally near, in classes by their first word.
fn crowded_stream(requests: u32) -> Vec<Value> {
    const WORDS: [&str; 12] = [
        "apple", "bridge", "candle", "desert", "engine", "forest", "garden", "harbour", "island", "jacket",
        "kettle", "ladder",
    ];
    let mut state = 7u32;
    let mut draw = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 16) as usize % WORDS.len()]
    };
    (0..requests)
        .map(|_| {
            let first = draw();
            asked(&format!("tell me about {first} and {} or {} with {}", draw(), draw(), draw()), first)
        })
        .collect()
}

#[test]
fn each_row_of_a_sweep_is_what_a_run_of_its_own_gives() {
    let desk = Desk::new();
    // Far more questions than neighbours are kept for one.
    let stream = desk.file("s.jsonl", &crowded_stream(900));
    let sweep = Sweep(vec![0.5, 0.8, 0.9, 0.97]);
    let got = desk.json(Args { stream: vec![stream.clone()], sweep: Some(sweep), ..Args::default() });
    let rows = got["sweep"].as_array().expect("rows");
    assert_eq!(rows.len(), 8);
    for row in rows {
        let verify = if row["verify"] == "off" { Strictness::Off } else { Strictness::Strict };
        let args = Args {
            stream: vec![stream.clone()],
            threshold: row["threshold"].as_f64().map(|threshold| threshold as f32),
            verify: Some(verify),
            sweep: Some(Sweep(vec![0.99])),
            ..Args::default()
        };
        let served = &desk.json(args)["served"];
        for share in ["threshold", "verify", "hit", "right", "wrong"] {
            assert_eq!(row[share], served[share], "{share} of {row}");
        }
    }
    let spread: Vec<f64> = rows.iter().filter_map(|row| row["wrong"].as_f64()).collect();
    assert!(
        spread.iter().any(|wrong| *wrong > 0.1),
        "a stream that nothing errs on proves little: {spread:?}"
    );
}

#[test]
fn the_gate_fails_above_its_rate_after_everything_was_written() {
    let desk = Desk::new();
    let stream = desk.file("s.jsonl", &small_stream());
    let (json, html) = (desk.path("o.json"), desk.path("o.html"));
    let args = |rate: f64| Args {
        max_wrong_rate: Some(rate),
        json: Some(json.clone()),
        html: Some(html.clone()),
        ..plain(stream.clone(), 0.8)
    };
    let (ran, shown) = desk.run(&args(0.3));
    let Err(EvalError::Gate(said)) = ran else { panic!("the gate let it pass") };
    assert!(said.contains("33.33 % wrong") && said.contains("95 % sure"), "{said}");
    assert!(json.is_file() && html.is_file() && shown.contains("wrong hits"), "{shown}");
    desk.run(&args(0.34)).0.expect("within the rate");
}

#[test]
fn the_table_marks_what_is_served_recommends_and_shows_the_worst() {
    let desk = Desk::new();
    let stream = desk.file("s.jsonl", &small_stream());
    let sweep = Some(Sweep(vec![0.8, 0.99]));
    let (ran, shown) = desk.run(&Args { sweep, max_wrong_rate: Some(1.0), ..plain(stream, 0.8) });
    ran.expect("measured");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("> 0.8 ")), "{shown}");
    assert!(
        shown.contains("recommended  threshold 0.99, verify strict: hit 50.0 %, right 50.0 %, wrong 0.00 %"),
        "{shown}"
    );
    assert!(shown.contains("please turn the garden light off  (2 times)"), "{shown}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_shows_texts_as_texts() {
    let desk = Desk::new();
    let stream = desk.file(
        "s.jsonl",
        &[
            asked("show <script>alert(1)</script> my big orders", "a"),
            asked("<script>alert(1)</script> show my big orders", "b"),
        ],
    );
    let html = desk.path("o.html");
    let (ran, _) = desk.run(&Args { html: Some(html.clone()), ..plain(stream, 0.8) });
    ran.expect("measured");
    let page = std::fs::read_to_string(html).expect("written");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the wrong hit is there to be read");
    for foreign in ["<script", "http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("width=device-width"));
}

#[test]
fn a_bad_line_is_named_with_its_number() {
    let desk = Desk::new();
    let good = r#"{"prompt": "a question", "class": "a"}"#;
    for (kind, text, said) in [
        ("stream", format!("{good}\n\n{{\"prompt\": \"b\"}}\n"), ":3: missing field `class`"),
        ("stream", format!("{good}\nnonsense"), ":2: expected ident; expected {\"prompt\""),
        ("stream", String::new(), ": no line"),
        ("pairs", r#"{"a": "x", "b": "y", "label": 2}"#.to_owned(), ":1: label 2 is neither 0 nor 1"),
        ("log", "{\"prompt\": \"x\"}\n{\"question\": \"y\"}".to_owned(), ":2: neither a prompt nor messages"),
        ("log", "{\"prompt\": \"x\"}\n[]".to_owned(), ":2: no object"),
        ("log", "{\"messages\": [], \"stream\": 3, \"model\": \"m\"}".to_owned(), ":1: "),
    ] {
        let path = desk.text("bad.jsonl", &text);
        let files = |name: &str| if name == kind { vec![path.clone()] } else { Vec::new() };
        let args =
            Args { stream: files("stream"), pairs: files("pairs"), log: files("log"), ..Args::default() };
        let (ran, _) = desk.run(&args);
        let wrong = ran.expect_err("a bad line").to_string();
        assert!(wrong.starts_with(&format!("{}{said}", path.display())), "{wrong}");
    }
    let (ran, _) = desk.run(&Args { stream: vec![desk.path("nowhere.jsonl")], ..Args::default() });
    assert!(ran.expect_err("no file").to_string().contains("nowhere.jsonl"));
}

#[test]
fn a_language_that_the_model_does_not_cover_matches_exactly_only() {
    let desk = Desk::new();
    let question = "배송은 얼마나 걸리나요";
    let stream = desk.file(
        "s.jsonl",
        &[asked(question, "a"), asked("배송은 언제 얼마나 걸리나요", "b"), asked(question, "a")],
    );
    let path = desk.path("out.json");
    let (ran, shown) = desk.run(&Args { json: Some(path), ..plain(stream, 0.1) });
    ran.expect("measured");
    assert!(shown.contains("requests matched exactly only: language 3"), "{shown}");
    assert!(shown.contains("right 33.3 %, wrong 0.00 %"), "{shown}");
}

#[test]
fn calibration_replaces_its_own_lines_and_nothing_else() {
    let manifest =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/manifest.toml"))
            .expect("shipped");
    let one = |threshold: f64, target: f64| calibrate::Calibrated {
        verify: "strict",
        target,
        threshold,
        wrong: 0.004,
        wrong_bound: 0.006,
        right: 0.6,
    };
    let model = "use-multilingual-v3-int8";
    let once = calibrate::written(&manifest, model, &[one(0.8, 0.005), one(0.7, 0.01)]).expect("written");
    let read = Manifest::parse(&once, Path::new("manifest.toml")).expect("a manifest still");
    let spec = read.model(model).expect("the model");
    assert_eq!(spec.thresholds.strict, Some(0.8), "the strictest target decides what is served");
    assert_eq!(spec.calibration.iter().map(|one| one.threshold).collect::<Vec<_>>(), [0.8, 0.7]);

    let twice = calibrate::written(&once, model, &[one(0.9, 0.005)]).expect("written");
    let read = Manifest::parse(&twice, Path::new("manifest.toml")).expect("a manifest still");
    let spec = read.model(model).expect("the model");
    assert_eq!((spec.thresholds.strict, spec.calibration.len()), (Some(0.9), 1));
    let shipped = Manifest::parse(&manifest, Path::new("manifest.toml")).expect("shipped");
    assert_eq!(read.models.len(), shipped.models.len());
    for line in manifest.lines().filter(|line| line.starts_with('#') || line.starts_with("sha256")) {
        assert!(twice.contains(line), "lost: {line}");
    }
    assert!(calibrate::written(&manifest, "no-such-model", &[]).is_err());
}

#[test]
fn the_commands_exit_code_is_the_gate() {
    let desk = Desk::new();
    let stream = desk.file(
        "s.jsonl",
        &[
            asked("How do I reset my password?", "a"),
            asked("How can I reset my password?", "a"),
            asked("Why is the sky blue?", "b"),
        ],
    );
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reprise"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("eval").arg("--stream").arg(&stream).args(more);
        command.output().expect("ran")
    };
    let good = run(&["--max-wrong-rate", "0.1"]);
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    let bad = run(&["--max-wrong-rate", "0.1", "--threshold", "0", "--verify", "off"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("33.33 % wrong"));
}
