//! The file systems of a container.

use std::collections::BTreeMap;

use crate::model::Secret;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// At most one for each target.
    pub mounts: Vec<Mount>,
    /// Path in the container -> mount options such as `size=64m,mode=1777`, or nothing.
    pub tmpfs: BTreeMap<String, String>,
    /// `container[:ro|rw]`.
    pub volumes_from: Vec<String>,
    /// For volumes that name no driver of their own.
    pub volume_driver: Option<String>,
    /// The container cannot write to its image.
    pub read_only: bool,
    /// Size of `/dev/shm`, bytes.
    pub shm_size: Option<u64>,
    /// Of the engine's storage driver, such as `size` -> `10G`.
    pub driver_options: BTreeMap<String, String>,
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// An absolute path in the container.
    pub target: String,
    pub source: MountSource,
    pub read_only: bool,
    /// For `SELinux`.
    pub relabel: Option<Relabel>,
}

impl Mount {
    /// A file or directory of the host that exists.
    pub fn of_host(path: impl Into<String>, target: impl Into<String>) -> Self {
        let host = HostMount {
            path: path.into(),
            create: false,
            propagation: None,
            recursive: true,
        };
        Self {
            target: target.into(),
            source: MountSource::Host(host),
            read_only: false,
            relabel: None,
        }
    }

    /// Whether it shows something of the host's.
    pub fn is_of_host(&self) -> bool {
        matches!(self.source, MountSource::Host(_))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum MountSource {
    Host(HostMount),
    Volume(VolumeMount),
}

/// A file or directory of the engine's host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMount {
    /// Absolute.
    pub path: String,
    /// Where there is nothing at the path, the engine makes a directory instead of failing.
    pub create: bool,
    pub propagation: Option<Propagation>,
    /// With what is mounted below it.
    pub recursive: bool,
}

/// A volume of the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeMount {
    /// `None`: a new one, removed with the container.
    pub name: Option<String>,
    /// Do not fill an empty volume with what the image has there.
    pub no_copy: bool,
    pub labels: BTreeMap<String, String>,
    pub driver: Option<String>,
    /// Some drivers take passwords.
    pub driver_options: BTreeMap<String, Secret>,
}

impl VolumeMount {
    /// Whether only its name and `no_copy` say something.
    pub fn is_plain(&self) -> bool {
        self.labels.is_empty() && self.driver.is_none() && self.driver_options.is_empty()
    }
}

/// Whether mounts made later on one side appear on the other.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

/// Which containers an `SELinux` host lets at a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum Relabel {
    #[strum(serialize = "z")]
    Shared,
    #[strum(serialize = "Z")]
    Private,
}
