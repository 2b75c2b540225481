//! What a backend needs in the modes `local_process` and `local_docker`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{problem, schema};
use crate::model::{LocalDocker, LocalProcess, Secret, Transport};

pub(super) fn process(fields: &Fields, shared: &Shared) -> LocalProcess {
    let command = fields.require("command", " for local_process");
    let command = command
        .as_ref()
        .and_then(Cursor::nonempty_text)
        .unwrap_or_default();
    LocalProcess {
        command: path_or_name(command, shared),
        args: fields.get("args").map(|at| at.texts()).unwrap_or_default(),
        env: fields
            .get("env")
            .map(|at| variables(&at))
            .unwrap_or_default(),
        cwd: Some(match fields.get("cwd") {
            Some(at) => directory(&at, shared).unwrap_or_default(),
            None => shared.base.clone(),
        }),
    }
}

/// A bare name is a command in `PATH` or a volume; what has a slash or is `.` is a path.
fn path_or_name(text: &str, shared: &Shared) -> String {
    let path = shared.path(text);
    match path.to_str() {
        Some(path) if text.contains('/') || text.starts_with('.') => path.to_owned(),
        _ => text.to_owned(),
    }
}

pub(super) fn docker(fields: &Fields, shared: &Shared, transport: Transport) -> LocalDocker {
    let image = fields.require("docker_image", " for local_docker");
    let port = match transport {
        Transport::Http => fields.require("container_port", " for local_docker over http"),
        Transport::Stdio => fields.get("container_port"),
    };
    let port = port.and_then(|at| at.integer(schema::PORTS));
    let template = fields.get("template_data_path_host");
    let copies = fields
        .of
        .peek("backend_type")
        .is_some_and(|(_, kind)| kind == "filesystem");
    let in_container = fields.get("container_template_data_path");
    LocalDocker {
        image: image
            .as_ref()
            .and_then(Cursor::nonempty_text)
            .unwrap_or_default()
            .to_owned(),
        container_port: port.and_then(|port| port.try_into().ok()),
        template_data_path_host: template.and_then(|at| {
            if copies {
                directory(&at, shared)
            } else {
                existing(&at, shared)
            }
        }),
        container_template_data_path: in_container.and_then(|at| in_container_path(&at)),
        run_args: fields
            .get("docker_run_args")
            .map(|at| at.texts())
            .unwrap_or_default(),
        command: fields.get("container_command").map(|at| at.texts()),
        volumes: fields
            .get("container_volumes")
            .map(|at| volumes(&at, shared))
            .unwrap_or_default(),
        environment: shared.docker.environment.clone(),
        commit_delay: shared.docker.commit_delay,
        global_options: shared.docker.rest.clone(),
    }
}

/// `{NAME: value}`; values are secret from here on.
fn variables(at: &Cursor) -> BTreeMap<String, Secret> {
    let variable = |(name, at): (&str, Cursor)| {
        let value = at.text()?;
        if name.is_empty() || name.contains(['=', '\0']) {
            at.problem("the name of a variable must not be empty nor hold `=` or NUL");
        }
        Some((name.to_owned(), Secret::new(value)))
    };
    at.entries().into_iter().filter_map(variable).collect()
}

/// Docker also takes a list of `NAME=value`.
pub(super) fn docker_environment(at: &Cursor) -> BTreeMap<String, Secret> {
    if !at.is_list() {
        return variables(at);
    }
    let variable = |at: Cursor| {
        let pair = at
            .text()?
            .split_once('=')
            .filter(|(name, _)| !name.is_empty());
        if pair.is_none() {
            at.problem("expected NAME=value");
        }
        pair.map(|(name, value)| (name.to_owned(), Secret::new(value)))
    };
    at.items().into_iter().filter_map(variable).collect()
}

fn existing(at: &Cursor, shared: &Shared) -> Option<PathBuf> {
    let text = at.nonempty_text()?;
    let path = shared.path(text);
    if !path.exists() {
        not_found(at, text, "file or directory", &path);
    }
    Some(path)
}

fn directory(at: &Cursor, shared: &Shared) -> Option<PathBuf> {
    let text = at.nonempty_text()?;
    let path = shared.path(text);
    if !path.is_dir() {
        not_found(at, text, "directory", &path);
    }
    Some(path)
}

fn not_found(at: &Cursor, text: &str, what: &str, path: &Path) {
    let missing = format!(
        "there is no {what} {}",
        problem::shown(&path.to_string_lossy())
    );
    if text.starts_with('~') {
        at.problem_with_hint(missing, "`~` is not expanded here, write ${HOME}");
    } else {
        at.problem_with_hint(
            missing,
            "relative paths count from the directory of the file",
        );
    }
}

fn in_container_path(at: &Cursor) -> Option<String> {
    let text = at.nonempty_text()?;
    if !text.starts_with('/') {
        at.problem("a path in the container must start with `/`");
    }
    Some(text.to_owned())
}

/// `{host: {bind, mode}}`; a host without a slash is the name of a volume.
fn volumes(at: &Cursor, shared: &Shared) -> BTreeMap<String, (String, String)> {
    let volume = |(host, at): (&str, Cursor)| {
        let fields = at.fields(schema::VOLUME);
        let bind = fields
            .require("bind", "")
            .and_then(|at| in_container_path(&at));
        let mode = fields
            .get("mode")
            .and_then(|at| at.choice::<VolumeMode>())
            .unwrap_or_default();
        (
            path_or_name(host, shared),
            (bind.unwrap_or_default(), mode.to_string()),
        )
    };
    at.entries().into_iter().map(volume).collect()
}

/// How a volume is mounted.
#[derive(Clone, Copy, Default, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum VolumeMode {
    #[default]
    Rw,
    Ro,
}
