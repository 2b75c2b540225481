//! What a backend needs in the mode `local_process`.

use std::collections::BTreeMap;

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::files;
use crate::model::{LocalProcess, Secret};

pub(super) fn read(fields: &Fields, shared: &Shared) -> LocalProcess {
    let command = fields.require("command", " for local_process");
    let command = command
        .as_ref()
        .and_then(Cursor::nonempty_text)
        .unwrap_or_default();
    LocalProcess {
        command: files::path_or_name(command, shared),
        args: fields.get("args").map(|at| at.texts()).unwrap_or_default(),
        env: fields
            .get("env")
            .map(|at| variables(&at))
            .unwrap_or_default(),
        cwd: Some(match fields.get("cwd") {
            Some(at) => files::directory(&at, shared).unwrap_or_default(),
            None => shared.base.clone(),
        }),
    }
}

/// `{NAME: value}`; values are secret from here on.
pub(super) fn variables(at: &Cursor) -> BTreeMap<String, Secret> {
    let variable = |(name, at): (&str, Cursor)| {
        let value = at.text()?;
        if name.is_empty() || name.contains(['=', '\0']) {
            at.problem("the name of a variable must not be empty nor hold `=` or NUL");
        }
        Some((name.to_owned(), Secret::new(value)))
    };
    at.entries().into_iter().filter_map(variable).collect()
}
