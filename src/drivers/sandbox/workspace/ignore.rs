//! What of a project never goes into a sandbox.

/// History, caches, and what is made for the host's interpreter: the sandbox makes its own.
const ALWAYS: [&str; 12] = [
    ".cache",
    ".git",
    ".hg",
    ".langbot",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tmp",
    ".tox",
    ".venv",
    "__pycache__",
    "venv",
];
/// Environments only if they look like one: projects have directories of this name, too, and files.
const PERHAPS: [&str; 2] = ["env", ".env"];
/// What every Python environment has.
const MARK: &str = "pyvenv.cfg";

/// Names that are left out wherever they are.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    more: Vec<String>,
}

impl Ignored {
    /// These besides those that always are.
    pub fn with(more: &[String]) -> Self {
        Self {
            more: more.to_vec(),
        }
    }

    /// `has` tells whether the directory of this name holds a file; only asked where that matters.
    pub fn matches(&self, name: &str, has: impl FnOnce(&str) -> bool) -> bool {
        ALWAYS.contains(&name)
            || self.more.iter().any(|more| more == name)
            || (PERHAPS.contains(&name) && has(MARK))
    }
}
