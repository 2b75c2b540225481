//! What a backend needs in the mode `local_docker`.
//!
//! Its containers are described in three places, each of which may overrule those before it:
//! `global_docker_options` (`globals`, `structured`), the keys of the backend (`keys`) and `docker_run_args`
//! (`run_args`). All of them set what the options of `docker run` set (`flags`, `values`) in one draft
//! (`draft`), which then must make sense as a whole (`rules`).

mod draft;
mod flags;
mod globals;
mod keys;
mod rules;
mod run_args;
mod structured;
mod template;
mod values;
mod wrong;

pub(super) use draft::Draft;

use draft::Layer;

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::schema;
use crate::model::{LocalDocker, Transport};

pub(super) fn read<'a>(
    fields: &Fields<'a>,
    shared: &Shared<'a>,
    transport: Transport,
) -> LocalDocker {
    let before = fields.of.problems();
    let image = fields.require("docker_image", " for local_docker");
    let port = match transport {
        Transport::Http => fields.require("container_port", " for local_docker over http"),
        Transport::Stdio => fields.get("container_port"),
    };
    let port = port.and_then(|at| at.integer(schema::PORTS));
    let mut draft = shared.docker.clone();
    draft.layer = Layer::Keys;
    keys::apply(&mut draft, fields, shared);
    draft.layer = Layer::Args;
    if let Some(at) = fields.get("docker_run_args") {
        run_args::apply(&mut draft, &at, shared);
    }
    let template = template::read(&mut draft, fields, shared);
    // Options that could not be read say nothing of what the others are together with them.
    if fields.of.problems() == before {
        rules::check(&draft, fields, transport);
    }
    LocalDocker {
        image: image
            .as_ref()
            .and_then(Cursor::nonempty_text)
            .unwrap_or_default()
            .to_owned(),
        container_port: port.and_then(|port| port.try_into().ok()),
        command: fields.get("container_command").map(|at| at.texts()),
        template,
        commit_delay: draft.commit_delay,
        options: draft.finish(),
    }
}

/// `global_docker_options`.
pub(super) fn globals<'a>(root: &Fields<'a>, shared: &Shared<'a>) -> Draft<'a> {
    let mut draft = Draft::default();
    let Some(at) = root.get("global_docker_options") else {
        return draft;
    };
    let fields = at.fields(&globals::names());
    let delay = fields.get(globals::COMMIT_DELAY);
    draft.commit_delay = delay.and_then(|at| at.duration(schema::PAUSE));
    for (name, form) in globals::OPTIONS {
        if let Some(at) = fields.get(name) {
            globals::apply(&mut draft, form, &at, shared);
        }
    }
    draft
}
