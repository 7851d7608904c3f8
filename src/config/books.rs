//! Reads `[ledger]`, `[prices]`, `[[price]]` and `[[caller]]`, and the list of prices that is built in.

use super::accounts::{Accounts, Audit, Caller, Ledger, Price, Rates};
use super::read::{Item, Root};
use super::reader::{Given, Place, Report, Section, as_tables, word};
use super::source::Source;
use super::{Upstream, database, grants, values};
use crate::base::money::NanoUsd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

const BUILT_IN: &str = include_str!("../../config/prices.toml");
const AUDITS: &[(&str, Audit)] = &[("off", Audit::Off), ("admin", Audit::Admin), ("all", Audit::All)];
const DAY: Duration = Duration::from_secs(86_400);
const DECADE: Duration = Duration::from_secs(3_653 * 86_400);
/// No token costs a dollar; a figure above is one for another unit.
const DEAREST: f64 = 1_000_000.0;

/// The built-in list, read once. A unit test holds that it reads cleanly.
static SHIPPED: LazyLock<Vec<Price>> = LazyLock::new(|| read_list(BUILT_IN).unwrap_or_default());

pub(super) fn read(
    report: &Report<'_>,
    root: &mut Root<'_>,
    source: &Source,
    upstreams: &[Upstream],
) -> Accounts {
    let ledger = read_ledger(report, root, source);
    let mut prices: Vec<Price> =
        root.tables("price").iter().filter_map(|item| read_price(report, item)).collect();
    let mut section = root.section("prices");
    prices.extend(section.get("file", listed).unwrap_or_default());
    section.finish();
    prices.extend(SHIPPED.iter().cloned());
    let callers = read_callers(report, &root.tables("caller"));
    let keys = grants::read(report, root, source, upstreams);
    Accounts { ledger, prices: Arc::new(prices), callers, keys }
}

fn read_ledger(report: &Report<'_>, root: &mut Root<'_>, source: &Source) -> Ledger {
    let base = Ledger::default();
    let mut section = root.section("ledger");
    let path = section.get("path", folder).unwrap_or_else(|| Some(PathBuf::from("data")));
    let keep = section.get("keep", |given| values::duration(given, DAY..=DECADE));
    let url = section.get("url", |given| database::read(given, &|name: &str| source.variable(name)));
    if section.has("url") && path.is_none() {
        report.problem(
            &section.at("url"),
            "needs ledger.path, which rows are written to before they go over; name a folder there",
        );
    }
    let audit = section.get("audit", |given| values::one_of(given, AUDITS));
    section.finish();
    let url = url.map(Arc::new);
    Ledger { path, url, audit: audit.unwrap_or_default(), keep: keep.unwrap_or(base.keep) }
}

/// A folder, made where it is absent; "" for none.
fn folder(given: Given<'_>) -> Result<Option<PathBuf>, String> {
    if matches!(given, Given::File(DeValue::String(text)) if text.is_empty())
        || matches!(given, Given::Variable(""))
    {
        return Ok(None);
    }
    let text = values::text(given)?;
    if text.contains("://") {
        return Err("is a URL; name a folder of this machine here, and set ledger.url to the URL".to_owned());
    }
    let path = PathBuf::from(text);
    if path.exists() && !path.is_dir() {
        return Err(format!("{} is a file; name a folder", path.display()));
    }
    Ok(Some(path))
}

/// The prices of another file, in the form of the built-in list.
fn listed(given: Given<'_>) -> Result<Vec<Price>, String> {
    let path = values::text(given)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|wrong| format!("cannot read the file {path}: {}", values::plain(&wrong)))?;
    read_list(&text).map_err(|wrong| format!("{path}: {wrong}"))
}

/// A list of `[[price]]`. `Err`: the first problem, with its line, and how many more there are.
fn read_list(text: &str) -> Result<Vec<Price>, String> {
    let document = DeTable::parse(text).map_err(|wrong| format!("is not TOML: {}", wrong.message()))?;
    let report = Report::new(text);
    let mut prices = Vec::new();
    for (key, value) in document.get_ref() {
        let at = super::reader::At { place: Place::Span(key.span()), key: key.get_ref().to_string() };
        if key.get_ref() != "price" {
            report.problem(&at, "unknown section; a list of prices has only [[price]]");
            continue;
        }
        for (span, table) in as_tables(&report, &at, value.get_ref()) {
            prices.extend(read_price(&report, &Item { table, place: Place::Span(span) }));
        }
    }
    let problems = report.finish();
    match problems.first() {
        None => Ok(prices),
        Some(first) => Err(match problems.len() - 1 {
            0 => first.to_string(),
            more => format!("{first} (and {more} more)"),
        }),
    }
}

