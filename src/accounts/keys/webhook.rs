//! Posts that a soft limit was passed, once for each key and period.

use super::meter::Passed;
use crate::base::secret::Secret;
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Tells `url`, once; what goes wrong is a log line. The body holds `key`, `name`, `period`, `spent_usd` and
/// `limit_usd`.
pub(crate) async fn tell(url: Secret, id: String, name: String, passed: Passed) {
    let body = json!({
        "event": "budget_warning", "key": id, "name": name, "period": passed.period,
        "spent_usd": passed.spent.to_string(), "limit_usd": passed.limit.to_string(),
    });
    let sent = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let request = client.post(url.expose()).header("content-type", "application/json");
        request.body(body.to_string()).send().await?.error_for_status()
    };
    if let Err(wrong) = sent.await {
        // Without the URL, which may hold a token.
        tracing::warn!(key = id, "the webhook of [keys] was not told: {}", wrong.without_url());
    }
}
