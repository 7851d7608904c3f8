//! Which roads a request may take: its model, what it is bound to, and how long it is.

use super::asked::{self, Tokens};
use super::fleet::Fleet;
use super::road::Need;
use crate::base::digest::{Parts, Scope};
use crate::base::fault::{Fault, Kind};
use crate::config::fits;
use crate::config::routing::Rule;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::Arc;

/// The models by their names.
pub struct Catalogue {
    pub fleets: Vec<Arc<Fleet>>,
    exact: HashMap<String, usize, ahash::RandomState>,
    /// Prefixes without their `*`, the longest first.
    prefixes: Vec<(String, usize)>,
}

impl Catalogue {
    pub fn new(fleets: Vec<Arc<Fleet>>) -> Catalogue {
        let mut exact = HashMap::default();
        let mut prefixes = Vec::new();
        for (at, fleet) in fleets.iter().enumerate() {
            for name in std::iter::once(&fleet.model.name).chain(&fleet.model.aliases) {
                match name.strip_suffix('*') {
                    Some(prefix) => prefixes.push((prefix.to_owned(), at)),
                    None => {
                        exact.entry(name.clone()).or_insert(at);
                    }
                }
            }
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Catalogue { fleets, exact, prefixes }
    }

    /// The exact name or alias, else the longest prefix.
    pub fn find(&self, name: &str) -> Option<&Arc<Fleet>> {
        let by_prefix =
            || self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, at)| *at);
        self.fleets.get(self.exact.get(name).copied().or_else(by_prefix)?)
    }

    /// Whether some model takes names that are not listed.
    pub fn has_wildcard(&self) -> bool {
        !self.prefixes.is_empty()
    }

    /// What a client may ask for by name, in the config's order.
    pub fn names(&self) -> Vec<&str> {
        let models = self.fleets.iter().map(|fleet| &fleet.model);
        let names = models.flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
        names.map(String::as_str).filter(|name| !name.ends_with('*')).collect()
    }
}

/// What a request is bound to, by its own headers and by the first rule that matches. Part of the
/// request's keys: answers are not shared across what it divides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    pub region: Option<String>,
    deployments: Vec<String>,
    /// Another model in place of the one asked for.
    pub to: Option<String>,
}

impl Binding {
    /// The header by which clients bind themselves.
    pub const REGION: &str = asked::REGION;

    /// Costs a header look-up, and a few comparisons a rule.
    ///
    /// # Errors
    /// `InvalidHeader` where the client asks for another region than the rule binds it to.
    pub fn of(rules: &[Rule], model: Option<&str>, headers: &HeaderMap) -> Result<Binding, Fault> {
        let own = asked::region(headers)?;
        let Some(rule) = rules.iter().find(|rule| matches(rule, model, headers)) else {
            return Ok(Binding { region: own.map(str::to_owned), ..Binding::default() });
        };
        if let (Some(own), Some(bound)) = (own, rule.region.as_deref())
            && own != bound
        {
            let message = format!(
                "x-reprise-region asks for {own}, but rule \"{}\" binds the request to {bound}; leave the header out",
                rule.name
            );
            return Err(Fault::new(Kind::InvalidHeader, message));
        }
        Ok(Binding {
            region: own.or(rule.region.as_deref()).map(str::to_owned),
            deployments: rule.deployments.clone(),
            to: rule.to.clone(),
        })
    }

    /// The scope, divided by what this binds to; the scope itself where that is nothing.
    pub fn within(&self, scope: Scope) -> Scope {
        let Binding { region, deployments, to } = self;
        if region.is_none() && deployments.is_empty() && to.is_none() {
            return scope;
        }
        let mut parts = Parts::new("reprise-bound-1");
        parts.part("scope", &scope.0);
        region.iter().for_each(|region| {
            parts.part("region", region.as_bytes());
        });
        deployments.iter().for_each(|pattern| {
            parts.part("deployment", pattern.as_bytes());
        });
        to.iter().for_each(|model| {
            parts.part("model", model.as_bytes());
        });
        parts.finish()
    }

    fn allows(&self, name: &str, region: Option<&str>) -> bool {
        let here = self.region.as_deref().is_none_or(|bound| region == Some(bound));
        here && (self.deployments.is_empty() || self.deployments.iter().any(|pattern| fits(pattern, name)))
    }
}

fn matches(rule: &Rule, model: Option<&str>, headers: &HeaderMap) -> bool {
    let header = rule.header.as_ref().is_none_or(|(name, value)| {
        headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
    });
    let tag = rule.tag.as_ref().is_none_or(|(name, value)| asked::has_tag(headers, (name, value)));
    let of_model =
        rule.model.as_deref().is_none_or(|pattern| model.is_some_and(|model| fits(pattern, model)));
    header && tag && of_model
}

/// Why none of a model's roads may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoad {
    /// None lies where the request is bound to.
    Bound,
    /// Every declared context window is smaller than the request; the largest of them.
    TooLong { largest: u64 },
}

/// The roads of a model that a request may take, by place. Where some take it by any estimate, only
/// those; where it may just fit, those that might; what certainly does not fit is refused.
pub fn roads(fleet: &Fleet, binding: &Binding, tokens: Tokens, output: u64) -> Result<Vec<usize>, NoRoad> {
    let bound: Vec<usize> = (0..fleet.roads.len())
        .filter(|at| {
            let settings = &fleet.roads[*at].settings;
            binding.allows(&settings.name, settings.region.as_deref())
        })
        .collect();
    if bound.is_empty() {
        return Err(NoRoad::Bound);
    }
    let window = |at: &usize| fleet.roads[*at].settings.context_window.unwrap_or(u64::MAX);
    let fits = |input: u64| move |at: &usize| input.saturating_add(output) <= window(at);
    if bound.iter().all(fits(tokens.likely)) {
        return Ok(bound);
    }
    let takes = |input: u64| bound.iter().copied().filter(fits(input)).collect::<Vec<usize>>();
    let surely = takes(tokens.likely);
    if !surely.is_empty() {
        return Ok(surely);
    }
    let perhaps = takes(tokens.least);
    match perhaps.is_empty() {
        false => Ok(perhaps),
        true => Err(NoRoad::TooLong { largest: bound.iter().map(window).max().unwrap_or(0) }),
    }
}

impl Fleet {
    /// Whether anything here depends on how long a request is.
    pub fn counts_tokens(&self) -> bool {
        self.roads.iter().any(|road| {
            let settings = &road.settings;
            settings.context_window.is_some() || settings.tpm.is_some() || settings.price.is_some()
        })
    }

    pub fn need(&self, tokens: Tokens, output: u64) -> Need {
        if self.counts_tokens() { Need { input: tokens.likely, output } } else { Need::default() }
    }
}
