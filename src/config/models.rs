//! Reads `[[model]]`, its deployments, and `[router]`.

use super::read::{Item, Root};
use super::reader::{At, Given, Report, Section};
use super::routing::{Breaker, Cascade, Deployment, Model, Price, Router, Rule, Signal, Strategy};
use super::{Upstream, fits, values};
use crate::base::money::NanoUsd;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// Requests and tokens a minute, and tokens of a context window.
const COUNTS: RangeInclusive<usize> = 1..=1_000_000_000_000;

/// Names that must be known once all models are read, and where they were given.
struct Mentioned {
    name: String,
    at: At,
}

/// Every `[[model]]`, in the file's order. `upstreams` are those that `[[upstream]]` gave, wrong ones
/// left out.
pub(super) fn read(report: &Report<'_>, items: &[Item<'_>], upstreams: &[Upstream]) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::with_capacity(items.len());
    let (mut mentioned, mut taken) = (Vec::new(), BTreeMap::new());
    for item in items {
        let mut section =
            Section::new(report, "model", "model".to_owned(), Some(item.table), item.place.clone());
        let name = section.get("name", values::pattern);
        if !section.has("name") {
            report
                .problem(section.own(), "has no `name`; give it the one that clients use, or \"*\" for all");
        }
        let aliases = section.get("aliases", values::texts).unwrap_or_default();
        let strategy = section.get("strategy", strategy);
        let mut chain = |section: &mut Section<'_>, key| {
            let names = section.get(key, values::texts).unwrap_or_default();
            mentioned.extend(names.iter().map(|name| Mentioned { name: name.clone(), at: section.at(key) }));
            names
        };
        let fallback = chain(&mut section, "fallback");
        let fallback_context_window = chain(&mut section, "fallback_context_window");
        let fallback_content_policy = chain(&mut section, "fallback_content_policy");
        let deployments = read_deployments(report, &mut section, upstreams, strategy);
        let cascade = read_cascade(report, &mut section, &deployments, upstreams);
        if let Some((cascade, at)) = &cascade {
            if name.iter().chain(&aliases).any(|own| fits(own, &cascade.to)) {
                report.problem(at, format!("\"{}\" is this model itself; name a larger one", cascade.to));
            }
            mentioned.push(Mentioned { name: cascade.to.clone(), at: at.clone() });
        }
        let line = report.line_of(section.own()).unwrap_or_default();
        for name in name.iter().chain(&aliases) {
            if let Some(earlier) = taken.insert(name.clone(), line) {
                report.problem(
                    section.own(),
                    format!("\"{name}\" is taken by the model in line {earlier}; give each its own names"),
                );
            }
        }
        section.finish();
        models.push(Model {
            name: name.unwrap_or_default(),
            aliases,
            strategy,
            fallback,
            fallback_context_window,
            fallback_content_policy,
            cascade: cascade.map(|(cascade, _)| cascade),
            deployments,
        });
    }
    for Mentioned { name, at } in mentioned {
        known_model(report, &models, &name, &at);
    }
    models
}

fn known_model(report: &Report<'_>, models: &[Model], name: &str, at: &At) {
    if models.iter().any(|model| model.answers_to(name)) {
        return;
    }
    let near = values::closest(name, models.iter().map(|model| model.name.as_str()));
    let remedy = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "add a [[model]] of that name".to_owned(),
    };
    report.problem(at, format!("no model is named \"{name}\"; {remedy}"));
}

fn strategy(given: Given<'_>) -> Result<Strategy, String> {
    values::one_of(given, &Strategy::WORDS)
}

