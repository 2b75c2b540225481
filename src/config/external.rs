//! What a backend needs in the mode `external`: a server that somebody else runs.

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{files, schema};
use crate::model::{HttpServer, Secret};

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
    server
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
