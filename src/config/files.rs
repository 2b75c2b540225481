//! What a configuration says of the files of this host.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::Shared;
use super::cursor::Cursor;
use super::{problem, schema};
use crate::model::Secret;

/// Larger than any key; a file beyond is not one.
const LARGEST_SECRET: usize = 64 << 10;

/// A bare name is a command in `PATH` or a volume; what has a slash or is `.` is a path.
pub(super) fn path_or_name(text: &str, shared: &Shared) -> String {
    let path = shared.path(text);
    match path.to_str() {
        Some(path) if text.contains('/') || text.starts_with('.') => path.to_owned(),
        _ => text.to_owned(),
    }
}

pub(super) fn existing(at: &Cursor, shared: &Shared) -> Option<PathBuf> {
    let text = at.nonempty_text()?;
    let path = shared.path(text);
    if !path.exists() {
        not_found(at, text, "file or directory", &path);
    }
    Some(path)
}

pub(super) fn directory(at: &Cursor, shared: &Shared) -> Option<PathBuf> {
    let text = at.nonempty_text()?;
    let path = shared.path(text);
    if !path.is_dir() {
        not_found(at, text, "directory", &path);
    }
    Some(path)
}

fn not_found(at: &Cursor, text: &str, what: &str, path: &Path) {
    let missing = format!(
        "there is no {what} {}",
        problem::shown(&path.to_string_lossy())
    );
    if text.starts_with('~') {
        at.problem_with_hint(missing, "`~` is not expanded here, write ${HOME}");
    } else {
        at.problem_with_hint(
            missing,
            "relative paths count from the directory of the file",
        );
    }
}

/// A file of certificates; `place` makes its path whole.
pub(super) fn ca_file(at: &Cursor, place: impl Fn(&str) -> PathBuf) -> Option<PathBuf> {
    let path = place(at.nonempty_text()?);
    if !path.is_file() {
        let path = problem::shown(&path.to_string_lossy());
        let hint = "relative paths count from the directory of the file";
        at.problem_with_hint(format!("there is no file {path}"), hint);
    }
    Some(path)
}

/// A secret as text, usually `${VAR}`, or as `{file: PATH}`: the content of a file without the line break at its
/// end.
pub(super) fn secret(at: &Cursor, place: impl Fn(&str) -> PathBuf) -> Option<Secret> {
    let names_file = at.is_mapping() && at.peek("file").is_some();
    if !names_file {
        return at.nonempty_text().map(Secret::new);
    }
    let file = at.fields(schema::SECRET_FILE).require("file", "")?;
    let path = place(file.nonempty_text()?);
    let shown = problem::shown(&path.to_string_lossy());
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => file.problem(format!("{shown} is empty")),
        Ok(text) if text.len() > LARGEST_SECRET => {
            file.problem(format!("{shown} is too large for a secret"));
        }
        Ok(text) => return Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(error) => file.problem(format!("{shown} cannot be read: {error}")),
    }
    None
}
