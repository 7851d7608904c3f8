//! The table of `reprise keys list`.

use crate::accounts::keys::store::Stored;
use crate::base::clock::Millis;
use crate::base::money::NanoUsd;
use comfy_table::{Table, presets};
use std::time::{Duration, UNIX_EPOCH};

pub fn text(keys: &[Stored], now: Millis) -> String {
    if keys.is_empty() {
        return "No keys; `reprise keys create NAME` makes one.\n".to_owned();
    }
    let mut table = Table::new();
    let head = ["id", "name", "team", "state", "expires", "limits", "models"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    for key in keys {
        let expires = key.expires.map_or_else(|| "never".to_owned(), moment);
        let models = if key.grant.models.is_empty() { "all".to_owned() } else { key.grant.models.join(", ") };
        table.add_row([
            key.id.clone(),
            key.grant.name.clone(),
            key.grant.team.clone().unwrap_or_default(),
            state(key, now),
            expires,
            limits(key),
            models,
        ]);
    }
    format!("{table}\n")
}

fn state(key: &Stored, now: Millis) -> String {
    match &key.old {
        _ if key.disabled => "disabled".to_owned(),
        _ if key.expires.is_some_and(|at| now.0 >= at) => "expired".to_owned(),
        Some((_, until)) if now.0 < *until => format!("old text until {}", moment(*until)),
        _ => "open".to_owned(),
    }
}

fn limits(key: &Stored) -> String {
    let grant = &key.grant;
    let counted = [("rpm", grant.rpm), ("tpm", grant.tpm), ("at once", grant.concurrency)];
    let mut told: Vec<String> =
        counted.iter().filter_map(|(word, limit)| limit.map(|limit| format!("{limit} {word}"))).collect();
    let usd = |(word, limit): (&str, Option<NanoUsd>)| {
        limit.map(|limit| format!("${:.2} a {word}", limit.0 as f64 / 1e9))
    };
    told.extend(["day", "week", "month"].into_iter().zip(grant.budget.limits()).filter_map(usd));
    told.extend(grant.budget.whole.map(|limit| format!("${:.2} in all", limit.0 as f64 / 1e9)));
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

fn moment(at: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(at).to_string()
}
