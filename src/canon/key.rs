//! Exact key, partition and question of a request.

use super::{Bypass, Question};
use crate::base::digest::{ExactKey, Partition, Scope};
use crate::config::FuzzyPolicy;
use crate::wire::Dialect;
use crate::wire::request::Request;

/// What shapes an answer besides the body.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub scope: Scope,
    pub dialect: Dialect,
    /// The path with its query, as received.
    pub path_and_query: &'a str,
    /// Request headers that change the answer (`cache.key_headers`), lower-case name and value,
    /// sorted by name.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// The keys of one request.
#[derive(Clone, Debug)]
pub struct Canon {
    pub exact: ExactKey,
    pub partition: Partition,
    /// The question, or why it may not be compared by meaning.
    pub question: Result<Question, Bypass>,
}

/// Derives the keys. Pure; linear in the request's size; `raw` is only hashed where the JSON holds a
/// number that no double can tell apart (above 2^53 and outside 64 bits).
pub fn canon(request: &Request, raw: &[u8], around: &Circumstances<'_>, policy: &FuzzyPolicy) -> Canon {
    let _ = (request, raw, around, policy);
    todo!()
}
