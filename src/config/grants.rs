//! Reads `[keys]` and `[[key]]`.

use super::keys::{self, Budget, Grant, Keys, Listed, Over};
use super::policies::{CACHE_MODES, SCOPES};
use super::read::{Item, Root};
use super::reader::{Given, Report, Section, word};
use super::source::Source;
use super::{Upstream, books, values};
use crate::base::secret::Secret;
use toml::de::DeValue;

const MOST: usize = 1_000_000_000;
const OVERS: &[(&str, Over)] = &[("refuse", Over::Refuse), ("cache_only", Over::CacheOnly)];

pub(super) fn read(
    report: &Report<'_>,
    root: &mut Root<'_>,
    source: &Source,
    upstreams: &[Upstream],
) -> Keys {
    let mut section = root.section("keys");
    let required = section.get("required", values::boolean).unwrap_or(false);
    let webhook = section.get("webhook", |given| webhook(given, source));
    let listed: Vec<Listed> =
        root.tables("key").iter().filter_map(|item| read_key(report, item, source)).collect();
    for (at, key) in listed.iter().enumerate() {
        let earlier = &listed[..at];
        if earlier.iter().any(|other| other.grant.name == key.grant.name) {
            report.problem(section.own(), format!("two keys are named \"{}\"; rename one", key.grant.name));
        }
        if earlier.iter().any(|other| other.secret == key.secret) {
            let message =
                format!("the key \"{}\" has the secret of another; give each its own", key.grant.name);
            report.problem(section.own(), message);
        }
    }
    if let Some(bare) = upstreams.iter().find(|upstream| upstream.key.is_none())
        && (required || !listed.is_empty())
    {
        let message = format!(
            "virtual keys are let in, but upstream {} has no `key` of its own to send in their place; give it one",
            bare.name
        );
        report.problem(section.own(), message);
    }
    section.finish();
    Keys { required, webhook, listed }
}

/// A URL, here or, as it may hold a token, elsewhere.
fn webhook(given: Given<'_>, source: &Source) -> Result<Secret, String> {
    let text = values::text(given)?;
    let elsewhere = text.starts_with("env:") || text.starts_with("file:");
    let found = match elsewhere {
        true => values::secret(given, &|name| source.variable(name))?,
        false => Secret::new(text),
    };
    match url::Url::parse(found.expose()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(found),
        _ => Err("is not an http or https URL".to_owned()),
    }
}

fn read_key(report: &Report<'_>, item: &Item<'_>, source: &Source) -> Option<Listed> {
    let mut section = Section::new(report, "key", "key".to_owned(), Some(item.table), item.place.clone());
    let name = section.get("name", values::text);
    let secret = section.get("secret", |given| values::secret(given, &|name| source.variable(name)));
    if !(section.has("name") && section.has("secret")) {
        report.problem(section.own(), "needs a `name` and a `secret`, as \"env:NAME\" or \"file:PATH\"");
    }
    let limit = |given: Given<'_>| values::count(given, 1..=MOST).map(|limit| limit as u64);
    let budget = read_budget(&mut section, "budget", "key.budget");
    let warn = read_budget(&mut section, "warn", "key.warn");
    let grant = Grant {
        name: name.clone().unwrap_or_default(),
        team: section.get("team", values::text),
        tags: section.get("tags", |given| list(given, keys::tag)).unwrap_or_default(),
        models: section.get("models", |given| list(given, pattern)).unwrap_or_default(),
        scope: section.get("scope", |given| values::one_of(given, SCOPES)),
        cache: section.get("cache", |given| values::one_of(given, CACHE_MODES)),
        threshold: section
            .get("threshold", |given| values::number(given, "a similarity", 0.0..=1.0))
            .map(|threshold| threshold as f32),
        ttl: section.get("ttl", keys::seconds),
        rpm: section.get("rpm", limit),
        tpm: section.get("tpm", limit),
        concurrency: section.get("concurrency", limit),
        budget,
        warn,
        over: section.get("over", |given| values::one_of(given, OVERS)).unwrap_or_default(),
    };
    let expires = section.get("expires", expires);
    section.finish();
    name.and(secret).map(|secret| Listed { secret, expires, grant })
}

fn read_budget(key: &mut Section<'_>, name: &'static str, kind: &'static str) -> Budget {
    let mut section = key.table(name, kind);
    let budget = Budget {
        day: section.get("day", books::dollars),
        week: section.get("week", books::dollars),
        month: section.get("month", books::dollars),
        whole: section.get("whole", books::dollars),
    };
    section.finish();
    budget
}

fn expires(given: Given<'_>) -> Result<u64, String> {
    match given {
        Given::File(DeValue::Datetime(date)) => keys::moment(&date.to_string()),
        _ => keys::moment(&values::text(given)?),
    }
}

fn pattern(text: &str) -> Result<String, String> {
    values::pattern(Given::Variable(text))
}

fn list(given: Given<'_>, one: impl Fn(&str) -> Result<String, String>) -> Result<Vec<String>, String> {
    match given {
        Given::File(DeValue::Array(items)) => {
            items.iter().map(|item| one(&values::text(Given::File(item.get_ref()))?)).collect()
        }
        Given::File(other) => Err(format!("expected a list, found {}", word(other))),
        Given::Variable(text) => text.split(',').map(|item| one(item.trim())).collect(),
    }
}
