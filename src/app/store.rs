//! The store at the start: opened, and read back behind the first requests.

use crate::base::clock::Clock;
use crate::base::digest::{Credential, Parts};
use crate::base::tasks::Tasks;
use crate::cache::Cache;
use crate::cache::codec::Keys;
use crate::cache::disk::{Disk, Folder, Settings, Unusable};
use crate::config::{Config, StorePath, Upstream};
use crate::telemetry::metrics::Metrics;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// The cache with its store, where there is one, and the secret that scopes are keyed with. A folder that was asked
/// for and cannot be used, or that another process uses, is an error; the default one that cannot be used
/// (a read-only working directory) is a warning.
pub async fn open(
    config: &Config,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<(Cache, [u8; 32]), Unusable> {
    let cache = Cache::new(config.cache.memory, clock.clone(), metrics.clone());
    let Some(folder) = config.store.path.folder().map(Path::to_owned) else {
        return Ok((cache, rand::random()));
    };
    let settings = Settings {
        max_bytes: config.store.max_bytes,
        keys: Keys::of(config.store.encryption_key.as_ref(), config.store.encryption_key_old.as_ref()),
    };
    let (clock, counted, path) = (clock.clone(), metrics.clone(), folder.clone());
    let opened = tokio::task::spawn_blocking(move || open_disk(&path, settings, clock, counted)).await;
    let lost = |_| Err(unusable(folder, io::Error::other("opening it failed")));
    match opened.unwrap_or_else(lost) {
        Ok((disk, secret)) => Ok((cache.with_disk(disk), keyed_by_upstream(&secret, &config.upstreams))),
        Err(refused @ Unusable::Io { .. }) if config.store.path == StorePath::Default => {
            tracing::warn!("{refused}; entries are kept in memory only");
            Ok((cache, rand::random()))
        }
        Err(refused) => Err(refused),
    }
}

fn open_disk(
    path: &Path,
    settings: Settings,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<(Disk, [u8; 32]), Unusable> {
    let folder = Folder::take(path)?;
    let secret = folder.secret()?;
    let disk = Disk::open(folder, settings, clock, metrics);
    Ok((disk.map_err(|source| unusable(path.to_owned(), source))?, secret))
}

fn unusable(path: PathBuf, source: io::Error) -> Unusable {
    Unusable::Io { path, source }
}

/// What one upstream answered must not be served for another that is given at the next start. Several
/// upstreams are deployments that stand for one another.
pub(super) fn keyed_by_upstream(secret: &[u8; 32], upstreams: &[Upstream]) -> [u8; 32] {
    let mut parts = Parts::keyed(secret, "reprise-scope-secret-1");
    if let [only] = upstreams {
        parts.part("upstream", only.url.as_bytes());
    }
    let Credential(key) = parts.finish();
    key
}

/// Fills memory once `settled` says that the model is there or stays away; until then, and for what does
/// not fit, exact requests are answered from the disk. Then says so, and embeds anew what another model embedded.
pub fn restore(
    cache: &Arc<Cache>,
    memory: u64,
    reembed_rate: usize,
    settled: impl Future<Output = ()> + Send + 'static,
    tasks: &Tasks,
) -> watch::Receiver<bool> {
    let (say, done) = watch::channel(false);
    let (cache, all) = (cache.clone(), tasks.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = settled => {}
            () = all.stopping() => return,
        }
        let began = tokio::time::Instant::now();
        let (filler, watched) = (cache.clone(), all.clone());
        let filled = tokio::task::spawn_blocking(move || filler.fill(memory, || watched.is_stopping())).await;
        let filled = filled.unwrap_or_default();
        if filled.entries + filled.undecodable > 0 {
            let (took, unread) = (began.elapsed(), filled.undecodable);
            tracing::info!(
                entries = filled.entries,
                by_meaning = filled.indexed,
                unread,
                ?took,
                "entries restored"
            );
        }
        say.send_replace(true);
        tokio::select! {
            () = cache.reembed(reembed_rate) => {}
            () = all.stopping() => {}
        }
    });
    done
}
