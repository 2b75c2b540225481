//! The log of each instance: a byte-bounded ring of clean lines with sequence numbers.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::lines::{CleanLine, LineSplitter};
use super::ring::Ring;
pub use super::ring::{EVIDENCE_CHARS, EVIDENCE_LINES, RING_BYTES, WATCHED_RING_BYTES};
use crate::model::InstanceId;

/// The pseudo-instance whose log tells what the orchestrator did; the Events pane shows it.
pub const EVENTS_LOG: &str = "envdeck";

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Stderr,
    /// What a stdio server writes to stdout that is not JSON-RPC; all that another one writes there.
    Stdout,
    /// An MCP `notifications/message`, with its level.
    Server(Severity),
    /// A line of ours about this instance.
    Envdeck,
}

impl Source {
    /// The program's own words, not a message about or through it.
    pub(super) fn is_output(self) -> bool {
        matches!(self, Source::Stderr | Source::Stdout)
    }
}

/// MCP logging levels (RFC 5424), most harmless first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

#[derive(Clone, Debug)]
pub struct LogLine {
    /// Counts every line of the instance from 0, kept or not; and all kept ones anew after
    /// [`LogWriter::merge`].
    pub seq: u64,
    /// When its last byte came, by the clock of whoever read it first: ours or an engine's.
    pub at: Timestamp,
    pub source: Source,
    pub line: Arc<CleanLine>,
}

/// A copy of some lines of a ring, and what surrounds them.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub lines: Vec<LogLine>,
    /// The oldest line still kept.
    pub first: u64,
    /// One past the newest line.
    pub end: u64,
    /// Lines evicted so far, exactly.
    pub dropped: u64,
}

/// All logs. Cheap to clone. An instance without a ring reads as an empty one.
#[derive(Clone, Default)]
pub struct LogStore {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    rings: Mutex<Rings>,
    /// Holds at most one wake, however many lines come before the console looks.
    grown: Notify,
}

#[derive(Default)]
struct Rings {
    by_instance: HashMap<InstanceId, Arc<Watched>>,
    watched: Option<InstanceId>,
}

/// A ring and whether it is the one on screen.
#[derive(Default)]
struct Watched {
    ring: Mutex<Ring>,
    is_watched: watch::Sender<bool>,
}

impl Watched {
    /// Lines that a search copies out at once, so that a slow comparison does not stop the writer.
    const PIECE: usize = 1024;

    /// Returns the lines that had to go, to be dropped when nothing is locked.
    #[must_use]
    fn set(&self, is_watched: bool) -> Vec<LogLine> {
        self.is_watched.send_replace(is_watched);
        self.ring.lock().set_limit(if is_watched {
            WATCHED_RING_BYTES
        } else {
            RING_BYTES
        })
    }

    fn window(&self, from: u64, count: usize) -> Window {
        self.ring.lock().window(from, count)
    }

    fn find_forward(&self, mut from: u64, matches: &dyn Fn(&LogLine) -> bool) -> Option<u64> {
        loop {
            let lines = self.window(from, Self::PIECE).lines;
            let found = lines.iter().find(|line| matches(line));
            if found.is_some() {
                return found.map(|line| line.seq);
            }
            from = lines.last()?.seq + 1;
        }
    }

    fn find_backward(&self, from: u64, matches: &dyn Fn(&LogLine) -> bool) -> Option<u64> {
        let mut before = from.min(self.window(0, 0).end);
        loop {
            let start = before.saturating_sub(Self::PIECE as u64);
            let window = self.window(start, Self::PIECE);
            let found = window
                .lines
                .iter()
                .rev()
                .find(|line| line.seq < before && matches(line));
            if found.is_some() || start <= window.first {
                return found.map(|line| line.seq);
            }
            before = start;
        }
    }
}

impl LogStore {
    /// The writing end for one instance; creates its ring.
    pub fn writer(&self, instance: &InstanceId) -> LogWriter {
        let mut rings = self.shared.rings.lock();
        let is_watched = rings.watched.as_ref() == Some(instance);
        let ring = rings
            .by_instance
            .entry(instance.clone())
            .or_insert_with(|| {
                let ring = Watched::default();
                drop(ring.set(is_watched));
                Arc::new(ring)
            });
        LogWriter {
            ring: ring.clone(),
            shared: self.shared.clone(),
            partial: Arc::default(),
        }
    }

    /// Up to `count` lines from sequence number `from` on (or from the oldest kept one, if that is later).
    pub fn window(&self, instance: &InstanceId, from: u64, count: usize) -> Window {
        self.ring(instance)
            .map(|ring| ring.ring.lock().window(from, count))
            .unwrap_or_default()
    }

    /// The last `count` lines.
    pub fn tail(&self, instance: &InstanceId, count: usize) -> Window {
        self.ring(instance)
            .map(|ring| ring.ring.lock().tail(count))
            .unwrap_or_default()
    }

    /// The nearest kept line from `from` on (forward: including it; backward: before it) for which
    /// `matches` holds. Looks at no more than the ring.
    pub fn find(
        &self,
        instance: &InstanceId,
        from: u64,
        forward: bool,
        matches: &dyn Fn(&LogLine) -> bool,
    ) -> Option<u64> {
        let ring = self.ring(instance)?;
        if forward {
            ring.find_forward(from, matches)
        } else {
            ring.find_backward(from, matches)
        }
    }

