//! One line of the books.

use crate::base::clock::Millis;
use crate::base::digest::Credential;
use crate::base::money::NanoUsd;
use crate::wire::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

pub type Tag = (Box<str>, Box<str>);

/// What was paid for. Everything but `Request` is overhead of ours, which `net saved` takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A client's request.
    Request,
    /// A stored answer asked for again, to see whether it still holds.
    Audit,
    /// The answer of a cheaper model that would not do, so that a dearer one was asked.
    Escalation,
}

impl Kind {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Audit => "audit",
            Kind::Escalation => "escalation",
        }
    }
}

/// How a request ended for whoever pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// With its whole answer.
    Whole,
    /// The upstream answered with an error, or was not reached.
    Failed,
    /// The answer broke off.
    Cut,
    /// Nobody waited for the rest.
    Abandoned,
    /// We did not let it through.
    Refused,
}

impl Ended {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Ended::Whole => "whole",
            Ended::Failed => "failed",
            Ended::Cut => "cut",
            Ended::Abandoned => "abandoned",
            Ended::Refused => "refused",
        }
    }
}

/// Tokens of one side of a row, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Amount {
    /// None at all.
    #[default]
    Nothing,
    /// There were some, but nobody said how many.
    Unknown,
    /// So many; the cost is `None` where the model has no known price.
    Known(Usage, Option<NanoUsd>),
}

impl Amount {
    /// `None`: not known.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Amount::Nothing => Some(Usage::default()),
            Amount::Unknown => None,
            Amount::Known(usage, _) => Some(*usage),
        }
    }

    /// `None`: not known.
    pub fn usd(&self) -> Option<NanoUsd> {
        match self {
            Amount::Nothing => Some(NanoUsd(0)),
            Amount::Unknown => None,
            Amount::Known(_, usd) => *usd,
        }
    }
}

/// Whom it is booked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The digest of a client's own credential.
    Credential(Credential),
    /// A name of its own: a virtual key's id, and its team.
    Named { id: Arc<str>, team: Option<Arc<str>> },
}

/// One request, or one piece of overhead. Never holds a prompt, an answer or a credential.
#[derive(Clone, Debug)]
pub struct Row {
    pub at: Millis,
    pub kind: Kind,
    pub payer: Payer,
    pub tags: Vec<Tag>,
    pub dialect: &'static str,
    pub model: Box<str>,
    pub deployment: Option<Arc<str>>,
    /// `hit`, `follow`, `miss`, `bypass`; `pass` for a path that is not ours to read; `none` before any.
    pub verdict: &'static str,
    /// Of a hit; else empty.
    pub tier: &'static str,
    pub ended: Ended,
    pub spent: Amount,
    pub saved: Amount,
    /// What a virtual key's budgets are charged: what was spent, or what was held where nobody said.
    pub charged: NanoUsd,
    /// From the request read to the row written.
    pub latency: Duration,
}

impl Row {
    /// A request of nobody that came to nothing.
    pub(super) fn blank(at: Millis) -> Row {
        Row {
            at,
            kind: Kind::Request,
            payer: Payer::Credential(Credential([0; 32])),
            tags: Vec::new(),
            dialect: "",
            model: Box::default(),
            deployment: None,
            verdict: "none",
            tier: "",
            ended: Ended::Refused,
            spent: Amount::Nothing,
            saved: Amount::Nothing,
            charged: NanoUsd(0),
            latency: Duration::ZERO,
        }
    }
}
