//! The log of each instance: a byte-bounded ring of clean lines with sequence numbers.

use std::sync::Arc;

use jiff::Timestamp;

use super::lines::CleanLine;
use crate::model::InstanceId;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Stderr,
    /// A stdout line of a stdio server that is not JSON-RPC.
    Stdout,
    /// An MCP `notifications/message`, with its level.
    Server(Severity),
    /// A line of ours about this instance.
    Envdeck,
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
    /// Counts every line of the instance from 0, kept or not.
    pub seq: u64,
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

/// All logs. Cheap to clone.
#[derive(Clone, Default)]
pub struct LogStore {}

impl LogStore {
    /// The writing end for one instance; creates its ring.
    pub fn writer(&self, instance: &InstanceId) -> LogWriter {
        let _ = instance;
        unimplemented!()
    }

    /// Up to `count` lines from sequence number `from` on (or from the oldest kept one, if that is later).
    pub fn window(&self, instance: &InstanceId, from: u64, count: usize) -> Window {
        let _ = (instance, from, count);
        unimplemented!()
    }

    /// The last `count` lines.
    pub fn tail(&self, instance: &InstanceId, count: usize) -> Window {
        let _ = (instance, count);
        unimplemented!()
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
        let _ = (instance, from, forward, matches);
        unimplemented!()
    }

    /// The one ring on screen gets more memory and wakes the console when it grows.
    pub fn watch(&self, instance: Option<&InstanceId>) {
        let _ = instance;
    }

    /// Resolves when the watched ring has grown since the last call. Cancel-safe.
    pub async fn changed(&self) {
        std::future::pending().await
    }

    /// Drops the ring of an instance that is gone.
    pub fn forget(&self, instance: &InstanceId) {
        let _ = instance;
    }
}

/// The writing end of one ring. Cheap to clone; each clone and source keeps its own partial line.
#[derive(Clone)]
pub struct LogWriter {}

impl LogWriter {
    /// Raw output; lines may span chunks.
    pub fn chunk(&self, source: Source, bytes: &[u8]) {
        let _ = (source, bytes);
        unimplemented!()
    }

    /// Whole lines of text; line breaks split it.
    pub fn line(&self, source: Source, text: &str) {
        let _ = (source, text);
        unimplemented!()
    }

    /// Writes out the unfinished line of a source whose stream ended.
    pub fn end(&self, source: Source) {
        let _ = source;
        unimplemented!()
    }

    /// The last `count` lines of stderr and stdout, oldest first: the evidence of a failure.
    pub fn last_output(&self, count: usize) -> Arc<[Box<str>]> {
        let _ = count;
        unimplemented!()
    }
}
