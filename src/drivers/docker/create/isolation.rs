//! What separates a requested container from its host.

use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum};

use super::filled;
use crate::model::{Isolation, Seccomp};

const ALL: &str = "ALL";

/// Lets root pass over permissions of files: those of the host belong to whoever runs us, and without it root in
/// the container could not write to its own copy of a template.
const DAC_OVERRIDE: &str = "DAC_OVERRIDE";

pub(super) fn fill(host: &mut HostConfig, isolation: &Isolation, holds_host_data: bool) {
    let (add, drop) = capabilities(isolation, holds_host_data);
    host.cap_add = filled(&add);
    host.cap_drop = filled(&drop);
    host.init = Some(isolation.init);
    host.privileged = Some(isolation.privileged);
    host.security_opt = filled(&security(isolation));
    if isolation.unmask_paths {
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
    }
    host.ipc_mode.clone_from(&isolation.ipc);
    host.pid_mode.clone_from(&isolation.pid);
    host.uts_mode.clone_from(&isolation.uts);
    host.userns_mode.clone_from(&isolation.userns);
    host.cgroupns_mode = isolation.cgroupns.as_deref().map(|mode| match mode {
        "host" => HostConfigCgroupnsModeEnum::HOST,
        _ => HostConfigCgroupnsModeEnum::PRIVATE,
    });
    host.group_add = filled(&isolation.groups);
}

/// Capabilities to add and to drop.
pub fn capabilities(isolation: &Isolation, holds_host_data: bool) -> (Vec<String>, Vec<String>) {
    let mut add = isolation.cap_add.clone();
    if !isolation.drop_capabilities {
        return (add, isolation.cap_drop.clone());
    }
    let is_refused = isolation
        .cap_drop
        .iter()
        .any(|name| name == DAC_OVERRIDE || name == ALL);
    let has_it = add.iter().any(|name| name == DAC_OVERRIDE || name == ALL);
    if holds_host_data && !is_refused && !has_it {
        add.push(DAC_OVERRIDE.to_owned());
    }
    let mut drop = vec![ALL.to_owned()];
    // The engine begins with all of them then, so what else is dropped counts again.
    if add.iter().any(|name| name == ALL) {
        drop.clone_from(&isolation.cap_drop);
    }
    (add, drop)
}

fn security(isolation: &Isolation) -> Vec<String> {
    let mut all = Vec::new();
    if isolation.no_new_privileges {
        all.push("no-new-privileges".to_owned());
    }
    all.extend(isolation.seccomp.as_ref().map(|seccomp| match seccomp {
        Seccomp::Unconfined => "seccomp=unconfined".to_owned(),
        Seccomp::Builtin => "seccomp=builtin".to_owned(),
        Seccomp::Profile { json, .. } => format!("seccomp={json}"),
    }));
    all.extend(
        isolation
            .apparmor
            .as_ref()
            .map(|name| format!("apparmor={name}")),
    );
    all.extend(
        isolation
            .selinux
            .iter()
            .map(|label| format!("label={label}")),
    );
    all
}
