//! One ring of log lines, bounded by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lines::{CleanLine, Run};
use super::logs::{LogLine, Window};

/// Memory of the ring of an instance that nobody looks at, bytes: 10 000 instances are 320 MiB at worst.
pub const RING_BYTES: usize = 32 << 10;
/// Memory of the ring on screen, bytes.
pub const WATCHED_RING_BYTES: usize = 16 << 20;
/// Lines of output kept beside the ring as evidence of a failure.
pub const EVIDENCE_LINES: usize = 20;
/// The longest line of evidence, characters; longer ones end with `…`.
pub const EVIDENCE_CHARS: usize = 500;

/// Memory of a line beside its text and runs: its place in the ring, and an `Arc` with two counts.
const LINE_OVERHEAD: usize = size_of::<LogLine>() + size_of::<CleanLine>() + 2 * size_of::<usize>();

/// The memory a line is charged with, bytes.
fn cost(line: &LogLine) -> usize {
    LINE_OVERHEAD + line.line.text.len() + line.line.runs.len() * size_of::<Run>()
}

/// Lines ready to be moved into a ring: what is costly is done before the ring is locked.
pub(super) struct Batch {
    lines: Vec<LogLine>,
    bytes: usize,
    evidence: Vec<Box<str>>,
}

/// Lines with consecutive sequence numbers; the oldest go when the bytes run out.
pub(super) struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    limit: usize,
    end: u64,
    dropped: u64,
    evidence: VecDeque<Box<str>>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            limit: RING_BYTES,
            end: 0,
            dropped: 0,
            evidence: VecDeque::new(),
        }
    }
}

impl Ring {
    /// Their sequence numbers are set when they are pushed.
    pub fn batch(lines: impl Iterator<Item = LogLine>) -> Batch {
        let lines: Vec<LogLine> = lines.collect();
        let output = lines
            .iter()
            .rev()
            .filter(|line| line.source.is_output())
            .take(EVIDENCE_LINES);
        let mut evidence: Vec<Box<str>> = output.map(|line| excerpt(&line.line.text)).collect();
        evidence.reverse();
        Batch {
            bytes: lines.iter().map(cost).sum(),
            lines,
            evidence,
        }
    }

    /// Adds lines. Returns those that had to go, to be dropped after the ring is unlocked.
    #[must_use]
    pub fn push(&mut self, batch: Batch) -> Vec<LogLine> {
        let mut seq = self.end;
        self.end += batch.lines.len() as u64;
        self.bytes += batch.bytes;
        self.lines.extend(batch.lines.into_iter().map(|line| {
            seq += 1;
            LogLine {
                seq: seq - 1,
                ..line
            }
        }));
        self.remember(batch.evidence);
        self.evict()
    }

    /// Adds lines in their places by time; both must be in order. If that is not at the end, every line gets a new
    /// number. Returns those that had to go.
    #[must_use]
    pub fn merge(&mut self, batch: Batch) -> Vec<LogLine> {
        let Some(oldest) = batch.lines.first().map(|line| line.at) else {
            return Vec::new();
        };
        let before = self.lines.iter().rposition(|line| line.at <= oldest);
        let before = before.map_or(0, |last| last + 1);
        if before == self.lines.len() {
            return self.push(batch);
        }
        let newer = self.lines.split_off(before);
        self.lines.extend(by_time(batch.lines, newer));
        self.bytes += batch.bytes;
        self.remember(batch.evidence);
        for line in &mut self.lines {
            line.seq = self.end;
            self.end += 1;
        }
        self.evict()
    }

    fn remember(&mut self, evidence: Vec<Box<str>>) {
        self.evidence.extend(evidence);
        let surplus = self.evidence.len().saturating_sub(EVIDENCE_LINES);
        self.evidence.drain(..surplus);
    }

    /// Changes the memory limit. Returns the lines that had to go.
    #[must_use]
    pub fn set_limit(&mut self, bytes: usize) -> Vec<LogLine> {
        let is_less = bytes < self.limit;
        self.limit = bytes;
        let evicted = self.evict();
        if is_less {
            self.lines.shrink_to_fit();
        }
        evicted
    }

    /// No line is larger than the smallest limit, so the newest one always stays.
    fn evict(&mut self) -> Vec<LogLine> {
        let mut surplus = self.bytes.saturating_sub(self.limit);
        let count = self.lines.iter().take_while(|line| {
            let goes = surplus > 0;
            surplus = surplus.saturating_sub(cost(line));
            goes
        });
        let count = count.count();
        let evicted: Vec<LogLine> = self.lines.drain(..count).collect();
        self.bytes -= evicted.iter().map(cost).sum::<usize>();
        self.dropped += evicted.len() as u64;
        evicted
    }

    fn first(&self) -> u64 {
        self.end - self.lines.len() as u64
    }

    pub fn window(&self, from: u64, count: usize) -> Window {
        let first = self.first();
        let start = usize::try_from(from.max(first) - first)
            .unwrap_or(usize::MAX)
            .min(self.lines.len());
        let end = start.saturating_add(count).min(self.lines.len());
        let lines = self.lines.range(start..end).cloned().collect();
        Window {
            lines,
            first,
            end: self.end,
            dropped: self.dropped,
        }
    }

    pub fn tail(&self, count: usize) -> Window {
        self.window(self.end.saturating_sub(count as u64), count)
    }

    pub fn last_output(&self, count: usize) -> Arc<[Box<str>]> {
        self.evidence
            .iter()
            .skip(self.evidence.len().saturating_sub(count))
            .cloned()
            .collect()
    }
}

/// Two runs of lines as one; of the same time, the first one's first.
fn by_time(one: Vec<LogLine>, other: VecDeque<LogLine>) -> impl Iterator<Item = LogLine> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    std::iter::from_fn(move || {
        let is_one = match (one.peek(), other.peek()) {
            (Some(one), Some(other)) => one.at <= other.at,
            (one, _) => one.is_some(),
        };
        if is_one { one.next() } else { other.next() }
    })
}

fn excerpt(text: &str) -> Box<str> {
    match text.char_indices().nth(EVIDENCE_CHARS) {
        None => text.into(),
        Some(_) => text.chars().take(EVIDENCE_CHARS - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::lines::{MAX_LINE, MAX_RUNS};

    #[test]
    fn the_largest_line_fits_the_smallest_ring() {
        let largest = LINE_OVERHEAD + MAX_LINE + "…".len() + MAX_RUNS * size_of::<Run>();
        assert!(largest <= RING_BYTES, "{largest}");
    }
}
