//! Finished calls, kept on disk across runs: one JSON object a line.

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use crate::model::{Call, CallState, Outcome};

/// Records kept in memory: the newest.
pub const KEPT: usize = 10_000;
/// Memory of their arguments and failures, bytes: as much as the files hold. The oldest go when it is spent.
pub const KEPT_BYTES: usize = 32 << 20;
/// Arguments longer than this are not kept, bytes.
pub const MAX_ARGUMENTS: usize = 256 << 10;
/// The words of a failure are cut at this length, bytes.
pub const MAX_FAILURE: usize = 4 << 10;
/// Records that wait to be written.
const QUEUE: usize = 4096;
/// Records are gathered for this long and written together: a wake of the disk's thread costs as much as a call.
const GATHERED: Duration = Duration::from_millis(50);
/// How long the last clone waits for the disk.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// A finished call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it started.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    pub session: String,
    pub backend: String,
    pub tool: String,
    /// The JSON object, as it was typed; absent if it was longer than [`MAX_ARGUMENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    pub caller: String,
    /// [`Outcome::word`].
    pub outcome: String,
    /// Milliseconds.
    pub took_ms: u64,
    /// Bytes of the result.
    #[serde(default)]
    pub size: u64,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Record {
    /// The memory of what may be long in it, bytes.
    fn weight(&self) -> usize {
        [&self.arguments, &self.failure]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }

    /// What is kept of `call`; nothing as long as it runs.
    pub fn of(call: &Call) -> Option<Self> {
        let CallState::Ended {
            outcome,
            took,
            size,
            ..
        } = &call.state
        else {
            return None;
        };
        Some(Self {
            at: call.started,
            session: call.session.to_string(),
            backend: call.backend.to_string(),
            tool: call.tool.to_string(),
            arguments: (call.arguments.len() <= MAX_ARGUMENTS).then(|| call.arguments.to_string()),
            caller: call.caller.to_string(),
            outcome: outcome.word().to_owned(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            size: *size,
            failure: match outcome {
                Outcome::Failed(failure) => Some(cut(failure.to_string())),
                _ => None,
            },
        })
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_FAILURE {
        let end = (0..=MAX_FAILURE)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The newest records, oldest first.
#[derive(Default)]
struct Records {
    /// Copied when it changes while a reader holds it.
    list: Arc<VecDeque<Arc<Record>>>,
    bytes: usize,
}

impl Records {
    fn push(&mut self, record: Arc<Record>) {
        let list = Arc::make_mut(&mut self.list);
        self.bytes += record.weight();
        list.push_back(record);
        while list.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = list.pop_front() else {
                return;
            };
            self.bytes -= oldest.weight();
        }
    }
}

/// The finished calls of this run and of earlier ones. Cheap to clone; the last clone waits up to two seconds
/// until everything is written.
#[derive(Clone)]
pub struct History {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` where nobody looks at them.
    records: Option<Mutex<Records>>,
    unreadable: u64,
    unwritten: Arc<AtomicU64>,
    /// Taken when the last clone goes.
    queue: Option<SyncSender<Arc<Record>>>,
    writer: Thread,
    /// Disconnected when the writer has written everything.
    written: Mutex<Receiver<()>>,
}

impl History {
    /// Reads the newest [`KEPT`] records of the file at `path` and starts its writer. A missing file is an empty
    /// one. Lines that cannot be read are skipped and counted.
    ///
    /// # Errors
    /// If the file can be neither read nor made.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let journal = journal(path.into())?;
        let mut unreadable = 0;
        let mut newest = Vec::new();
        journal.for_each_newest_first(|line| {
            match serde_json::from_slice(line) {
                Ok(record) => newest.push(Arc::new(record)),
                Err(_) => unreadable += 1,
            }
            newest.len() < KEPT
        })?;
        let mut records = Records::default();
        newest
            .into_iter()
            .rev()
            .for_each(|record| records.push(record));
        Self::of(journal, Some(Mutex::new(records)), unreadable)
    }

    /// The same for a run where nobody looks: what is added goes to the file alone, of which nothing is read.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn open_to_add(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::of(journal(path.into())?, None, 0)
    }

    fn of(journal: Journal, records: Option<Mutex<Records>>, unreadable: u64) -> io::Result<Self> {
        let unwritten = Arc::<AtomicU64>::default();
        let (queue, waiting) = sync_channel(QUEUE);
        let (end, written) = sync_channel(0);
        let counter = unwritten.clone();
        let writer = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                write(journal, &waiting, &counter);
                drop(end);
            })?;
        let shared = Shared {
            records,
            unreadable,
            unwritten,
            queue: Some(queue),
            writer: writer.thread().clone(),
            written: Mutex::new(written),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Adds a record and has it written. Never blocks: what the disk cannot take in time is not saved, but counted.
    pub fn append(&self, record: Record) {
        let record = Arc::new(record);
        if let Some(records) = &self.shared.records {
            records.lock().push(record.clone());
        }
        let queue = self.shared.queue.as_ref();
        if queue.is_none_or(|queue| queue.try_send(record).is_err()) {
            self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All records in memory, oldest first. The same `Arc` as long as nothing is added.
    pub fn records(&self) -> Arc<VecDeque<Arc<Record>>> {
        let records = self.shared.records.as_ref();
        records.map_or_else(Arc::default, |records| records.lock().list.clone())
    }

    /// Lines of the file that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.shared.unreadable
    }

    /// Records that could not be saved.
    pub fn unwritten(&self) -> u64 {
        self.shared.unwritten.load(Ordering::Relaxed)
    }
}

fn journal(path: PathBuf) -> io::Result<Journal> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    Journal::open(path)
}

/// Writes records until the last [`History`] is gone.
fn write(mut journal: Journal, waiting: &Receiver<Arc<Record>>, unwritten: &AtomicU64) {
    while let Ok(first) = waiting.recv() {
        thread::park_timeout(GATHERED);
        let (mut lines, mut count) = (Vec::new(), 0);
        for record in std::iter::once(first).chain(waiting.try_iter()).take(QUEUE) {
            // Strings and numbers always serialize.
            if serde_json::to_writer(&mut lines, &*record).is_ok() {
                lines.push(b'\n');
                count += 1;
            }
        }
        if let Err(error) = journal.append(&lines) {
            tracing::warn!(%error, records = count, "the history cannot be written");
            unwritten.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.queue.take());
        self.writer.unpark();
        // Either way we go on: it says that the writer is done, or a disk hangs.
        let _ = self.written.get_mut().recv_timeout(LAST_WRITE);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::{CallId, Caller, Failure, InstanceId, SessionId, Stage};

    fn record(n: u64) -> Record {
        Record {
            at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            session: "s".to_owned(),
            backend: "b".to_owned(),
            tool: format!("tool-{n}"),
            arguments: Some("{\n  \"n\": 1.10\n}".to_owned()),
            caller: "operator".to_owned(),
            outcome: "ok".to_owned(),
            took_ms: n,
            size: 7,
            failure: None,
        }
    }

    fn tools(history: &History) -> Vec<String> {
        history
            .records()
            .iter()
            .map(|record| record.tool.clone())
            .collect()
    }

    #[test]
    fn records_survive_the_run() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/history.jsonl");
        let history = History::open(&path).unwrap();
        history.append(record(1));
        history.clone().append(record(2));
        drop(history);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let history = History::open(&path).unwrap();
        assert_eq!(
            history
                .records()
                .iter()
                .map(|r| (**r).clone())
                .collect::<Vec<_>>(),
            [record(1), record(2)]
        );
        assert_eq!((history.unreadable(), history.unwritten()), (0, 0));
    }

    #[test]
    fn what_is_only_added_is_there_for_the_next_run() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("history.jsonl");
        let history = History::open_to_add(&path).unwrap();
        history.append(record(1));
        assert!(history.records().is_empty());
        drop(history);
        assert_eq!(tools(&History::open(&path).unwrap()), ["tool-1"]);
    }

    #[test]
    fn garbage_and_a_torn_last_line_cost_only_themselves() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("history.jsonl");
        let line = serde_json::to_string(&record(1)).unwrap();
        fs::write(
            &path,
            format!(
                "{line}\n\u{0}garbage\n\n{{\"tool\":\"other\"}}\n{line}\n{}",
                &line[..20]
            ),
        )
        .unwrap();
        let history = History::open(&path).unwrap();
        assert_eq!((tools(&history).len(), history.unreadable()), (2, 3));
        history.append(record(2));
        drop(history);
        assert_eq!(
            tools(&History::open(&path).unwrap()),
            ["tool-1", "tool-1", "tool-2"]
        );
    }

    #[test]
    fn only_the_newest_are_kept_in_memory() {
        let home = tempfile::tempdir().unwrap();
        let history = History::open(home.path().join("h")).unwrap();
        let before = history.records();
        for n in 0..=KEPT as u64 {
            history.append(record(n));
        }
        assert!(before.is_empty(), "a picture taken earlier does not change");
        let records = history.records();
        assert_eq!((records.len(), records[0].took_ms), (KEPT, 1));
    }

    #[test]
    fn long_records_do_not_fill_the_memory() {
        let home = tempfile::tempdir().unwrap();
        let history = History::open(home.path().join("h")).unwrap();
        let fitting = KEPT_BYTES / MAX_ARGUMENTS;
        for n in 0..fitting as u64 + 3 {
            history.append(Record {
                arguments: Some("x".repeat(MAX_ARGUMENTS)),
                ..record(n)
            });
        }
        let records = history.records();
        assert_eq!((records.len(), records[0].took_ms), (fitting, 3));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        assert!(History::open(home.path().join("file/history")).is_err());
    }

    #[test]
    fn a_call_is_recorded_when_it_has_ended() {
        let mut call = Call {
            id: CallId(1),
            session: SessionId::new("s"),
            instance: InstanceId::new("i"),
            backend: "b".into(),
            tool: "t".into(),
            arguments: "x".repeat(MAX_ARGUMENTS + 1).into(),
            caller: Caller::Agent("claude".into()),
            started: Timestamp::now(),
            deadline: Timestamp::now(),
            progress: None,
            state: CallState::Running,
        };
        assert_eq!(Record::of(&call), None);
        let failure = Failure::other(Stage::Call, "no answer");
        let words = failure.to_string();
        call.state = CallState::Ended {
            outcome: Outcome::Failed(failure),
            at: Timestamp::now(),
            took: Duration::from_millis(1500),
            size: 0,
        };
        let record = Record::of(&call).unwrap();
        assert_eq!(
            (record.took_ms, &*record.caller, &*record.outcome),
            (1500, "claude", "failed")
        );
        assert_eq!((record.failure, record.arguments), (Some(words), None));
    }
}
