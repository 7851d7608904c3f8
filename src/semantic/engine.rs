//! The whole of comparison by meaning: manifest, model, pool and index in one piece.

use super::cover::Cover;
use super::cross::{self, Both, CrossEncoder};
use super::embedder::{EmbedError, Embedder, Vector};
use super::index::{Index, Inserted, Neighbour};
use super::manifest::{Manifest, ManifestError, Thresholds};
use super::open::{Opened, open, present};
use super::pool::{Embeds, Pass, Pool, PoolMetrics};
use super::runtime::{OnnxRuntime, RuntimeError};
use super::second::Opinions;
use super::wordings::{MEMORY, Wordings};
use crate::base::digest::{ExactKey, Partition};
use crate::canon::Bypass;
use crate::config;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Why comparison by meaning cannot begin. Each message ends in a remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{} is missing; run scripts/fetch", .0.display())]
    Missing(std::path::PathBuf),
    #[error("no model `{name}`; known are {known}, a folder with model.onnx and tokenizer.json{catalogue}")]
    Unknown { name: String, known: String, catalogue: &'static str },
    #[error("model `{name}` cannot be used: {message}")]
    Model { name: String, message: String },
    #[error("no thread for the embedder: {0}; lower semantic.threads")]
    Thread(std::io::Error),
}

/// How long an answer that is being stored waits for its question's embedding.
const PATIENT: Duration = Duration::from_secs(10);

/// One model with its threads and its index. Every method but `load` is quick or async; whatever fails
/// here is a miss for the request.
pub struct Semantic {
    model: Arc<dyn Embedder>,
    thresholds: Thresholds,
    cover: Cover,
    pool: Pool<Embeds>,
    index: Index,
    wordings: Wordings,
    cross: Option<Cross>,
}

/// The cross-encoder and its thread.
struct Cross {
    model: Arc<CrossEncoder>,
    pool: Pool<CrossEncoder>,
}

impl Cross {
    /// One thread: only pairs in doubt come here, and each thread costs the whole model's memory.
    fn load(
        config: &config::Semantic,
        manifest: &Manifest,
        runtime: &OnnxRuntime,
    ) -> Result<Cross, LoadError> {
        let unusable = |message| LoadError::Model { name: cross::BASE.to_owned(), message };
        let spec = manifest.model(cross::BASE);
        let spec =
            spec.ok_or_else(|| unusable("semantic.cross_encoder needs it in manifest.toml".to_owned()))?;
        let folder = present(spec, &config.models_dir)?;
        let model = Arc::new(CrossEncoder::open(spec, &folder, runtime).map_err(unusable)?);
        let pool = Pool::start("cross", vec![model.clone()], config.queue, config.patience);
        Ok(Cross { model, pool: pool.map_err(LoadError::Thread)? })
    }
}

impl Semantic {
    /// Loads ONNX Runtime and the model, once for each thread. Blocks on the disk and the
    /// processor; call it from a blocking thread.
    pub fn load(config: &config::Semantic) -> Result<Semantic, LoadError> {
        Semantic::load_with(config, None)
    }

    /// As `load`, with ONNX Runtime from `library` (the value of `ORT_DYLIB_PATH`).
    pub fn load_with(config: &config::Semantic, library: Option<&Path>) -> Result<Semantic, LoadError> {
        let manifest = Manifest::read(&config.models_dir)?;
        let runtime = OnnxRuntime::load(&manifest, &config.models_dir, library)?;
        super::verify::prepare();
        let Opened { embedder, languages, thresholds } = open(config, &manifest, &runtime)?;
        let mut embedders = vec![embedder];
        for _ in 1..config.threads.max(1) {
            embedders.push(open(config, &manifest, &runtime)?.embedder);
        }
        let cross = config.cross_encoder.then(|| Cross::load(config, &manifest, &runtime)).transpose()?;
        super::trim::give_back_freed_memory();
        Ok(Semantic { cross, ..Semantic::of(embedders, &languages, thresholds, config)? })
    }

    /// Puts it together from loaded models, one for each thread, all of one kind.
    pub fn of(
        embedders: Vec<Arc<dyn Embedder>>,
        languages: &[String],
        thresholds: Thresholds,
        config: &config::Semantic,
    ) -> Result<Semantic, LoadError> {
        let none = || LoadError::Model { name: config.model.clone(), message: "not loaded".to_owned() };
        let model = Arc::clone(embedders.first().ok_or_else(none)?);
        let index = Index::new(model.name(), model.dim(), config.hnsw_from);
        let embedders = embedders.into_iter().map(|embedder| Arc::new(Embeds(embedder))).collect();
        let pool =
            Pool::start("embed", embedders, config.queue, config.patience).map_err(LoadError::Thread)?;
        Ok(Semantic {
            model,
            thresholds,
            cover: Cover::of(languages),
            pool,
            index,
            wordings: Wordings::new(MEMORY),
            cross: None,
        })
    }

