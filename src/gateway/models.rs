//! `GET /v1/models`, where the config names every model that is served.

use super::{Gateway, Reply};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

impl Gateway {
    /// OpenAI's list of the models of the config; `None` for every other request, and where the
    /// upstreams know more names than the config.
    pub(super) fn model_list(&self, method: &Method, path: &str) -> Option<Reply> {
        if method != Method::GET || path != "/v1/models" {
            return None;
        }
        let settings = self.settings.load();
        let names = settings.upstream.model_names()?;
        let model =
            |name: &str| json!({ "id": name, "object": "model", "created": 0, "owned_by": "reprise" });
        let models: Vec<Value> = names.into_iter().map(model).collect();
        let list = json!({ "object": "list", "data": models }).to_string();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Some(Reply::whole(StatusCode::OK, headers, Bytes::from(list)))
    }
}
