//! Where envdeck keeps things: configuration, state, and what is only there for as long as it runs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

/// The directories of this user, by the XDG base directory specification.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `console.yaml` and `themes/`.
    pub config: PathBuf,
    /// The log, the call history and logins.
    pub state: PathBuf,
    /// Large results of running consoles.
    pub cache: PathBuf,
}

impl Paths {
    /// Fails only where the user has no home directory.
    pub fn of_user() -> io::Result<Self> {
        let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
        Ok(Self {
            config: base.config_dir().join("envdeck"),
            state: base
                .state_dir()
                .unwrap_or_else(|| base.data_dir())
                .join("envdeck"),
            cache: base.cache_dir().join("envdeck"),
        })
    }

    /// The program's own log.
    pub fn log(&self) -> PathBuf {
        self.state.join("envdeck.log")
    }

    /// What servers hand out at logins.
    pub fn logins(&self) -> PathBuf {
        self.state.join("logins")
    }

    /// Finished calls.
    pub fn history(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }
}

/// Makes a directory that only its owner can read.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file to append to that only its owner can read.
pub fn private_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}
