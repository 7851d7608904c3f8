//! LiteLLM's `config.yaml`, section by section.

use super::Converted;
use super::deployment::{self, Entry};
use super::write::{Deployment, Fleet, Model, Upstream};
use super::yaml::{self, Notes, Place, Section};
use std::collections::BTreeSet;

/// Sections that are no part of routing, and where their like is here.
const ELSEWHERE: [(&str, &str); 3] = [
    ("general_settings", "keys, budgets and the database are set up anew here"),
    ("environment_variables", "set them where reprise is started"),
    ("guardrails", "there are none here"),
];

pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let documents = yaml::load(text)?;
    let mut notes = Notes::default();
    let root = documents.first().map(|node| Place { key: String::new(), line: 1, node });
    let mut root =
        root.and_then(|root| root.section(&mut notes)).ok_or_else(|| "1: is no mapping".to_owned())?;
    let list = root.take("model_list");
    let list = list.ok_or_else(|| "1: has no model_list; give LiteLLM's config.yaml".to_owned())?;
    let mut fleet = Fleet::default();
    let mut entries = Vec::new();
    for place in list.items(&mut notes) {
        entries.extend(deployment::read(place, &mut notes));
    }
    complete(&mut entries);
    let router = root.take("router_settings").and_then(|place| place.section(&mut notes));
    let general = root.take("litellm_settings").and_then(|place| place.section(&mut notes));
    let mut sections: Vec<Section<'_>> = router.into_iter().chain(general).collect();
    let timeout = timeout(&mut sections, &mut notes);
    for mut entry in entries {
        entry.upstream.total_timeout = entry.upstream.total_timeout.or(timeout);
        settle(entry, &mut fleet);
    }
    route(&mut sections, &mut fleet, &mut notes);
    fall_back(&mut sections, &mut fleet, &mut notes);
    for (_, place) in sections.into_iter().flat_map(Section::rest) {
        notes.of(&place, "has no counterpart here; not carried");
    }
    for (name, place) in root.rest() {
        let elsewhere = ELSEWHERE.iter().find(|(section, _)| *section == name);
        notes.of(&place, elsewhere.map_or("has no counterpart here; not carried", |(_, where_to)| where_to));
    }
    notes.0.sort();
    Ok(Converted { toml: fleet.toml(), notes: notes.0 })
}

/// What LiteLLM makes of what the deployments of one model leave out. Where none has a weight and the
/// first has a limit, they are weighed by their requests or tokens a minute; one without an `order` comes
/// after those that have one.
fn complete(entries: &mut [Entry]) {
    let names: BTreeSet<String> = entries.iter().map(|entry| entry.model.clone()).collect();
    for name in names {
        let mut all: Vec<&mut Entry> = entries.iter_mut().filter(|entry| entry.model == name).collect();
        let weighed = all.iter().any(|entry| entry.deployment.weight.is_some());
        let by_limit =
            all.len() > 1 && !weighed && all.first().is_some_and(|entry| entry.weighed_by.is_some());
        let last = all.iter().filter_map(|entry| entry.deployment.priority).max();
        for entry in &mut all {
            if by_limit {
                entry.deployment.weight = Some(entry.weighed_by.unwrap_or(1).clamp(1, 1_000_000));
            }
            let after = last.map(|last| last.saturating_add(1));
            entry.deployment.priority = entry.deployment.priority.or(after);
        }
    }
}

