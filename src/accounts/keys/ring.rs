//! Every key that is known, and who is let in.

use super::meter::Meter;
use super::store::Stored;
use crate::accounts::row::Tag;
use crate::base::clock::{Clock, Millis};
use crate::base::digest::{Credential, Parts};
use crate::base::fault::{Fault, Kind};
use crate::config::CacheMode;
use crate::config::accounts::Caller;
use crate::config::keys::{Grant, Keys};
use ahash::AHashMap;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::Duration;

/// What a key begins with that we made.
pub const PREFIX: &str = "rpk-";

/// Headers that a client may put its key in.
const HEADERS: [HeaderName; 4] = [
    http::header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// One virtual key, as requests see it.
#[derive(Debug)]
pub struct Key {
    pub id: Arc<str>,
    pub team: Option<Arc<str>>,
    pub tags: Vec<Tag>,
    pub grant: Grant,
    pub meter: Arc<Meter>,
    /// Its name among replicas, which know it by its id: 64 hex digits.
    pub digest: Arc<str>,
    /// Stands for it where a client's own credential would stand; the same on every replica that knows the key
    /// by this id, and after every restart.
    pub caller: Credential,
    disabled: bool,
    expires: Option<u64>,
}

impl Key {
    /// Why it does not open now; `None` where it does.
    pub fn stopped(&self, now: Millis) -> Option<&'static str> {
        match () {
            () if self.disabled => Some("disabled"),
            () if self.expires.is_some_and(|at| now.0 >= at) => Some("expired"),
            () => None,
        }
    }
}

/// Who was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub caller: Credential,
    /// `None`: transparent, with a credential of its own.
    pub key: Option<Arc<Key>>,
}

