//! `[[route]]`: requests that are treated in another way.

use super::{Policy, fits};

/// `[[route]]`: which requests, and the policy they get (already merged with `[cache]`, `[semantic]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub name: String,
    pub matches: RouteMatch,
    pub policy: Policy,
}

/// All that are given must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteMatch {
    /// The exact path, or a prefix that ends in `*`.
    pub path: Option<String>,
    /// The exact model name, or a prefix that ends in `*`.
    pub model: Option<String>,
    /// Lower-case header name, and its exact value.
    pub header: Option<(String, String)>,
    /// The exact name of a virtual key or of a `[[caller]]`, or a prefix that ends in `*`.
    pub key: Option<String>,
}

impl RouteMatch {
    pub(super) fn matches<'h>(
        &self,
        path: &str,
        model: Option<&str>,
        header: impl Fn(&str) -> Option<&'h str>,
        key: impl Fn() -> Option<&'h str>,
    ) -> bool {
        let path_fits = self.path.as_deref().is_none_or(|pattern| fits(pattern, path));
        let model_fits =
            self.model.as_deref().is_none_or(|pattern| model.is_some_and(|model| fits(pattern, model)));
        path_fits
            && model_fits
            && self.header.as_ref().is_none_or(|(name, value)| header(name) == Some(value.as_str()))
            && self.key.as_deref().is_none_or(|pattern| key().is_some_and(|key| fits(pattern, key)))
    }

    /// Whether every request that `other` matches is matched by this one too.
    pub(super) fn covers(&self, other: &RouteMatch) -> bool {
        let wider = |mine: &Option<String>, other: &Option<String>| match (mine, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(other)) => mine == other || (mine.ends_with('*') && fits(mine, other)),
        };
        wider(&self.path, &other.path)
            && wider(&self.model, &other.model)
            && wider(&self.key, &other.key)
            && (self.header.is_none() || self.header == other.header)
    }
}
