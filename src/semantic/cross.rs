//! A cross-encoder: reads two questions as one text and says how likely one answer serves both.
//!
//! It is the built-in MiniLM with a difference (`models/verifier-cross.safetensors`, 0.4 MB, written by `scripts/train-cross-encoder`; its
//! provenance stands beside it): other biases and normalisations, and a matrix of low rank added to the weights of each linear layer
//! (LoRA, Hu et al. 2022), put over the model's own when it is loaded; and a head of two layers on what comes out. For English alone.

use super::cover::Cover;
use super::embedder::{EmbedError, Unit};
use super::manifest::ModelSpec;
use super::pool::Pass;
use super::protobuf::tensor;
use super::runtime::OnnxRuntime;
use half::f16;
use ort::session::Session;
use ort::value::Tensor;
use parking_lot::Mutex;
use safetensors::SafeTensors;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tokenizers::{Tokenizer, TruncationParams};

/// The model in `models/manifest.toml` that it is made of.
pub const BASE: &str = "all-minilm-l6-v2-int8";

const WEIGHTS: &[u8] = include_bytes!("../../models/verifier-cross.safetensors");

/// Pairs of one pass: those of one question, of which there are five at most.
const BATCH: usize = 5;

/// The longest pair in tokens: it was trained on questions.
const MAX_TOKENS: usize = 128;

/// Two questions; which is which makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both(Arc<str>, Arc<str>);

impl Both {
    pub fn of(one: Arc<str>, other: Arc<str>) -> Both {
        if one <= other { Both(one, other) } else { Both(other, one) }
    }
}

/// Tells one training from another: a hash of its weights.
pub fn edition() -> u64 {
    static EDITION: LazyLock<u64> = LazyLock::new(|| {
        let mut head = [0; 8];
        head.copy_from_slice(&blake3::hash(WEIGHTS).as_bytes()[..8]);
        u64::from_le_bytes(head)
    });
    *EDITION
}

/// The loaded model. A pair of short questions takes some 8 ms on one core, the model 95 MiB.
pub struct CrossEncoder {
    tokenizer: Tokenizer,
    session: Mutex<Session>,
    head: Head,
    cover: Cover,
}

impl CrossEncoder {
    /// Loads the model in `folder`; blocks on the disk and the processor. Fails for a model other than the one it was trained on.
    pub fn open(spec: &ModelSpec, folder: &Path, runtime: &OnnxRuntime) -> Result<CrossEncoder, String> {
        let text = |wrong: &dyn std::fmt::Display| wrong.to_string();
        let (_, metadata) = SafeTensors::read_metadata(WEIGHTS).map_err(|wrong| text(&wrong))?;
        let base = metadata.metadata().as_ref().and_then(|said| said.get("base").cloned());
        if !spec.files.iter().any(|file| file.name == "model.onnx" && Some(&file.sha256) == base.as_ref()) {
            return Err(format!("the cross-encoder was trained on another {}", spec.name));
        }
        let weights = Weights(SafeTensors::deserialize(WEIGHTS).map_err(|wrong| text(&wrong))?);
        let mut tokenizer =
            Tokenizer::from_file(folder.join("tokenizer.json")).map_err(|wrong| text(&wrong))?;
        tokenizer.with_padding(None);
        // One more, so that what is too long can be told.
        let most = TruncationParams { max_length: MAX_TOKENS + 1, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(most)).map_err(|wrong| text(&wrong))?;
        let path = folder.join("model.onnx");
        let mut model = std::fs::read(&path).map_err(|wrong| format!("{}: {wrong}", path.display()))?;
        weights.put_over(&mut model)?;
        let session = runtime.session().and_then(|mut session| session.commit_from_memory(&model));
        let session = session.map_err(|wrong| text(&wrong))?;
        let encoder = CrossEncoder {
            tokenizer,
            session: Mutex::new(session),
            head: Head::of(&weights)?,
            cover: Cover::of(&spec.languages),
        };
        // Tells a graph that is not what it should be now, not at the first question.
        encoder.read(&[&Both::of("one".into(), "two".into())]).map_err(|wrong| text(&wrong))?;
        Ok(encoder)
    }

    /// Whether it can read a question: one in its language.
    pub fn reads(&self, question: &str) -> bool {
        self.cover.check(question).is_ok()
    }

