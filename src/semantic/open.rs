//! From the value of `semantic.model` to a loaded model.

use super::embedder::Embedder;
use super::engine::LoadError;
use super::manifest::{Kind, Manifest, ModelSpec, Pooling, Thresholds};
use super::minilm::{Shape, Transformer};
use super::multilingual::StringGraph;
use super::runtime::OnnxRuntime;
use crate::config;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded model, and what the manifest or its folder says of it.
pub struct Opened {
    pub embedder: Arc<dyn Embedder>,
    /// ISO 639-3.
    pub languages: Vec<String>,
    pub thresholds: Thresholds,
}

/// Loads the model named by `config.model`: of the manifest, a folder, or fastembed's catalogue.
/// Blocks, and for long where the catalogue downloads.
pub fn open(
    config: &config::Semantic,
    manifest: &Manifest,
    runtime: &OnnxRuntime,
) -> Result<Opened, LoadError> {
    let name = config.model.as_str();
    if let Some(spec) = manifest.model(name) {
        return from_manifest(spec, &config.models_dir, runtime);
    }
    let folder = Path::new(name);
    if folder.is_dir() {
        return from_folder(name, folder, runtime);
    }
    from_catalogue(config, manifest, runtime)
}

/// The folder of a model of the manifest, all its files in it.
pub(super) fn present(spec: &ModelSpec, models_dir: &Path) -> Result<PathBuf, LoadError> {
    let folder = models_dir.join(&spec.name);
    let paths = spec.files.iter().map(|file| folder.join(&file.name));
    match paths.into_iter().find(|path| !path.is_file()) {
        Some(missing) => Err(LoadError::Missing(missing)),
        None => Ok(folder),
    }
}

fn from_manifest(spec: &ModelSpec, models_dir: &Path, runtime: &OnnxRuntime) -> Result<Opened, LoadError> {
    let folder = present(spec, models_dir)?;
    let unusable = |message| LoadError::Model { name: spec.name.clone(), message };
    let embedder: Arc<dyn Embedder> = match spec.kind {
        Kind::Fastembed => {
            let max_tokens = spec.max_tokens.unwrap_or(DEFAULT_TOKENS);
            let shape = Shape { pooling: spec.pooling, max_tokens, dim: Some(spec.dim) };
            Arc::new(Transformer::open(&spec.name, &folder, runtime, &shape).map_err(unusable)?)
        }
        Kind::StringGraph => {
            let max_chars = spec.max_chars.unwrap_or(DEFAULT_TOKENS);
            let model = folder.join("model.onnx");
            let opened = StringGraph::open(&spec.name, &model, runtime, spec.dim, max_chars);
            Arc::new(opened.map_err(unusable)?)
        }
    };
    Ok(Opened { embedder, languages: spec.languages.clone(), thresholds: spec.thresholds })
}

/// The window of a folder that does not say: what most sentence models were trained with.
const DEFAULT_TOKENS: usize = 256;

/// `reprise-model.toml` in a model's folder; every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderSpec {
    pooling: Option<Pooling>,
    max_tokens: Option<usize>,
    /// ISO 639-3; English where it is not said.
    languages: Option<Vec<String>>,
    #[serde(default)]
    thresholds: Thresholds,
}

fn from_folder(name: &str, folder: &Path, runtime: &OnnxRuntime) -> Result<Opened, LoadError> {
    let unusable = |message| LoadError::Model { name: name.to_owned(), message };
    for file in ["model.onnx", "tokenizer.json"] {
        if !folder.join(file).is_file() {
            return Err(unusable(format!(
                "{} is missing; a model folder has both files",
                folder.join(file).display()
            )));
        }
    }
    let spec = match std::fs::read_to_string(folder.join("reprise-model.toml")) {
        Ok(text) => {
            toml::from_str(&text).map_err(|wrong| unusable(format!("reprise-model.toml: {wrong}")))?
        }
        Err(_) => FolderSpec::default(),
    };
    let shape = Shape {
        pooling: spec.pooling.or_else(|| pooling_of(folder)).unwrap_or_default(),
        max_tokens: spec.max_tokens.or_else(|| window_of(folder)).unwrap_or(DEFAULT_TOKENS),
        dim: None,
    };
    if shape.max_tokens < 8 {
        return Err(unusable(format!("max_tokens {} is no window; give 8 or more", shape.max_tokens)));
    }
    let embedder = Arc::new(Transformer::open(name, folder, runtime, &shape).map_err(unusable)?);
    let languages = spec.languages.unwrap_or_else(|| vec!["eng".to_owned()]);
    Ok(Opened { embedder, languages, thresholds: spec.thresholds })
}

/// sentence-transformers says how it pools in `1_Pooling/config.json`.
fn pooling_of(folder: &Path) -> Option<Pooling> {
    let config = json(&folder.join("1_Pooling").join("config.json"))?;
    let said = |key: &str| config[key].as_bool() == Some(true);
    match (said("pooling_mode_cls_token"), said("pooling_mode_mean_tokens")) {
        (true, false) => Some(Pooling::Cls),
        (false, true) => Some(Pooling::Mean),
        _ => None,
    }
}

/// And its window in `sentence_bert_config.json`.
fn window_of(folder: &Path) -> Option<usize> {
    let config = json(&folder.join("sentence_bert_config.json"))?;
    config["max_seq_length"].as_u64().and_then(|tokens| usize::try_from(tokens).ok())
}

fn json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn unknown(name: &str, manifest: &Manifest, catalogue: &'static str) -> LoadError {
    let known: Vec<&str> = manifest.models.iter().map(|model| model.name.as_str()).collect();
    LoadError::Unknown { name: name.to_owned(), known: known.join(", "), catalogue }
}

#[cfg(not(feature = "catalogue"))]
fn from_catalogue(
    config: &config::Semantic,
    manifest: &Manifest,
    _runtime: &OnnxRuntime,
) -> Result<Opened, LoadError> {
    let hint = "; fastembed's catalogue needs a build with `--features catalogue`, and the network";
    Err(unknown(&config.model, manifest, hint))
}

#[cfg(feature = "catalogue")]
fn from_catalogue(
    config: &config::Semantic,
    manifest: &Manifest,
    runtime: &OnnxRuntime,
) -> Result<Opened, LoadError> {
    use fastembed::{EmbeddingModel, TextEmbedding, TextInitOptions};
    let name = config.model.as_str();
    let known = TextEmbedding::list_supported_models();
    let wanted =
        known.into_iter().find(|info| info.model_code == name || format!("{:?}", info.model) == name);
    let Some(info) = wanted else {
        return Err(unknown(name, manifest, ", and the names of fastembed's catalogue"));
    };
    let unusable = |message: String| LoadError::Model { name: name.to_owned(), message };
    let model: EmbeddingModel = info.model;
    let mut options = TextInitOptions::new(model)
        .with_environment(runtime.environment().clone())
        .with_max_length(DEFAULT_TOKENS)
        .with_cache_dir(config.models_dir.join("catalogue"))
        .with_intra_threads(1);
    options.execution_providers = super::runtime::providers();
    let opened = TextEmbedding::try_new(options).map_err(|wrong| {
        unusable(format!(
            "{wrong}; the catalogue downloads on first use, so see whether this machine has the network"
        ))
    })?;
    let shape = Shape { pooling: Pooling::Mean, max_tokens: DEFAULT_TOKENS, dim: Some(info.dim) };
    let embedder = Transformer::ready(name, opened, &shape).map_err(unusable)?;
    Ok(Opened {
        embedder: Arc::new(embedder),
        languages: vec!["eng".to_owned()],
        thresholds: Thresholds::default(),
    })
}
