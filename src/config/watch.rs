//! A new checked config after SIGHUP or a change of the file. What is wrong is told and changes
//! nothing: the last good config stays.

use super::{Config, Problems, Source};
use crate::base::tasks::Tasks;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// An editor writes a file in several steps; they count as one change once it was quiet this long.
const QUIET: Duration = Duration::from_millis(100);

/// What reloading amounts to. Both end with the watching task.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The last good config. Changes only when its content does.
    pub config: watch::Receiver<Arc<Config>>,
    /// What is wrong with the newest file; `None` once it is good again.
    pub problems: watch::Receiver<Option<Arc<Problems>>>,
}

/// Watches `source` until `tasks` is stopping, beginning with `first`, which was read from it.
///
/// The folder is watched, not the file: editors replace a file by renaming another over it, and
/// Kubernetes swaps a symbolic link beside it. Where the folder cannot be watched (no inotify left, a
/// network file system) SIGHUP still works, and a warning says so. A change of the environment needs
/// a restart; secrets given as `file:PATH` are read anew at SIGHUP and when the config changes.
///
/// Must be called inside a tokio runtime. Costs one task, and on Linux one inotify instance.
pub fn watch(source: Source, first: Arc<Config>, tasks: &Tasks) -> Watched {
    let (changed, changes) = mpsc::channel(1);
    let watcher = source.file.as_deref().and_then(|file| watch_folders(file, changed.clone()));
    let (config, config_seen) = watch::channel(first);
    let (problems, problems_seen) = watch::channel(None);
    let hangups = Hangups::install();
    let reloader = Reloader { source, config, problems };
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        // Kept here: dropping `watcher` ends the watch, dropping `changed` closes the channel.
        let _alive = (watcher, changed);
        tokio::select! {
            () = stopping => {}
            () = reloader.run(changes, hangups) => {}
        }
    });
    Watched { config: config_seen, problems: problems_seen }
}

struct Reloader {
    source: Source,
    config: watch::Sender<Arc<Config>>,
    problems: watch::Sender<Option<Arc<Problems>>>,
}

impl Reloader {
    async fn run(self, mut changes: mpsc::Receiver<()>, mut hangups: Hangups) {
        loop {
            tokio::select! {
                () = hangups.next() => tracing::info!("reading the config again after SIGHUP"),
                Some(()) = changes.recv() => while_noisy(&mut changes).await,
            }
            self.reload().await;
        }
    }

    async fn reload(&self) {
        let source = self.source.clone();
        match tokio::task::spawn_blocking(move || Config::read(&source)).await {
            Ok(Ok(new)) => self.publish(new),
            Ok(Err(problems)) => {
                let problems = Some(Arc::new(problems));
                let news = self.problems.send_if_modified(|last| {
                    let differs = *last != problems;
                    last.clone_from(&problems);
                    differs
                });
                if let (true, Some(problems)) = (news, problems) {
                    tracing::warn!("the config was not changed, the old one stays; {problems}");
                }
            }
            Err(_) => tracing::warn!("reading the config broke off; the old one stays"),
        }
    }

    fn publish(&self, new: Config) {
        self.problems.send_if_modified(|last| last.take().is_some());
        let new = Arc::new(new);
        let mut later = Vec::new();
        let changed = self.config.send_if_modified(|config| {
            later = Config::needs_restart(config, &new);
            let differs = *config != new;
            config.clone_from(&new);
            differs
        });
        if changed {
            tracing::info!("the config has changed");
        }
        if changed && !later.is_empty() {
            tracing::warn!("restart for these to take effect: {}", later.join(", "));
        }
    }
}

/// Returns once no change has come for a while.
async fn while_noisy(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

/// Watches the folder of `file`, and that of the file it links to. `None`, with a warning: it cannot.
fn watch_folders(file: &Path, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_change(event.kind)) {
            // A full channel already holds word of a change.
            let _ = changed.try_send(());
        }
    };
    let watching = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        for folder in folders_of(file) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    match watching {
        Ok(watcher) => Some(watcher),
        Err(wrong) => {
            tracing::warn!("cannot watch {} ({wrong}); send SIGHUP after changing it", file.display());
            None
        }
    }
}

fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let folders = [parent(file), parent(&target)];
    folders.into_iter().map(|folder| folder.canonicalize().unwrap_or(folder)).collect()
}

/// Reading counts as no change; our own reading would wake us for ever.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// SIGHUP; never comes where the system has none or lets us not listen for it.
struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    fn install() -> Hangups {
        #[cfg(unix)]
        {
            let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
            if let Err(wrong) = &signal {
                tracing::warn!("cannot listen for SIGHUP: {wrong}");
            }
            Hangups { signal: signal.ok() }
        }
        #[cfg(not(unix))]
        Hangups {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
