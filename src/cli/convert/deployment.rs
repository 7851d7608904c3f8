//! One entry of LiteLLM's `model_list`.

use super::provider::{self, Provider};
use super::write::{Deployment, Upstream};
use super::yaml::{Notes, Place, Section};
use crate::config::Kind;
use url::Url;

/// What LiteLLM's variables are written as.
const VARIABLE: &str = "os.environ/";

/// An entry that is carried.
pub(super) struct Entry {
    pub model: String,
    pub deployment: Deployment,
    /// Without its name yet.
    pub upstream: Upstream,
    /// What its upstream is called after.
    pub provider: &'static str,
    /// By what LiteLLM weighs it where there is no weight.
    pub weighed_by: Option<u64>,
}

/// Reads an entry; `None` where it cannot be carried, which is noted.
pub(super) fn read(place: Place<'_>, notes: &mut Notes) -> Option<Entry> {
    let (line, key) = (place.line, place.key.clone());
    let mut entry = place.section(notes)?;
    let name = entry.text("model_name", notes);
    let params = entry.take("litellm_params").and_then(|params| params.section(notes));
    let (Some(name), Some(mut params)) = (name, params) else {
        notes.add(line, key, "has no model_name or no litellm_params; left out");
        return None;
    };
    let info = entry.take("model_info").and_then(|info| info.section(notes));
    let given = params.text("model", notes)?;
    let custom = params.text("custom_llm_provider", notes);
    let (provider, model) = match provider::of(&given, custom.as_deref()) {
        Ok(found) => found,
        Err(other) => {
            let why = format!("the provider {other} speaks no API that is served here; left out");
            notes.add(params.line, format!("{}.model", params.key), why);
            return None;
        }
    };
    if !fits(&name, model, notes, &params) {
        return None;
    }
    let upstream = upstream(provider, &mut params, notes)?;
    let mut deployment = Deployment {
        model: (model != name).then(|| model.to_owned()),
        weight: params.count("weight", notes),
        priority: params.count("order", notes),
        region: params.text("region_name", notes),
        max_concurrency: params.count("max_parallel_requests", notes),
        ..Deployment::default()
    };
    // LiteLLM reads both beside the parameters too.
    deployment.rpm = params.count("rpm", notes).or_else(|| entry.count("rpm", notes));
    deployment.tpm = params.count("tpm", notes).or_else(|| entry.count("tpm", notes));
    read_info(info, &mut params, &mut deployment, notes);
    // `stream_timeout` too: our limit to the first byte holds for plain answers as well.
    for (_, place) in params.rest().into_iter().chain(entry.rest()) {
        notes.of(&place, "has no counterpart here; not carried");
    }
    let weighed_by = deployment.rpm.or(deployment.tpm);
    Some(Entry { model: name, deployment, upstream, provider: provider.prefix, weighed_by })
}

/// Whether a wildcard means the same here: one at the end of the name, and one at the end of the model there.
fn fits(name: &str, model: &str, notes: &mut Notes, params: &Section<'_>) -> bool {
    let stars = |text: &str| (text.ends_with('*'), text.matches('*').count());
    let carried = matches!((stars(name), stars(model)), ((false, 0), (false, 0)) | ((true, 1), (true, 1)));
    if !carried {
        let why = format!(
            "wildcards stand at the end of both names here, which \"{name}\" and \"{model}\" do not; left out"
        );
        notes.add(params.line, format!("{}.model", params.key), why);
        return false;
    }
    true
}

