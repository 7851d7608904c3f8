//! A transformer with a Hugging Face tokenizer, run through fastembed: MiniLM, any folder of that
//! shape, and fastembed's own catalogue.

use super::embedder::{EmbedError, Embedder, Unit, Vector, each, unit};
use super::manifest::Pooling;
use super::runtime::{OnnxRuntime, providers};
use fastembed::{
    InitOptionsUserDefined, QuantizationMode, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};
use parking_lot::Mutex;
use std::path::Path;

/// `model.onnx` and `tokenizer.json`, pooled and normalised. MiniLM takes 4 to 6 ms for a short
/// question on one core.
pub struct Transformer {
    name: String,
    dim: usize,
    max_tokens: usize,
    model: Mutex<TextEmbedding>,
}

/// How a transformer in a folder is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub pooling: Pooling,
    /// The longest input in tokens, special tokens included.
    pub max_tokens: usize,
    /// Length of its vectors; `None`: whatever the model gives.
    pub dim: Option<usize>,
}

impl Transformer {
    /// Loads `model.onnx` and `tokenizer.json` of `folder`; blocks on the disk and the processor.
    pub fn open(
        name: &str,
        folder: &Path,
        runtime: &OnnxRuntime,
        shape: &Shape,
    ) -> Result<Transformer, String> {
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).map_err(|wrong| format!("{}: {wrong}", path.display()))
        };
        let pooling = match shape.pooling {
            Pooling::Mean => fastembed::Pooling::Mean,
            Pooling::Cls => fastembed::Pooling::Cls,
        };
        let tokenizer = read("tokenizer.json")?;
        let files = tokenizer_files(tokenizer, &read, shape.max_tokens)?;
        let model = UserDefinedEmbeddingModel::new(read("model.onnx")?, files)
            .with_pooling(pooling)
            .with_quantization(QuantizationMode::Dynamic);
        let mut options = InitOptionsUserDefined::new()
            .with_environment(runtime.environment().clone())
            .with_max_length(shape.max_tokens)
            .with_intra_threads(1);
        options.execution_providers = providers();
        let opened =
            TextEmbedding::try_new_from_user_defined(model, options).map_err(|wrong| wrong.to_string())?;
        Transformer::ready(name, opened, shape)
    }

    /// Runs one text to learn the width, and holds it against what was promised.
    pub(super) fn ready(name: &str, mut model: TextEmbedding, shape: &Shape) -> Result<Transformer, String> {
        let first = model.embed(["one"], None).map_err(|wrong| wrong.to_string())?;
        let width = first.first().map_or(0, Vec::len);
        match shape.dim {
            Some(dim) if dim != width => Err(format!("its vectors have {width} numbers, not {dim}")),
            _ if width == 0 => Err("it gives empty vectors".to_owned()),
            _ => Ok(Transformer {
                name: name.to_owned(),
                dim: width,
                max_tokens: shape.max_tokens,
                model: Mutex::new(model),
            }),
        }
    }
}

/// fastembed wants three more files; a folder may lack them, so they are made up from what it has.
fn tokenizer_files(
    tokenizer: Vec<u8>,
    read: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    max_tokens: usize,
) -> Result<TokenizerFiles, String> {
    let json: serde_json::Value =
        serde_json::from_slice(&tokenizer).map_err(|wrong| format!("tokenizer.json: {wrong}"))?;
    let added = json["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known = |wanted: &str| added.iter().any(|token| token["content"] == wanted);
    let pad = json["padding"]["pad_token"].as_str().map(str::to_owned);
    let pad = pad.or_else(|| ["[PAD]", "<pad>"].into_iter().find(|name| known(name)).map(str::to_owned));
    let pad = pad.unwrap_or_else(|| "[PAD]".to_owned());
    let made = serde_json::json!({ "model_max_length": max_tokens, "pad_token": pad });
    Ok(TokenizerFiles {
        tokenizer_file: tokenizer,
        config_file: read("config.json").unwrap_or_else(|_| b"{}".to_vec()),
        special_tokens_map_file: b"{}".to_vec(),
        tokenizer_config_file: made.to_string().into_bytes(),
    })
}

impl Transformer {
    /// The tokenizer cuts at the window and keeps what it cut off, so the length is known exactly.
    fn fits_in(&self, model: &TextEmbedding, text: &str) -> Result<(), EmbedError> {
        // ASCII is never expanded, so it has at most a token a byte, and the two special ones.
        if text.is_ascii() && text.len() + 2 <= self.max_tokens {
            return Ok(());
        }
        let encoded =
            model.tokenizer.encode(text, true).map_err(|wrong| EmbedError::Model(wrong.to_string()))?;
        // What was cut off comes in parts, each padded, and each with its own two special tokens.
        let parts = encoded.get_overflowing().iter();
        let real = parts.map(|part| part.get_attention_mask().iter().filter(|real| **real == 1).count());
        let cut: usize = real.map(|tokens| tokens.saturating_sub(2)).sum();
        match cut {
            0 => Ok(()),
            cut => Err(EmbedError::TooLong {
                length: encoded.len() + cut,
                max: self.max_tokens,
                unit: Unit::Tokens,
            }),
        }
    }
}

impl Embedder for Transformer {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.dim
    }

    /// Eight MiniLM texts a pass save less than 10 % over eight passes; not worth the wait of the first.
    fn batch(&self) -> usize {
        1
    }

    fn surely_too_long(&self, text: &str) -> bool {
        // No English word-piece vocabulary reaches sixteen bytes a token over a whole window.
        text.len() > self.max_tokens * 16
    }

    fn embed(&self, texts: &[&str]) -> Vec<Result<Vector, EmbedError>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let mut model = self.model.lock();
            let checked = self.fits_in(&model, text);
            let run = |texts: &[&str]| {
                let rows = model.embed(texts, None).map_err(|wrong| EmbedError::Model(wrong.to_string()))?;
                Ok(rows.iter().map(|row| unit(row, self.dim)).collect())
            };
            vectors.extend(each(&[text], |_| checked.clone(), run));
        }
        vectors
    }
}
