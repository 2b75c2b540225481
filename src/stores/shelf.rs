//! Which results are kept, and where. Pure bookkeeping: what is slow is handed out as [`Chores`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::document::Document;
use super::results::{Opened, ResultMeta};
use crate::model::ResultId;

/// Results up to this size stay in memory as long as there is room, bytes.
pub const SMALL: usize = 1 << 20;

/// Loaded files held for those who asked but have not come back: a comparison opens two.
const LOADED: usize = 2;

const DROPPED: &str = "dropped to make room";
const TOO_SLOW: &str = "dropped: results came faster than they could be written to files";

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of small results in memory, beside those that are looked at.
    pub memory: u64,
    /// Bytes of results in memory that wait for their files or are being written.
    pub writing: u64,
    /// Bytes of files.
    pub disk: u64,
    pub results: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            writing: 512 << 20,
            disk: 4 << 30,
            results: 10_000,
        }
    }
}

/// What is left to do when the bookkeeping is done and unlocked.
#[derive(Default)]
#[must_use]
pub(super) struct Chores {
    /// To be written to their files: what [`Shelf::to_write`] then gives, if it still does.
    pub write: Vec<ResultId>,
    /// Files to be removed.
    pub remove: Vec<ResultId>,
    /// A file to be read.
    pub load: Option<ResultId>,
    /// Only to be dropped, which takes time if they are large.
    pub release: Vec<Arc<Document>>,
}

enum Place {
    Memory(Arc<Document>),
    /// In memory until its file is written.
    Writing(Arc<Document>),
    File {
        /// Whoever looks at it holds it.
        opened: Weak<Document>,
        is_loading: bool,
    },
    Gone(Arc<str>),
}

struct Entry {
    meta: ResultMeta,
    place: Place,
    /// Why it could not be written.
    write_error: Option<String>,
}

#[derive(Default)]
pub(super) struct Shelf {
    limits: Limits,
    last: u64,
    entries: BTreeMap<ResultId, Entry>,
    /// Oldest first; may name results that have gone since.
    in_memory: VecDeque<ResultId>,
    in_writing: VecDeque<ResultId>,
    on_disk: VecDeque<ResultId>,
    memory: u64,
    writing: u64,
    disk: u64,
    loaded: VecDeque<Arc<Document>>,
}

impl Shelf {
    /// One that only counts.
    pub fn forgetful() -> Self {
        Self {
            limits: Limits {
                results: 0,
                ..Limits::default()
            },
            ..Self::default()
        }
    }

    /// Keeps a result; `meta.id` is set.
    pub fn add(&mut self, meta: &mut ResultMeta, document: Arc<Document>) -> Chores {
        self.last += 1;
        meta.id = ResultId(self.last);
        let mut chores = Chores::default();
        if self.limits.results == 0 {
            return chores;
        }
        let place = if document.bytes().len() > SMALL {
            self.queue(meta.id, meta.size, &mut chores);
            Place::Writing(document)
        } else {
            self.memory += meta.size;
            self.in_memory.push_back(meta.id);
            Place::Memory(document)
        };
        self.entries.insert(
            meta.id,
            Entry {
                meta: meta.clone(),
                place,
                write_error: None,
            },
        );
        self.make_room(&mut chores);
        chores
    }

    pub fn meta(&self, id: ResultId) -> Option<&ResultMeta> {
        self.entries.get(&id).map(|entry| &entry.meta)
    }

    /// What `open` would find, without starting anything.
    pub fn look(&self, id: ResultId) -> Opened {
        match self.entries.get(&id).map(|entry| &entry.place) {
            Some(Place::Memory(document) | Place::Writing(document)) => {
                Opened::Ready(document.clone())
            }
            Some(Place::File { opened, .. }) => {
                opened.upgrade().map_or(Opened::Loading, Opened::Ready)
            }
            Some(Place::Gone(why)) => Opened::Gone(why.clone()),
            None if (1..=self.last).contains(&id.0) => Opened::Gone(DROPPED.into()),
            None => Opened::Gone("no such result".into()),
        }
    }

