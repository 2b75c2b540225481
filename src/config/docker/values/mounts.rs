//! What is mounted into a container: `--volume`, `--tmpfs` and what they share with `--mount`.

use std::str::FromStr;

use strum::VariantNames;

use super::files;
use crate::config::check::Shared;
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::config::problem;
use crate::model::{HostMount, Mount, MountSource, Propagation, Relabel, VolumeMount};

const SHAPE: &str = "[source:]target[:options], such as ./data:/data:ro";
/// Options of a volume beside the kinds of propagation.
const OPTIONS: &[&str] = &["rw", "ro", "z", "Z", "nocopy"];
/// Said of mounts on other systems than Linux; engines on Linux take and forget them.
const CONSISTENCY: &[&str] = &["consistent", "cached", "delegated", "default"];
/// Of `mount(8)`, as far as engines take them for a tmpfs.
const TMPFS: &[&str] = &[
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "remount",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];

/// `[source:]target[:options]`; a source without a slash is the name of a volume.
pub fn volume(text: &str, shared: &Shared) -> Read<Mount> {
    let parts: Vec<_> = text.split(':').collect();
    let (source, target_text, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] if !source.is_empty() => (source, target, ""),
        [source, target, options] if !source.is_empty() && !options.is_empty() => {
            (source, target, options)
        }
        _ => return Err(Wrong::expected(SHAPE)),
    };
    let mut mount = Mount {
        target: target(target_text)?,
        source: source_of(source, shared)?,
        read_only: false,
        relabel: None,
    };
    set_options(&mut mount, options)?;
    Ok(mount)
}

/// `rw`, `ro`, `z`, `Z`, `nocopy` and kinds of propagation, with commas.
pub fn set_options(mount: &mut Mount, options: &str) -> Read<()> {
    let mut access = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match (option, &mut mount.source) {
            ("rw" | "ro", _) => {
                ensure(access.is_none_or(|access| access == option), || {
                    Wrong::new("must not be both rw and ro")
                })?;
                access = Some(option);
                mount.read_only = option == "ro";
            }
            ("z" | "Z", _) => mount.relabel = Relabel::from_str(option).ok(),
            ("nocopy", MountSource::Volume(volume)) => volume.no_copy = true,
            ("nocopy", MountSource::Host(_)) => {
                return Err(Wrong::new(
                    "nocopy is for volumes, not for paths of the host",
                ));
            }
            (option, _) if CONSISTENCY.contains(&option) => {}
            (option, source) => set_propagation(source, option)?,
        }
    }
    Ok(())
}

fn set_propagation(source: &mut MountSource, option: &str) -> Read<()> {
    let Ok(propagation) = Propagation::from_str(option) else {
        let known: Vec<_> = OPTIONS
            .iter()
            .chain(Propagation::VARIANTS)
            .copied()
            .collect();
        return Err(Wrong::not_one_of(option, &known));
    };
    match source {
        MountSource::Host(host) => host.propagation = Some(propagation),
        MountSource::Volume(_) => {
            return Err(Wrong::new(
                "propagation is for paths of the host, not for volumes",
            ));
        }
    }
    Ok(())
}

/// What is mounted: a path of the host, the name of a volume, or with no text a new volume.
pub fn source_of(text: &str, shared: &Shared) -> Read<MountSource> {
    if text.is_empty() {
        return Ok(MountSource::Volume(VolumeMount::default()));
    }
    if files::is_path(text) {
        return Ok(MountSource::Host(HostMount {
            path: files::on_host(text, shared)?,
            create: true,
            propagation: None,
            recursive: true,
        }));
    }
    Ok(MountSource::Volume(VolumeMount {
        name: Some(volume_name(text)?),
        ..VolumeMount::default()
    }))
}

pub fn volume_name(text: &str) -> Read<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_name = text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_plain);
    ensure(is_name, || {
        Wrong::new("is neither a path with a `/` nor the name of a volume").hint(
            "names have two or more letters, digits, `_`, `.` or `-`; a path begins with ./ or /",
        )
    })?;
    Ok(text.to_owned())
}

/// An absolute path in a container, without `.`, doubled or trailing slashes.
pub fn directory(text: &str) -> Read<String> {
    ensure(text.starts_with('/'), || {
        Wrong::new("a path in the container must start with `/`")
    })?;
    Ok(files::cleaned(text))
}

/// Where something is mounted.
pub fn target(text: &str) -> Read<String> {
    let path = directory(text)?;
    ensure(path != "/", || {
        Wrong::new("nothing can be mounted over the root of the container")
    })?;
    Ok(path)
}

/// `path[:options]`.
pub fn tmpfs(text: &str) -> Read<(String, String)> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        ensure(TMPFS.contains(&name), || {
            let wrong = Wrong::new("has an option that a tmpfs does not know");
            match problem::did_you_mean(name, TMPFS) {
                Some(hint) => wrong.hint(hint),
                None => wrong.hint("such as size=64m, mode=1777, noexec"),
            }
        })?;
    }
    Ok((target(path)?, options.to_owned()))
}

/// `container[:ro|rw|z]`.
pub fn volumes_from(text: &str) -> Read<String> {
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let is_mode = mode
        .split(',')
        .all(|mode| matches!(mode, "ro" | "rw" | "z" | "Z"));
    ensure(!name.is_empty() && is_mode, || {
        Wrong::expected("container[:ro]")
    })?;
    Ok(text.to_owned())
}
