//! Where envdeck keeps things: configuration, state, and the files of one run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::model::RunId;

/// The directories of this user, by the XDG base directory specification.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `console.yaml` and `themes/`.
    pub config: PathBuf,
    /// The log and the call history.
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

/// The file in the directory of a run that the run holds a lock on.
const LOCK: &str = "lock";

/// The directory of one run. It holds a lock for as long as the run lives, by which the next run
/// knows what a killed one left.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Unlocked by the kernel when the process ends, however it ends.
    _lock: File,
}

impl RunDirectory {
    /// Makes the directory of `run` in `cache`, and removes those of runs that no longer live.
    pub fn create(cache: &Path, run: &RunId) -> io::Result<Self> {
        private_directory(cache)?;
        for run in abandoned(cache) {
            remove(run.path());
        }
        let path = cache.join(format!("run-{run}"));
        private_directory(&path)?;
        let lock = private_append(&path.join(LOCK))?;
        lock.try_lock()?;
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The directory of a run that no longer lives. Nobody else takes it for abandoned as long as this exists.
#[derive(Debug)]
pub struct Abandoned {
    path: PathBuf,
    _lock: File,
}

impl Abandoned {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The directories in `cache` of runs that no longer live.
pub fn abandoned(cache: &Path) -> Vec<Abandoned> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let runs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("run-"));
    let abandoned = runs.filter_map(|run| {
        let path = run.path();
        let lock = File::open(path.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        Some(Abandoned { path, _lock: lock })
    });
    abandoned.collect()
}

/// Removes what it can of the directory of a run; as long as there is anything else in it, its lock stays, so
/// that a later one finds it.
fn remove(run: &Path) {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let contents = entries.filter(|entry| entry.file_name() != LOCK);
    let removed = contents.map(|entry| {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    });
    let removed = removed
        .collect::<io::Result<Vec<()>>>()
        .and_then(|_| fs::remove_dir_all(run));
    if let Err(error) = removed {
        tracing::warn!("{} could not be removed: {error}", run.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_what_lives_stays() {
        let cache = tempfile::tempdir().expect("tempdir");
        let killed = cache.path().join("run-killed");
        fs::create_dir(&killed).expect("made");
        fs::write(killed.join("lock"), "").expect("written");
        fs::write(killed.join("result-1.json"), "{}").expect("written");
        let living = RunDirectory::create(cache.path(), &RunId::new("living")).expect("made");
        assert!(!killed.exists());
        let other = RunDirectory::create(cache.path(), &RunId::new("other")).expect("made");
        assert!(living.path().exists() && other.path().exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