/// `[model.cascade]`, and where its `to` was given.
fn read_cascade(
    report: &Report<'_>,
    model: &mut Section<'_>,
    deployments: &[Deployment],
    upstreams: &[Upstream],
) -> Option<(Cascade, At)> {
    let mut section = model.table("cascade", "model.cascade");
    let to = section.get("to", values::text);
    let on = section.get("on", |given| values::some_of(given, &Signal::WORDS));
    let least = section.get("min_confidence", |given| values::number(given, "a probability", 0.0..=1.0));
    let (own, place, given) = (section.own().clone(), section.at("to"), section.is_given());
    let by_confidence = on.as_ref().is_some_and(|on| on.contains(&Signal::LowConfidence));
    if given && !section.has("to") {
        report.problem(&own, "has no `to`; write the name of the larger model");
    }
    if least.is_some() && !by_confidence {
        let message = "does nothing without \"low_confidence\" in `on`; add it, or leave this out";
        report.problem(&section.at("min_confidence"), message);
    }
    let mute = |one: &&Deployment| {
        let behind = upstreams.iter().find(|upstream| upstream.name == one.upstream);
        behind.is_some_and(|upstream| !upstream.api.kind.gives_logprobs())
    };
    if by_confidence && let Some(mute) = deployments.iter().find(mute) {
        let name = &mute.name;
        let message =
            format!("\"low_confidence\" needs `logprobs`, which the API of \"{name}\" does not give");
        report.problem(&section.at("on"), message);
    }
    section.finish();
    let on = on.unwrap_or_else(|| vec![Signal::Refusal, Signal::Truncated, Signal::Schema]);
    Some((Cascade { to: to?, on, min_confidence: least.unwrap_or(0.7) }, place))
}

fn read_deployments(
    report: &Report<'_>,
    model: &mut Section<'_>,
    upstreams: &[Upstream],
    strategy: Option<Strategy>,
) -> Vec<Deployment> {
    let mut deployments: Vec<Deployment> = Vec::new();
    let sections = model.tables("deployment", "model.deployment");
    if sections.is_empty() {
        let message = "has no [[model.deployment]]; add one, for instance with upstream = \"openai\"";
        report.problem(model.own(), message);
    }
    for mut section in sections {
        let own = section.own().clone();
        let Some(deployment) = read_deployment(report, &mut section, upstreams) else {
            section.finish();
            continue;
        };
        if deployments.iter().any(|other| other.name == deployment.name) {
            let message = format!(
                "another deployment of this model is named \"{}\"; give each its own `name`",
                deployment.name
            );
            report.problem(&own, message);
        }
        if strategy == Some(Strategy::Cost) && deployment.price.is_none() {
            let message = "has no `input_price` and `output_price`, which strategy = \"cost\" goes by";
            report.problem(&own, message);
        }
        section.finish();
        deployments.push(deployment);
    }
    deployments
}

/// `None`: wrong, and reported.
fn read_deployment(
    report: &Report<'_>,
    section: &mut Section<'_>,
    upstreams: &[Upstream],
) -> Option<Deployment> {
    let upstream = section.get("upstream", values::text);
    let name = section.get("name", values::header_value);
    let model = section.get("model", values::text);
    let weight = section.get("weight", |given| values::count(given, 1..=1_000_000));
    let priority = section.get("priority", |given| values::count(given, 1..=1_000_000));
    let region = section.get("region", values::header_value);
    let rpm = section.get("rpm", |given| values::count(given, COUNTS));
    let tpm = section.get("tpm", |given| values::count(given, COUNTS));
    let max_concurrency = section.get("max_concurrency", |given| values::count(given, 1..=1_000_000));
    let context_window = section.get("context_window", |given| values::count(given, COUNTS));
    let price = read_price(report, section);
    let Some(upstream) = upstream else {
        if !section.has("upstream") {
            report.problem(section.own(), "has no `upstream`; write the name of an [[upstream]]");
        }
        return None;
    };
    let Some(behind) = upstreams.iter().find(|one| one.name == upstream) else {
        let near = values::closest(&upstream, upstreams.iter().map(|one| one.name.as_str()));
        let remedy = near.map_or("add one".to_owned(), |near| format!("did you mean \"{near}\"?"));
        report.problem(&section.at("upstream"), format!("no [[upstream]] is named \"{upstream}\"; {remedy}"));
        return None;
    };
    let small = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
    let large = |number: Option<usize>| number.map(|number| number as u64);
    Some(Deployment {
        name: name.unwrap_or_else(|| upstream.clone()),
        model,
        weight: small(weight),
        priority: small(priority),
        region: region.or_else(|| behind.region.clone()),
        rpm: large(rpm),
        tpm: large(tpm),
        max_concurrency,
        context_window: large(context_window),
        price,
        upstream,
    })
}

