//! Results of tool calls: small ones in memory, large ones in files of the run directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::background::Background;
use super::document::Document;
use super::preview::preview;
pub use super::shelf::SMALL;
use super::shelf::{Chores, Shelf};
use crate::model::ResultId;

/// What lists show of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultMeta {
    pub id: ResultId,
    /// Bytes of the JSON as it came over the wire.
    pub size: u64,
    pub is_error: bool,
    /// The first characters of its first text, on one clean line.
    pub preview: Arc<str>,
}

/// A look at a result's content.
#[derive(Clone, Debug)]
pub enum Opened {
    Ready(Arc<Document>),
    /// Being read from its file; `changed()` resolves when it is there.
    Loading,
    /// No longer kept, or unreadable: why.
    Gone(Arc<str>),
}

/// All results of this run. Cheap to clone.
#[derive(Clone)]
pub struct ResultStore {
    shared: Arc<Shared>,
}

struct Shared {
    directory: Directory,
    background: Background,
    shelf: Mutex<Shelf>,
    /// Held by the one that writes a file.
    turn: Mutex<()>,
}

impl ResultStore {
    /// A store that spills into `directory`, made on first need and removed with the last clone.
    /// Works in the background of the tokio runtime that it is made in, from whatever thread it is used;
    /// made outside of one, it writes and reads files on the spot.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::of(directory.into(), Shelf::default())
    }

    /// A store that keeps nothing, for a run where nobody looks: results only get their numbers.
    pub fn forgetful() -> Self {
        Self::of(PathBuf::new(), Shelf::forgetful())
    }

    fn of(directory: PathBuf, shelf: Shelf) -> Self {
        let shared = Shared {
            directory: Directory {
                path: directory,
                is_used: AtomicBool::new(false),
            },
            background: Background::capture(),
            shelf: Mutex::new(shelf),
            turn: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Keeps the JSON text of a `CallToolResult`. Never blocks for long: writing a large one to its
    /// file happens in the background.
    pub fn insert(&self, raw: Bytes, is_error: bool) -> ResultMeta {
        let mut meta = ResultMeta {
            id: ResultId(0),
            size: raw.len() as u64,
            is_error,
            preview: preview(&raw),
        };
        let document = Arc::new(self.shared.document(raw));
        let chores = self.shared.shelf.lock().add(&mut meta, document);
        self.shared.start(chores);
        meta
    }

    pub fn meta(&self, id: ResultId) -> Option<ResultMeta> {
        self.shared.shelf.lock().meta(id).cloned()
    }

    /// The content, if it is in memory; else starts loading it. Never blocks.
    pub fn open(&self, id: ResultId) -> Opened {
        let chores = self.shared.shelf.lock().open(id);
        self.shared.start(chores);
        self.shared.shelf.lock().look(id)
    }

    /// Any JSON text, to be looked at like a result; it is not kept.
    pub fn document(&self, text: Bytes) -> Document {
        self.shared.document(text)
    }

    /// Resolves when something that was loading or being indexed is ready; for one waiter. Cancel-safe.
    pub async fn changed(&self) {
        self.shared.background.done().await;
    }
}

impl Shared {
    fn document(&self, bytes: Bytes) -> Document {
        Document::new(bytes, self.background.clone())
    }

    /// Has `chores` done in the background.
    fn start(self: &Arc<Self>, chores: Chores) {
        for id in chores.write {
            let shared = self.clone();
            self.background.run(move || shared.write(id));
        }
        if let Some(id) = chores.load {
            let shared = self.clone();
            self.background.run(move || shared.load(id));
        }
        if !chores.remove.is_empty() {
            let shared = self.clone();
            self.background
                .run(move || shared.directory.remove(&chores.remove));
        }
    }

    fn write(self: &Arc<Self>, id: ResultId) {
        // One at a time: those that wait for a slow disk hold nothing that could not be dropped.
        let turn = self.turn.lock();
        let Some(document) = self.shelf.lock().to_write(id) else {
            return;
        };
        let result = self.directory.write(id, document.bytes());
        drop(turn);
        if let Err(error) = &result {
            tracing::warn!(result = id.0, %error, "a result stays in memory: its file cannot be written");
        }
        drop(document);
        let chores = self
            .shelf
            .lock()
            .written(id, result.map_err(|error| error.to_string()));
        self.start(chores);
    }

    fn load(self: &Arc<Self>, id: ResultId) {
        let read = self
            .directory
            .read(id)
            .map(|bytes| Arc::new(self.document(bytes)));
        let chores = self
            .shelf
            .lock()
            .loaded(id, read.map_err(|error| error.to_string()));
        self.start(chores);
    }
}

/// Where the files are. Readable by nobody else: results may hold anything.
struct Directory {
    path: PathBuf,
    is_used: AtomicBool,
}

impl Directory {
    fn file(&self, id: ResultId) -> PathBuf {
        self.path.join(format!("result-{}.json", id.0))
    }

    fn write(&self, id: ResultId, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        self.is_used.store(true, Ordering::Relaxed);
        let path = self.file(id);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(bytes).inspect_err(|_| self.remove(&[id]))
    }

    fn read(&self, id: ResultId) -> io::Result<Bytes> {
        fs::read(self.file(id)).map(Bytes::from)
    }

    fn remove(&self, ids: &[ResultId]) {
        for id in ids {
            if let Err(error) = fs::remove_file(self.file(*id))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(result = id.0, %error, "the file of a result cannot be removed");
            }
        }
    }
}

