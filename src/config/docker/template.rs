//! The data that every new instance begins with.

use super::draft::Draft;
use super::values::mounts;
use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::{files, problem, schema};
use crate::model::{Template, TemplateWay};

pub fn read(draft: &mut Draft, fields: &Fields, shared: &Shared) -> Option<Template> {
    let in_image = fields.get("container_template_data_path");
    let mount = fields.get("template_mount");
    let Some(host) = fields.get("template_data_path_host") else {
        for at in [in_image, mount].into_iter().flatten() {
            if target(&at).is_some() {
                at.problem("needs template_data_path_host");
            }
        }
        return None;
    };
    if let (Some(_), Some(at)) = (&in_image, &mount) {
        at.problem("only one of template_mount and container_template_data_path");
    }
    let way = match in_image {
        Some(_) => TemplateWay::Image,
        None => TemplateWay::Copy,
    };
    let kind = fields.of.peek("backend_type");
    let source = match kind {
        Some((_, "filesystem")) => files::directory(&host, shared),
        _ => files::existing(&host, shared),
    };
    let said = in_image.or(mount);
    let target = match &said {
        Some(at) => target(at),
        None => Some(schema::TEMPLATE_MOUNT.to_owned()),
    };
    let (source, mut target) = (source?, target?);
    // A file has its own name in the directory that is meant.
    if said.is_none()
        && source.is_file()
        && let Some(name) = source.file_name().and_then(|name| name.to_str())
    {
        target = format!("{target}/{name}");
    }
    if draft.says_mount(&target) {
        let text = format!(
            "something else is mounted at {}, too",
            problem::shown(&target)
        );
        match &said {
            Some(at) => at.problem(text),
            None => host.problem_with_hint(text, "set template_mount to another path"),
        }
    }
    Some(Template {
        source,
        target,
        way,
    })
}

fn target(at: &Cursor) -> Option<String> {
    let target = mounts::target(at.nonempty_text()?);
    target.map_err(|wrong| wrong.report(at)).ok()
}
