//! Reads what may differ by route, and the routes themselves.

use super::policy::{
    AuditBy, AuditPolicy, CacheMode, FuzzyPolicy, Policy, ScopeBy, SemanticMode, SemanticPolicy, Strictness,
};
use super::read::Item;
use super::reader::{Given, Report, Section};
use super::{Route, RouteMatch, values};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// As `humantime` counts one: 365.25 days.
const YEAR: Duration = Duration::from_secs(31_557_600);

pub(super) const CACHE_MODES: &[(&str, CacheMode)] =
    &[("semantic", CacheMode::Semantic), ("exact", CacheMode::Exact), ("off", CacheMode::Off)];
pub(super) const SCOPES: &[(&str, ScopeBy)] =
    &[("key", ScopeBy::Key), ("team", ScopeBy::Team), ("global", ScopeBy::Global)];
const SEMANTIC_MODES: &[(&str, SemanticMode)] =
    &[("serve", SemanticMode::Serve), ("observe", SemanticMode::Observe), ("off", SemanticMode::Off)];
const STRICTNESSES: &[(&str, Strictness)] =
    &[("strict", Strictness::Strict), ("balanced", Strictness::Balanced), ("off", Strictness::Off)];
const AUDITS_BY: &[(&str, AuditBy)] =
    &[("text", AuditBy::Text), ("meaning", AuditBy::Meaning), ("judge", AuditBy::Judge)];

/// Whether there is a `[semantic.judge]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JudgeNamed {
    Yes,
    No,
}

/// The policy of `[cache]` and `[semantic]`, or of a route's; what is not given comes from `base`.
pub(super) fn read(
    cache: &mut Section<'_>,
    semantic: &mut Section<'_>,
    base: &Policy,
    judge: JudgeNamed,
) -> Policy {
    let base = base.clone();
    Policy {
        mode: cache.get("mode", |given| values::one_of(given, CACHE_MODES)).unwrap_or(base.mode),
        scope: cache.get("scope", scope).unwrap_or(base.scope),
        ttl: cache.get("ttl", |given| values::duration(given, MS..=YEAR)).unwrap_or(base.ttl),
        stale_if_error: cache
            .get("stale_if_error", |given| values::duration(given, Duration::ZERO..=YEAR))
            .unwrap_or(base.stale_if_error),
        keep_truncated: cache.get("keep_truncated", values::boolean).unwrap_or(base.keep_truncated),
        headers: cache.get("headers", values::boolean).unwrap_or(base.headers),
        semantic: read_semantic(semantic, base.semantic, judge),
    }
}

fn read_semantic(section: &mut Section<'_>, base: SemanticPolicy, judge: JudgeNamed) -> SemanticPolicy {
    let mode = section.get("mode", |given| values::one_of(given, SEMANTIC_MODES));
    let threshold = section.get("threshold", |given| values::number(given, "a similarity", 0.0..=1.0));
    let verify = section.get("verify", |given| values::one_of(given, STRICTNESSES));
    let max_temperature =
        section.get("max_temperature", |given| values::number(given, "a temperature", 0.0..=2.0));
    let max_turns = section.get("max_turns", |given| values::count(given, 1..=1_000));
    let tools = section.get("tools", values::boolean);
    let max_chars = section.get("max_chars", |given| values::count(given, 1..=100_000));
    SemanticPolicy {
        mode: mode.unwrap_or(base.mode),
        threshold: threshold.map(|threshold| threshold as f32).or(base.threshold),
        verify: verify.unwrap_or(base.verify),
        fuzzy: FuzzyPolicy {
            max_temperature: max_temperature.unwrap_or(base.fuzzy.max_temperature),
            max_turns: max_turns.unwrap_or(base.fuzzy.max_turns),
            tools: tools.unwrap_or(base.fuzzy.tools),
            max_chars: max_chars.unwrap_or(base.fuzzy.max_chars),
        },
        audit: read_audit(section, base.audit, judge),
    }
}