    /// Asks for a file to be loaded, if need be.
    pub fn open(&mut self, id: ResultId) -> Chores {
        let mut chores = Chores::default();
        if let Some(Place::File { opened, is_loading }) =
            self.entries.get_mut(&id).map(|entry| &mut entry.place)
            && opened.strong_count() == 0
            && !std::mem::replace(is_loading, true)
        {
            chores.load = Some(id);
        }
        chores
    }

    /// A file has been read, or could not be.
    pub fn loaded(&mut self, id: ResultId, document: Result<Arc<Document>, String>) -> Chores {
        let mut chores = Chores::default();
        let Some(Entry {
            place: place @ Place::File { .. },
            meta,
            ..
        }) = self.entries.get_mut(&id)
        else {
            chores.release.extend(document.ok());
            return chores;
        };
        match document {
            Ok(document) => {
                *place = Place::File {
                    opened: Arc::downgrade(&document),
                    is_loading: false,
                };
                self.loaded.push_back(document);
                let surplus = self.loaded.len().saturating_sub(LOADED);
                chores.release.extend(self.loaded.drain(..surplus));
            }
            Err(error) => {
                *place = Place::Gone(format!("its file cannot be read: {error}").into());
                self.disk -= meta.size;
                chores.remove.push(id);
            }
        }
        chores
    }

    fn queue(&mut self, id: ResultId, size: u64, chores: &mut Chores) {
        self.writing += size;
        self.in_writing.push_back(id);
        chores.write.push(id);
    }

    /// What to write to the file of `id`; nothing if it has been dropped meanwhile.
    pub fn to_write(&self, id: ResultId) -> Option<Arc<Document>> {
        match &self.entries.get(&id)?.place {
            Place::Writing(document) => Some(document.clone()),
            _ => None,
        }
    }

    /// A file has been written, or could not be: then it stays in memory as long as there is room.
    pub fn written(&mut self, id: ResultId, result: Result<(), String>) -> Chores {
        let mut chores = Chores::default();
        let Some(Entry {
            place,
            meta,
            write_error,
        }) = self.entries.get_mut(&id)
        else {
            chores.remove.push(id);
            return chores;
        };
        let Place::Writing(document) = place else {
            // Dropped while it was written.
            chores.remove.push(id);
            return chores;
        };
        let document = document.clone();
        self.writing -= meta.size;
        self.in_writing.retain(|other| *other != id);
        *write_error = result.err();
        if write_error.is_some() {
            *place = Place::Memory(document);
            self.memory += meta.size;
            self.in_memory.push_back(id);
        } else {
            *place = Place::File {
                opened: Arc::downgrade(&document),
                is_loading: false,
            };
            self.disk += meta.size;
            self.on_disk.push_back(id);
            chores.release.push(document);
        }
        self.make_room(&mut chores);
        chores
    }

    /// The oldest results go first; the newest one always stays.
    fn make_room(&mut self, chores: &mut Chores) {
        while self.memory > self.limits.memory
            && self.in_memory.front().is_some_and(|id| id.0 < self.last)
            && let Some(id) = self.in_memory.pop_front()
        {
            self.spill(id, chores);
        }
        while self.writing > self.limits.writing
            && self.in_writing.front().is_some_and(|id| id.0 < self.last)
            && let Some(id) = self.in_writing.pop_front()
        {
            self.give_up(id, chores);
        }
        while self.disk > self.limits.disk
            && let Some(id) = self.on_disk.pop_front()
        {
            if let Some(entry) = self.entries.get_mut(&id)
                && let Place::File { .. } = entry.place
            {
                entry.place = Place::Gone(DROPPED.into());
                self.disk -= entry.meta.size;
                chores.remove.push(id);
            }
        }
        while self.entries.len() > self.limits.results
            && let Some((id, entry)) = self.entries.pop_first()
        {
            self.forget(id, entry, chores);
        }
        for queue in [&mut self.in_memory, &mut self.on_disk] {
            while queue
                .front()
                .is_some_and(|id| !self.entries.contains_key(id))
            {
                queue.pop_front();
            }
        }
    }

