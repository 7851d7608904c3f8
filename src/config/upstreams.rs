//! Reads `[[upstream]]`.

use super::read::Root;
use super::reader::{At, Given, Place, Report, Section};
use super::source::Source;
use super::values;
use super::{Upstream, kind};
use std::collections::BTreeMap;
use std::time::Duration;

/// The upstreams of the file, in its order. `REPRISE__UPSTREAM__…` sets the only one, or is it where
/// the file has none.
pub(super) fn read(report: &Report<'_>, root: &mut Root<'_>, source: &Source) -> Vec<Upstream> {
    let items = root.tables("upstream");
    let mut variables = root.variables("upstream");
    if items.len() > 1 {
        for variable in std::mem::take(&mut variables).into_values() {
            let at = At { place: Place::Elsewhere, key: variable.name };
            report.problem(&at, "the file has several upstreams; set each there");
        }
    }
    let mut sections: Vec<Section<'_>> = Vec::new();
    for item in items {
        let section = Section::new(report, "upstream", "upstream".to_owned(), Some(item.table), item.place);
        sections.push(section.with_variables(std::mem::take(&mut variables)));
    }
    if !variables.is_empty() {
        let section = Section::new(report, "upstream", "upstream".to_owned(), None, Place::Elsewhere);
        sections.push(section.with_variables(variables));
    }

    let mut upstreams = Vec::with_capacity(sections.len());
    let mut seen: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for section in sections {
        let at = section.at(if section.has("name") { "name" } else { "url" });
        let Some(upstream) = read_one(report, section, source) else { continue };
        if let Some(line) = seen.insert(upstream.name.clone(), report.line_of(&at)) {
            let first = line.map(|line| format!(" in line {line}")).unwrap_or_default();
            report.problem(
                &at,
                format!("another upstream is named \"{}\"{first}; give each its own `name`", upstream.name),
            );
        }
        upstreams.push(upstream);
    }
    upstreams
}

/// `--upstream`: one upstream in place of all of the file's, and of its models.
pub(super) fn of_flag(report: &Report<'_>, source: &Source) -> Option<Upstream> {
    match values::upstream_url(Given::Variable(source.flags.upstream.as_deref()?)) {
        Ok((url, name)) => Some(Upstream::at(url, name)),
        Err(message) => {
            report.problem(&At { place: Place::Elsewhere, key: "--upstream".to_owned() }, message);
            None
        }
    }
}

fn read_one(report: &Report<'_>, mut section: Section<'_>, source: &Source) -> Option<Upstream> {
    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3_600);
    let api = kind::read(report, &mut section);
    let mut url = section.get("url", values::upstream_url);
    if !section.has("url") && section.has("kind") {
        url = api.kind.default_url().and_then(|url| values::upstream_url(Given::Variable(url)).ok());
    }
    if !section.has("url") && url.is_none() {
        report.problem(section.own(), "has no `url`; write for instance url = \"https://api.openai.com\"");
    }
    let name = section.get("name", values::header_value);
    let key = section
        .get("key", |given| source.shown_to_others(values::secret(given, &|name| source.variable(name))));
    let connect = section.get("connect_timeout", |given| values::duration(given, MS..=HOUR));
    let first_byte = section.get("first_byte_timeout", |given| values::duration(given, MS..=HOUR));
    let idle = section.get("idle_timeout", |given| values::duration(given, MS..=HOUR));
    let total_timeout = section.get("total_timeout", |given| values::duration(given, MS..=24 * HOUR));
    let region = section.get("region", values::header_value);
    section.finish();
    let (url, host) = url?;
    let base = Upstream::at(url, name.unwrap_or(host));
    Some(Upstream {
        api,
        key,
        connect_timeout: connect.unwrap_or(base.connect_timeout),
        first_byte_timeout: first_byte.unwrap_or(base.first_byte_timeout),
        idle_timeout: idle.unwrap_or(base.idle_timeout),
        total_timeout,
        region,
        ..base
    })
}