fn read_price(report: &Report<'_>, section: &mut Section<'_>) -> Option<Price> {
    let dollars =
        |given: Given<'_>| values::number(given, "a price in dollars for a million tokens", 0.0..=1e6);
    let nano = |dollars: f64| NanoUsd((dollars * 1e9).round() as u64);
    let input = section.get("input_price", dollars).map(nano);
    let output = section.get("output_price", dollars).map(nano);
    if section.has("input_price") != section.has("output_price") {
        let message = "needs both `input_price` and `output_price`, in dollars for a million tokens";
        report.problem(section.own(), message);
    }
    Some(Price { input: input?, output: output? })
}

/// `[router]`, with its breaker and its rules.
pub(super) fn read_router(
    report: &Report<'_>,
    root: &mut Root<'_>,
    models: &[Model],
    upstreams: &[Upstream],
) -> Router {
    let mut section = root.section("router");
    let base = Router::default();
    let strategy = section.get("strategy", strategy);
    let retries = section.get("retries", |given| values::count(given, 0..=20));
    let backoff = section.get("backoff", |given| values::duration(given, Duration::ZERO..=MINUTE));
    let max_backoff = section.get("max_backoff", |given| values::duration(given, Duration::ZERO..=MINUTE));
    let retry_budget = section.get("retry_budget", |given| values::number(given, "a share", 0.0..=1.0));
    let queue = section.get("queue", |given| values::count(given, 0..=1_000_000));
    let queue_timeout = section.get("queue_timeout", |given| values::duration(given, MS..=HOUR));
    let hedge_after = section.get("hedge_after", |given| values::duration(given, MS..=HOUR));
    let seed = section.get("seed", |given| values::count(given, 0..=usize::MAX >> 1));
    let breaker = read_breaker(&mut section);
    let rules = read_rules(report, &mut section, models, upstreams);
    if strategy == Some(Strategy::Cost) {
        let priced = |model: &Model| {
            model.strategy.is_some_and(|own| own != Strategy::Cost)
                || model.deployments.iter().all(|one| one.price.is_some())
        };
        if models.is_empty() || !models.iter().all(priced) {
            let message = "\"cost\" goes by prices; give every deployment `input_price` and `output_price`";
            report.problem(&section.at("strategy"), message);
        }
    }
    let given = section.is_given();
    section.finish();
    Router {
        strategy: strategy.unwrap_or(base.strategy),
        retries: retries.map_or(base.retries, |retries| retries as u32),
        backoff: backoff.unwrap_or(base.backoff),
        max_backoff: max_backoff.unwrap_or(base.max_backoff),
        retry_budget: retry_budget.unwrap_or(base.retry_budget),
        queue: queue.unwrap_or(base.queue),
        queue_timeout: queue_timeout.unwrap_or(base.queue_timeout),
        hedge_after,
        breaker,
        rules,
        seed: seed.map(|seed| seed as u64),
        given,
    }
}