fn read_price(report: &Report<'_>, item: &Item<'_>) -> Option<Price> {
    let mut section = Section::new(report, "price", "price".to_owned(), Some(item.table), item.place.clone());
    let model = section.get("model", values::pattern);
    if !section.has("model") {
        report.problem(section.own(), "has no `model`; name one, or several as in \"llama*\"");
    }
    let rates = read_rates(report, &mut section);
    let mut long = section.table("long", "price.long");
    let from = long.get("from", |given| values::count(given, 1..=100_000_000));
    let dear = section.has("long").then(|| read_rates(report, &mut long)).flatten();
    if section.has("long") && !long.has("from") {
        report.problem(long.own(), "has no `from`; say from how many tokens of prompt it holds");
    }
    long.finish();
    let known = section.get("known", day);
    let source = section.get("source", values::text);
    section.finish();
    let long = from.zip(dear).map(|(from, rates)| (from as u64, rates));
    Some(Price { model: model?, rates: rates?, long, known, source })
}

fn read_rates(report: &Report<'_>, section: &mut Section<'_>) -> Option<Rates> {
    for needed in ["input", "output"] {
        if !section.has(needed) {
            report.problem(section.own(), format!("has no `{needed}`; say it in USD per million tokens"));
        }
    }
    let input = section.get("input", dollars);
    let cached_input = section.get("cached_input", dollars);
    let cache_write = section.get("cache_write", dollars);
    let output = section.get("output", dollars);
    let reasoning = section.get("reasoning", dollars);
    let (input, output) = (input?, output?);
    Some(Rates {
        input,
        cached_input: cached_input.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
        output,
        reasoning: reasoning.unwrap_or(output),
    })
}

/// US dollars, with up to nine decimals.
pub(super) fn dollars(given: Given<'_>) -> Result<NanoUsd, String> {
    let usd = values::number(given, "a price in USD", 0.0..=DEAREST)?;
    Ok(NanoUsd((usd * 1e9).round() as u64))
}

fn day(given: Given<'_>) -> Result<String, String> {
    let text = match given {
        Given::File(DeValue::Datetime(date)) => date.to_string(),
        Given::File(DeValue::String(_)) | Given::Variable(_) => values::text(given)?,
        Given::File(other) => {
            return Err(format!("expected a day such as \"2026-11-21\", found {}", word(other)));
        }
    };
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00" { Ok(text) } else { Err("expected a day such as \"2026-11-21\"".to_owned()) }
}

fn read_callers(report: &Report<'_>, items: &[Item<'_>]) -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::with_capacity(items.len());
    for item in items {
        let mut section =
            Section::new(report, "caller", "caller".to_owned(), Some(item.table), item.place.clone());
        let digest = section.get("digest", digest);
        let name = section.get("name", values::text);
        let team = section.get("team", values::text);
        if !(section.has("digest") && section.has("name")) {
            report.problem(section.own(), "needs `digest`, as `reprise savings` shows it, and a `name`");
        }
        if let Some((digest, name)) = digest.zip(name) {
            if callers.iter().any(|caller| caller.digest == digest) {
                report.problem(&section.at("digest"), "has a name already; keep one of the two");
            }
            callers.push(Caller { digest, name, team });
        }
        section.finish();
    }
    callers
}

fn digest(given: Given<'_>) -> Result<String, String> {
    let text = values::text(given)?.to_ascii_lowercase();
    if text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(text)
    } else {
        Err("expected 16 hex digits, as `reprise savings` shows them".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_reads_cleanly_and_every_figure_says_when_and_whence() {
        let prices = read_list(BUILT_IN).unwrap();
        assert!(prices.len() > 50);
        for price in &prices {
            assert!(price.known.is_some(), "{} has no day", price.model);
            assert!(
                price.source.as_deref().is_some_and(|page| page.starts_with("https://")),
                "{}",
                price.model
            );
            assert!(price.rates.cached_input <= price.rates.input, "{}", price.model);
            let twice = prices.iter().filter(|other| other.model == price.model).count();
            assert_eq!(twice, 1, "{} is there twice", price.model);
        }
    }

    #[test]
    fn a_list_with_a_mistake_is_refused_with_its_line() {
        let wrong = read_list("[[price]]\nmodel = \"m\"\ninput = -1\noutput = 1\n").unwrap_err();
        assert!(wrong.starts_with("3:9  price.input"), "{wrong}");
    }
}
