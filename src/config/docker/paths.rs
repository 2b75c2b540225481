//! Paths on the host and in a container.

use std::path::{Component, Path, PathBuf};

use crate::config::check::Shared;
use crate::config::cursor::Cursor;

/// An absolute path in a container, without `.`, doubled or trailing slashes.
pub fn in_container(at: &Cursor) -> Option<String> {
    let text = at.nonempty_text()?;
    if !text.starts_with('/') {
        at.problem("a path in the container must start with `/`");
        return None;
    }
    let path: PathBuf = Path::new(text).components().collect();
    path.to_str().map(str::to_owned)
}

/// What is mounted: a path of the host where it has a slash or begins with a dot, else the name of a volume.
pub fn is_host_path(text: &str) -> bool {
    text.contains('/') || text.starts_with('.')
}

/// An absolute path; a relative one counts from the directory of the file.
pub fn on_host(text: &str, shared: &Shared) -> Option<String> {
    let path = shared.path(text);
    let path: PathBuf = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    path.to_str().map(str::to_owned)
}
