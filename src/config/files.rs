//! What a configuration says of the files of this host.

use std::path::{Path, PathBuf};

use super::check::Shared;
use super::cursor::Cursor;
use super::problem;

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