    /// The one ring on screen gets more memory and wakes the console when it grows.
    pub fn watch(&self, instance: Option<&InstanceId>) {
        let mut rings = self.shared.rings.lock();
        if rings.watched.as_ref() == instance {
            return;
        }
        let before = rings
            .watched
            .take()
            .and_then(|id| rings.by_instance.get(&id).cloned());
        let now = instance.and_then(|id| rings.by_instance.get(id).cloned());
        rings.watched = instance.cloned();
        let grown = now.map(|ring| ring.set(true));
        let shrunk = before.map(|ring| ring.set(false));
        drop(rings);
        drop((grown, shrunk));
    }

    /// Resolves when the watched ring has grown since the last call; for one waiter. Cancel-safe.
    pub async fn changed(&self) {
        self.shared.grown.notified().await;
    }

    /// Drops the ring of an instance that is gone. Lines that a writer still adds are seen by nobody.
    pub fn forget(&self, instance: &InstanceId) {
        let ring = self.shared.rings.lock().by_instance.remove(instance);
        if let Some(ring) = ring {
            ring.is_watched.send_replace(false);
        }
    }

    fn ring(&self, instance: &InstanceId) -> Option<Arc<Watched>> {
        self.shared.rings.lock().by_instance.get(instance).cloned()
    }
}

/// The writing end of one ring. Cheap to clone; clones share the unfinished line of each source.
#[derive(Clone)]
pub struct LogWriter {
    ring: Arc<Watched>,
    shared: Arc<Shared>,
    partial: Arc<Mutex<Vec<(Source, LineSplitter)>>>,
}

impl LogWriter {
    /// Raw output; lines may span chunks.
    pub fn chunk(&self, source: Source, bytes: &[u8]) {
        self.chunk_at(source, bytes, Timestamp::now());
    }

    /// Raw output that was written at this time by another clock; the lines that it completes bear that time.
    pub fn chunk_at(&self, source: Source, bytes: &[u8], at: Timestamp) {
        let mut partial = self.partial.lock();
        let lines = splitter(&mut partial, source).push(bytes);
        // Still locked: lines of one source stay in order.
        self.push(source, lines, at);
    }

    /// Raw output of some time ago, chunk by chunk in the order of time: its lines take their places among those
    /// that are there. Who looks at the log finds it changed, so this is for one that has not been looked at.
    pub fn merge<'a>(&self, chunks: impl IntoIterator<Item = (Source, &'a [u8], Timestamp)>) {
        let mut partial = self.partial.lock();
        let mut lines = Vec::new();
        for (source, bytes, at) in chunks {
            let whole = splitter(&mut partial, source).push(bytes);
            lines.extend(whole.into_iter().map(|line| log_line(source, line, at)));
        }
        let batch = Ring::batch(lines.into_iter());
        let evicted = self.ring.ring.lock().merge(batch);
        self.grown(evicted);
    }

    /// Whole lines of text; line breaks split it.
    pub fn line(&self, source: Source, text: &str) {
        let mut splitter = LineSplitter::default();
        let mut lines = splitter.push(text.as_bytes());
        lines.extend(splitter.finish());
        if lines.is_empty() {
            lines.push(CleanLine::default());
        }
        self.push(source, lines, Timestamp::now());
    }

    /// Writes out the unfinished line of a source whose stream ended.
    pub fn end(&self, source: Source) {
        let mut partial = self.partial.lock();
        if let Some(at) = partial.iter().position(|(known, _)| *known == source) {
            let (_, mut splitter) = partial.swap_remove(at);
            let rest = splitter.finish().into_iter().collect();
            self.push(source, rest, Timestamp::now());
        }
    }

    /// The last `count` lines of stderr and stdout, oldest first: the evidence of a failure. At most
    /// [`EVIDENCE_LINES`], each cut to [`EVIDENCE_CHARS`]; other sources cannot push them out.
    pub fn last_output(&self, count: usize) -> Arc<[Box<str>]> {
        self.ring.ring.lock().last_output(count)
    }

    /// Whether this log is on screen, for writers that cost something while nobody looks.
    pub fn watched(&self) -> watch::Receiver<bool> {
        self.ring.is_watched.subscribe()
    }

    fn push(&self, source: Source, lines: Vec<CleanLine>, at: Timestamp) {
        if lines.is_empty() {
            return;
        }
        let lines = lines.into_iter().map(|line| log_line(source, line, at));
        let batch = Ring::batch(lines);
        let evicted = self.ring.ring.lock().push(batch);
        self.grown(evicted);
    }

    fn grown(&self, evicted: Vec<LogLine>) {
        // Only here, outside the lock.
        drop(evicted);
        if *self.ring.is_watched.borrow() {
            self.shared.grown.notify_one();
        }
    }
}

/// Its number is given by the ring.
fn log_line(source: Source, line: CleanLine, at: Timestamp) -> LogLine {
    LogLine {
        seq: 0,
        at,
        source,
        line: Arc::new(line),
    }
}

fn splitter(partial: &mut Vec<(Source, LineSplitter)>, source: Source) -> &mut LineSplitter {
    let place = partial.iter().position(|(known, _)| *known == source);
    let place = place.unwrap_or_else(|| {
        partial.push((source, LineSplitter::default()));
        partial.len() - 1
    });
    &mut partial[place].1
}

#[cfg(test)]
mod tests;