    /// From memory to a file.
    fn spill(&mut self, id: ResultId, chores: &mut Chores) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Place::Memory(document) = &entry.place else {
            return;
        };
        let document = document.clone();
        self.memory -= entry.meta.size;
        if let Some(error) = &entry.write_error {
            entry.place = Place::Gone(
                format!("{DROPPED}: it could not be written to a file: {error}").into(),
            );
            chores.release.push(document);
        } else {
            entry.place = Place::Writing(document);
            let size = entry.meta.size;
            self.queue(id, size, chores);
        }
    }

    /// One that waits for its file goes, so that memory does not fill up with such.
    fn give_up(&mut self, id: ResultId, chores: &mut Chores) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Place::Writing(document) = &entry.place {
            chores.release.push(document.clone());
            entry.place = Place::Gone(TOO_SLOW.into());
            self.writing -= entry.meta.size;
        }
    }

    fn forget(&mut self, id: ResultId, entry: Entry, chores: &mut Chores) {
        match entry.place {
            Place::Memory(document) => {
                self.memory -= entry.meta.size;
                chores.release.push(document);
            }
            // Its file is removed when it is written.
            Place::Writing(document) => {
                self.writing -= entry.meta.size;
                chores.release.push(document);
            }
            Place::File { .. } => {
                self.disk -= entry.meta.size;
                chores.remove.push(id);
            }
            Place::Gone(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stores::background::Background;

    fn shelf(memory: u64, disk: u64, results: usize) -> Shelf {
        Shelf {
            limits: Limits {
                memory,
                writing: 4 << 20,
                disk,
                results,
            },
            ..Shelf::default()
        }
    }

    fn document(len: usize) -> Arc<Document> {
        Arc::new(Document::new(
            Bytes::from(vec![b'1'; len]),
            Background::capture(),
        ))
    }

    fn add(shelf: &mut Shelf, len: usize) -> (ResultId, Chores) {
        let mut meta = ResultMeta {
            id: ResultId(0),
            size: len as u64,
            is_error: false,
            preview: "".into(),
        };
        let chores = shelf.add(&mut meta, document(len));
        (meta.id, chores)
    }

    fn is_ready(shelf: &Shelf, id: ResultId) -> bool {
        matches!(shelf.look(id), Opened::Ready(_))
    }

    fn gone(shelf: &Shelf, id: ResultId) -> String {
        match shelf.look(id) {
            Opened::Gone(why) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Does the writing at once; returns the files to be removed after it.
    fn write(shelf: &mut Shelf, chores: Chores) -> Vec<ResultId> {
        let written = |id: ResultId| {
            assert!(shelf.to_write(id).is_some());
            shelf.written(id, Ok(())).remove
        };
        chores.write.into_iter().flat_map(written).collect()
    }

    #[test]
    fn the_oldest_leave_memory_for_files_when_it_is_full() {
        let mut shelf = shelf(100, 1000, 10);
        let (one, chores) = add(&mut shelf, 60);
        assert!(chores.write.is_empty());
        let (two, chores) = add(&mut shelf, 60);
        assert_eq!(chores.write.len(), 1);
        assert!(is_ready(&shelf, one), "until it is written");
        write(&mut shelf, chores);
        assert!(matches!(shelf.look(one), Opened::Loading) && is_ready(&shelf, two));
        assert_eq!((shelf.memory, shelf.disk), (60, 60));
    }

    #[test]
    fn the_newest_stays_even_if_it_is_too_large() {
        let mut shelf = shelf(100, 1000, 10);
        let (one, chores) = add(&mut shelf, 500);
        assert!(chores.write.is_empty() && is_ready(&shelf, one));
    }

    #[test]
    fn the_oldest_files_go_when_the_disk_budget_is_spent() {
        let mut shelf = shelf(0, 100, 10);
        let (one, chores) = add(&mut shelf, 60);
        drop(chores);
        let (two, chores) = add(&mut shelf, 60);
        assert!(write(&mut shelf, chores).is_empty());
        let (_, chores) = add(&mut shelf, 60);
        assert_eq!(write(&mut shelf, chores), [one]);
        assert_eq!(gone(&shelf, one), DROPPED);
        assert!(shelf.meta(one).is_some() && matches!(shelf.look(two), Opened::Loading));
    }

    #[test]
    fn no_more_results_are_kept_than_allowed() {
        let mut shelf = shelf(1000, 1000, 3);
        let ids: Vec<_> = (0..5).map(|_| add(&mut shelf, 10).0).collect();
        assert_eq!(gone(&shelf, ids[1]), DROPPED);
        assert!(shelf.meta(ids[1]).is_none() && is_ready(&shelf, ids[2]));
        assert_eq!(shelf.memory, 30);
        assert_eq!(gone(&shelf, ResultId(99)), "no such result");
    }

    #[test]
    fn a_result_forgotten_while_it_is_written_leaves_no_file() {
        let mut shelf = shelf(0, 1000, 1);
        let (one, first) = add(&mut shelf, SMALL + 1);
        let (_, second) = add(&mut shelf, SMALL + 1);
        drop((first, second));
        // The disk was at work on it meanwhile.
        assert_eq!(shelf.written(one, Ok(())).remove, [one]);
        assert_eq!(shelf.disk, 0);
    }

    #[test]
    fn what_waits_for_a_slow_disk_does_not_fill_the_memory() {
        let mut shelf = shelf(0, 1 << 30, 10);
        let ids: Vec<_> = (0..6).map(|_| add(&mut shelf, SMALL * 3 / 2).0).collect();
        assert_eq!(shelf.writing, 2 * (SMALL as u64) * 3 / 2);
        assert_eq!(gone(&shelf, ids[0]), TOO_SLOW);
        assert!(shelf.to_write(ids[0]).is_none() && shelf.to_write(ids[5]).is_some());
        // The disk was at work on it when it was dropped.
        assert_eq!(shelf.written(ids[0], Ok(())).remove, [ids[0]]);
        for id in &ids[4..] {
            drop(shelf.written(*id, Ok(())));
        }
        assert_eq!((shelf.writing, shelf.disk), (0, 3 * SMALL as u64));
        // The newest stays, however large.
        let (large, _) = add(&mut shelf, SMALL * 5);
        assert!(is_ready(&shelf, large));
    }

    #[test]
    fn what_cannot_be_written_stays_until_its_room_is_needed() {
        let mut shelf = shelf(100, 1000, 10);
        let (one, chores) = add(&mut shelf, SMALL + 1);
        assert_eq!(chores.write.len(), 1);
        assert!(shelf.written(one, Err("disk full".into())).write.is_empty());
        assert!(is_ready(&shelf, one));
        let (_, chores) = add(&mut shelf, 10);
        assert_eq!(chores.release.len(), 1);
        assert!(gone(&shelf, one).ends_with("disk full"));
        assert_eq!(shelf.memory, 10);
    }

    #[test]
    fn a_file_is_loaded_once_and_released_when_others_are_opened() {
        let mut shelf = shelf(0, 1 << 30, 10);
        let ids: Vec<_> = (0..3)
            .map(|_| add(&mut shelf, SMALL + 1))
            .map(|(id, chores)| {
                drop(chores);
                id
            })
            .collect();
        for id in &ids {
            drop(shelf.written(*id, Ok(())));
        }
        assert_eq!(shelf.open(ids[0]).load, Some(ids[0]));
        assert_eq!(shelf.open(ids[0]).load, None, "already being loaded");
        for id in &ids {
            drop(shelf.loaded(*id, Ok(document(9))));
        }
        assert_eq!(
            ids.iter()
                .map(|id| is_ready(&shelf, *id))
                .collect::<Vec<_>>(),
            [false, true, true]
        );
        assert_eq!(shelf.open(ids[0]).load, Some(ids[0]));
        drop(shelf.loaded(ids[0], Err("gone".into())));
        assert!(gone(&shelf, ids[0]).contains("cannot be read"));
    }
}