/// The time limit for all, in seconds.
fn timeout(sections: &mut [Section<'_>], notes: &mut Notes) -> Option<f64> {
    let mut found = None;
    for section in sections {
        for name in ["timeout", "request_timeout"] {
            found = found.or(section.number(name, notes));
        }
    }
    found.filter(|seconds| *seconds > 0.0)
}

/// Puts an entry where it belongs: its upstream among those that agree with it, its deployment into its
/// model.
fn settle(entry: Entry, fleet: &mut Fleet) {
    let Entry { model, mut deployment, upstream, provider, .. } = entry;
    let same = |known: &&Upstream| Upstream { name: String::new(), ..(*known).clone() } == upstream;
    deployment.upstream = match fleet.upstreams.iter().find(same) {
        Some(known) => known.name.clone(),
        None => {
            let taken = |name: &str| fleet.upstreams.iter().any(|known| known.name == name);
            let name = free(provider, &taken);
            fleet.upstreams.push(Upstream { name: name.clone(), ..upstream });
            name
        }
    };
    let at = fleet.models.iter().position(|known| known.name == model).unwrap_or_else(|| {
        fleet.models.push(Model { name: model, ..Model::default() });
        fleet.models.len() - 1
    });
    let deployments = &mut fleet.models[at].deployments;
    let taken = |name: &str| deployments.iter().any(|known| shown(known) == name);
    if taken(shown(&deployment)) {
        deployment.name = Some(free(shown(&deployment), &taken));
    }
    deployments.push(deployment);
}

fn shown(deployment: &Deployment) -> &str {
    deployment.name.as_deref().unwrap_or(&deployment.upstream)
}

/// The name, or with the first number from 2 on that is free.
fn free(name: &str, taken: &dyn Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let numbered = |number: usize| format!("{name}-{number}");
    (2..).map(numbered).find(|name| !taken(name)).unwrap_or_else(|| numbered(0))
}

fn route(sections: &mut [Section<'_>], fleet: &mut Fleet, notes: &mut Notes) {
    for section in sections {
        if let Some(place) = section.take("routing_strategy") {
            let given = place.text(notes).unwrap_or_default();
            let strategy = match given.as_str() {
                "simple-shuffle" => Some("shuffle"),
                "least-busy" => Some("least-busy"),
                "latency-based-routing" => Some("latency"),
                "usage-based-routing" | "usage-based-routing-v2" => Some("usage"),
                "cost-based-routing" => Some("cost"),
                _ => None,
            };
            match strategy {
                None => notes.of(&place, "is no strategy here; shuffle is used"),
                Some("cost") if !priced(fleet) => notes.of(
                    &place,
                    "goes by prices; give every deployment input_price and output_price, then set strategy = \"cost\"",
                ),
                strategy => fleet.router.strategy = strategy,
            }
        }
        if let Some(place) = section.take("num_retries")
            && let Some(retries) = place.number(notes)
        {
            fleet.router.retries = fleet.router.retries.or(Some(retries as u64));
        }
        if let Some(place) = section.take("allowed_fails")
            && let Some(fails) = place.number(notes)
        {
            // There one more than these within a minute sets a deployment aside, here so many in a row.
            fleet.router.failures = Some(fails as u64 + 1);
        }
        fleet.router.shut_for = section.number("cooldown_time", notes).or(fleet.router.shut_for);
        if let Some(aliases) = section.take("model_group_alias").and_then(|place| place.section(notes)) {
            name_again(aliases, fleet, notes);
        }
        // A request that is too long is never sent here in any case.
        let _ = section.take("enable_pre_call_checks");
    }
}

fn priced(fleet: &Fleet) -> bool {
    fleet.models.iter().flat_map(|model| &model.deployments).all(|one| one.price.is_some())
}

fn name_again(aliases: Section<'_>, fleet: &mut Fleet, notes: &mut Notes) {
    for (alias, place) in aliases.rest() {
        let taken = fleet.models.iter().any(|model| model.name == alias || model.aliases.contains(&alias));
        let to = place.text(&mut Notes::default()).or_else(|| {
            let mapping = Place { key: place.key.clone(), ..place };
            mapping.section(&mut Notes::default())?.text("model", notes)
        });
        match to.and_then(|to| fleet.models.iter_mut().find(|model| model.name == to)) {
            _ if taken => notes.of(&place, "is the name of a model already; not carried"),
            Some(model) => model.aliases.push(alias),
            None => notes.of(&place, "names no model that is carried; not carried"),
        }
    }
}

/// Which of a model's chains a setting fills.
type Chain = fn(&mut Model) -> &mut Vec<String>;

fn fall_back(sections: &mut [Section<'_>], fleet: &mut Fleet, notes: &mut Notes) {
    let chains: [(&str, Chain); 3] = [
        ("fallbacks", |model| &mut model.fallback),
        ("context_window_fallbacks", |model| &mut model.fallback_context_window),
        ("content_policy_fallbacks", |model| &mut model.fallback_content_policy),
    ];
    for section in sections.iter_mut() {
        for (name, chain) in chains {
            for item in section.take(name).map(|place| place.items(notes)).unwrap_or_default() {
                for (model, place) in item.section(notes).map(Section::rest).unwrap_or_default() {
                    let names = known(&place, fleet, notes);
                    match fleet.models.iter_mut().find(|known| known.name == model) {
                        Some(model) => *chain(model) = names,
                        None => notes.of(&place, "is of no model that is carried; not carried"),
                    }
                }
            }
        }
    }
    for section in sections {
        let Some(place) = section.take("default_fallbacks") else { continue };
        let names = known(&place, fleet, notes);
        for model in fleet.models.iter_mut().filter(|model| model.fallback.is_empty()) {
            model.fallback = names.iter().filter(|name| **name != model.name).cloned().collect();
        }
    }
}

/// The models of a list that are carried; the others are noted.
fn known(place: &Place<'_>, fleet: &Fleet, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for item in (Place { key: place.key.clone(), ..*place }).items(notes) {
        let Some(name) = item.text(notes) else { continue };
        let carried = fleet.models.iter().any(|model| {
            model.name == name
                || model.aliases.contains(&name)
                || model.name.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
        });
        if carried {
            names.push(name);
        } else {
            notes.of(&item, format!("\"{name}\" is no model that is carried; left out"));
        }
    }
    names
}
