//! The options of the file systems.

use super::Line;
use crate::drivers::docker::create::{Shape, shape};
use crate::model::{HostMount, Mount, MountSource, Storage, VolumeMount};

pub(super) fn write(line: &mut Line, storage: &Storage, extra: &[Mount]) {
    for mount in storage.mounts.iter().chain(extra) {
        match shape(mount) {
            Shape::Anonymous => line.option("volume", &mount.target),
            Shape::Bind(text) => line.option("volume", text),
            Shape::Mount(_) => line.option("mount", fields(mount)),
        }
    }
    for (path, options) in &storage.tmpfs {
        let joint = if options.is_empty() { "" } else { ":" };
        line.option("tmpfs", format!("{path}{joint}{options}"));
    }
    line.each("volumes-from", &storage.volumes_from);
    line.maybe("volume-driver", storage.volume_driver.as_ref());
    line.switch("read-only", storage.read_only);
    line.maybe("shm-size", storage.shm_size.as_ref());
    let options = storage.driver_options.iter();
    line.each(
        "storage-opt",
        options.map(|(name, value)| format!("{name}={value}")),
    );
}

fn fields(mount: &Mount) -> String {
    let mut fields = match &mount.source {
        MountSource::Host(host) => of_host(host),
        MountSource::Volume(volume) => of_volume(volume),
    };
    fields.push(format!("target={}", mount.target));
    fields.extend(mount.read_only.then(|| "readonly".to_owned()));
    let fields: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",")
}

fn of_host(host: &HostMount) -> Vec<String> {
    let mut fields = vec!["type=bind".to_owned(), format!("source={}", host.path)];
    let propagation = host.propagation.iter();
    fields.extend(propagation.map(|propagation| format!("bind-propagation={propagation}")));
    fields.extend((!host.recursive).then(|| "bind-recursive=disabled".to_owned()));
    fields
}

fn of_volume(volume: &VolumeMount) -> Vec<String> {
    let mut fields = vec!["type=volume".to_owned()];
    fields.extend(volume.name.iter().map(|name| format!("source={name}")));
    fields.extend(volume.no_copy.then(|| "volume-nocopy".to_owned()));
    let labels = volume.labels.iter();
    fields.extend(labels.map(|(name, value)| format!("volume-label={name}={value}")));
    let driver = volume.driver.iter();
    fields.extend(driver.map(|driver| format!("volume-driver={driver}")));
    // Their values are secret, and shown so.
    let options = volume.driver_options.iter();
    fields.extend(options.map(|(name, value)| format!("volume-opt={name}={value}")));
    fields
}

/// A field of CSV.
pub(super) fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
