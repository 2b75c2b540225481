//! The directories of runs: which of them live, what they say of themselves, and what killed ones left.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::model::RunId;
use crate::paths::{private_append, private_directory};

/// The directory of a run begins with it.
const RUN: &str = "run-";
/// One that is abandoned, and being removed.
const GONE: &str = "gone-";
/// Held by a run for as long as it lives; the kernel unlocks it, however the run ends.
const LOCK: &str = "lock";
/// What a run says of itself.
const ABOUT: &str = "about.json";

/// For others to make or to look through directories, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// The directory of one run, locked for as long as the run lives.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

/// What a run says of itself, for others to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub pid: u32,
    /// `console`, `serve`, `call`, …
    pub front_end: String,
    /// RFC 3339, as are all times here.
    pub started: String,
    /// What it was started on: a file, a server, or the demo.
    pub origin: String,
    /// The URL of its gateway, if it has one.
    pub listens: Option<String>,
    pub sessions: Vec<SessionNote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionNote {
    pub session: String,
    pub caller: String,
    pub opened: String,
    pub instances: Vec<InstanceNote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceNote {
    pub instance: String,
    pub backend: String,
    pub mode: String,
    pub phase: String,
    /// Since when it is in this phase.
    pub since: String,
}

/// A run, as its directory shows it.
#[derive(Debug)]
pub struct Run {
    pub id: RunId,
    pub is_alive: bool,
    /// The last that it said; nothing if it has only just begun.
    pub about: Option<About>,
}

impl RunDirectory {
    /// Makes the directory of `run` in `cache`, and removes those of runs that no longer live.
    pub fn create(cache: &Path, run: &RunId) -> io::Result<Self> {
        private_directory(cache)?;
        let path = directory(cache, run);
        let ours = hold(cache)?;
        set_aside(cache, &abandoned(cache)?);
        private_directory(&path)?;
        let lock = private_append(&path.join(LOCK))?;
        lock.try_lock()?;
        drop(ours);
        remove_gone(cache);
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where [`write_about`] is to write.
    pub fn about(&self) -> PathBuf {
        self.path.join(ABOUT)
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// Replaces what a run says of itself, in one step for those who read it.
pub fn write_about(path: &Path, about: &About) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut file, about)?;
    file.flush()?;
    file.persist(path)?;
    Ok(())
}

/// All runs of this user, the dead ones too.
pub fn all(cache: &Path) -> io::Result<Vec<Run>> {
    if !cache.try_exists()? {
        return Ok(vec![]);
    }
    let _ours = hold(cache)?;
    let run = |path: PathBuf| {
        let about = fs::read(path.join(ABOUT)).ok();
        Some(Run {
            id: id(&path)?,
            is_alive: !is_abandoned(&path),
            about: about.and_then(|about| serde_json::from_slice(&about).ok()),
        })
    };
    Ok(directories(cache, RUN)?
        .into_iter()
        .filter_map(run)
        .collect())
}

/// Where the directory of a run is beside all others, if this is the directory of a run: it need not exist.
pub fn beside(run: &Path) -> Option<&Path> {
    id(run).and_then(|_| run.parent())
}

/// Whether the run of this directory is still there.
pub fn lives(cache: &Path, run: &RunId) -> bool {
    // Between making its directory and its lock a run looks abandoned: nobody may look then.
    let _ours = hold(cache);
    !is_abandoned(&directory(cache, run))
}

/// The directory that a run would have.
pub fn directory(cache: &Path, run: &RunId) -> PathBuf {
    cache.join(format!("{RUN}{run}"))
}

/// Removes the directories of runs that no longer live; returns whose they were.
pub fn sweep(cache: &Path) -> io::Result<Vec<RunId>> {
    if !cache.try_exists()? {
        return Ok(vec![]);
    }
    let ours = hold(cache)?;
    let abandoned = abandoned(cache)?;
    let swept = set_aside(cache, &abandoned);
    drop(ours);
    remove_gone(cache);
    Ok(swept)
}

/// Keeps others from making and removing directories. Whoever holds it sees no run without its lock, unless that
/// was killed before it had one.
fn hold(cache: &Path) -> io::Result<File> {
    let path = cache.join(LOCK);
    let lock = private_append(&path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK),
            Err(TryLockError::WouldBlock) => {
                let text = format!("another envdeck holds {} and does not end", path.display());
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn directories(cache: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(cache)?.flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    Ok(named.map(|entry| entry.path()).collect())
}

fn abandoned(cache: &Path) -> io::Result<Vec<PathBuf>> {
    let mut runs = directories(cache, RUN)?;
    runs.retain(|run| is_abandoned(run));
    Ok(runs)
}

fn is_abandoned(run: &Path) -> bool {
    match File::open(run.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Renames them, which takes no time; removing gigabytes does, and others need not wait for it.
fn set_aside(cache: &Path, abandoned: &[PathBuf]) -> Vec<RunId> {
    let set_aside = abandoned.iter().filter_map(|path| {
        let run = id(path)?;
        match fs::rename(path, cache.join(format!("{GONE}{run}"))) {
            Ok(()) => Some(run),
            Err(error) => {
                tracing::warn!("{} could not be moved: {error}", path.display());
                None
            }
        }
    });
    set_aside.collect()
}

/// What is left of abandoned runs: files that we may not remove ourselves, because a server in a container wrote
/// them as somebody else.
pub fn gone(cache: &Path) -> Vec<PathBuf> {
    directories(cache, GONE).unwrap_or_default()
}

fn remove_gone(cache: &Path) {
    for path in gone(cache) {
        match fs::remove_dir_all(&path) {
            // Another run was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("{} could not be removed: {error}", path.display()),
            Ok(()) => {}
        }
    }
}

/// Whose directory it is, by its name.
pub fn id(path: &Path) -> Option<RunId> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(RUN).map(RunId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(cache: &Path, run: &str) -> RunDirectory {
        RunDirectory::create(cache, &RunId::new(run)).expect("made")
    }

    /// What a run leaves that is killed: its directory, with its files, and nobody who holds the lock.
    fn killed(cache: &Path, run: &str, files: &[&str]) -> PathBuf {
        let path = cache.join(format!("run-{run}"));
        fs::create_dir(&path).expect("made");
        for file in files {
            fs::write(path.join(file), "").expect("written");
        }
        path
    }

    #[test]
    fn what_killed_runs_left_goes_and_what_lives_stays() {
        let cache = tempfile::tempdir().expect("tempdir");
        let late = killed(cache.path(), "late", &["lock", "result-1.json"]);
        // Between making its directory and its lock.
        let early = killed(cache.path(), "early", &[]);
        let living = create(cache.path(), "living");
        assert!(!late.exists() && !early.exists());
        let other = create(cache.path(), "other");
        assert!(living.path().exists() && other.path().exists());
        let path = living.path().to_owned();
        drop((living, other));
        assert!(!path.exists());
        let names = fs::read_dir(cache.path()).expect("listed").flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["lock"]);
    }

    #[test]
    fn runs_that_begin_and_sweep_at_once_do_not_take_each_others_directories() {
        let cache = tempfile::tempdir().expect("tempdir");
        let path = cache.path();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for turn in 0..20 {
                        let run = create(path, &format!("{thread}-{turn}"));
                        sweep(path).expect("swept");
                        assert!(run.path().join(LOCK).exists());
                    }
                });
            }
        });
    }

    #[test]
    fn a_run_is_listed_with_what_it_says_of_itself_dead_or_alive() {
        let cache = tempfile::tempdir().expect("tempdir");
        assert_eq!(all(&cache.path().join("none")).expect("listed").len(), 0);
        let living = create(cache.path(), "living");
        killed(cache.path(), "killed", &["lock"]);
        let about = About {
            pid: 7,
            front_end: "console".to_owned(),
            started: "2030-01-02T03:04:05Z".to_owned(),
            origin: "demo".to_owned(),
            listens: None,
            sessions: vec![],
        };
        write_about(&living.about(), &about).expect("written");
        let mut runs = all(cache.path()).expect("listed");
        runs.sort_by_key(|run| run.is_alive);
        let runs: Vec<_> = runs
            .iter()
            .map(|run| (run.id.as_str(), run.is_alive, run.about.as_ref()))
            .collect();
        assert_eq!(
            runs,
            [("killed", false, None), ("living", true, Some(&about))]
        );
        assert_eq!(sweep(cache.path()).expect("swept"), [RunId::new("killed")]);
        assert_eq!(all(cache.path()).expect("listed").len(), 1);
    }
}
