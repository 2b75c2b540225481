//! The keys of a backend that say how its containers are made.

use super::draft::Draft;
use super::globals::{self, Form};
use super::structured;
use crate::config::check::Shared;
use crate::config::cursor::Fields;
use crate::config::{process, schema};

/// `resources`: as `--cpus`, `--memory` and `--pids-limit` of `docker run`.
const RESOURCES: &[(&str, Form)] = &[
    ("cpus", Form::One("cpus")),
    ("memory", Form::One("memory")),
    ("pids", Form::One("pids-limit")),
];

pub fn apply<'a>(draft: &mut Draft<'a>, fields: &Fields<'a>, shared: &Shared) {
    if let Some(at) = fields.get("container_env") {
        draft.options.environment.extend(process::variables(&at));
    }
    if let Some(at) = fields.get("container_volumes") {
        structured::container_volumes(draft, &at, shared);
    }
    if let Some(at) = fields.get("resources") {
        let fields = at.fields(schema::RESOURCES);
        for (name, form) in RESOURCES {
            if let Some(at) = fields.get(name) {
                globals::apply(draft, form, &at, shared);
            }
        }
    }
    if let Some(at) = fields.get("hardening") {
        let fields = at.fields(schema::HARDENING);
        let said = |key| fields.get(key).and_then(|at| at.boolean());
        let hardening = &mut draft.hardening;
        hardening.init = said("init").or(hardening.init);
        hardening.no_new_privileges = said("no_new_privileges").or(hardening.no_new_privileges);
        hardening.drop_capabilities = said("drop_capabilities").or(hardening.drop_capabilities);
    }
}
