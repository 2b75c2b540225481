//! `--mount` with its fields.

use std::str::FromStr;

use strum::VariantNames;

use super::{fields, files, mounts, names, numbers};
use crate::config::check::Shared;
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::{HostMount, Mount, MountSource, Propagation, Secret, VolumeMount};

/// A mount, or what is mounted as a tmpfs: its path and options.
#[derive(Debug, PartialEq)]
pub enum Mounted {
    Mount(Mount),
    Tmpfs(String, String),
}

#[derive(
    Clone, Copy, Debug, Default, PartialEq, strum::EnumString, strum::VariantNames, strum::Display,
)]
#[strum(serialize_all = "lowercase")]
enum Kind {
    Bind,
    #[default]
    Volume,
    Tmpfs,
}

const KEYS: &[&str] = &[
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "consistency",
    "bind-propagation",
    "bind-recursive",
    "bind-create-src",
    "volume-nocopy",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "tmpfs-size",
    "tmpfs-mode",
];
/// Options without a value are true.
const SWITCHES: &[&str] = &["readonly", "ro", "bind-create-src", "volume-nocopy"];

/// The fields as they come.
#[derive(Default)]
struct Draft {
    kind: Kind,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    non_recursive: bool,
    create: bool,
    volume: VolumeMount,
    tmpfs_size: Option<u64>,
    tmpfs_mode: Option<u32>,
    /// Kinds of mounts that an option was given for, with its name.
    meant_for: Vec<(Kind, &'static str)>,
}

/// `type=bind,source=./data,target=/data,readonly` and so on.
pub fn mount(text: &str, shared: &Shared) -> Read<Mounted> {
    let fields = fields::split(text)?;
    let pairs = fields.iter().map(|field| fields::parts(field));
    from_pairs(pairs, shared)
}

/// From fields that were read elsewhere.
pub fn from_pairs<'a>(
    pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    shared: &Shared,
) -> Read<Mounted> {
    let mut draft = Draft::default();
    for (key, value) in pairs {
        let name = key.to_lowercase();
        let Some(key) = KEYS.iter().find(|known| **known == name) else {
            return Err(unknown(&name));
        };
        let value = match value {
            Some(value) => value,
            None if SWITCHES.contains(key) => "true",
            None => return Err(Wrong::new(format!("{key} needs a value: {key}=…"))),
        };
        ensure(!value.is_empty(), || {
            Wrong::new(format!("{key} must not be empty"))
        })?;
        draft.set(key, value).map_err(|wrong| wrong.of(key))?;
    }
    draft.finish(shared)
}

fn unknown(name: &str) -> Wrong {
    let newer = "needs an engine API newer than the 1.41 that envdeck speaks";
    match name {
        "volume-subpath" | "image-subpath" => Wrong::new(format!("{name} {newer}")),
        "bind-nonrecursive" => {
            Wrong::new("bind-nonrecursive is out of use").hint("write bind-recursive=disabled")
        }
        name => Wrong::new("has an unknown field").or_hint(
            crate::config::problem::did_you_mean(name, KEYS)
                .unwrap_or_else(|| format!("known are {}", KEYS.join(", "))),
        ),
    }
}

