//! `[semantic.judge]`, its reader, and what refuses audits that would never happen.

use super::reader::{Report, Section};
use super::source::Source;
use super::{Policy, Route, values};
use crate::base::secret::Secret;
use std::time::Duration;

/// `[semantic.judge]`: the deployment that says whether two answers come to the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// Scheme, host, port and, if any, a path prefix without a trailing slash.
    pub url: String,
    pub model: String,
    pub key: Option<Secret>,
    /// At most this share of its verdicts is mistaken, 0 to 0.4. Default 0.05.
    pub error: f64,
    /// The longest wait for one verdict. Default 30 s.
    pub timeout: Duration,
}

/// `None`: not given, or wrong and reported.
pub(super) fn read(report: &Report<'_>, semantic: &mut Section<'_>, source: &Source) -> Option<Judge> {
    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3_600);
    let given = semantic.has("judge");
    let mut section = semantic.table("judge", "semantic.judge");
    let url = section.get("url", values::upstream_url);
    let model = section.get("model", values::text);
    let key = section
        .get("key", |given| source.shown_to_others(values::secret(given, &|name| source.variable(name))));
    let error =
        section.get("error", |given| values::number(given, "a share of mistaken verdicts", 0.0..=0.4));
    let timeout = section.get("timeout", |given| values::duration(given, MS..=HOUR));
    if given {
        for (name, example) in [("url", "https://api.openai.com"), ("model", "gpt-4o-mini")] {
            if !section.has(name) {
                let message = format!("has no `{name}`; write for instance {name} = \"{example}\"");
                report.problem(section.own(), message);
            }
        }
    }
    section.finish();
    let (url, _) = url?;
    let timeout = timeout.unwrap_or(Duration::from_secs(30));
    Some(Judge { url, model: model?, key, error: error.unwrap_or(0.05), timeout })
}

/// Says so where audits are described in general and no route audits.
pub(super) fn refuse_idle(report: &Report<'_>, semantic: &Section<'_>, policy: &Policy, routes: &[Route]) {
    if policy.is_watched() || routes.iter().any(|route| route.policy.is_watched()) {
        return;
    }
    for key in ["audit_share", "audit_by", "judge"] {
        if semantic.has(key) {
            let message = "nothing is audited; set `max_wrong_rate`, or mode = \"observe\"";
            report.problem(&semantic.at(key), message);
        }
    }
}
