//! `global_docker_options`: what `docker run` can do, by the names that the Docker SDK for Python has for it.

use super::draft::Draft;
use super::flags::{self, Effect};
use super::structured;
use super::wrong::{Read, Wrong};
use crate::config::check::Shared;
use crate::config::cursor::Cursor;

/// How an option is written and what it stands for.
pub enum Form {
    /// Text or a number: the value of this option of `docker run`.
    One(&'static str),
    /// A boolean: the switch of this name.
    Switch(&'static str),
    /// A list: the option again and again.
    Each(&'static str),
    /// A list, or a mapping whose keys and values are joined by the character.
    Pairs(&'static str, char),
    /// A form of its own; the name is that of the option of `docker run` it comes closest to.
    Own(&'static str, fn(&mut Draft, &Cursor, &Shared)),
    /// What envdeck does anyway: it may only be said so.
    Given(bool, &'static str),
    Refused(&'static str),
}

use Form::{Each, Given, One, Own, Pairs, Refused, Switch};

const REMOVED: &str = "envdeck always removes a container with its instance";
const CLIENT: &str = "it is about the Python client, which envdeck does not use — remove it";
const WINDOWS: &str = "it is for Windows containers";
const GONE: &str = "engines no longer know it";

/// The key that is the contract's own.
pub const COMMIT_DELAY: &str = "template_commit_delay_s";

pub const OPTIONS: &[(&str, Form)] = &[
    ("auto_remove", Given(true, REMOVED)),
    ("blkio_weight", One("blkio-weight")),
    (
        "blkio_weight_device",
        Own("blkio-weight-device", structured::weights),
    ),
    ("cap_add", Each("cap-add")),
    ("cap_drop", Each("cap-drop")),
    ("cgroup_parent", One("cgroup-parent")),
    ("cgroupns", One("cgroupns")),
    (
        "command",
        Refused("each backend has its own — use its key container_command"),
    ),
    ("cpu_count", Refused(WINDOWS)),
    ("cpu_percent", Refused(WINDOWS)),
    ("cpu_period", One("cpu-period")),
    ("cpu_quota", One("cpu-quota")),
    ("cpu_rt_period", One("cpu-rt-period")),
    ("cpu_rt_runtime", One("cpu-rt-runtime")),
    ("cpu_shares", One("cpu-shares")),
    ("cpuset_cpus", One("cpuset-cpus")),
    ("cpuset_mems", One("cpuset-mems")),
    (
        "detach",
        Given(true, "envdeck always runs containers detached"),
    ),
    ("device_cgroup_rules", Each("device-cgroup-rule")),
    (
        "device_read_bps",
        Own("device-read-bps", structured::read_bps),
    ),
    (
        "device_read_iops",
        Own("device-read-iops", structured::read_iops),
    ),
    ("device_requests", Own("gpus", structured::device_requests)),
    (
        "device_write_bps",
        Own("device-write-bps", structured::write_bps),
    ),
    (
        "device_write_iops",
        Own("device-write-iops", structured::write_iops),
    ),
    ("devices", Own("device", structured::devices)),
    ("dns", Each("dns")),
    ("dns_opt", Each("dns-option")),
    ("dns_search", Each("dns-search")),
    ("domainname", One("domainname")),
    ("entrypoint", Own("entrypoint", structured::entrypoint)),
    ("environment", Own("env", structured::environment)),
    ("extra_hosts", Pairs("add-host", ':')),
    ("group_add", Each("group-add")),
    ("healthcheck", Own("health-cmd", structured::healthcheck)),
    ("hostname", One("hostname")),
    (
        "image",
        Refused("each backend has its own — use its key docker_image"),
    ),
    ("init", Switch("init")),
    ("init_path", Refused(GONE)),
    ("ipc_mode", One("ipc")),
    ("isolation", Refused(WINDOWS)),
    (
        "kernel_memory",
        Refused("engines no longer support it — use mem_limit"),
    ),
    ("labels", Pairs("label", '=')),
    ("links", Pairs("link", ':')),
    ("log_config", Own("log-driver", structured::log_config)),
    ("lxc_conf", Refused(GONE)),
    (
        "mac_address",
        Refused("older and newer engines want it in different places"),
    ),
    ("mem_limit", One("memory")),
    ("mem_reservation", One("memory-reservation")),
    ("mem_swappiness", One("memory-swappiness")),
    ("memswap_limit", One("memory-swap")),
    ("mounts", Own("mount", structured::mounts)),
    (
        "name",
        Refused("every instance needs a name of its own, which envdeck gives"),
    ),
    ("nano_cpus", Own("cpus", structured::nano_cpus)),
    ("network", One("network")),
    (
        "network_disabled",
        Own("network", structured::network_disabled),
    ),
    ("network_mode", One("network")),
    (
        "networking_config",
        Refused(
            "it is more than the network, which all containers share — use network, and --network-alias or --ip in docker_run_args",
        ),
    ),
    ("oom_kill_disable", Switch("oom-kill-disable")),
    ("oom_score_adj", One("oom-score-adj")),
    ("pid_mode", One("pid")),
    ("pids_limit", One("pids-limit")),
    ("platform", One("platform")),
    (
        "ports",
        Refused(
            "one port of the host cannot lead to every container — use --publish in docker_run_args",
        ),
    ),
    ("privileged", Switch("privileged")),
    ("publish_all_ports", Switch("publish-all")),
    ("read_only", Switch("read-only")),
    ("remove", Given(true, REMOVED)),
    ("restart_policy", Own("restart", structured::restart_policy)),
    ("runtime", One("runtime")),
    ("security_opt", Each("security-opt")),
    ("shm_size", One("shm-size")),
    ("stdin_open", Switch("interactive")),
    ("stop_signal", One("stop-signal")),
    ("storage_opt", Pairs("storage-opt", '=')),
    ("sysctls", Pairs("sysctl", '=')),
    ("tmpfs", Pairs("tmpfs", ':')),
    (
        "tty",
        Given(
            false,
            "a terminal garbles MCP on stdio and mixes errors into the log",
        ),
    ),
    ("ulimits", Own("ulimit", structured::ulimits)),
    ("use_config_proxy", Refused(CLIENT)),
    ("user", One("user")),
    ("userns_mode", One("userns")),
    ("uts_mode", One("uts")),
    ("version", Refused(CLIENT)),
    ("volume_driver", One("volume-driver")),
    ("volumes", Own("volume", structured::volumes)),
    ("volumes_from", Each("volumes-from")),
    ("working_dir", One("workdir")),
];

pub fn names() -> Vec<&'static str> {
    let names = OPTIONS.iter().map(|(name, _)| *name);
    std::iter::once(COMMIT_DELAY).chain(names).collect()
}

/// Sets one option from its value.
pub fn apply<'a>(draft: &mut Draft<'a>, form: &Form, at: &Cursor<'a>, shared: &Shared) {
    match form {
        One(flag) => {
            if let Some(text) = at.scalar() {
                report(set(draft, flag, &text, shared), at);
            }
            draft.note(flag, at);
        }
        Switch(flag) => {
            if let Some(on) = at.boolean() {
                report(set(draft, flag, &on.to_string(), shared), at);
            }
            draft.note(flag, at);
        }
        Pairs(flag, joint) if at.is_mapping() => {
            for (key, at) in at.entries() {
                if let Some(value) = at.scalar_or_nothing() {
                    let text = if value.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{key}{joint}{value}")
                    };
                    report(set(draft, flag, &text, shared), &at);
                }
            }
            draft.note(flag, at);
        }
        Each(flag) | Pairs(flag, _) => each(draft, flag, at, shared),
        Own(flag, read) => {
            read(draft, at, shared);
            draft.note(flag, at);
        }
        Given(value, why) => {
            if at.boolean().is_some_and(|said| said != *value) {
                at.problem(format!("cannot be {}: {why}", !value));
            }
        }
        Refused(why) => at.problem(format!("cannot be given: {why}")),
    }
}

fn each<'a>(draft: &mut Draft<'a>, flag: &'static str, list: &Cursor<'a>, shared: &Shared) {
    draft.note(flag, list);
    for at in list.items() {
        if let Some(text) = at.scalar() {
            report(set(draft, flag, &text, shared), &at);
        }
    }
}

/// As `docker run --FLAG=TEXT` does.
fn set(draft: &mut Draft, flag: &str, text: &str, shared: &Shared) -> Read<()> {
    match flags::long(flag).map(|flag| &flag.effect) {
        Some(Effect::Text(set)) => set(&mut draft.options, text),
        Some(Effect::Wide(set)) => set(draft, text, shared),
        Some(Effect::Switch(set)) => {
            set(draft, text == "true");
            Ok(())
        }
        Some(Effect::Given { .. } | Effect::Refused { .. }) | None => {
            Err(Wrong::new("is not an option of a container"))
        }
    }
}

fn report(read: Read<()>, at: &Cursor) {
    if let Err(wrong) = read {
        wrong.report(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_stands_for_one_that_docker_run_has() {
        for (name, form) in OPTIONS {
            let flag = match form {
                One(flag) | Switch(flag) | Each(flag) | Pairs(flag, _) => flag,
                Own(..) | Given(..) | Refused(_) => continue,
            };
            let effect = flags::long(flag).map(|flag| &flag.effect);
            let takes_text = matches!(effect, Some(Effect::Text(_) | Effect::Wide(_)));
            let is_switch = matches!(effect, Some(Effect::Switch(_)));
            assert_eq!(takes_text, !matches!(form, Switch(_)), "{name}");
            assert_eq!(is_switch, matches!(form, Switch(_)), "{name}");
        }
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| *name));
    }
}
