//! How a config changes while it is read.

use super::read;
use reprise::base::tasks::Tasks;
use reprise::config::watch::{Watched, watch};
use reprise::config::{Config, Flags, Problems, Source};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn what_a_reload_cannot_change_is_named() {
    let old = read("").unwrap();
    let new = read("[server]\nlisten = \"127.0.0.1:1\"\nmax_body = \"1MiB\"\n[cache]\nmemory = \"1GiB\"\nttl = \"2h\"\n[semantic]\nmodel = \"m\"").unwrap();
    assert_eq!(
        Config::needs_restart(&old, &new),
        ["server.listen", "server.max_body", "cache.memory", "semantic.model"]
    );
    assert!(Config::needs_restart(&old, &read("[cache]\nttl = \"2h\"").unwrap()).is_empty());
}

/// A config file in a folder of its own, and its watch; both end on drop.
struct Scene {
    folder: TempDir,
    file: PathBuf,
    tasks: Tasks,
    watched: Watched,
}

impl Scene {
    /// `file` is laid by `lay`, which is given the folder.
    fn start(lay: impl FnOnce(&Path) -> PathBuf) -> Scene {
        let folder = TempDir::new().unwrap();
        let file = lay(folder.path());
        let source = Source::new(Some(file.clone()), [], Flags::default());
        let tasks = Tasks::new();
        let first = Arc::new(Config::read(&source).unwrap());
        let watched = watch(source, first, &tasks);
        Scene { folder, file, tasks, watched }
    }

    fn plain() -> Scene {
        Scene::start(|folder| {
            let file = folder.join("reprise.toml");
            fs::write(&file, "[cache]\nttl = \"1s\"\n").unwrap();
            file
        })
    }

    /// Waits until the config in force has this ttl.
    async fn comes_to(&mut self, seconds: u64) {
        let ttl = Duration::from_secs(seconds);
        let there = self.watched.config.wait_for(|config| config.policy.ttl == ttl);
        tokio::time::timeout(Duration::from_secs(20), there).await.expect("no new config came").unwrap();
    }

    async fn is_told(&mut self, problem: bool) -> Option<Arc<Problems>> {
        let there = self.watched.problems.wait_for(|last| last.is_some() == problem);
        tokio::time::timeout(Duration::from_secs(20), there).await.expect("nothing was told").unwrap().clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[tokio::test]
async fn a_file_that_is_written_or_renamed_over_is_read_again() {
    let mut scene = Scene::plain();
    fs::write(&scene.file, "[cache]\nttl = \"2s\"\n").unwrap();
    scene.comes_to(2).await;
    let aside = scene.folder.path().join(".reprise.toml.swp");
    fs::write(&aside, "[cache]\nttl = \"3s\"\n").unwrap();
    fs::rename(&aside, &scene.file).unwrap();
    scene.comes_to(3).await;
    fs::remove_file(&scene.file).unwrap();
    assert!(scene.is_told(true).await.unwrap().to_string().contains("no such file"));
    fs::write(&scene.file, "[cache]\nttl = \"4s\"\n").unwrap();
    scene.comes_to(4).await;
}

#[tokio::test]
async fn a_broken_file_is_told_and_the_old_config_stays() {
    let mut scene = Scene::plain();
    fs::write(&scene.file, "[cache]\nttl = 5\nttll = 1\n").unwrap();
    assert_eq!(scene.is_told(true).await.unwrap().list.len(), 2);
    assert_eq!(scene.watched.config.borrow().policy.ttl, Duration::from_secs(1));
    fs::write(&scene.file, "[cache]\nttl = \"5s\"\n").unwrap();
    scene.is_told(false).await;
    scene.comes_to(5).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_swapped_link_beside_the_file_is_seen() {
    use std::os::unix::fs::symlink;
    let lay_version = |folder: &Path, name: &str, ttl: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("reprise.toml"), format!("[cache]\nttl = \"{ttl}\"\n")).unwrap();
    };
    // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a folder of that version.
    let mut scene = Scene::start(|folder| {
        lay_version(folder, "..v1", "1s");
        symlink("..v1", folder.join("..data")).unwrap();
        symlink("..data/reprise.toml", folder.join("reprise.toml")).unwrap();
        folder.join("reprise.toml")
    });
    let folder = scene.folder.path().to_owned();
    lay_version(&folder, "..v2", "2s");
    symlink("..v2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    fs::remove_dir_all(folder.join("..v1")).unwrap();
    scene.comes_to(2).await;
}

#[cfg(unix)]
#[tokio::test]
async fn sighup_reads_a_secret_file_anew() {
    let mut scene = Scene::start(|folder| {
        fs::create_dir(folder.join("secrets")).unwrap();
        let secret = folder.join("secrets/key");
        fs::write(&secret, "old").unwrap();
        let file = folder.join("reprise.toml");
        fs::write(&file, format!("[[upstream]]\nurl = \"http://h\"\nkey = \"file:{}\"\n", secret.display()))
            .unwrap();
        file
    });
    fs::write(scene.folder.path().join("secrets/key"), "new").unwrap();
    let hangup = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(hangup.unwrap().success());
    let key = |config: &Config| config.upstreams[0].key.as_ref().unwrap().expose().to_owned();
    let there = scene.watched.config.wait_for(|config| key(config) == "new");
    tokio::time::timeout(Duration::from_secs(20), there).await.expect("SIGHUP was not heard").unwrap();
}

#[tokio::test]
async fn the_watch_ends_with_the_process() {
    let scene = Scene::plain();
    scene.tasks.stop();
    tokio::time::timeout(Duration::from_secs(20), scene.tasks.drained()).await.expect("the watch went on");
}
