//! Files of this host that options name.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use crate::config::check::Shared;
use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::config::problem;
use crate::model::{Seccomp, Secret};

/// Largest file that an option names, bytes.
const MOST: u64 = 1 << 20;

/// Whether it is a path rather than the name of a volume.
pub fn is_path(text: &str) -> bool {
    text.contains('/') || text.starts_with('.') || text.starts_with('~')
}

/// An absolute path; a relative one counts from the directory of the file.
pub fn on_host(text: &str, shared: &Shared) -> Read<String> {
    let path = path(text, shared)?;
    let path = path.to_str().map(cleaned);
    path.ok_or_else(|| Wrong::new("leads to a path that is not UTF-8"))
}

fn path(text: &str, shared: &Shared) -> Read<PathBuf> {
    ensure(!text.trim().is_empty(), || Wrong::new("must not be empty"))?;
    ensure(text != "~" && !text.starts_with("~/"), || {
        Wrong::new("`~` is not expanded here").hint("write ${HOME}")
    })?;
    Ok(shared.path(text))
}

/// Without `.`, doubled and trailing slashes.
pub fn cleaned(path: &str) -> String {
    let parts = Path::new(path).components();
    let path: PathBuf = parts.filter(|part| *part != Component::CurDir).collect();
    path.to_string_lossy().into_owned()
}

/// The variables of an `--env-file`. A name alone takes its value from our own environment, if it has one.
pub fn variables(text: &str, shared: &Shared) -> Read<Vec<(String, Secret)>> {
    let mut variables = Vec::new();
    for (name, value) in lines(text, shared)? {
        let value = value.or_else(|| (shared.env)(&name));
        variables.extend(value.map(|value| (name, Secret::new(value))));
    }
    Ok(variables)
}

/// The labels of a `--label-file`.
pub fn labels(text: &str, shared: &Shared) -> Read<Vec<(String, String)>> {
    let labels = lines(text, shared)?;
    let label = |(name, value): (String, Option<String>)| {
        super::names::label(&format!("{name}={}", value.unwrap_or_default()))
    };
    labels.into_iter().map(label).collect()
}

/// `name=value` or a name on each line; a line may be empty or begin with `#`.
fn lines(text: &str, shared: &Shared) -> Read<Vec<(String, Option<String>)>> {
    let content = content(text, shared)?;
    let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        let wrong = |what| Wrong::new(format!("line {number} of that file {what}"));
        ensure(!name.is_empty(), || wrong("has no name before its `=`"))?;
        ensure(!name.contains([' ', '\t']), || {
            wrong("has a space in its name")
        })?;
        ensure(!line.contains('\0'), || wrong("holds a NUL character"))?;
        lines.push((name.to_owned(), value));
    }
    Ok(lines)
}

/// A profile for system calls, as one line.
pub fn seccomp(text: &str, shared: &Shared) -> Read<Seccomp> {
    let json: serde_json::Value =
        serde_json::from_str(&content(text, shared)?).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Wrong::new(format!("that file is not JSON at {line}:{column}"))
        })?;
    Ok(Seccomp::Profile {
        file: shared.path(text),
        json: json.to_string(),
    })
}

fn content(text: &str, shared: &Shared) -> Read<String> {
    let path = path(text, shared)?;
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&path, &error))?;
    let name = problem::shown(&path.to_string_lossy());
    ensure(bytes.len() as u64 <= MOST, || {
        Wrong::new(format!("{name} is larger than {} MiB", MOST >> 20))
    })?;
    String::from_utf8(bytes).map_err(|_| Wrong::new(format!("{name} is not UTF-8")))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    let name = problem::shown(&path.to_string_lossy());
    match error.kind() {
        ErrorKind::NotFound => Wrong::new(format!("there is no file {name}"))
            .hint("relative paths count from the directory of the file"),
        ErrorKind::IsADirectory => Wrong::new(format!("{name} is a directory, not a file")),
        _ => Wrong::new(format!("{name} cannot be read: {error}")),
    }
}
