//! Which directory of the host a command line belongs to, where nobody has said it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::paths::{common_ancestor, real, real_directory, unwrap_environment};

/// What belongs to the system: programs there are no project, and neither is what they need there.
const SYSTEM: [&str; 12] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys",
    "/usr",
];
/// Files and directories that projects have at their top.
const MARKS: [&str; 8] = [
    ".git",
    "Cargo.toml",
    "go.mod",
    "package.json",
    "pyproject.toml",
    "requirements.txt",
    "setup.cfg",
    "setup.py",
];

/// All that the command line names lies in no directory that looks like a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooWide {
    pub directory: PathBuf,
}

impl fmt::Display for TooWide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        write!(
            f,
            "the paths in the command line have only {directory} in common, which is too wide"
        )
    }
}

/// The project's directory; `None` where the command line names nothing of the host.
///
/// Only absolute paths that exist count: files by their directory, directories as themselves, programs of a Python
/// environment by the project that it is in. `home` is too wide, and so is what it is in.
pub fn infer(
    command: &str,
    args: &[String],
    home: Option<&Path>,
) -> Result<Option<PathBuf>, TooWide> {
    let words = std::iter::once(command).chain(args.iter().map(String::as_str));
    let directories: Vec<PathBuf> = words.filter_map(directory_of).collect();
    let Some(common) = common_ancestor(&directories) else {
        return Ok(None);
    };
    let is_named = directories.contains(&common);
    if is_wide(&common, home) || !(is_named || looks_like_a_project(&common)) {
        return Err(TooWide { directory: common });
    }
    Ok(Some(common))
}

/// What one word of the command line contributes.
fn directory_of(word: &str) -> Option<PathBuf> {
    let path = Path::new(word);
    if !path.is_absolute() || SYSTEM.iter().any(|system| path.starts_with(system)) {
        return None;
    }
    let found = path.symlink_metadata().ok()?;
    let is_directory = if found.is_symlink() {
        path.is_dir()
    } else {
        found.is_dir()
    };
    let directory = if is_directory {
        path.to_owned()
    } else {
        real_directory(path)?.parent()?.to_owned()
    };
    let project = unwrap_environment(directory.to_str()?);
    let project = real(&project)?;
    let is_system = SYSTEM.iter().any(|system| project.starts_with(system));
    (!is_system).then_some(project)
}

/// `/`, `/tmp`, `/home`, somebody's home.
fn is_wide(directory: &Path, home: Option<&Path>) -> bool {
    let depth = directory.components().count() - 1;
    let parent = directory.parent().and_then(Path::to_str);
    let is_a_home = matches!(parent, Some("/home" | "/Users"));
    let holds_home = home.is_some_and(|home| home.starts_with(directory));
    let temporary = real(&std::env::temp_dir());
    let holds_temporary = temporary.is_some_and(|temporary| temporary.starts_with(directory));
    depth < 2 || is_a_home || holds_home || holds_temporary
}

fn looks_like_a_project(directory: &Path) -> bool {
    MARKS.iter().any(|mark| directory.join(mark).exists())
}