    /// One pass; log-odds a pair.
    fn read(&self, pairs: &[&Both]) -> ort::Result<Vec<Result<f32, EmbedError>>> {
        let encode = |pair: &&Both| self.tokenizer.encode((&*pair.0, &*pair.1), true);
        let encoded = pairs.iter().map(encode).collect::<Result<Vec<_>, _>>();
        let encoded = encoded.map_err(|wrong| ort::Error::new(wrong.to_string()))?;
        let fits = |length: usize| length <= MAX_TOKENS;
        let lengths = encoded.iter().map(|one| one.len());
        let width = lengths.clone().filter(|length| fits(*length)).max().unwrap_or_default();
        let mut out: Vec<Result<f32, EmbedError>> = lengths
            .map(|length| Err(EmbedError::TooLong { length, max: MAX_TOKENS, unit: Unit::Tokens }))
            .collect();
        let fitting: Vec<usize> = (0..encoded.len()).filter(|at| fits(encoded[*at].len())).collect();
        if fitting.is_empty() {
            return Ok(out);
        }
        // Rows shorter than the longest are filled with zeros, which is the padding and its mask.
        let table = |part: &dyn Fn(usize) -> Vec<i64>| {
            let mut rows = Vec::with_capacity(fitting.len() * width);
            for at in &fitting {
                rows.extend(part(*at));
                rows.resize(rows.len().next_multiple_of(width), 0);
            }
            Tensor::from_array(([fitting.len(), width], rows))
        };
        let wide = |ids: &[u32]| ids.iter().map(|id| i64::from(*id)).collect();
        let mask = table(&|at| vec![1; encoded[at].len()])?;
        let ids = table(&|at| wide(encoded[at].get_ids()))?;
        let types = table(&|at| wide(encoded[at].get_type_ids()))?;
        let mut session = self.session.lock();
        let outputs = session
            .run(ort::inputs!["input_ids" => ids, "attention_mask" => mask, "token_type_ids" => types])?;
        let states = outputs.get("last_hidden_state");
        let states = states.ok_or_else(|| ort::Error::new("it has no output named `last_hidden_state`"))?;
        let (_, numbers) = states.try_extract_tensor::<f32>()?;
        let each = numbers.chunks_exact((numbers.len() / fitting.len()).max(1));
        for (at, states) in fitting.iter().zip(each) {
            let dim = states.len() / width;
            let states: Vec<&[f32]> = states.chunks_exact(dim.max(1)).take(encoded[*at].len()).collect();
            out[*at] = self.head.log_odds(&states);
        }
        Ok(out)
    }
}

impl Pass for CrossEncoder {
    type Input = Both;
    type Output = f32;

    fn batch(&self) -> usize {
        BATCH
    }

    fn run(&self, pairs: &[&Both]) -> Vec<Result<f32, EmbedError>> {
        let failed = |wrong: ort::Error| vec![Err(EmbedError::Model(wrong.to_string())); pairs.len()];
        self.read(pairs).unwrap_or_else(failed)
    }

    fn digest(pair: &Both) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&pair.0.len().to_le_bytes());
        hasher.update(pair.0.as_bytes());
        hasher.update(pair.1.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// What was trained, by name: the model's tensors by theirs, what is added to one by that with `.up` and `.down`, the head's by `head.`.
struct Weights<'a>(SafeTensors<'a>);

