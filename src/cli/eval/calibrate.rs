//! `--write-calibration`: from which cosine on a model's wrong answers stay within a target, written into
//! `models/manifest.toml`; all else in the file stays as it is.

use super::EvalError;
use super::bound;
use super::report::{Figures, Run, Score, Tally, rounded};
use super::table::percent;
use std::path::Path;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Wrong answers, of all requests.
pub const TARGETS: [f64; 3] = [0.005, 0.01, 0.02];
/// The one that `[model.thresholds]` is set by, and so what serves where nothing else is configured.
const DEFAULT_TARGET: f64 = TARGETS[0];

/// The lowest threshold from which on every stream's share of wrong answers is within a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    pub verify: &'static str,
    pub target: f64,
    pub threshold: f64,
    /// Of the worst stream: the share, and its 95 % upper confidence bound.
    pub wrong: f64,
    pub wrong_bound: f64,
    /// Right answers, the mean over the streams.
    pub right: f64,
}

/// For each way to verify and each target; where no threshold of the sweep is good enough, nothing.
pub fn calibrate(streams: &[&Figures]) -> Vec<Calibrated> {
    let mut found = Vec::new();
    for verify in ["strict", "balanced", "off"] {
        for target in TARGETS {
            found.extend(lowest(streams, verify, target));
        }
    }
    found
}

/// From the highest threshold down, as long as the target holds: one lucky dip below it does not count.
fn lowest(streams: &[&Figures], verify: &'static str, target: f64) -> Option<Calibrated> {
    let tallies = |threshold: f64| -> Option<Vec<Tally>> {
        let at = |run: &&Run| run.threshold == threshold && run.verify == verify;
        let tally = |figures: &&Figures| match figures.sweep.iter().find(at)?.score {
            Score::Stream(tally) => Some(tally),
            Score::Pairs(_) | Score::Log(_) => None,
        };
        streams.iter().map(tally).collect()
    };
    let mut thresholds: Vec<f64> = streams.first()?.sweep.iter().map(|run| run.threshold).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let mut best = None;
    for threshold in thresholds {
        let Some(tallies) = tallies(threshold) else { continue };
        if tallies.iter().any(|tally| tally.wrong > target) {
            break;
        }
        let worst = tallies.iter().max_by(|a, b| a.wrong.total_cmp(&b.wrong))?;
        let right = tallies.iter().map(|tally| tally.right).sum::<f64>() / tallies.len() as f64;
        best = Some(Calibrated {
            verify,
            target,
            threshold,
            wrong: worst.wrong,
            wrong_bound: rounded(bound::upper(worst.wrongs, worst.requests)),
            right: rounded(right),
        });
    }
    best
}

/// What was written, for people.
pub fn text(found: &[Calibrated]) -> String {
    let mut lines = vec!["written to the manifest:".to_owned()];
    for verify in ["strict", "balanced", "off"] {
        for target in TARGETS {
            let one = found.iter().find(|one| one.verify == verify && one.target == target);
            let threshold = match one {
                Some(one) => format!("threshold {}, right {} %", one.threshold, percent(one.right)),
                None => "no threshold of the sweep is high enough".to_owned(),
            };
            lines.push(format!("  {verify:<9} at most {:.1} % wrong: {threshold}", target * 100.0));
        }
    }
    lines.join("\n")
}

/// Puts `found` into the model's entry of the manifest's text, in place of what stood there.
///
/// # Errors
/// Text that is no manifest, or has no such model.
pub fn written(manifest: &str, model: &str, found: &[Calibrated]) -> Result<String, EvalError> {
    let wrong = |what: String| EvalError::Model(format!("models/manifest.toml: {what}"));
    let mut document: DocumentMut =
        manifest.parse().map_err(|bad: toml_edit::TomlError| wrong(bad.to_string()))?;
    let models = document.get_mut("model").and_then(Item::as_array_of_tables_mut);
    let named = |table: &&mut Table| table.get("name").and_then(Item::as_str) == Some(model);
    let Some(entry) = models.and_then(|models| models.iter_mut().find(named)) else {
        return Err(wrong(format!("no [[model]] named `{model}`; only listed models are calibrated")));
    };
    let mut thresholds = Table::new();
    let mut calibration = ArrayOfTables::new();
    for one in found {
        if one.target == DEFAULT_TARGET {
            thresholds.insert(one.verify, value(one.threshold));
        }
        let mut table = Table::new();
        table.insert("verify", value(one.verify));
        for (key, number) in [
            ("target", one.target),
            ("threshold", one.threshold),
            ("wrong", one.wrong),
            ("wrong_bound", one.wrong_bound),
            ("right", one.right),
        ] {
            table.insert(key, value(number));
        }
        calibration.push(table);
    }
    entry.remove("thresholds");
    entry.remove("calibration");
    if !thresholds.is_empty() {
        entry.insert("thresholds", Item::Table(thresholds));
    }
    if !calibration.is_empty() {
        entry.insert("calibration", Item::ArrayOfTables(calibration));
    }
    Ok(document.to_string())
}

/// Writes the file anew beside the old one, then puts it in its place.
///
/// # Errors
/// As [`written`], and where the folder cannot be written to.
pub fn write(models_dir: &Path, model: &str, found: &[Calibrated]) -> Result<(), EvalError> {
    let path = models_dir.join("manifest.toml");
    let failed = |wrong: std::io::Error| EvalError::Model(format!("{}: {wrong}", path.display()));
    let text = written(&std::fs::read_to_string(&path).map_err(failed)?, model, found)?;
    let beside = path.with_extension("toml.new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)
}
