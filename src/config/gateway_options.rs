//! The section `gateway`: where agents come in, who may, and how much at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{files, schema};
use crate::model::{GatewayOptions, Secret};

pub(super) fn read(root: &Fields, shared: &Shared) -> GatewayOptions {
    let mut options = GatewayOptions::default();
    let Some(fields) = root.get("gateway").map(|at| at.fields(schema::GATEWAY)) else {
        return options;
    };
    who(&fields, shared, &mut options);
    how_much(&fields, &mut options);
    options
}

fn who(fields: &Fields, shared: &Shared, options: &mut GatewayOptions) {
    if let Some(host) = fields.get("host").as_ref().and_then(Cursor::nonempty_text) {
        host.clone_into(&mut options.host);
    }
    if let Some(port) = integer(fields, "port", schema::PORTS) {
        options.port = port;
    }
    options.token = fields.get("token").and_then(|at| token(&at));
    options.insecure = fields
        .get("insecure")
        .and_then(|at| at.flag())
        .unwrap_or_default();
    options.allowed_hosts = names(fields, "allowed_hosts");
    options.allowed_origins = names(fields, "allowed_origins");
    options.template_roots = fields
        .get("template_roots")
        .map(|at| at.items())
        .unwrap_or_default()
        .iter()
        .filter_map(|root| files::directory(root, shared))
        .collect();
}

fn how_much(fields: &Fields, options: &mut GatewayOptions) {
    let duration = |key| -> Option<Duration> { fields.get(key)?.duration(schema::DEADLINE) };
    options.session_idle_timeout = duration("session_idle_timeout");
    set(
        &mut options.client_idle_timeout,
        duration("client_idle_timeout"),
    );
    set(&mut options.read_timeout, duration("read_timeout"));
    set(&mut options.stream_after, duration("stream_after"));
    let count = |key| integer(fields, key, schema::GATEWAY_COUNT);
    set(&mut options.max_sessions, count("max_sessions"));
    set(&mut options.max_instances, count("max_instances"));
    set(&mut options.max_calls, count("max_calls"));
    set(&mut options.max_clients, count("max_clients"));
    set(&mut options.max_connections, count("max_connections"));
    let body = fields.get("max_body");
    let body = body.and_then(|at| at.size(schema::MAX_BODY));
    set(
        &mut options.max_body,
        body.and_then(|size| size.try_into().ok()),
    );
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

fn integer<T: TryFrom<u64>>(fields: &Fields, key: &str, range: RangeInclusive<u64>) -> Option<T> {
    fields.get(key)?.integer(range)?.try_into().ok()
}

fn names(fields: &Fields, key: &str) -> Vec<String> {
    let items = fields.get(key).map(|at| at.items()).unwrap_or_default();
    let names = items.iter().filter_map(Cursor::nonempty_text);
    names.map(str::to_owned).collect()
}

fn token(at: &Cursor) -> Option<Secret> {
    let token = at.nonempty_text()?;
    if let Some(problem) = GatewayOptions::token_problem(token) {
        at.problem(problem);
        return None;
    }
    Some(Secret::new(token))
}