    /// Whether a question may be compared by meaning: in a language that the model covers, and within
    /// its window as far as that can be told in microseconds (`embed` tells it for certain).
    pub fn suits(&self, question: &str) -> Result<(), Bypass> {
        self.cover.check(question)?;
        match self.model.surely_too_long(question) {
            true => Err(Bypass::TooLong),
            false => Ok(()),
        }
    }

    pub async fn embed(&self, question: impl Into<Arc<str>>) -> Result<Vector, EmbedError> {
        self.pool.ask(question).await
    }

    /// As `embed`, with more patience: for what is stored, not for who waits.
    pub async fn embed_patiently(&self, question: impl Into<Arc<str>>) -> Result<Vector, EmbedError> {
        self.pool.ask_within(question, PATIENT).await
    }

    /// As `embed_patiently`, after everything that somebody waits for: for what may as well be left undone under load.
    pub async fn embed_idly(&self, text: impl Into<Arc<str>>) -> Result<Vector, EmbedError> {
        self.pool.ask_idly(text, PATIENT).await
    }

    /// See [`Index::nearest`].
    pub fn nearest(&self, partition: &Partition, query: &Vector, k: usize, min_score: f32) -> Vec<Neighbour> {
        self.index.nearest(partition, query, k, min_score)
    }

    /// See [`Index::insert`].
    pub fn insert(
        &self,
        partition: Partition,
        key: ExactKey,
        vector: &Vector,
        question: Arc<str>,
    ) -> Inserted {
        self.index.insert(partition, key, vector, question)
    }

    /// See [`Index::remove`]; its other wordings go with it.
    pub fn remove(&self, partition: &Partition, key: &ExactKey) {
        self.index.remove(partition, key);
        self.wordings.forget(key);
    }

    /// The cross-encoder's opinion on `question` and each of the `stored` ones. `None` where there is nothing to say: no cross-encoder,
    /// nothing asked, or it is behind or fails, in which case the learned score decides alone.
    pub async fn opinions(&self, question: &str, stored: Vec<Arc<str>>) -> Option<Opinions> {
        let cross = self.cross.as_ref().filter(|cross| !stored.is_empty() && cross.model.reads(question))?;
        let question: Arc<str> = question.into();
        let asked = stored.into_iter().filter(|text| cross.model.reads(text)).map(|text| async {
            let said = cross.pool.ask(Both::of(question.clone(), text.clone())).await;
            Some((text, said.ok()?))
        });
        let said: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
        (!said.is_empty()).then_some(Opinions(said))
    }

    /// As `opinions`, of one pair and at once; blocks while the model runs. For measurements.
    pub fn opinion(&self, question: &Arc<str>, stored: &Arc<str>) -> Option<f32> {
        let cross = self.cross.as_ref()?;
        if !cross.model.reads(question) || !cross.model.reads(stored) {
            return None;
        }
        let both = Both::of(question.clone(), stored.clone());
        cross.model.run(&[&both]).pop()?.ok()
    }

    pub fn has_cross_encoder(&self) -> bool {
        self.cross.is_some()
    }

    /// The cosine from which a neighbour is a candidate: the model's calibrated value for this
    /// strictness, or 0.85.
    pub fn threshold(&self, verify: config::Strictness) -> f32 {
        self.thresholds.get(verify)
    }

    /// Whether `threshold` was measured for this model, or is the default for all.
    pub fn is_calibrated(&self, verify: config::Strictness) -> bool {
        self.thresholds.calibrated(verify).is_some()
    }

    pub fn model_name(&self) -> &str {
        self.model.name()
    }

    /// Length of its vectors.
    pub fn dim(&self) -> usize {
        self.model.dim()
    }

    /// The model itself, for benches and measurements; blocks while it runs.
    pub fn model(&self) -> &dyn Embedder {
        self.model.as_ref()
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// In which other words the stored questions were asked.
    pub fn wordings(&self) -> &Wordings {
        &self.wordings
    }

    pub fn metrics(&self) -> &PoolMetrics {
        self.pool.metrics()
    }

    /// Of the cross-encoder.
    pub fn cross_metrics(&self) -> Option<&PoolMetrics> {
        self.cross.as_ref().map(|cross| cross.pool.metrics())
    }
}