impl Weights<'_> {
    /// Writes what was trained over the model's own tensors, each in its place; all keep their shape and kind. ONNX Runtime's own way to
    /// replace a tensor comes after it has folded constants, so it would leave the old weights in.
    fn put_over(&self, model: &mut [u8]) -> Result<(), String> {
        for (name, view) in self.0.tensors() {
            if let Some(name) = name.strip_suffix(".up") {
                let (bytes, scales) = self.sum(model, name)?;
                put(model, &format!("{name}_q"), &bytes)?;
                put(model, &format!("{name}_scale"), &little_endian(&scales))?;
            } else if !name.ends_with(".down") && !name.starts_with("head.") {
                put(model, &name, &little_endian(&numbers(view.data())))?;
            }
        }
        Ok(())
    }

    /// The model's weights `name` with what is added to them, as the graph keeps them: signed bytes, inputs by outputs, and a scale an
    /// output.
    fn sum(&self, model: &[u8], name: &str) -> Result<(Vec<u8>, Vec<f32>), String> {
        let (up, down) = (self.get(&format!("{name}.up"))?, self.get(&format!("{name}.down"))?);
        let stored = |part: &str| {
            let name = format!("{name}_{part}");
            tensor(model, &name).map(|place| &model[place]).ok_or_else(|| format!("the model has no {name}"))
        };
        let (kept, scales) = (stored("q")?, stored("scale")?.as_chunks::<4>().0);
        let outputs = scales.len().max(1);
        let (inputs, rank) = (kept.len() / outputs, up.len() / outputs);
        if up.len() != rank * outputs || down.len() != rank * inputs || kept.len() != inputs * outputs {
            return Err(format!("what is added to {name} is of another shape"));
        }
        let mut whole = Vec::with_capacity(kept.len());
        for (input, row) in kept.chunks_exact(outputs).enumerate() {
            for (output, (byte, scale)) in row.iter().zip(scales).enumerate() {
                let added = (0..rank).map(|k| up[output * rank + k] * down[k * inputs + input]).sum::<f32>();
                whole.push(f32::from(byte.cast_signed()) * f32::from_le_bytes(*scale) + added);
            }
        }
        let largest = |output: usize| {
            whole.iter().skip(output).step_by(outputs).fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()))
        };
        let scales: Vec<f32> = (0..outputs).map(|output| largest(output) / 127.0).collect();
        let rounded = |(at, x): (usize, &f32)| ((x / scales[at % outputs]).round() as i8).cast_unsigned();
        Ok((whole.iter().enumerate().map(rounded).collect(), scales))
    }

    fn get(&self, name: &str) -> Result<Vec<f32>, String> {
        let view = self.0.tensor(name).map_err(|wrong| format!("{name}: {wrong}"))?;
        Ok(numbers(view.data()))
    }
}

/// Half-precision numbers, little endian.
fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect()
}

fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Writes over the tensor called `name`.
fn put(model: &mut [u8], name: &str, bytes: &[u8]) -> Result<(), String> {
    let place = tensor(model, name).filter(|place| place.len() == bytes.len());
    let place = place.ok_or_else(|| format!("the model has no {name} of {} bytes", bytes.len()))?;
    model[place].copy_from_slice(bytes);
    Ok(())
}

/// From the first token's state and the mean of all to log-odds: a hidden layer (tanh), then one number.
struct Head {
    /// A row a hidden unit.
    hidden: Vec<f32>,
    hidden_bias: Vec<f32>,
    out: Vec<f32>,
    out_bias: f32,
}

impl Head {
    fn of(weights: &Weights<'_>) -> Result<Head, String> {
        let bias = weights.get("head.out.bias")?;
        let head = Head {
            hidden: weights.get("head.hidden.weight")?,
            hidden_bias: weights.get("head.hidden.bias")?,
            out: weights.get("head.out.weight")?,
            out_bias: bias.first().copied().unwrap_or_default(),
        };
        match head.out.len() == head.hidden_bias.len() && !head.out.is_empty() {
            true => Ok(head),
            false => Err("the head's layers do not fit together".to_owned()),
        }
    }

    /// `states`: one a token, the first one first.
    fn log_odds(&self, states: &[&[f32]]) -> Result<f32, EmbedError> {
        let wrong = |why: &str| EmbedError::Model(why.to_owned());
        let first = *states.first().ok_or_else(|| wrong("no tokens"))?;
        let mean = (0..first.len()).map(|i| states.iter().map(|s| s[i]).sum::<f32>() / states.len() as f32);
        let given: Vec<f32> = first.iter().copied().chain(mean).collect();
        if given.len() * self.out.len() != self.hidden.len() {
            return Err(wrong("states of another width than its head was trained on"));
        }
        let rows = self.hidden.chunks_exact(given.len()).zip(&self.hidden_bias).zip(&self.out);
        let unit = |((row, bias), out): ((&[f32], &f32), &f32)| {
            (row.iter().zip(&given).map(|(w, x)| w * x).sum::<f32>() + bias).tanh() * out
        };
        let sum = rows.map(unit).sum::<f32>() + self.out_bias;
        if sum.is_finite() { Ok(sum) } else { Err(wrong("log-odds that are not finite")) }
    }
}
