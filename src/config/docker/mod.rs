//! What a backend needs in the mode `local_docker`.

mod draft;
mod keys;
mod paths;

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::process;
use super::schema;
use crate::model::{LocalDocker, Transport};

pub(super) use draft::Draft;

/// Merges, in this order, what holds for all containers, the keys of the backend and its `docker_run_args`.
pub(super) fn read(fields: &Fields, shared: &Shared, transport: Transport) -> LocalDocker {
    let image = fields.require("docker_image", " for local_docker");
    let port = match transport {
        Transport::Http => fields.require("container_port", " for local_docker over http"),
        Transport::Stdio => fields.get("container_port"),
    };
    let port = port.and_then(|at| at.integer(schema::PORTS));
    let mut draft = shared.docker.clone();
    keys::apply(&mut draft, fields, shared);
    if let Some(at) = fields.get("docker_run_args") {
        at.texts();
    }
    LocalDocker {
        image: image
            .as_ref()
            .and_then(Cursor::nonempty_text)
            .unwrap_or_default()
            .to_owned(),
        container_port: port.and_then(|port| port.try_into().ok()),
        command: fields.get("container_command").map(|at| at.texts()),
        template: keys::template(fields, shared),
        commit_delay: draft.commit_delay,
        options: draft.finish(),
    }
}

/// `global_docker_options`.
pub(super) fn globals(root: &Fields) -> Draft {
    let mut draft = Draft::default();
    let Some(at) = root.get("global_docker_options") else {
        return draft;
    };
    let fields = at.fields(schema::DOCKER_OPTIONS);
    let delay = fields.get("template_commit_delay_s");
    draft.commit_delay = delay.and_then(|at| at.duration(schema::PAUSE));
    if let Some(at) = fields.get("environment") {
        draft.options.environment = environment(&at);
    }
    draft
}

/// Docker also takes a list of `NAME=value`.
fn environment(at: &Cursor) -> std::collections::BTreeMap<String, crate::model::Secret> {
    if !at.is_list() {
        return process::variables(at);
    }
    let variable = |at: Cursor| {
        let pair = at
            .text()?
            .split_once('=')
            .filter(|(name, _)| !name.is_empty());
        if pair.is_none() {
            at.problem("expected NAME=value");
        }
        pair.map(|(name, value)| (name.to_owned(), crate::model::Secret::new(value)))
    };
    at.items().into_iter().filter_map(variable).collect()
}
