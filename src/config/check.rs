//! From a tree to a [`Config`]: reads every level and collects all problems.
//!
//! Where a value is wrong its problem is reported and a default stands in for it, so that reading
//! goes on; a tree with problems never becomes a configuration that anybody uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cursor::{Cursor, Fields};
use super::interpolate::Environment;
use super::problem::Report;
use super::tree::Node;
use super::{Config, Origin, backend, docker, gateway_options, remote, sandbox, schema};
use crate::model::{Backend, Limits, RemoteApi};

/// What the backends of a file share.
pub(super) struct Shared<'a> {
    /// The directory of the file.
    pub base: PathBuf,
    /// `global_docker_options`.
    pub docker: docker::Draft<'a>,
    /// `global_box_options`.
    pub sandbox: sandbox::Options,
    pub env: Environment<'a>,
    pub apis: BTreeMap<String, Arc<RemoteApi>>,
    pub api_defaults: ApiDefaults,
}

/// `global_remote_api_defaults`, and where an API is configured.
pub(super) struct ApiDefaults {
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// Absolute.
    pub file: PathBuf,
}

impl ApiDefaults {
    /// As [`Shared::path`].
    pub fn path(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

impl Shared<'_> {
    /// Relative paths count from the directory of the file.
    pub fn path(&self, path: &str) -> PathBuf {
        // Without the `.` of `./data`.
        self.base.join(path).components().collect()
    }
}

pub(super) fn config(root: &Node, file: &Path, env: Environment, report: &Report) -> Config {
    let root = Cursor::root(root, report).fields(schema::ROOT);
    let api_defaults = api_defaults(&root, file);
    let base = directory_of(file);
    let mut shared = Shared {
        sandbox: sandbox::Options::new(&base),
        base,
        env,
        docker: docker::Draft::default(),
        apis: remote_apis(&root, &api_defaults),
        api_defaults,
    };
    shared.docker = docker::globals(&root, &shared);
    shared.sandbox = sandbox::globals(&root, &shared);
    Config {
        origin: Origin::File(file.to_owned()),
        backends: backends(&root, &shared),
        log_level: log_level(&root),
        limits: limits(&root),
        gateway: gateway_options::read(&root, &shared),
    }
}

fn directory_of(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("")).to_owned()
}

fn backends(root: &Fields, shared: &Shared) -> Vec<Arc<Backend>> {
    let items = root
        .get("backends")
        .map(|at| at.items())
        .unwrap_or_default();
    let mut names = BTreeMap::new();
    for (item, name) in items
        .iter()
        .filter_map(|item| item.peek("backend_name_ref"))
    {
        match names.get(name) {
            None => drop(names.insert(name, item)),
            Some(first) => item.problem_pointing_at("another backend has this name", first),
        }
    }
    items
        .iter()
        .map(|item| Arc::new(backend::read(item, shared)))
        .collect()
}

fn log_level(root: &Fields) -> String {
    let read = |at: Cursor| {
        let text = at.nonempty_text()?;
        let wanted = text.to_lowercase();
        let level = schema::LOG_LEVELS.iter().find(|(name, _)| *name == wanted);
        if level.is_none() {
            let names: Vec<_> = schema::LOG_LEVELS.iter().map(|(name, _)| *name).collect();
            at.not_one_of(&wanted, &names);
        }
        level.map(|(_, level)| (*level).to_owned())
    };
    root.get("log_level")
        .and_then(read)
        .unwrap_or_else(|| schema::LOG_LEVEL.to_owned())
}

fn limits(root: &Fields) -> Limits {
    let mut limits = Limits::default();
    let Some(fields) = root.get("limits").map(|at| at.fields(schema::LIMITS)) else {
        return limits;
    };
    let whole = |number: u64| usize::try_from(number).ok();
    let starts = fields.get("parallel_starts");
    if let Some(n) = starts
        .and_then(|at| at.integer(schema::PARALLEL_STARTS))
        .and_then(whole)
    {
        limits.parallel_starts = n;
    }
    let message = fields.get("max_message");
    if let Some(n) = message
        .and_then(|at| at.size(schema::MAX_MESSAGE))
        .and_then(whole)
    {
        limits.max_message = n;
    }
    limits
}

fn api_defaults(root: &Fields, file: &Path) -> ApiDefaults {
    let fields = root
        .get("global_remote_api_defaults")
        .map(|at| at.fields(schema::API_DEFAULTS));
    let read = |key, default| {
        let at = fields.as_ref().and_then(|fields| fields.get(key));
        at.and_then(|at| at.duration(schema::DEADLINE))
            .unwrap_or(default)
    };
    ApiDefaults {
        timeout: read("timeout", schema::API_TIMEOUT),
        connect_timeout: read("connect_timeout", schema::API_CONNECT_TIMEOUT),
        file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
    }
}

fn remote_apis(root: &Fields, defaults: &ApiDefaults) -> BTreeMap<String, Arc<RemoteApi>> {
    let entries = root
        .get("global_remote_apis")
        .map(|at| at.entries())
        .unwrap_or_default();
    let read = |(name, at): (&str, Cursor)| (name.to_owned(), Arc::new(remote::api(&at, defaults)));
    entries.into_iter().map(read).collect()
}
