//! One cacheable request, from its body to its keys.

use super::Gateway;
use super::Settings;
use super::directives::Directives;
use super::trust::Watch;
use crate::accounts::Tab;
use crate::base::digest::{Credential, ExactKey, Parts, Scope};
use crate::base::fault::Fault;
use crate::cache::admit::Terms;
use crate::cache::{Demand, Lookup};
use crate::canon::{Bypass, Canon, Circumstances, Outline, canon, embedding_keys, outline_of};
use crate::config::{CacheMode, Policy, SemanticMode};
use crate::upstream::{Outgoing, OutgoingBody};
use crate::wire::Dialect;
use crate::wire::request::{self, EmbeddingRequest, Form, Request};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::sync::Arc;
use std::time::Duration;

/// A chat or text completion on its way through the cache.
pub struct Visit {
    pub settings: Arc<Settings>,
    /// Which of the config's policies applies; an index, so that the visit owns what it needs.
    pub route: Option<usize>,
    pub dialect: Dialect,
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    /// The client's own bytes: what is forwarded on a miss.
    pub body: Bytes,
    pub wishes: Directives,
    pub caller: Credential,
    pub scope: Scope,
    pub model: Box<str>,
    pub form: Form,
    pub canon: Canon,
    pub tab: Tab,
}

/// An embedding request, likewise, with a key for each input.
pub struct EmbeddingVisit {
    pub settings: Arc<Settings>,
    pub route: Option<usize>,
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub wishes: Directives,
    pub caller: Credential,
    pub scope: Scope,
    pub request: EmbeddingRequest,
    /// One for each input, in order.
    pub keys: Vec<ExactKey>,
    /// Of the whole batch: what a flight goes by.
    pub whole: ExactKey,
    pub tab: Tab,
}

/// A request that the cache stands aside for.
pub struct Aside {
    pub outgoing: Outgoing,
    pub why: Bypass,
    pub show: bool,
    pub dialect: Dialect,
    pub tab: Tab,
}

/// Whether a request counts in the rate and the budget of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Yes,
    No,
}

/// What is to be done with a request.
pub enum Considered {
    Chat(Box<Visit>),
    Embedding(Box<EmbeddingVisit>),
    Bypass(Box<Aside>),
}

impl Considered {
    pub fn tab(&self) -> &Tab {
        match self {
            Considered::Chat(visit) => &visit.tab,
            Considered::Embedding(visit) => &visit.tab,
            Considered::Bypass(aside) => &aside.tab,
        }
    }
}

impl Visit {
    pub fn policy(&self) -> &Policy {
        self.settings.config.policy_of(self.route)
    }

    /// The evidence about this route's hits, where any is gathered.
    pub fn watch(&self) -> Option<&Arc<Watch>> {
        self.settings.watches.of(self.route)
    }

    pub fn demand(&self) -> Demand {
        Demand { form: self.form, max_age: self.wishes.max_age, min_fresh: self.wishes.min_fresh }
    }

    pub fn lookup(&self) -> Lookup<'_> {
        let policy = &self.policy().semantic;
        let (mut threshold, mut floor) = (self.wishes.threshold.or(policy.threshold), None);
        if let Some(watch) = self.watch() {
            threshold = watch.held_to(self.wishes.threshold).or(threshold);
            floor = Some(watch.floor());
        }
        Lookup { canon: &self.canon, demand: self.demand(), threshold, verify: policy.verify, floor }
    }

    pub fn terms(&self) -> Terms {
        terms(self.policy(), &self.wishes, self.scope, &self.model)
    }

    /// Whether the client and the route let anything of it be kept.
    pub fn may_be_kept(&self) -> bool {
        !ttl(self.policy(), &self.wishes).is_zero()
    }

    /// What is needed to outline the context later; the body and the target are shared, not copied.
    pub fn sketch(&self) -> Sketch {
        let shaping = key_headers(&self.headers, &self.settings.config.cache.key_headers);
        let headers = shaping.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (target, body) = (self.target.clone(), self.body.clone());
        Sketch { scope: self.scope, dialect: self.dialect, target, headers, body }
    }
}

/// A request that its outline may be drawn from.
#[derive(Debug)]
pub struct Sketch {
    scope: Scope,
    dialect: Dialect,
    target: PathAndQuery,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Sketch {
    /// Reads the body once more. `None` only for a body that could not be read before either.
    pub fn outline(&self) -> Option<Outline> {
        let request = request::read(self.dialect, &self.body).ok()?;
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        Some(outline_of(
            &request,
            &self.body,
            &circumstances(self.scope, self.dialect, &self.target, &headers),
        ))
    }
}

impl EmbeddingVisit {
    pub fn policy(&self) -> &Policy {
        self.settings.config.policy_of(self.route)
    }

