//! The keys of a backend that say how its containers are made.

use super::Draft;
use super::paths;
use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::{files, process, schema};
use crate::model::{HostMount, Mount, MountSource, Template, TemplateWay, VolumeMount};

pub fn apply(draft: &mut Draft, fields: &Fields, shared: &Shared) {
    if let Some(at) = fields.get("container_env") {
        draft.options.environment.extend(process::variables(&at));
    }
    if let Some(at) = fields.get("container_volumes") {
        draft.options.storage.mounts.extend(volumes(&at, shared));
    }
}

/// `{host: {bind, mode}}`.
fn volumes(at: &Cursor, shared: &Shared) -> Vec<Mount> {
    let volume = |(host, at): (&str, Cursor)| {
        let fields = at.fields(schema::VOLUME);
        let target = fields
            .require("bind", "")
            .and_then(|at| paths::in_container(&at));
        let mode = fields.get("mode").and_then(|at| at.choice::<VolumeMode>());
        Some(Mount {
            target: target?,
            source: source(host, shared)?,
            read_only: mode == Some(VolumeMode::Ro),
            relabel: None,
        })
    };
    at.entries().into_iter().filter_map(volume).collect()
}

fn source(host: &str, shared: &Shared) -> Option<MountSource> {
    if !paths::is_host_path(host) {
        return Some(MountSource::Volume(VolumeMount {
            name: Some(host.to_owned()),
            ..VolumeMount::default()
        }));
    }
    Some(MountSource::Host(HostMount {
        path: paths::on_host(host, shared)?,
        create: true,
        propagation: None,
        recursive: true,
    }))
}

/// How a volume is mounted.
#[derive(Clone, Copy, PartialEq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum VolumeMode {
    Rw,
    Ro,
}

pub fn template(fields: &Fields, shared: &Shared) -> Option<Template> {
    let kind = fields.of.peek("backend_type");
    let is_filesystem = kind.is_some_and(|(_, kind)| kind == "filesystem");
    let in_image = fields.get("container_template_data_path");
    let way = match in_image {
        Some(_) => TemplateWay::Image,
        None => TemplateWay::Copy,
    };
    let target = in_image.map(|at| paths::in_container(&at));
    let source = fields.get("template_data_path_host")?;
    let source = if is_filesystem {
        files::directory(&source, shared)
    } else {
        files::existing(&source, shared)
    };
    Some(Template {
        source: source?,
        target: target.unwrap_or_else(|| Some(schema::TEMPLATE_MOUNT.to_owned()))?,
        way,
    })
}
