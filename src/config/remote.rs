//! What a backend needs in the mode `remote_http_api`, and the APIs that it may refer to.

use std::sync::Arc;

use super::check::{ApiTimeouts, Shared};
use super::cursor::{Cursor, Fields};
use super::problem;
use super::schema::{self, AuthType};
use crate::model::{RemoteApi, RemoteAuth, RemoteHttpApi, Secret};

const EITHER: &str = "needs remote_api_config_ref or remote_api_config_inline";

pub(super) fn backend(fields: &Fields, shared: &Shared) -> RemoteHttpApi {
    let reference = fields.get("remote_api_config_ref");
    let inline = fields.get("remote_api_config_inline");
    let resource = fields.require("remote_resource_type_identifier", " for remote_http_api");
    let api = match (reference, inline) {
        (None, None) => {
            fields.of.problem(EITHER);
            None
        }
        (Some(at), None) => referenced(&at, shared),
        (reference, Some(at)) => {
            if reference.is_some() {
                at.problem("only one of remote_api_config_ref and remote_api_config_inline");
            }
            Some(Arc::new(api(&at, shared.api_timeouts)))
        }
    };
    let resource = resource
        .as_ref()
        .and_then(Cursor::nonempty_text)
        .unwrap_or_default();
    RemoteHttpApi {
        api: api.unwrap_or_else(|| Arc::new(placeholder(shared.api_timeouts))),
        resource_type: resource.to_owned(),
    }
}

fn referenced(at: &Cursor, shared: &Shared) -> Option<Arc<RemoteApi>> {
    let name = at.nonempty_text()?;
    let api = shared.apis.get(name);
    if api.is_none() {
        let names: Vec<_> = shared.apis.keys().map(String::as_str).collect();
        let text = "there is no such entry in global_remote_apis";
        match problem::did_you_mean(name, &names) {
            Some(hint) => at.problem_with_hint(text, hint),
            None => at.problem(text),
        }
    }
    api.cloned()
}

/// One remote API, inline or in `global_remote_apis`.
pub(super) fn api(at: &Cursor, timeouts: ApiTimeouts) -> RemoteApi {
    let fields = at.fields(schema::API);
    let mut api = placeholder(timeouts);
    if let Some(url) = fields.require("base_url", "").and_then(|at| base_url(&at)) {
        api.base_url = url;
    }
    let text = |key| {
        fields
            .get(key)
            .and_then(|at| at.nonempty_text().map(str::to_owned))
    };
    if let Some(create) = text("create_instance_endpoint") {
        api.create_instance_endpoint = create;
    }
    if let Some(delete) = text("delete_instance_endpoint_template") {
        api.delete_instance_endpoint_template = delete;
    }
    api.call_tool_endpoint_template = text("call_tool_endpoint_template");
    api.auth = auth(&fields);
    api
}

fn placeholder(timeouts: ApiTimeouts) -> RemoteApi {
    RemoteApi {
        base_url: String::new(),
        create_instance_endpoint: schema::CREATE_ENDPOINT.to_owned(),
        delete_instance_endpoint_template: schema::DELETE_ENDPOINT.to_owned(),
        call_tool_endpoint_template: None,
        auth: RemoteAuth::None,
        timeout: timeouts.total,
        connect_timeout: timeouts.connect,
    }
}

fn base_url(at: &Cursor) -> Option<String> {
    let url = at.nonempty_text()?;
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let host = rest
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    if host.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        at.problem("expected a URL such as https://host:port/path");
        return None;
    }
    Some(url.to_owned())
}

fn auth(fields: &Fields) -> RemoteAuth {
    let kind = fields.get("auth_type").map(|at| at.choice::<AuthType>());
    let details = fields.get("auth_details");
    let (kind, keys): (_, &[&str]) = match kind.unwrap_or(Some(AuthType::None)) {
        Some(kind @ AuthType::BearerToken) => (kind, &["token"]),
        Some(kind @ AuthType::CustomHeader) => (kind, &["header_name", "header_value"]),
        Some(AuthType::None) => {
            if let Some(details) = details {
                details.problem("needs auth_type bearer_token or custom_header");
            }
            return RemoteAuth::None;
        }
        None => return RemoteAuth::None,
    };
    let Some(details) = details.or_else(|| fields.require("auth_details", " by auth_type")) else {
        return RemoteAuth::None;
    };
    let details = details.fields(keys);
    match kind {
        AuthType::BearerToken => RemoteAuth::Bearer(secret(&details, "token")),
        _ => RemoteAuth::Header {
            name: header_name(&details),
            value: secret(&details, "header_value"),
        },
    }
}

fn secret(details: &Fields, key: &str) -> Secret {
    let at = details.require(key, " by auth_type");
    let Some((at, text)) = at.and_then(|at| at.nonempty_text().map(|text| (at, text))) else {
        return Secret::default();
    };
    if text.contains(char::is_control) {
        at.problem("must not hold line breaks or other control characters");
    }
    Secret::new(text)
}

fn header_name(details: &Fields) -> String {
    let at = details.require("header_name", " by auth_type");
    let Some((at, name)) = at.and_then(|at| at.nonempty_text().map(|name| (at, name))) else {
        return String::new();
    };
    // `token` of RFC 9110, section 5.6.2.
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    {
        at.problem("is not the name of an HTTP header");
    }
    name.to_owned()
}
