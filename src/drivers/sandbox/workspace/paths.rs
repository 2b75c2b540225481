//! Paths as they are written, and what they lead to.

use std::path::{Component, Path, PathBuf};

/// Directories that hold a Python environment, by convention.
const ENVIRONMENTS: [&str; 4] = [".venv", "venv", "env", ".env"];
/// Where such an environment has its programs, on one system and another.
const PROGRAMS: [&str; 2] = ["bin", "Scripts"];

/// `/a/.venv/bin` and all below it become `/a`: the project that the environment belongs to. The last environment
/// in a path counts; a path without one stays as it is.
pub fn unwrap_environment(path: &str) -> PathBuf {
    let text = path.replace('\\', "/");
    let parts: Vec<&str> = text.split('/').collect();
    let end = (1..parts.len())
        .rev()
        .find(|&at| PROGRAMS.contains(&parts[at]) && ENVIRONMENTS.contains(&parts[at - 1]));
    match end {
        // Relative paths stay relative.
        Some(1) => PathBuf::from("."),
        Some(at) if parts[..at - 1] == [""] => PathBuf::from("/"),
        Some(at) => parts[..at - 1].join("/").into(),
        None => PathBuf::from(path),
    }
}

/// The name of the program, if the path leads to one of an environment: `/a/.venv/bin/tool` is `tool`.
pub(super) fn program_of_environment(path: &Path) -> Option<&str> {
    let mut parts = path.components().rev();
    let (name, folder, environment) = (parts.next()?, parts.next()?, parts.next()?);
    let is = |part: Component, names: &[&str]| {
        part.as_os_str()
            .to_str()
            .is_some_and(|part| names.contains(&part))
    };
    let fits = is(folder, &PROGRAMS) && is(environment, &ENVIRONMENTS);
    name.as_os_str().to_str().filter(|_| fits)
}

/// Without links as far as it exists; what does not is taken as it is written. `None` for relative paths.
pub(super) fn real(path: &Path) -> Option<PathBuf> {
    if !path.is_absolute() {
        return None;
    }
    let mut missing = Vec::new();
    let mut known = path.to_owned();
    loop {
        if let Ok(found) = known.canonicalize() {
            return Some(joined(found, missing));
        }
        // A link to nowhere is itself.
        missing.push(known.components().next_back()?.as_os_str().to_owned());
        known = known.parent()?.to_owned();
    }
}

fn joined(mut path: PathBuf, mut rest: Vec<std::ffi::OsString>) -> PathBuf {
    while let Some(part) = rest.pop() {
        match part.to_str() {
            Some("..") => drop(path.pop()),
            Some(".") => {}
            _ => path.push(part),
        }
    }
    path
}

/// The directory without links, the name as it is written: a program of an environment is usually a link to the
/// one that the environment was made with.
pub(super) fn real_directory(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    Some(real(path.parent()?)?.join(name))
}

/// The deepest directory that all are in.
pub(super) fn common_ancestor(paths: &[PathBuf]) -> Option<PathBuf> {
    let (first, rest) = paths.split_first()?;
    let mut common = first.clone();
    for path in rest {
        while !path.starts_with(&common) {
            common.pop();
        }
    }
    Some(common)
}