impl Drop for Directory {
    /// Removes our files and the directory, but nothing that others put there.
    fn drop(&mut self) {
        if !*self.is_used.get_mut() {
            return;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("result-") {
                // What is left here, the next start cleans up.
                let _ = fs::remove_file(entry.path());
            }
        }
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn large() -> Bytes {
        let text = "x".repeat(SMALL);
        format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#).into()
    }

    fn ready(opened: Opened) -> Arc<Document> {
        match opened {
            Opened::Ready(document) => document,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_result_stays_in_memory_and_makes_no_file() {
        let home = tempfile::tempdir().unwrap();
        let store = ResultStore::new(home.path().join("run"));
        let raw =
            Bytes::from_static(br#"{"content":[{"type":"text","text":"hi"}],"isError":true}"#);
        let meta = store.insert(raw.clone(), true);
        assert_eq!((meta.size, meta.is_error, &*meta.preview), (56, true, "hi"));
        assert_eq!(store.meta(meta.id), Some(meta.clone()));
        assert_eq!(ready(store.open(meta.id)).bytes(), &raw);
        assert!(!home.path().join("run").exists());
    }

    #[test]
    fn without_a_runtime_a_large_result_is_written_on_the_spot() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        let store = ResultStore::new(&run);
        let meta = store.insert(large(), false);
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(run.clone()), 0o700);
        assert_eq!(mode(run.join("result-1.json")), 0o600);
        assert_eq!(ready(store.open(meta.id)).bytes(), &large());
        let other = store.clone();
        drop(store);
        assert!(run.exists());
        drop(other);
        assert!(!run.exists());
    }

    #[test]
    fn what_nobody_looks_at_is_not_kept() {
        let store = ResultStore::forgetful();
        let [first, second] = [large(), large()].map(|raw| store.insert(raw, false));
        assert_ne!(first.id, second.id);
        assert_eq!(second.size, large().len() as u64);
        assert!(matches!(store.open(second.id), Opened::Gone(_)));
    }

    #[test]
    fn what_others_put_into_the_directory_stays() {
        let home = tempfile::tempdir().unwrap();
        let store = ResultStore::new(home.path());
        store.insert(large(), false);
        fs::write(home.path().join("other.txt"), "kept").unwrap();
        drop(store);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_large_result_survives_a_directory_that_cannot_be_made() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let store = ResultStore::new(file.join("run"));
        let meta = store.insert(large(), false);
        assert_eq!(ready(store.open(meta.id)).bytes(), &large());
    }

    #[test]
    fn a_file_that_vanished_is_gone_with_a_reason() {
        let home = tempfile::tempdir().unwrap();
        let store = ResultStore::new(home.path().join("run"));
        let meta = store.insert(large(), false);
        fs::remove_dir_all(home.path().join("run")).unwrap();
        assert!(matches!(store.open(meta.id), Opened::Gone(why) if why.contains("cannot be read")));
        assert_eq!(store.meta(meta.id), Some(meta));
    }

    #[tokio::test]
    async fn a_file_is_loaded_in_the_background_from_any_thread() {
        let home = tempfile::tempdir().unwrap();
        let store = ResultStore::new(home.path().join("run"));
        let meta = store.insert(large(), false);
        assert_eq!(ready(store.open(meta.id)).bytes(), &large());
        let open = || {
            let store = store.clone();
            std::thread::spawn(move || store.open(meta.id))
                .join()
                .unwrap()
        };
        let deadline = Duration::from_secs(20);
        tokio::time::timeout(deadline, store.changed())
            .await
            .expect("the file is written");
        // What is read now can only come from there.
        fs::write(home.path().join("run/result-1.json"), "[1]").unwrap();
        let load = async {
            while !matches!(open(), Opened::Ready(_)) {
                store.changed().await;
            }
        };
        tokio::time::timeout(deadline, load)
            .await
            .expect("the file is loaded");
        assert_eq!(ready(open()).bytes(), "[1]");
    }
}
