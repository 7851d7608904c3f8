//! ONNX Runtime, found and loaded once per process.

use super::manifest::Manifest;
use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// Why ONNX Runtime is not there.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{} is missing; run scripts/fetch", .0.display())]
    Missing(PathBuf),
    #[error("no ONNX Runtime is listed for {os} {arch}; install ONNX Runtime 1.31 and set ORT_DYLIB_PATH")]
    Platform { os: &'static str, arch: &'static str },
    #[error("{} cannot be loaded as ONNX Runtime: {message}; run scripts/fetch, or set ORT_DYLIB_PATH to libonnxruntime 1.31", .path.display())]
    Unusable { path: PathBuf, message: String },
}

/// The one environment of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    environment: Environment,
}

/// The processor, without the arena: a long text once read must not be paid for in memory forever.
pub(super) fn providers() -> Vec<ExecutionProviderDispatch> {
    vec![ort::ep::CPU::default().with_arena_allocator(false).build()]
}

/// The process has one ONNX Runtime; whoever loads it first decides which file it is.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

impl OnnxRuntime {
    /// Loads ONNX Runtime from `library`, or else from where `scripts/fetch` puts it. The second call
    /// of a process returns the first one's runtime, whatever `library` says. Blocks on the disk.
    pub fn load(
        manifest: &Manifest,
        models_dir: &Path,
        library: Option<&Path>,
    ) -> Result<OnnxRuntime, RuntimeError> {
        let mut loaded = LOADED.lock();
        let environment = match &*loaded {
            Some(environment) => environment.clone(),
            None => open(&place(manifest, models_dir, library)?)?,
        };
        *loaded = Some(environment.clone());
        Ok(OnnxRuntime { environment })
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A session to be: on one thread, which is the caller's own.
    pub fn session(&self) -> ort::Result<SessionBuilder> {
        Ok(Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_intra_threads(1)?
            .with_memory_pattern(false)?
            .with_execution_providers(providers())?)
    }
}

fn place(manifest: &Manifest, models_dir: &Path, given: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let file = manifest
                .runtime_file()
                .ok_or(RuntimeError::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH })?;
            models_dir.join("runtime").join(&file.name)
        }
    };
    // An absolute path, or the loader would look beside the executable and in the system's folders.
    std::path::absolute(&path).ok().filter(|path| path.is_file()).ok_or(RuntimeError::Missing(path))
}

fn open(path: &Path) -> Result<Environment, RuntimeError> {
    let unusable = |message: String| RuntimeError::Unusable { path: path.to_owned(), message };
    // A library that is not what it should be may make the binding panic; that must not end us.
    let built = std::panic::catch_unwind(|| {
        let builder = ort::init_from(path).map_err(|wrong| wrong.to_string())?;
        let builder = builder.with_name("reprise").with_telemetry(false);
        builder.build().map_err(|wrong| wrong.to_string())
    });
    match built {
        Ok(built) => {
            let environment = built.map_err(unusable)?;
            environment.set_log_level(ort::logging::LogLevel::Error);
            Ok(environment)
        }
        Err(_) => Err(unusable("it is no ONNX Runtime".to_owned())),
    }
}
