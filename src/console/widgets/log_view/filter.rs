//! Which lines of a log a filter leaves, found out a piece at a time.

use std::collections::VecDeque;
use std::ops::Range;

use super::viewport::body;
use crate::console::widgets::matcher::Matcher;
use crate::model::InstanceId;
use crate::stores::logs::{LogLine, LogStore};

/// Lines looked at in one frame: a few milliseconds.
const BUDGET: u64 = 50_000;
/// Lines copied out of the ring at once.
const PIECE: u64 = 4_096;

/// The sequence numbers of the lines that pass, as far as they have been looked at: the newest first,
/// so that the screen fills at once however long the log is.
pub struct Filter {
    matcher: Matcher,
    /// Hide what matches instead of the rest.
    inverse: bool,
    typed: String,
    passing: VecDeque<u64>,
    scanned: Range<u64>,
    kept: Range<u64>,
}

impl Filter {
    /// A leading `!` turns it round. `None` for an empty pattern.
    pub fn new(typed: &str, end: u64) -> Option<Self> {
        let (inverse, pattern) = match typed.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, typed),
        };
        Some(Self {
            matcher: Matcher::new(pattern)?,
            inverse,
            typed: typed.to_owned(),
            passing: VecDeque::new(),
            scanned: end..end,
            kept: end..end,
        })
    }

    pub fn typed(&self) -> &str {
        &self.typed
    }

    pub fn passing(&self) -> &VecDeque<u64> {
        &self.passing
    }

    pub fn passes(&self, line: &LogLine) -> bool {
        self.matcher.is_match(&body(line)) != self.inverse
    }

    /// Whether every kept line has been looked at.
    pub fn is_complete(&self) -> bool {
        self.scanned.start <= self.kept.start && self.scanned.end >= self.kept.end
    }

    /// Forgets evicted lines and looks at some that it has not seen.
    pub fn scan(&mut self, logs: &LogStore, log: &InstanceId, kept: Range<u64>) {
        if self.scanned.end < kept.start || self.scanned.start > kept.end {
            self.passing.clear();
            self.scanned = kept.end..kept.end;
        }
        while self.passing.front().is_some_and(|seq| *seq < kept.start) {
            self.passing.pop_front();
        }
        self.scanned.start = self.scanned.start.max(kept.start);
        self.kept = kept;
        let mut budget = BUDGET;
        while budget > 0 && !self.is_complete() {
            budget = budget.saturating_sub(PIECE);
            if self.scanned.end < self.kept.end {
                self.scan_newer(logs, log);
            } else {
                self.scan_older(logs, log);
            }
        }
    }

    fn scan_newer(&mut self, logs: &LogStore, log: &InstanceId) {
        let count = (self.kept.end - self.scanned.end).min(PIECE);
        let end = self.scanned.end + count;
        for line in lines(logs, log, self.scanned.end..end) {
            if self.passes(&line) {
                self.passing.push_back(line.seq);
            }
        }
        self.scanned.end = end;
    }

    fn scan_older(&mut self, logs: &LogStore, log: &InstanceId) {
        let start = self
            .scanned
            .start
            .saturating_sub(PIECE)
            .max(self.kept.start);
        for line in lines(logs, log, start..self.scanned.start)
            .into_iter()
            .rev()
        {
            if self.passes(&line) {
                self.passing.push_front(line.seq);
            }
        }
        self.scanned.start = start;
    }
}

/// The lines with these numbers that are still kept.
pub fn lines(logs: &LogStore, log: &InstanceId, seqs: Range<u64>) -> Vec<LogLine> {
    let count = usize::try_from(seqs.end.saturating_sub(seqs.start)).unwrap_or(usize::MAX);
    let mut lines = logs.window(log, seqs.start, count).lines;
    lines.retain(|line| line.seq < seqs.end);
    lines
}
