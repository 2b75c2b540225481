//! What a backend needs in the mode `external`: a server that somebody else runs.

use std::fs;

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{problem, schema};
use crate::model::{HttpServer, Secret};

/// Larger than any key; a file beyond is not one.
const LARGEST_SECRET: usize = 64 << 10;

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
    server.ca_file = fields.get("ca_file").and_then(|at| {
        let path = shared.path(at.nonempty_text()?);
        if !path.is_file() {
            let path = problem::shown(&path.to_string_lossy());
            let hint = "relative paths count from the directory of the file";
            at.problem_with_hint(format!("there is no file {path}"), hint);
        }
        Some(path)
    });
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
        let value = secret(&at, shared)?;
        if let Some(found) = HttpServer::header_problem(name, &value) {
            at.problem(found);
        }
        Some((name.to_owned(), value))
    };
    at.entries().into_iter().filter_map(read).collect()
}

/// A secret as text, usually `${VAR}`, or as the content of a file without the line break at its end.
fn secret(at: &Cursor, shared: &Shared) -> Option<Secret> {
    if !at.is_mapping() {
        return at.nonempty_text().map(Secret::new);
    }
    let file = at.fields(schema::SECRET_FILE).require("file", "")?;
    let path = shared.path(file.nonempty_text()?);
    let shown = problem::shown(&path.to_string_lossy());
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => file.problem(format!("{shown} is empty")),
        Ok(text) if text.len() > LARGEST_SECRET => {
            file.problem(format!("{shown} is too large for a secret"));
        }
        Ok(text) => return Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(error) => file.problem(format!("{shown} cannot be read: {error}")),
    }
    None
}