    pub fn terms(&self) -> Terms {
        terms(self.policy(), &self.wishes, self.scope, &self.request.model)
    }
}

fn ttl(policy: &Policy, wishes: &Directives) -> Duration {
    wishes.ttl.unwrap_or(policy.ttl)
}

fn terms(policy: &Policy, wishes: &Directives, scope: Scope, model: &str) -> Terms {
    Terms {
        scope,
        namespace: wishes.namespace.as_deref().map(Box::from),
        model: model.into(),
        tags: wishes.tags.clone(),
        ttl: ttl(policy, wishes),
        keep_truncated: policy.keep_truncated,
    }
}

impl Gateway {
    /// Reads a request that nobody makes, but asks or says something about: nothing of it is booked.
    pub(super) fn look_only(
        &self,
        dialect: Dialect,
        target: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Considered, Fault> {
        let considered =
            self.visit(self.settings.load_full(), dialect, target, headers, body, Counts::Yes)?;
        considered.tab().void();
        Ok(considered)
    }

    /// As `look_only`, for a request that somebody brings along: the key's rate and budget do not stand in its way
    /// either.
    pub(super) fn bring(
        &self,
        dialect: Dialect,
        target: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Considered, Fault> {
        self.visit(self.settings.load_full(), dialect, target, headers, body, Counts::No)
    }

    /// Reads a request as far as the cache needs it. `Err`: a header of ours that cannot be understood.
    pub(super) fn visit(
        &self,
        settings: Arc<Settings>,
        dialect: Dialect,
        target: PathAndQuery,
        mut headers: HeaderMap,
        body: Bytes,
        counts: Counts,
    ) -> Result<Considered, Fault> {
        let who = self.accounts.admit(&mut headers)?;
        let mut wishes = Directives::read(&headers)?;
        wishes.threshold = wishes.threshold.or(who.threshold());
        wishes.ttl = wishes.ttl.or(who.ttl());
        let read = request::read(dialect, &body);
        let model = read.as_ref().ok().map(|request| request.model());
        let binding = settings.upstream.bind(model, &headers)?;
        let config = &settings.config;
        let callers = &config.accounts.callers;
        let route = config.route_for(
            target.path(),
            model,
            |name| headers.get(name)?.to_str().ok(),
            || who.name(callers),
        );
        let policy = config.policy_of(route);
        let show = policy.headers;
        let mode =
            if policy.mode == CacheMode::Off { CacheMode::Off } else { wishes.mode.unwrap_or(policy.mode) };
        let mode = who.at_most(mode);
        let (caller, asked) = (who.caller, model.unwrap_or_default());
        who.may_ask(asked)?;
        let tab = match counts {
            Counts::Yes => self.accounts.open_tab(&who, dialect.word(), asked, &wishes.tags)?,
            Counts::No => self.accounts.blank_tab(),
        };
        let aside = |headers, body, why, tab| {
            let body = OutgoingBody::Whole(body);
            let outgoing = Outgoing { method: Method::POST, target: target.clone(), headers, body };
            Ok(Considered::Bypass(Box::new(Aside { outgoing, why, show, dialect, tab })))
        };
        if let Some(why) = stands_aside(dialect, policy, mode, &wishes) {
            return aside(headers, body, why, tab);
        }
        let Ok(request) = read else { return aside(headers, body, Bypass::Unreadable, tab) };
        let scope = self.accounts.scope(&who, policy.scope, wishes.namespace.as_deref());
        let scope = binding.map_or(scope, |binding| binding.within(scope));
        let shaping = key_headers(&headers, &config.cache.key_headers);
        let around = circumstances(scope, dialect, &target, &shaping);
        match request {
            Request::Embedding(request) => {
                let keys = embedding_keys(&request, &body, &around);
                if keys.is_empty() {
                    return aside(headers, body, Bypass::NoInput, tab);
                }
                let mut whole = Parts::new("reprise-batch-1");
                for key in &keys {
                    whole.part("input", &key.0);
                }
                let whole = whole.finish();
                let visit = EmbeddingVisit {
                    settings,
                    route,
                    target,
                    headers,
                    body,
                    wishes,
                    caller,
                    scope,
                    request,
                    keys,
                    whole,
                    tab,
                };
                Ok(Considered::Embedding(Box::new(visit)))
            }
            request => {
                let fuzzy = if mode != CacheMode::Semantic {
                    Err(Bypass::ExactOnly)
                } else if policy.semantic.mode == SemanticMode::Off {
                    Err(Bypass::SemanticOff)
                } else {
                    Ok(&policy.semantic.fuzzy)
                };
                let canon = canon(&request, &body, &around, fuzzy);
                drop(shaping);
                let (model, form) = (request.model().into(), request.form());
                Ok(Considered::Chat(Box::new(Visit {
                    settings,
                    route,
                    dialect,
                    target,
                    headers,
                    body,
                    wishes,
                    caller,
                    scope,
                    model,
                    form,
                    canon,
                    tab,
                })))
            }
        }
    }
}

/// Why the whole cache stands aside, if it does.
fn stands_aside(dialect: Dialect, policy: &Policy, mode: CacheMode, wishes: &Directives) -> Option<Bypass> {
    if matches!(dialect, Dialect::Responses | Dialect::Messages) {
        Some(Bypass::DialectUnread)
    } else if policy.mode == CacheMode::Off {
        Some(Bypass::RouteOff)
    } else if wishes.mode == Some(CacheMode::Off) {
        Some(Bypass::ClientOff)
    } else if mode == CacheMode::Off {
        // By the caller's key.
        Some(Bypass::RouteOff)
    } else if wishes.no_store {
        Some(Bypass::ClientNoStore)
    } else {
        None
    }
}

fn circumstances<'a>(
    scope: Scope,
    dialect: Dialect,
    target: &'a PathAndQuery,
    headers: &'a [(&'a str, &'a [u8])],
) -> Circumstances<'a> {
    Circumstances { scope, dialect, path_and_query: target.as_str(), headers }
}

/// The headers that shape the answer, in the order of `names`, which is sorted.
fn key_headers<'a>(headers: &'a HeaderMap, names: &[String]) -> Vec<(&'a str, &'a [u8])> {
    let shapes = |name: &str| names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
    let mut shaping: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| shapes(name))
        .collect();
    // Stable: the values of one name stay in their order.
    shaping.sort_by_key(|(name, _)| *name);
    shaping
}