fn read_breaker(router: &mut Section<'_>) -> Breaker {
    let base = Breaker::default();
    let mut section = router.table("breaker", "router.breaker");
    let failures = section.get("failures", |given| values::count(given, 1..=1_000_000));
    let error_rate = section.get("error_rate", |given| values::number(given, "a share", 0.01..=1.0));
    let min_requests = section.get("min_requests", |given| values::count(given, 1..=1_000_000));
    let window = section.get("window", |given| values::duration(given, Duration::from_secs(1)..=HOUR));
    let shut_for = section.get("shut_for", |given| values::duration(given, MS..=HOUR));
    let probes = section.get("probes", |given| values::count(given, 1..=1_000));
    let slow_factor = section.get("slow_factor", |given| values::number(given, "a factor", 1.5..=1_000.0));
    section.finish();
    Breaker {
        failures: failures.map_or(base.failures, |count| count as u32),
        error_rate: error_rate.unwrap_or(base.error_rate),
        min_requests: min_requests.map_or(base.min_requests, |count| count as u32),
        window: window.unwrap_or(base.window),
        shut_for: shut_for.unwrap_or(base.shut_for),
        probes: probes.map_or(base.probes, |count| count as u32),
        slow_factor: slow_factor.unwrap_or(base.slow_factor),
    }
}

fn read_rules(
    report: &Report<'_>,
    router: &mut Section<'_>,
    models: &[Model],
    upstreams: &[Upstream],
) -> Vec<Rule> {
    let sections = router.tables("rule", "router.rule");
    let names: Vec<&str> = match models.is_empty() {
        true => upstreams.iter().map(|one| one.name.as_str()).collect(),
        false => models.iter().flat_map(|model| &model.deployments).map(|one| one.name.as_str()).collect(),
    };
    let mut rules = Vec::with_capacity(sections.len());
    for mut section in sections {
        let name = section.get("name", values::text);
        let (header, tag, model) = read_match(report, &mut section);
        let region = section.get("region", values::header_value);
        let deployments = section.get("deployments", values::texts).unwrap_or_default();
        let to = section.get("model", values::text);
        if !section.has("name") {
            report.problem(section.own(), "has no `name`; give it one, for instance name = \"europe\"");
        }
        if !["region", "deployments", "model"].iter().any(|key| section.has(key)) {
            report.problem(section.own(), "binds nothing; give it `region`, `deployments` or `model`");
        }
        let regions = match models.is_empty() {
            true => upstreams.iter().filter_map(|one| one.region.as_ref()).collect::<Vec<_>>(),
            false => models
                .iter()
                .flat_map(|model| &model.deployments)
                .filter_map(|one| one.region.as_ref())
                .collect(),
        };
        if let Some(region) = &region
            && !regions.contains(&region)
        {
            let message =
                format!("no deployment lies in region \"{region}\"; set `region` in its [[upstream]]");
            report.problem(&section.at("region"), message);
        }
        if let Some(to) = &to {
            known_model(report, models, to, &section.at("model"));
        }
        for pattern in &deployments {
            if !names.iter().any(|name| fits(pattern, name)) {
                let message =
                    format!("no deployment is named \"{pattern}\"; name those of [[model.deployment]]");
                report.problem(&section.at("deployments"), message);
            }
        }
        section.finish();
        rules.push(Rule { name: name.unwrap_or_default(), header, tag, model, region, deployments, to });
    }
    rules
}

type Pair = (String, String);

fn read_match(report: &Report<'_>, rule: &mut Section<'_>) -> (Option<Pair>, Option<Pair>, Option<String>) {
    let mut section = rule.table("match", "router.rule.match");
    let header = section.has("header").then(|| {
        let mut header = section.table("header", "router.rule.match.header");
        let pair = header.get("name", values::header_name).zip(header.get("value", values::header_value));
        if !(header.has("name") && header.has("value")) {
            report
                .problem(header.own(), "needs both, for instance { name = \"x-team\", value = \"support\" }");
        }
        header.finish();
        pair
    });
    let tag = section.get("tag", |given| {
        let text = values::text(given)?;
        let pair =
            text.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| format!("\"{text}\" is not a tag; write for instance \"cohort=beta\""))
    });
    let model = section.get("model", values::pattern);
    section.finish();
    (header.flatten(), tag, model)
}
