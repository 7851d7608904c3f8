//! How far a long step has come, on standard error: a bar on a terminal, a line every tenth elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shared by the threads of one step; dropped, the bar goes.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
}

impl Progress {
    /// `what` is a plural with its verb, such as "texts embedded".
    pub fn start(what: &'static str, total: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            let style = ProgressStyle::with_template(
                "{bar:32.green/dim} {human_pos} of {human_len} {msg}, {eta} left",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what);
            bar
        });
        Progress { bar, what, total, done: AtomicUsize::new(0) }
    }

    pub fn add(&self, count: usize) {
        let before = self.done.fetch_add(count, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.inc(count as u64),
            None => self.line(before, before + count),
        }
    }

    fn line(&self, before: usize, now: usize) {
        let total = self.total.max(1);
        if before * 10 / total < now * 10 / total {
            // Progress that nobody can read is not worth an error.
            let _ = writeln!(std::io::stderr().lock(), "{now} of {total} {}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
