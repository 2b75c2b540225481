//! Removal of copies: by ourselves, and of what servers wrote as root by a container, once for many copies.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::helper;
use crate::drivers::docker::engine::Engine;
use crate::drivers::docker::labels;
use crate::model::{Failure, RunId, Stage};

/// Removes directory trees that containers have written to. Cheap to clone.
#[derive(Clone)]
pub struct Sweeper {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    /// What we may not remove ourselves, and who waits for it.
    waiting: Mutex<Vec<Waiting>>,
    /// Held by the one who does the work of all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    path: PathBuf,
    done: oneshot::Sender<Result<(), Failure>>,
}

impl Sweeper {
    pub fn new(engine: Engine) -> Self {
        let shared = Shared {
            engine,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Removes a file or a directory with all that is in it, and follows no link; fine if it is not there.
    pub async fn remove(&self, run: &RunId, path: PathBuf) -> Result<(), Failure> {
        let own = path.clone();
        let removed = tokio::task::spawn_blocking(move || remove(&own)).await;
        match removed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::debug!("{} holds files of others: {error}", path.display());
                self.remove_as_root(run, path).await
            }
            Ok(Err(error)) => Err(wrong(&path, error)),
            Err(_) => Err(Failure::other(
                Stage::Remove,
                "the removal of files was lost",
            )),
        }
    }

    async fn remove_as_root(&self, run: &RunId, path: PathBuf) -> Result<(), Failure> {
        let (done, mut outcome) = oneshot::channel();
        self.shared.waiting.lock().push(Waiting { path, done });
        let _turn = self.shared.turn.lock().await;
        if let Ok(outcome) = outcome.try_recv() {
            return outcome;
        }
        let all = std::mem::take(&mut *self.shared.waiting.lock());
        self.remove_all(run, all).await;
        outcome.await.unwrap_or_else(|_| {
            Err(Failure::other(
                Stage::Remove,
                "the removal of files was lost",
            ))
        })
    }

    /// One container for each directory that holds some of them: for one run, that is one.
    async fn remove_all(&self, run: &RunId, mut all: Vec<Waiting>) {
        while let Some(first) = all.pop() {
            let folder = first.path.parent().unwrap_or(&first.path).to_owned();
            let (mut batch, others): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|waiting| waiting.path.parent() == Some(&folder));
            all = others;
            batch.push(first);
            let paths = batch
                .iter()
                .map(|waiting| waiting.path.to_string_lossy().into_owned());
            let command = ["rm", "-rf", "--"]
                .map(str::to_owned)
                .into_iter()
                .chain(paths);
            let labels = labels::of_run(run);
            let outcome =
                helper::run(&self.shared.engine, &labels, &folder, command.collect()).await;
            for Waiting { done, .. } in batch {
                // Whoever left does not need to know.
                let _ = done.send(outcome.clone());
            }
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match remove_once(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Directories of our own without permissions, perhaps.
            open_up(path);
            remove_once(path)
        }
        result => result,
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn remove_once(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Gives us all permissions of the directories that are ours; those of others stay as they are.
fn open_up(path: &Path) {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if is_directory && fs::set_permissions(path, Permissions::from_mode(0o700)).is_ok() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            open_up(&entry.path());
        }
    }
}

fn wrong(path: &Path, error: io::Error) -> Failure {
    Failure::caused_by(
        Stage::Remove,
        format!("cannot remove {}", path.display()),
        error,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_removed_and_not_followed_and_locked_directories_are_opened() {
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("kept"), "").expect("written");
        let root = tempfile::tempdir().expect("a directory");
        let copy = root.path().join("copy");
        fs::create_dir_all(copy.join("locked/deeper")).expect("made");
        fs::write(copy.join("locked/deeper/file"), "").expect("written");
        symlink(outside.path(), copy.join("locked/link")).expect("linked");
        for folder in ["locked/deeper", "locked"] {
            fs::set_permissions(copy.join(folder), Permissions::from_mode(0o500)).expect("set");
        }
        remove(&copy).expect("removed");
        assert!(!copy.exists() && outside.path().join("kept").exists());
        remove(&copy).expect("nothing to do");
    }
}