impl Admitted {
    /// Whether the request may ask for `model`.
    ///
    /// # Errors
    /// `ModelNotAllowed`.
    pub fn may_ask(&self, model: &str) -> Result<(), Fault> {
        match &self.key {
            Some(key) if !key.grant.allows(model) => Err(Fault::new(
                Kind::ModelNotAllowed,
                "this key may not use the model that is asked for; ask for another, or have it allowed",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the request may go to a path whose requests we do not read.
    ///
    /// # Errors
    /// `ModelNotAllowed`: the key's models or budgets could not be kept there.
    pub fn may_pass(&self) -> Result<(), Fault> {
        match &self.key {
            Some(key) if key.grant.is_bounded() => Err(Fault::new(
                Kind::ModelNotAllowed,
                "this key has models or a budget, which cannot be kept on this path; use another key for it",
            )),
            _ => Ok(()),
        }
    }

    /// The most that the cache does for it.
    pub fn at_most(&self, mode: CacheMode) -> CacheMode {
        self.grant().and_then(|grant| grant.cache).map_or(mode, |most| most.min(mode))
    }

    pub fn threshold(&self) -> Option<f32> {
        self.grant()?.threshold
    }

    pub fn ttl(&self) -> Option<Duration> {
        self.grant()?.ttl.map(Duration::from_secs)
    }

    /// What the config calls whoever asks: the key's name, or the one that a credential's digest was given.
    pub fn name<'n>(&'n self, callers: &'n [Caller]) -> Option<&'n str> {
        match &self.key {
            Some(key) => Some(&key.grant.name),
            None if callers.is_empty() => None,
            None => {
                let digest = self.caller.short();
                callers.iter().find(|caller| caller.digest == digest).map(|caller| caller.name.as_str())
            }
        }
    }

    fn grant(&self) -> Option<&Grant> {
        self.key.as_ref().map(|key| &key.grant)
    }
}

/// One secret of a key.
struct Slot {
    hash: blake3::Hash,
    key: Arc<Key>,
    /// Of a secret that was replaced: until when it still opens.
    until: Option<u64>,
}

/// What becomes of a credential that looks like a key of ours where no keys are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// It goes on to the upstream, whose key it may be.
    #[default]
    Pass,
    /// It may be a key that was made elsewhere and is not known here yet, and must not go on.
    Refused,
}

/// All keys at one moment. Looking one up costs a keyed hash of the credential; without keys, one branch.
#[derive(Default)]
pub struct Ring {
    slots: AHashMap<[u8; 32], Slot>,
    keys: Vec<Arc<Key>>,
    required: bool,
    strangers: Strangers,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring of {} keys", self.keys.len())
    }
}

/// The keyed hash that stands for a key's secret. Nothing else of it is kept.
pub fn hash(secret: &[u8; 32], text: &[u8]) -> blake3::Hash {
    let mut parts = Parts::keyed(secret, "reprise-key-1");
    parts.part("secret", text);
    blake3::Hash::from_bytes(parts.finish::<Credential>().0)
}

impl Ring {
    pub fn with(self, strangers: Strangers) -> Ring {
        Ring { strangers, ..self }
    }

    /// Keys of the config and of the store. A key that was there keeps its meter, and strangers are met as
    /// before.
    pub fn new(secret: &[u8; 32], config: &Keys, stored: Vec<Stored>, before: &Ring) -> Ring {
        let (required, strangers) = (config.required, before.strangers);
        let mut ring = Ring { required, strangers, ..Ring::default() };
        let before: AHashMap<&str, &Arc<Meter>> =
            before.keys.iter().map(|key| (&*key.id, &key.meter)).collect();
        for listed in &config.listed {
            let key = ring.add(&listed.id(), listed.grant.clone(), false, listed.expires, &before);
            ring.open(hash(secret, listed.secret.expose().as_bytes()), key, None);
        }
        for stored in stored {
            let Stored { id, hash, old, disabled, expires, grant, .. } = stored;
            let key = ring.add(&id, grant, disabled, expires, &before);
            if let Some((old, until)) = old {
                ring.open(old, key.clone(), Some(until));
            }
            ring.open(hash, key, None);
        }
        ring
    }

    fn add(
        &mut self,
        id: &str,
        grant: Grant,
        disabled: bool,
        expires: Option<u64>,
        before: &AHashMap<&str, &Arc<Meter>>,
    ) -> Arc<Key> {
        let tags = grant.tags.iter().filter_map(|tag| tag.split_once('='));
        let key = Arc::new(Key {
            id: id.into(),
            team: grant.team.as_deref().map(Arc::from),
            tags: tags.map(|(name, value)| (name.into(), value.into())).collect(),
            meter: before.get(id).map(|meter| Arc::clone(meter)).unwrap_or_default(),
            digest: Parts::new("reprise-meter-1")
                .part("id", id.as_bytes())
                .finish::<Credential>()
                .hex()
                .into(),
            // Scopes are keyed with a secret of their own; the id is none.
            caller: Parts::new("reprise-key-caller-2").part("id", id.as_bytes()).finish(),
            grant,
            disabled,
            expires,
        });
        self.keys.push(key.clone());
        key
    }

    fn open(&mut self, hash: blake3::Hash, key: Arc<Key>, until: Option<u64>) {
        self.slots.insert(*hash.as_bytes(), Slot { hash, key, until });
    }

    pub fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }

    /// Whether any key has a limit in tokens or money.
    pub fn counts_tokens(&self) -> bool {
        self.keys.iter().any(|key| key.grant.tpm.is_some() || !key.grant.budget.is_none())
    }

    /// Whether keys play any part.
    pub fn is_used(&self) -> bool {
        self.required || self.strangers == Strangers::Refused || !self.slots.is_empty()
    }

    /// The key that a request bears, if any; its header is taken off, so that it goes no further.
    ///
    /// # Errors
    /// `KeyUnknown`, `KeyStopped`.
    pub fn admit(
        &self,
        secret: &[u8; 32],
        headers: &mut HeaderMap,
        clock: &Clock,
    ) -> Result<Option<Arc<Key>>, Fault> {
        if !self.is_used() {
            return Ok(None);
        }
        let mut ours = false;
        for name in &HEADERS {
            let Some(value) = headers.get(name) else { continue };
            let text = bearer(value.as_bytes());
            if let Some(key) = self.find(&hash(secret, text), clock.now())? {
                headers.remove(name);
                return Ok(Some(key));
            }
            ours |= text.starts_with(PREFIX.as_bytes());
        }
        match self.required || ours {
            true => Err(Fault::new(Kind::KeyUnknown, "no such key; send one as `authorization: Bearer`")),
            false => Ok(None),
        }
    }

    fn find(&self, hash: &blake3::Hash, now: Millis) -> Result<Option<Arc<Key>>, Fault> {
        // The map's own comparison learns nothing that helps a guess, as the hash is keyed; the one that
        // decides takes the same time wherever the two differ.
        let Some(slot) = self.slots.get(hash.as_bytes()).filter(|slot| slot.hash == *hash) else {
            return Ok(None);
        };
        let stopped = |why: &str| Fault::new(Kind::KeyStopped, format!("{why}; ask for another"));
        match slot.key.stopped(now) {
            Some("disabled") => return Err(stopped("this key is disabled")),
            Some(_) => return Err(stopped("this key has expired")),
            None => {}
        }
        if slot.until.is_some_and(|at| now.0 >= at) {
            return Err(stopped("this key was replaced by another"));
        }
        Ok(Some(slot.key.clone()))
    }
}

fn bearer(value: &[u8]) -> &[u8] {
    match value.get(..7) {
        Some(word) if word.eq_ignore_ascii_case(b"bearer ") => value[7..].trim_ascii(),
        _ => value,
    }
}