fn upstream(provider: &Provider, params: &mut Section<'_>, notes: &mut Notes) -> Option<Upstream> {
    let base = params.take("api_base").or_else(|| params.take("base_url"));
    let line = params.line;
    let key = format!("{}.api_base", params.key);
    let url = match (base, provider.url) {
        (Some(base), _) => address(provider.kind, &base, notes)?,
        (None, Some(url)) => url.to_owned(),
        (None, None) => {
            notes.add(line, key, format!("{} needs one; left out", provider.prefix));
            return None;
        }
    };
    let api_version = params.take("api_version");
    let version = api_version.as_ref().and_then(|place| place.text(notes));
    let version = match (provider.kind, version) {
        (Kind::AzureOpenAi, Some(version)) if version.starts_with(VARIABLE) => {
            notes.add(
                line,
                format!("{}.api_version", params.key),
                "cannot come from a variable; write it into `api_version`",
            );
            None
        }
        (Kind::AzureOpenAi, None) => {
            notes.add(
                line,
                format!("{}.api_version", params.key),
                "is absent; Azure's v1 API is asked, which needs none",
            );
            None
        }
        (Kind::AzureOpenAi, version) => version,
        (_, Some(_)) => {
            notes.add(
                line,
                format!("{}.api_version", params.key),
                "has no counterpart for this provider; not carried",
            );
            None
        }
        (_, None) => None,
    };
    Some(Upstream {
        name: String::new(),
        kind: provider.kind,
        url,
        key: secret(provider, params, notes),
        api_version: version,
        total_timeout: params.number("timeout", notes).filter(|seconds| *seconds > 0.0),
    })
}

/// LiteLLM's `api_base` as our `url`, which has no `/v1`.
fn address(kind: Kind, base: &Place<'_>, notes: &mut Notes) -> Option<String> {
    let text = base.text(notes)?;
    if text.starts_with(VARIABLE) {
        notes.of(base, "an address cannot come from a variable; write it into `url`");
        return Some(text);
    }
    let Ok(url) = Url::parse(&text) else {
        notes.of(base, "is not a URL; correct it in `url`");
        return Some(text);
    };
    let text = text.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
    if kind == Kind::AzureOpenAi {
        let cut = text.find("/openai").unwrap_or(text.len());
        return Some(text[..cut].to_owned());
    }
    let text = text.strip_suffix("/chat/completions").unwrap_or(&text);
    if let Some(shorter) = text.strip_suffix("/v1") {
        return Some(shorter.to_owned());
    }
    if kind == Kind::OpenAi && !url.path().trim_end_matches('/').is_empty() {
        notes.of(
            base,
            format!("requests go to {text}/v1/…, where LiteLLM adds no /v1; look whether it answers there"),
        );
    }
    Some(text.to_owned())
}

/// The key as a reference, never itself.
fn secret(provider: &Provider, params: &mut Section<'_>, notes: &mut Notes) -> Option<String> {
    let by_default = provider.variable.map(|variable| format!("env:{variable}"));
    let Some(place) = params.take("api_key") else { return by_default };
    let text = place.text(notes)?;
    if let Some(variable) = text.strip_prefix(VARIABLE) {
        return Some(format!("env:{variable}"));
    }
    match by_default {
        Some(reference) => {
            notes.of(&place, format!("a key is written out; put it where `key` = \"{reference}\" finds it"));
            Some(reference)
        }
        None => {
            notes.of(
                &place,
                "a key is written out; put it into a variable and set `key`, else the clients' own goes on",
            );
            None
        }
    }
}

fn read_info(info: Option<Section<'_>>, params: &mut Section<'_>, into: &mut Deployment, notes: &mut Notes) {
    let mut price = |name: &str, section: &mut Section<'_>| section.number(name, notes);
    let mut input = price("input_cost_per_token", params);
    let mut output = price("output_cost_per_token", params);
    let Some(mut info) = info else {
        into.price = millions(input, output);
        return;
    };
    input = input.or_else(|| price("input_cost_per_token", &mut info));
    output = output.or_else(|| price("output_cost_per_token", &mut info));
    into.price = millions(input, output);
    into.context_window = info.count("max_input_tokens", notes);
    into.name = info.text("id", notes);
    for (name, place) in info.rest() {
        // What LiteLLM's own pages show, and what it tells of models that it knows.
        let shown =
            name.starts_with("supports_") || matches!(name.as_str(), "mode" | "base_model" | "description");
        if !shown {
            notes.of(&place, "has no counterpart here; not carried");
        }
    }
}

/// Dollars for a million tokens, to a thousandth of a cent's thousandth.
fn millions(input: Option<f64>, output: Option<f64>) -> Option<(f64, f64)> {
    let million = |price: f64| (price * 1e12).round() / 1e6;
    Some((million(input?), million(output?)))
}
