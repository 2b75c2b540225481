//! The file systems of a request.

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount as EngineMount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};

use super::{filled, filled_map};
use crate::model::{HostMount, Mount, MountSource, Propagation, Storage, VolumeMount};

pub(super) fn fill(
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    storage: &Storage,
    extra: &[Mount],
) {
    let (mut binds, mut mounts, mut anonymous) = (Vec::new(), Vec::new(), Vec::new());
    for mount in storage.mounts.iter().chain(extra) {
        match shape(mount) {
            Shape::Bind(line) => binds.push(line),
            Shape::Mount(mount) => mounts.push(*mount),
            Shape::Anonymous => anonymous.push(mount.target.clone()),
        }
    }
    body.volumes = filled(&anonymous);
    host.binds = filled(&binds);
    host.mounts = filled(&mounts);
    host.tmpfs = filled_map(&storage.tmpfs);
    host.volumes_from = filled(&storage.volumes_from);
    host.volume_driver.clone_from(&storage.volume_driver);
    host.readonly_rootfs = Some(storage.read_only);
    host.shm_size = storage.shm_size.and_then(|size| size.try_into().ok());
    host.storage_opt = filled_map(&storage.driver_options);
}

/// The ways in which the engine takes mounts; each can say something that the others cannot.
pub enum Shape {
    /// `source:target:options`: makes what is missing on the host, and knows labels.
    Bind(String),
    /// Knows drivers, and paths with colons.
    Mount(Box<EngineMount>),
    Anonymous,
}

pub fn shape(mount: &Mount) -> Shape {
    match &mount.source {
        MountSource::Host(host) if is_line(host, mount) => Shape::Bind(host_line(host, mount)),
        MountSource::Host(host) => Shape::Mount(Box::new(host_mount(host, mount))),
        MountSource::Volume(volume) => match &volume.name {
            None if *volume == VolumeMount::default() && !mount.read_only => Shape::Anonymous,
            Some(name) if volume.is_plain() => Shape::Bind(volume_line(name, volume, mount)),
            _ => Shape::Mount(Box::new(volume_mount(volume, mount))),
        },
    }
}

fn is_line(host: &HostMount, mount: &Mount) -> bool {
    let has_colon = host.path.contains(':') || mount.target.contains(':');
    (host.create || mount.relabel.is_some()) && host.recursive && !has_colon
}

fn host_line(host: &HostMount, mount: &Mount) -> String {
    let propagation = host.propagation.map(|propagation| propagation.to_string());
    line(&host.path, mount, propagation)
}

fn volume_line(name: &str, volume: &VolumeMount, mount: &Mount) -> String {
    line(name, mount, volume.no_copy.then(|| "nocopy".to_owned()))
}

fn line(source: &str, mount: &Mount, option: Option<String>) -> String {
    let access = if mount.read_only { "ro" } else { "rw" };
    let relabel = mount.relabel.map(|relabel| relabel.to_string());
    let options = [Some(access.to_owned()), relabel, option];
    let options: Vec<_> = options.into_iter().flatten().collect();
    format!("{source}:{}:{}", mount.target, options.join(","))
}

fn host_mount(host: &HostMount, mount: &Mount) -> EngineMount {
    let bind = MountBindOptions {
        propagation: host.propagation.map(propagation),
        non_recursive: (!host.recursive).then_some(true),
        ..MountBindOptions::default()
    };
    EngineMount {
        typ: Some(MountType::BIND),
        source: Some(host.path.clone()),
        bind_options: (bind != MountBindOptions::default()).then_some(bind),
        ..common(mount)
    }
}

fn volume_mount(volume: &VolumeMount, mount: &Mount) -> EngineMount {
    let secret =
        |(name, value): (&String, &crate::model::Secret)| (name.clone(), value.expose().to_owned());
    let options = volume.driver_options.iter().map(secret);
    let driver = MountVolumeOptionsDriverConfig {
        name: volume.driver.clone(),
        options: (!volume.driver_options.is_empty()).then(|| options.collect()),
    };
    EngineMount {
        typ: Some(MountType::VOLUME),
        source: volume.name.clone(),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(volume.no_copy),
            labels: filled_map(&volume.labels),
            driver_config: (driver != MountVolumeOptionsDriverConfig::default()).then_some(driver),
            subpath: None,
        }),
        ..common(mount)
    }
}

fn common(mount: &Mount) -> EngineMount {
    EngineMount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..EngineMount::default()
    }
}

fn propagation(propagation: Propagation) -> MountBindOptionsPropagationEnum {
    use MountBindOptionsPropagationEnum as Engine;
    match propagation {
        Propagation::Private => Engine::PRIVATE,
        Propagation::Rprivate => Engine::RPRIVATE,
        Propagation::Shared => Engine::SHARED,
        Propagation::Rshared => Engine::RSHARED,
        Propagation::Slave => Engine::SLAVE,
        Propagation::Rslave => Engine::RSLAVE,
    }
}
