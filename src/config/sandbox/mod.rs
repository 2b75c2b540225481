//! What a backend needs in the mode `box`, and what `global_box_options` says for all of them.

mod runtime;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use self::runtime::Runtime;
use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::{files, process, schema};
use crate::model::{Install, Sandbox, SandboxNetwork, SandboxProfile, Sharing, Staging};

/// What both places can say; where neither does, the default.
#[derive(Clone)]
pub(super) struct Options {
    enabled: bool,
    profile: SandboxProfile,
    sharing: Sharing,
    staging: Staging,
    install: Install,
    startup_timeout: Duration,
    runtime: Runtime,
}

impl Options {
    /// What holds where nothing is said; projects may be below `base`.
    pub fn new(base: &Path) -> Self {
        Self {
            enabled: true,
            profile: SandboxProfile::default(),
            sharing: Sharing::default(),
            staging: Staging {
                roots: vec![base.to_owned()],
                ..Staging::default()
            },
            install: Install::default(),
            startup_timeout: schema::BOX_STARTUP,
            runtime: Runtime::default(),
        }
    }
}

/// `global_box_options`.
pub(super) fn globals(root: &Fields, shared: &Shared) -> Options {
    let mut options = shared.sandbox.clone();
    if let Some(at) = root.get("global_box_options") {
        let keys: Vec<_> = [schema::BOX_ENABLED]
            .into_iter()
            .chain(schema::BOX.iter().copied())
            .collect();
        let fields = at.fields(&keys);
        let enabled = fields.get(schema::BOX_ENABLED).and_then(|at| at.flag());
        options.enabled = enabled.unwrap_or(options.enabled);
        read_block(&fields, &mut options, shared);
    }
    options
}

pub(super) fn read(fields: &Fields, shared: &Shared) -> Sandbox {
    let mut options = shared.sandbox.clone();
    if let Some(at) = fields.get("box") {
        let block = at.fields(schema::BOX);
        read_block(&block, &mut options, shared);
        options.runtime.check(&block);
    }
    let command = fields.require("command", " for box");
    let command = command
        .as_ref()
        .and_then(Cursor::nonempty_text)
        .unwrap_or_default();
    let env = fields.get("env").map(|at| process::variables(&at));
    Sandbox {
        // What looks like a path is one of the sandbox, unless it is one of the host's project.
        command: command.to_owned(),
        args: fields.get("args").map(|at| at.texts()).unwrap_or_default(),
        env: env.unwrap_or_default(),
        enabled: options.enabled,
        runtime: options.runtime.finish(shared),
        sharing: options.sharing,
        profile: options.profile,
        staging: options.staging,
        install: options.install,
        startup_timeout: options.startup_timeout,
    }
}

fn read_block(fields: &Fields, options: &mut Options, shared: &Shared) {
    profile(fields, &mut options.profile);
    staging(fields, &mut options.staging, shared);
    options.runtime.read(fields, shared);
    set(
        &mut options.sharing,
        fields.get("sharing").and_then(|at| at.choice()),
    );
    if let Some(at) = fields.get("env") {
        options.install.env.extend(process::variables(&at));
    }
    let timeout = fields.get("install_timeout");
    set(
        &mut options.install.timeout,
        timeout.and_then(|at| at.duration(schema::DEADLINE)),
    );
    let startup = fields.get("startup_timeout_sec");
    let startup = startup.and_then(|at| at.duration(schema::PAUSE));
    set(&mut options.startup_timeout, startup.map(startup_timeout));
}

/// Nothing is the usual time, and less than a second is one.
fn startup_timeout(said: Duration) -> Duration {
    if said.is_zero() {
        return schema::BOX_STARTUP;
    }
    said.max(Duration::from_secs(1))
}

fn profile(fields: &Fields, profile: &mut SandboxProfile) {
    if let Some(image) = fields.get("image").as_ref().and_then(Cursor::nonempty_text) {
        image.clone_into(&mut profile.image);
    }
    let network = fields.get("network");
    set(
        &mut profile.network,
        network
            .as_ref()
            .and_then(Cursor::nonempty_text)
            .map(network_of),
    );
    let cpus = fields.get("cpus");
    set(
        &mut profile.cpus,
        cpus.and_then(|at| at.number(schema::BOX_CPUS)),
    );
    let whole = |key, range| fields.get(key).and_then(|at| at.integer(range));
    set(
        &mut profile.memory_mb,
        whole("memory_mb", schema::BOX_MEMORY_MB),
    );
    set(
        &mut profile.pids_limit,
        whole("pids_limit", schema::BOX_PIDS),
    );
    let read_only = fields.get("read_only_rootfs");
    set(
        &mut profile.read_only_rootfs,
        read_only.and_then(|at| at.flag()),
    );
}

fn network_of(name: &str) -> SandboxNetwork {
    match name {
        "on" => SandboxNetwork::On,
        "off" | "none" => SandboxNetwork::Off,
        name => SandboxNetwork::Named(name.to_owned()),
    }
}

fn staging(fields: &Fields, staging: &mut Staging, shared: &Shared) {
    set(
        &mut staging.mode,
        fields.get("host_path_mode").and_then(|at| at.choice()),
    );
    if let Some(at) = fields.get("allowed_mount_roots") {
        let items = at.items();
        let roots = items
            .iter()
            .filter_map(|root| files::directory(root, shared));
        staging.roots = roots.collect();
    }
    if let Some(at) = fields.get("host_path") {
        staging.host_path = files::directory(&at, shared);
        if let Some(path) = &staging.host_path
            && path.is_dir()
            && !is_allowed(path, &staging.roots)
        {
            let text = "is outside of the directories that may be given to a sandbox";
            at.problem_with_hint(text, "add it to allowed_mount_roots");
        }
    }
    if let Some(at) = fields.get("ignore") {
        staging.ignore = at.items().iter().filter_map(ignored).collect();
    }
    let size = fields.get("max_size");
    set(
        &mut staging.max_size,
        size.and_then(|at| at.size(schema::BOX_SIZE)),
    );
    let whole = |key, range| fields.get(key).and_then(|at| at.integer(range));
    set(
        &mut staging.max_entries,
        whole("max_entries", schema::BOX_ENTRIES),
    );
    set(
        &mut staging.quota_mb,
        whole("workspace_quota_mb", schema::BOX_QUOTA_MB),
    );
}

/// Links count as what they lead to.
fn is_allowed(path: &Path, roots: &[PathBuf]) -> bool {
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let mut roots = roots.iter().filter_map(|root| root.canonicalize().ok());
    roots.any(|root| path.starts_with(root))
}

fn ignored(at: &Cursor) -> Option<String> {
    let name = at.nonempty_text()?;
    let mut parts = Path::new(name).components();
    let is_name = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    if !is_name {
        at.problem("expected the name of files or directories, without a slash");
    }
    is_name.then(|| name.to_owned())
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}
