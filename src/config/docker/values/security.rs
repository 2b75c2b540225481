//! Capabilities, security options and namespaces.

use super::files;
use super::numbers::switch;
use crate::config::check::Shared;
use crate::config::docker::draft::Draft;
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::Seccomp;

const ALL: &str = "ALL";
/// Of capabilities(7).
const CAPABILITIES: &[&str] = &[
    ALL,
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

const OPTIONS: &[&str] = &[
    "no-new-privileges",
    "seccomp",
    "apparmor",
    "label",
    "systempaths",
];

/// Takes it back from those that are dropped.
pub fn add_capability(draft: &mut Draft, text: &str) -> Read<()> {
    let name = capability(text)?;
    let isolation = &mut draft.options.isolation;
    isolation.cap_drop.retain(|dropped| *dropped != name);
    super::super::wrong::add(&mut isolation.cap_add, Ok(name))
}

/// Takes it back from those that are added; `ALL` leaves the added ones, as `docker run` does.
pub fn drop_capability(draft: &mut Draft, text: &str) -> Read<()> {
    let name = capability(text)?;
    let isolation = &mut draft.options.isolation;
    isolation.cap_add.retain(|added| *added != name);
    super::super::wrong::add(&mut isolation.cap_drop, Ok(name))
}

fn capability(text: &str) -> Read<String> {
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    ensure(CAPABILITIES.contains(&name), || {
        let wrong = Wrong::expected("the name of a capability");
        match crate::config::problem::did_you_mean(name, CAPABILITIES) {
            Some(hint) => wrong.hint(hint),
            None => wrong.hint("such as NET_ADMIN or SYS_PTRACE, or ALL"),
        }
    })?;
    Ok(name.to_owned())
}

/// `name=value`, or with a colon, as was usual once.
pub fn option(draft: &mut Draft, text: &str, shared: &Shared) -> Read<()> {
    let (name, value) = match text.split_once(['=', ':']) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    ensure(OPTIONS.contains(&name), || Wrong::not_one_of(name, OPTIONS))?;
    let isolation = &mut draft.options.isolation;
    if name == "no-new-privileges" {
        let on = switch(value.unwrap_or("true")).map_err(|wrong| wrong.of(name))?;
        draft.hardening.no_new_privileges = Some(on);
        return Ok(());
    }
    let value = value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Wrong::new(format!("{name} needs a value: {name}=…")))?;
    match name {
        "seccomp" => {
            isolation.seccomp = Some(match value {
                "unconfined" => Seccomp::Unconfined,
                "builtin" => Seccomp::Builtin,
                file => files::seccomp(file, shared)?,
            });
        }
        "apparmor" => isolation.apparmor = Some(value.to_owned()),
        "label" => isolation.selinux.push(value.to_owned()),
        _ => {
            ensure(value == "unconfined", || {
                Wrong::expected("systempaths=unconfined")
            })?;
            isolation.unmask_paths = true;
        }
    }
    Ok(())
}

/// `NAME` of `container:NAME`, or one of the words.
fn namespace(text: &str, words: &[&str], with_container: bool) -> Read<String> {
    let container = text.strip_prefix("container:");
    let is_container = with_container && container.is_some_and(|name| !name.is_empty());
    ensure(words.contains(&text) || is_container, || {
        let words = words.join(", ");
        let container = if with_container {
            " or container:NAME"
        } else {
            ""
        };
        Wrong::expected(format_args!("{words}{container}"))
    })?;
    Ok(text.to_owned())
}

pub fn ipc(text: &str) -> Read<String> {
    namespace(text, &["none", "private", "shareable", "host"], true)
}

pub fn pid(text: &str) -> Read<String> {
    namespace(text, &["host"], true)
}

/// For users and for the names of the machine.
pub fn host_only(text: &str) -> Read<String> {
    namespace(text, &["host"], false)
}

pub fn cgroup(text: &str) -> Read<String> {
    namespace(text, &["host", "private"], false)
}
