//! A command line of the host as one of the sandbox: what lies in the project is found where its copy is.

use std::path::{Path, PathBuf};

use super::paths::{program_of_environment, real, real_directory};

/// Python itself, whatever its version: `python3.12`, `python.exe`.
const PYTHON: &str = "python";

/// A project on the host, and where the sandbox has it.
#[derive(Clone, Debug)]
pub struct Place {
    host: PathBuf,
    inside: String,
}

impl Place {
    /// `host` may be a link, or be reached through one.
    pub fn new(host: &Path, inside: impl Into<String>) -> Option<Self> {
        let host = real(host).filter(|host| host.parent().is_some())?;
        let inside = inside.into();
        Some(Self { host, inside })
    }

    /// Where the sandbox has it, if it is the project or in it.
    fn inside(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.host).ok()?.to_str()?;
        Some(match below {
            "" => self.inside.clone(),
            below => format!("{}/{below}", self.inside),
        })
    }
}

/// An absolute path in the project becomes one in the sandbox, whether it exists or not; everything else stays,
/// also what leaves the project by a link.
pub fn rewrite_argument(argument: &str, place: &Place) -> String {
    let found = real(Path::new(argument)).and_then(|path| place.inside(&path));
    found.unwrap_or_else(|| argument.to_owned())
}

/// Like an argument, but what it is comes from how it is written: the Python of an environment is usually a link
/// that leaves the project, and the sandbox has an environment of its own, whose programs are found by name.
pub fn rewrite_command(command: &str, place: &Place) -> String {
    let written = real_directory(Path::new(command));
    let Some(inside) = written.as_deref().and_then(|path| place.inside(path)) else {
        return command.to_owned();
    };
    let path = Path::new(&inside);
    match program_of_environment(path) {
        Some(program) if is_python(program) => PYTHON.to_owned(),
        Some(program) => program.to_owned(),
        // A directory is no program; what becomes of it is for the one who starts it to say.
        None if inside == place.inside => command.to_owned(),
        None => inside,
    }
}

fn is_python(program: &str) -> bool {
    let rest = program
        .strip_prefix(PYTHON)
        .map(|rest| rest.strip_suffix(".exe").unwrap_or(rest));
    let is_version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '.');
    rest.is_some_and(|rest| is_version(rest) || rest == "w")
}