fn read_audit(section: &mut Section<'_>, base: AuditPolicy, judge: JudgeNamed) -> AuditPolicy {
    let rate = section.get("max_wrong_rate", |given| {
        values::number(given, "a rate of wrong hits that can be held", 0.000_1..=0.2)
    });
    let share =
        section.get("audit_share", |given| values::number(given, "a share of the hits", 0.000_1..=1.0));
    let by = section.get("audit_by", |given| match values::one_of(given, AUDITS_BY)? {
        AuditBy::Judge if judge == JudgeNamed::No => {
            Err("\"judge\" needs a [semantic.judge] with url and model".to_owned())
        }
        by => Ok(by),
    });
    AuditPolicy {
        max_wrong_rate: rate.or(base.max_wrong_rate),
        share: share.map(|share| share as f32).or(base.share),
        by: by.unwrap_or(base.by),
    }
}

fn scope(given: Given<'_>) -> Result<ScopeBy, String> {
    values::one_of(given, SCOPES)
}

/// Every `[[route]]`, merged with the policy of `[cache]` and `[semantic]`.
pub(super) fn read_routes(
    report: &Report<'_>,
    items: &[Item<'_>],
    base: &Policy,
    judge: JudgeNamed,
) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::with_capacity(items.len());
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        let mut section =
            Section::new(report, "route", "route".to_owned(), Some(item.table), item.place.clone());
        let given = section.get("name", values::text);
        if !section.has("name") {
            report.problem(section.own(), "has no `name`; give it one, for instance name = \"faq\"");
        }
        let matches = read_match(report, &mut section);
        let mut cache = section.table("cache", "route.cache");
        let mut semantic = section.table("semantic", "route.semantic");
        let policy = read(&mut cache, &mut semantic, base, judge);
        cache.finish();
        semantic.finish();

        let name = given.clone().unwrap_or_default();
        if given.is_some() && routes.iter().any(|route| route.name == name) {
            report.problem(
                &section.at("name"),
                format!("another route is named \"{name}\"; give each its own `name`"),
            );
        }
        if let Some(matches) = matches {
            let shadow = routes.iter().position(|earlier| earlier.matches.covers(&matches));
            if let Some(earlier) = shadow {
                let message = format!(
                    "is never reached: the route in line {} matches first; put this one before it",
                    lines[earlier]
                );
                report.problem(section.own(), message);
            }
            lines.push(report.line_of(section.own()).unwrap_or_default());
            routes.push(Route { name, matches, policy });
        }
        section.finish();
    }
    routes
}

/// `None`: wrong, and reported.
fn read_match(report: &Report<'_>, route: &mut Section<'_>) -> Option<RouteMatch> {
    let mut section = route.table("match", "route.match");
    let path = section.get("path", |given| {
        let path = values::pattern(given)?;
        if path.starts_with('/') || path == "*" {
            Ok(path)
        } else {
            Err(format!("\"{path}\" never matches; a path begins with /"))
        }
    });
    let model = section.get("model", values::pattern);
    let key = section.get("key", values::pattern);
    let header = section.has("header").then(|| {
        let mut header = section.table("header", "route.match.header");
        let name = header.get("name", values::header_name);
        let value = header.get("value", values::header_value);
        if !(header.has("name") && header.has("value")) {
            report
                .problem(header.own(), "needs both, for instance { name = \"x-team\", value = \"support\" }");
        }
        header.finish();
        name.zip(value)
    });
    let wrong = (section.has("path") && path.is_none())
        || (section.has("model") && model.is_none())
        || (section.has("key") && key.is_none())
        || matches!(header, Some(None));
    if !["path", "model", "key", "header"].iter().any(|key| section.has(key)) {
        let message = "matches every request; give it `match` with path, model, key or header, or set [cache] and [semantic]";
        report.problem(route.own(), message);
        section.finish();
        return None;
    }
    section.finish();
    (!wrong).then(|| RouteMatch { path, model, header: header.flatten(), key })
}
