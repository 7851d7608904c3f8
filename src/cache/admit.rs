//! What may be kept, and keeping it.

use super::Cache;
use super::codec::Embedding;
use super::entry::{Content, Embedded, Entry, Tag};
use super::restore::embedding_of;
use crate::base::digest::{ExactKey, Partition, Scope};
use crate::canon::Canon;
use crate::semantic::embedder::Vector;
use crate::tape::Tape;
use crate::wire::answer::Finish;
use std::sync::Arc;
use std::time::Duration;

/// How one answer is to be kept.
#[derive(Clone, Debug)]
pub struct Terms {
    pub scope: Scope,
    pub namespace: Option<Box<str>>,
    pub model: Box<str>,
    pub tags: Vec<Tag>,
    /// Zero: not at all.
    pub ttl: Duration,
    /// Whether an answer that was cut by `length` or `content_filter` may be kept.
    pub keep_truncated: bool,
}

/// What became of an answer that was offered.
#[derive(Debug)]
pub enum Admitted {
    Kept(Arc<Entry>),
    /// `ttl` is zero.
    NoTtl,
    /// Cut by `length` or `content_filter`.
    Truncated,
}

impl Cache {
    /// Keeps a whole answer, for exact hits at once; `index` makes it findable by meaning.
    pub fn admit(&self, canon: Canon, terms: Terms, tape: Tape) -> Admitted {
        if terms.ttl.is_zero() {
            return Admitted::NoTtl;
        }
        let cut = |finish: &Finish| matches!(finish, Finish::Length | Finish::ContentFilter);
        if !terms.keep_truncated && tape.outline.finish.iter().any(cut) {
            return Admitted::Truncated;
        }
        let question = canon.question.ok().map(|question| Arc::from(question.0));
        let content = Content::Answer(tape);
        Admitted::Kept(self.keep(canon.exact, canon.partition, question, terms, content))
    }

    /// Makes a kept entry findable by meaning. One that has left L1 in the meantime stays away.
    pub fn index(&self, entry: &Arc<Entry>, vector: Vector) {
        let (Some(semantic), Some(question)) = (self.semantic(), &entry.question) else { return };
        semantic.insert(entry.partition, entry.key, &vector, question.clone());
        if !self.store.has(&entry.key) {
            semantic.remove(&entry.partition, &entry.key);
        }
        if let Some(disk) = &self.disk
            && disk.holds(&entry.key)
        {
            disk.put(entry, Some(embedding_of(semantic.model_name(), vector)));
        }
    }

    /// Indexes a kept entry, if its vector is there, and passes it on to the other replicas, if there are any.
    pub fn publish(&self, entry: &Arc<Entry>, vector: Option<Vector>) {
        if let Some(vector) = &vector {
            self.index(entry, vector.clone());
        }
        if let Some(shared) = self.shared() {
            let model = self.semantic().map(|semantic| Arc::from(semantic.model_name()));
            let embedding = model.zip(vector).map(|(model, vector)| Embedding { model, vector });
            shared.put(entry.clone(), embedding);
        }
    }

    /// Keeps one input's embedding, exact only.
    pub fn admit_embedding(&self, key: ExactKey, terms: Terms, embedded: Embedded) {
        if !terms.ttl.is_zero() {
            let entry = self.keep(key, Partition(key.0), None, terms, Content::Embedding(embedded));
            self.publish(&entry, None);
        }
    }

    fn keep(
        &self,
        key: ExactKey,
        partition: Partition,
        question: Option<Arc<str>>,
        terms: Terms,
        content: Content,
    ) -> Arc<Entry> {
        let stored = self.clock.now();
        let extra = match (&question, self.semantic()) {
            (Some(_), Some(semantic)) => semantic.index().bytes_for(&partition),
            _ => 0,
        };
        let Terms { scope, namespace, model, tags, ttl, keep_truncated: _ } = terms;
        let expires = stored.plus(ttl);
        let entry = Arc::new(Entry {
            key,
            partition,
            scope,
            namespace,
            model,
            question,
            tags,
            stored,
            expires,
            content,
        });
        self.store.insert(entry.clone(), extra);
        if let Some(disk) = &self.disk
            && !self.feedback.tightened(&key)
        {
            disk.put(&entry, None);
        }
        entry
    }
}
