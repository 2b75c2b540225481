//! What a backend needs in the mode `external`: a server that somebody else runs.

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{files, schema};
use crate::model::{HttpServer, OAuthClient, Secret};

pub(super) fn backend(fields: &Fields, shared: &Shared) -> HttpServer {
    let url = fields.require("url", " for external");
    let url = url.and_then(|at| url_of_server(&at));
    let flag = |key, default| fields.get(key).and_then(|at| at.flag()).unwrap_or(default);
    let mut server = HttpServer::at(url.unwrap_or_default());
    server.trust_env = flag("trust_env", server.trust_env);
    server.legacy_sse = flag("legacy_sse", server.legacy_sse);
    if let Some(timeout) = fields.get("connect_timeout") {
        let timeout = timeout.duration(schema::DEADLINE);
        server.connect_timeout = timeout.unwrap_or(server.connect_timeout);
    }
    if let Some(headers) = fields.get("headers") {
        server.headers = read_headers(&headers, shared);
    }
    let ca_file = fields.get("ca_file");
    server.ca_file = ca_file.and_then(|at| files::ca_file(&at, |path| shared.path(path)));
    if let Some(at) = fields.get("oauth") {
        if server.has_own_authorization() {
            at.problem("is never used where `headers` has an Authorization");
        }
        server.oauth = oauth(&at, shared);
    }
    server
}

fn oauth(at: &Cursor, shared: &Shared) -> OAuthClient {
    let fields = at.fields(schema::OAUTH);
    let id = fields.get("client_id");
    let secret = fields.get("client_secret");
    if let (None, Some(secret)) = (&id, &secret) {
        secret.problem("needs a client_id");
    }
    let port = fields.get("callback_port");
    let port = port.and_then(|at| at.integer(1..=u64::from(u16::MAX)));
    OAuthClient {
        id: id.and_then(|at| at.nonempty_text().map(str::to_owned)),
        secret: secret.and_then(|at| files::secret(&at, |path| shared.path(path))),
        callback_port: port.and_then(|port| port.try_into().ok()),
    }
}

fn url_of_server(at: &Cursor) -> Option<String> {
    let url = at.nonempty_text()?;
    match HttpServer::at(url).parsed() {
        Ok(_) => Some(url.to_owned()),
        Err(problem) => {
            at.problem(problem);
            None
        }
    }
}

/// `{Name: value}` or `{Name: {file: path}}`; values are secret from here on.
fn read_headers(at: &Cursor, shared: &Shared) -> Vec<(String, Secret)> {
    let read = |(name, at): (&str, Cursor)| {
        let value = files::secret(&at, |path| shared.path(path))?;
        if let Some(found) = HttpServer::header_problem(name, &value) {
            at.problem(found);
        }
        Some((name.to_owned(), value))
    };
    at.entries().into_iter().filter_map(read).collect()
}