impl Draft {
    fn set(&mut self, key: &'static str, value: &str) -> Read<()> {
        let kind = match key.split_once('-') {
            Some(("bind", _)) => Some(Kind::Bind),
            Some(("volume", _)) => Some(Kind::Volume),
            Some(("tmpfs", _)) => Some(Kind::Tmpfs),
            _ => None,
        };
        self.meant_for.extend(kind.map(|kind| (kind, key)));
        match key {
            "type" => self.kind = kind_of(value)?,
            "source" | "src" => self.source = Some(value.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(mounts::target(value)?),
            "readonly" | "ro" => self.read_only = numbers::switch(value)?,
            "bind-propagation" => self.propagation = Some(propagation(value)?),
            "bind-recursive" => self.non_recursive = !recursive(value)?,
            "bind-create-src" => self.create = numbers::switch(value)?,
            "volume-nocopy" => self.volume.no_copy = numbers::switch(value)?,
            "volume-label" => self.volume.labels.extend([names::label(value)?]),
            "volume-driver" => self.volume.driver = Some(value.to_owned()),
            "volume-opt" => {
                let (name, value) = names::pair(value, "volume-opt=name=value")?;
                let value = Secret::new(value);
                self.volume.driver_options.insert(name, value);
            }
            "tmpfs-size" => self.tmpfs_size = Some(numbers::bytes(value)?),
            "tmpfs-mode" => self.tmpfs_mode = Some(octal(value)?),
            // Engines on Linux take and forget `consistency`.
            _ => {}
        }
        Ok(())
    }

    fn finish(self, shared: &Shared) -> Read<Mounted> {
        for (kind, key) in &self.meant_for {
            ensure(*kind == self.kind, || {
                Wrong::new(format!(
                    "{key} is for type={kind}, but this is {}",
                    self.kind
                ))
            })?;
        }
        let target = self.target.ok_or_else(|| Wrong::new("needs target=PATH"))?;
        let source = match self.kind {
            Kind::Tmpfs => {
                ensure(self.source.is_none(), || {
                    Wrong::new("a tmpfs has no source")
                })?;
                let options = tmpfs_options(self.tmpfs_size, self.tmpfs_mode, self.read_only);
                return Ok(Mounted::Tmpfs(target, options));
            }
            Kind::Volume => MountSource::Volume(VolumeMount {
                name: self
                    .source
                    .as_deref()
                    .map(mounts::volume_name)
                    .transpose()?,
                ..self.volume
            }),
            Kind::Bind => {
                ensure(!(self.create && self.non_recursive), || {
                    Wrong::new("bind-create-src cannot be combined with bind-recursive=disabled")
                })?;
                let source = self.source.ok_or_else(|| Wrong::new("needs source=PATH"))?;
                MountSource::Host(HostMount {
                    path: files::on_host(&source, shared)?,
                    create: self.create,
                    propagation: self.propagation,
                    recursive: !self.non_recursive,
                })
            }
        };
        Ok(Mounted::Mount(Mount {
            target,
            source,
            read_only: self.read_only,
            relabel: None,
        }))
    }
}

fn kind_of(value: &str) -> Read<Kind> {
    match &*value.to_lowercase() {
        "image" => Err(Wrong::new(
            "image needs an engine API newer than the 1.41 that envdeck speaks",
        )),
        "cluster" | "npipe" => Err(Wrong::not_one_of("", Kind::VARIANTS)),
        name => Kind::from_str(name).map_err(|_| Wrong::not_one_of(name, Kind::VARIANTS)),
    }
}

fn propagation(value: &str) -> Read<Propagation> {
    let name = value.to_lowercase();
    Propagation::from_str(&name).map_err(|_| Wrong::not_one_of(&name, Propagation::VARIANTS))
}

fn recursive(value: &str) -> Read<bool> {
    match value {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        "writable" | "readonly" => Err(Wrong::new(
            "writable and readonly need an engine API newer than the 1.41 that envdeck speaks",
        )),
        other => Err(Wrong::not_one_of(other, &["enabled", "disabled"])),
    }
}

fn octal(value: &str) -> Read<u32> {
    let mode = u32::from_str_radix(value, 8).ok();
    mode.filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| Wrong::expected("an octal number such as 1777"))
}

fn tmpfs_options(size: Option<u64>, mode: Option<u32>, read_only: bool) -> String {
    let options = [
        size.map(|size| format!("size={size}")),
        mode.map(|mode| format!("mode={mode:o}")),
        read_only.then(|| "ro".to_owned()),
    ];
    let options: Vec<_> = options.into_iter().flatten().collect();
    options.join(",")
}
