//! What a client is told where no road was left.

use super::asked::Tokens;
use super::fleet::Fleet;
use super::outcome::Tried;
use super::plan::{Binding, Catalogue};
use super::road::Gate;
use crate::base::fault::{Fault, Kind};
use std::time::Duration;
use tokio::time::Instant;

/// A client that is turned away is asked to wait at least this long.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

pub fn unknown_model(name: &str, catalogue: &Catalogue) -> Fault {
    let names = catalogue.names().join(", ");
    let remedy = match names.is_empty() {
        true => "add a [[model]] that answers to it".to_owned(),
        false => format!("ask for one of {names}, or add a [[model]] that answers to it"),
    };
    Fault::new(Kind::UnknownModel, format!("no model is named \"{name}\"; {remedy}"))
}

pub fn bound(name: &str, binding: &Binding) -> Fault {
    let where_to = match &binding.region {
        Some(region) => format!("in region {region}"),
        None => "among those that a rule binds the request to".to_owned(),
    };
    let message =
        format!("model \"{name}\" has no deployment {where_to}; ask for another model or add one there");
    Fault::new(Kind::InvalidRequest, message)
}

pub fn too_long(name: &str, tokens: Tokens, output: u64, largest: u64) -> Fault {
    let answer = if output == 0 { String::new() } else { format!(" and {output} for the answer") };
    let message = format!(
        "the request has at least {} tokens{answer}, and the largest context window of model \"{name}\" is {largest}; shorten it or ask for a larger model",
        tokens.least
    );
    Fault::new(Kind::ContextTooLong, message)
}

/// No deployment is well, or none may take the request now.
pub fn shut(name: &str, fleet: &Fleet, gates: &[(usize, Gate)]) -> Fault {
    let message =
        format!("every road to model \"{name}\" is closed: {}; try again later", list(fleet, gates));
    Fault::new(Kind::UpstreamClosed, message).retry_after(wait(gates))
}

/// All are well, and at their limits.
pub fn shed(name: &str, fleet: &Fleet, gates: &[(usize, Gate)]) -> Fault {
    let message = format!("model \"{name}\" is at its limits: {}; try again later", list(fleet, gates));
    Fault::new(Kind::Overloaded, message).retry_after(wait(gates))
}

/// The last fault, with all that was tried before it.
pub fn listing(fault: Fault, tried: &[Tried]) -> Fault {
    if tried.len() < 2 {
        return fault;
    }
    let message = format!("every road failed: {}; the last: {}", Tried::list(tried), fault.message);
    Fault { message, ..fault }
}

fn list(fleet: &Fleet, gates: &[(usize, Gate)]) -> String {
    let words = gates.iter().map(|(at, gate)| format!("{} {}", fleet.roads[*at].name, gate.word()));
    words.collect::<Vec<_>>().join(", ")
}

fn wait(gates: &[(usize, Gate)]) -> Duration {
    let soonest = gates.iter().filter_map(|(_, gate)| gate.opens()).min();
    let wait = soonest.map_or(LEAST_RETRY_AFTER, |at| at.saturating_duration_since(Instant::now()));
    wait.max(LEAST_RETRY_AFTER)
}
