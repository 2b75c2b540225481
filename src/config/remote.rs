//! What a backend needs in the mode `remote_http_api`, and the APIs that it may refer to.

use std::sync::Arc;

use super::check::{ApiDefaults, Shared};
use super::cursor::{Cursor, Fields};
use super::schema::{self, AuthType};
use super::{files, problem};
use crate::model::{HttpServer, RemoteApi, RemoteAuth, RemoteHttpApi, Secret};

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
            Some(Arc::new(api(&at, &shared.api_defaults)))
        }
    };
    let resource = resource
        .as_ref()
        .and_then(Cursor::nonempty_text)
        .unwrap_or_default();
    RemoteHttpApi {
        api: api.unwrap_or_else(|| Arc::new(placeholder(&shared.api_defaults))),
        resource_type: resource.to_owned(),
        template_details: None,
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
pub(super) fn api(at: &Cursor, defaults: &ApiDefaults) -> RemoteApi {
    let fields = at.fields(schema::API);
    let mut api = placeholder(defaults);
    if let Some(url) = fields.require("base_url", "").and_then(|at| base_url(&at)) {
        api.base_url = Secret::new(url);
    }
    let endpoint = |key| fields.get(key).and_then(|at| endpoint(&at));
    let template = |key| fields.get(key).and_then(|at| template(&at));
    if let Some(create) = endpoint("create_instance_endpoint") {
        api.create_instance_endpoint = create;
    }
    if let Some(delete) = template("delete_instance_endpoint_template") {
        api.delete_instance_endpoint_template = delete;
    }
    api.call_tool_endpoint_template = template("call_tool_endpoint_template");
    let duration = |key| {
        let at = fields.get(key);
        at.and_then(|at| at.duration(schema::DEADLINE))
    };
    api.timeout = duration("timeout").unwrap_or(api.timeout);
    api.connect_timeout = duration("connect_timeout").unwrap_or(api.connect_timeout);
    let ca_file = fields.get("ca_file");
    api.ca_file = ca_file.and_then(|at| files::ca_file(&at, |path| defaults.path(path)));
    let trust_env = fields.get("trust_env").and_then(|at| at.flag());
    api.trust_env = trust_env.unwrap_or(api.trust_env);
    api.auth = auth(&fields, defaults);
    api
}

fn placeholder(defaults: &ApiDefaults) -> RemoteApi {
    RemoteApi {
        base_url: Secret::default(),
        create_instance_endpoint: schema::CREATE_ENDPOINT.to_owned(),
        delete_instance_endpoint_template: schema::DELETE_ENDPOINT.to_owned(),
        call_tool_endpoint_template: None,
        auth: RemoteAuth::None,
        timeout: defaults.timeout,
        connect_timeout: defaults.connect_timeout,
        ca_file: None,
        trust_env: true,
        configured_in: defaults.file.clone(),
    }
}

fn base_url(at: &Cursor) -> Option<String> {
    let url = at.nonempty_text()?;
    let parsed = HttpServer::at(url).parsed();
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    if parsed.is_err() || !url.chars().all(is_plain) {
        at.problem("expected a URL such as https://host:port/path");
        return None;
    }
    if url.contains(['?', '#']) {
        at.problem("must end before any `?` or `#`: the endpoints are appended to it");
    }
    Some(url.to_owned())
}

/// What is appended to `base_url`.
fn endpoint(at: &Cursor) -> Option<String> {
    let text = at.nonempty_text()?;
    if text.contains("://") {
        at.problem("is appended to base_url, so it must be a path such as /instances");
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        at.problem("must not hold white space");
    }
    Some(text.to_owned())
}

/// The same with the place of an instance's id.
fn template(at: &Cursor) -> Option<String> {
    let text = endpoint(at)?;
    let around = text.replace(RemoteApi::ID, "");
    if around == text {
        at.problem(format!("must hold {}", RemoteApi::ID));
    } else if around.contains(['{', '}']) {
        at.problem(format!("can hold no other {{…}} than {}", RemoteApi::ID));
    }
    Some(text)
}

fn auth(fields: &Fields, defaults: &ApiDefaults) -> RemoteAuth {
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
        AuthType::BearerToken => RemoteAuth::Bearer(secret(&details, "token", defaults)),
        _ => RemoteAuth::Header {
            name: header_name(&details),
            value: secret(&details, "header_value", defaults),
        },
    }
}

fn secret(details: &Fields, key: &str, defaults: &ApiDefaults) -> Secret {
    let Some(at) = details.require(key, " by auth_type") else {
        return Secret::default();
    };
    let secret = files::secret(&at, |path| defaults.path(path)).unwrap_or_default();
    if secret.expose().contains(char::is_control) {
        at.problem("must not hold line breaks or other control characters");
    }
    secret
}

fn header_name(details: &Fields) -> String {
    let at = details.require("header_name", " by auth_type");
    let Some((at, name)) = at.and_then(|at| at.nonempty_text().map(|name| (at, name))) else {
        return String::new();
    };
    if let Some(problem) = HttpServer::header_problem(name, &Secret::default()) {
        at.problem(problem);
    }
    name.to_owned()
}
