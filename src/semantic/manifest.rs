//! `models/manifest.toml`: what each model is, where its files come from, and its thresholds.
//! `scripts/fetch` reads the same file.

use crate::config::Strictness;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Everything the manifest says. A file that cannot be read or understood is a [`ManifestError`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub runtime: Runtime,
    #[serde(rename = "model")]
    pub models: Vec<ModelSpec>,
}

/// `[runtime]`: ONNX Runtime, per platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The CPython whose wheels are taken.
    pub python: String,
    #[serde(rename = "file")]
    pub files: Vec<RuntimeFile>,
}

/// `[[runtime.file]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeFile {
    /// `std::env::consts::OS`
    pub os: String,
    /// `std::env::consts::ARCH`
    pub arch: String,
    /// File name under `models/runtime`.
    pub name: String,
    pub package: String,
    pub version: String,
    pub platforms: Vec<String>,
    pub member: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    pub licence: String,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `model.onnx` and `tokenizer.json`, through fastembed.
    Fastembed,
    /// One graph from strings to vectors, with a SentencePiece tokenizer inside.
    StringGraph,
}

/// How token vectors become one.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    #[default]
    Mean,
    Cls,
}

/// `[[model]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    pub name: String,
    pub kind: Kind,
    pub licence: String,
    /// Length of every vector.
    pub dim: usize,
    #[serde(default)]
    pub pooling: Pooling,
    /// The longest input in tokens, special tokens included.
    pub max_tokens: Option<usize>,
    /// The longest input in characters, for a model whose tokens are counted inside its graph.
    pub max_chars: Option<usize>,
    /// ISO 639-3 codes of the languages it covers.
    pub languages: Vec<String>,
    #[serde(default)]
    pub thresholds: Thresholds,
    #[serde(default)]
    pub calibration: Vec<Calibration>,
    #[serde(rename = "file")]
    pub files: Vec<ModelFile>,
}

/// `[[model.file]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// File name under `models/<model>`.
    pub name: String,
    pub package: String,
    pub version: String,
    pub member: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// `[model.thresholds]`: cosines from which a neighbour is a candidate, calibrated for each setting of
/// `semantic.verify`, since a stricter verifier can be shown more candidates.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub strict: Option<f32>,
    pub balanced: Option<f32>,
    pub off: Option<f32>,
}

/// `[[model.calibration]]`: the lowest threshold at which wrong answers stayed within a target on every
/// stream measured. `reprise eval --write-calibration` writes these, and `[model.thresholds]` by the
/// strictest target. All but the threshold are shares of all requests, 0 to 1.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    #[serde(deserialize_with = "strictness")]
    pub verify: Strictness,
    pub target: f64,
    pub threshold: f32,
    /// Of the stream with the most.
    pub wrong: f64,
    /// Its 95 % upper confidence bound.
    pub wrong_bound: f64,
    /// The mean over the streams.
    pub right: f64,
}

fn strictness<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Strictness, D::Error> {
    match String::deserialize(from)?.as_str() {
        "strict" => Ok(Strictness::Strict),
        "balanced" => Ok(Strictness::Balanced),
        "off" => Ok(Strictness::Off),
        other => Err(serde::de::Error::custom(format!("`{other}` is none of strict, balanced, off"))),
    }
}

/// The cosine from which a neighbour is a candidate where nothing was calibrated.
pub const DEFAULT_THRESHOLD: f32 = 0.85;

impl Thresholds {
    pub fn get(&self, verify: Strictness) -> f32 {
        self.calibrated(verify).unwrap_or(DEFAULT_THRESHOLD)
    }

    /// `None`: nobody has measured this model with this strictness.
    pub fn calibrated(&self, verify: Strictness) -> Option<f32> {
        match verify {
            Strictness::Strict => self.strict,
            Strictness::Balanced => self.balanced,
            Strictness::Off => self.off,
        }
    }
}

/// Why the manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{path}: {source}; semantic.models_dir must be the folder that holds manifest.toml")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}")]
    Invalid { path: PathBuf, message: String },
}

impl Manifest {
    /// Reads `manifest.toml` in `models_dir`.
    pub fn read(models_dir: &Path) -> Result<Manifest, ManifestError> {
        let path = models_dir.join("manifest.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Manifest::parse(&text, &path),
            Err(source) => Err(ManifestError::Unreadable { path, source }),
        }
    }

    /// `path` is only named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Manifest, ManifestError> {
        let invalid = |message: String| ManifestError::Invalid { path: path.to_owned(), message };
        let manifest: Manifest = toml::from_str(text).map_err(|wrong| invalid(wrong.to_string()))?;
        for model in &manifest.models {
            model.check().map_err(invalid)?;
        }
        Ok(manifest)
    }

    pub fn model(&self, name: &str) -> Option<&ModelSpec> {
        self.models.iter().find(|model| model.name == name)
    }

    /// ONNX Runtime for the machine that we run on.
    pub fn runtime_file(&self) -> Option<&RuntimeFile> {
        let here =
            |file: &&RuntimeFile| file.os == std::env::consts::OS && file.arch == std::env::consts::ARCH;
        self.runtime.files.iter().find(here)
    }
}

impl ModelSpec {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if self.dim == 0 {
            return Err(format!("model `{name}`: dim must be above 0"));
        }
        let window = match self.kind {
            Kind::Fastembed => self.max_tokens.is_some_and(|tokens| tokens > 0),
            Kind::StringGraph => self.max_chars.is_some_and(|chars| chars > 0),
        };
        if !window {
            return Err(format!(
                "model `{name}`: give max_tokens (fastembed) or max_chars (string-graph), above 0"
            ));
        }
        let thresholds = [self.thresholds.strict, self.thresholds.balanced, self.thresholds.off];
        if thresholds.into_iter().flatten().any(|cosine| !(0.0..=1.0).contains(&cosine)) {
            return Err(format!("model `{name}`: thresholds are cosines from 0.0 to 1.0"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Manifest {
        Manifest::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models"))).unwrap()
    }

    #[test]
    fn the_shipped_manifest_lists_both_models_and_every_platform() {
        let manifest = shipped();
        assert_eq!(manifest.model("all-minilm-l6-v2-int8").map(|model| model.dim), Some(384));
        assert_eq!(manifest.model("use-multilingual-v3-int8").map(|model| model.dim), Some(512));
        for (os, arch) in [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")] {
            let found = |file: &&RuntimeFile| file.os == os && file.arch == arch;
            assert_eq!(manifest.runtime.files.iter().filter(found).count(), 1, "{os} {arch}");
        }
        for sha256 in manifest.models.iter().flat_map(|model| &model.files).map(|file| &file.sha256) {
            assert!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sha256}");
        }
    }

    #[test]
    fn a_threshold_beyond_one_is_refused_with_the_models_name() {
        let text = include_str!("../../models/manifest.toml").replace("strict = 0.70", "strict = 1.2");
        let error = Manifest::parse(&text, Path::new("manifest.toml")).unwrap_err().to_string();
        assert!(error.contains("use-multilingual-v3-int8") && error.contains("0.0 to 1.0"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = include_str!("../../models/manifest.toml").replacen("licence", "license", 1);
        assert!(Manifest::parse(&text, Path::new("manifest.toml")).is_err());
    }

    #[test]
    fn without_calibration_the_threshold_is_the_documented_default() {
        let calibrated = Thresholds { strict: Some(0.8), ..Thresholds::default() };
        assert_eq!(calibrated.get(Strictness::Strict), 0.8);
        assert_eq!(calibrated.get(Strictness::Off), DEFAULT_THRESHOLD);
    }
}
