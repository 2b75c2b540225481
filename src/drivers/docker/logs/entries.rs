//! Log entries as engines send them: a time, a space, a piece of output; and how far a log has been read.

use bollard::container::LogOutput;
use jiff::Timestamp;

use crate::stores::logs::Source;

/// Engines keep longer lines in pieces of this size, each an entry of its own with the time of the line's beginning.
const PIECE: usize = 16 << 10;
/// Engines are asked from this long before the newest known entry, seconds: those of the other stream may come late.
const OVERLAP: i64 = 2;

/// The entries of one chunk. Of a terminal's output that is a line, else exactly one entry.
pub(super) fn entries(
    chunk: &LogOutput,
) -> impl Iterator<Item = (Source, Option<Timestamp>, &[u8])> {
    let (source, is_line) = match chunk {
        LogOutput::StdErr { .. } => (Source::Stderr, false),
        LogOutput::StdOut { .. } | LogOutput::StdIn { .. } => (Source::Stdout, false),
        LogOutput::Console { .. } => (Source::Stdout, true),
    };
    let mut rest: &[u8] = chunk.as_ref();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (at, text) = split_time(rest);
        let is_in_pieces = is_line && text.len() > PIECE && split_time(&text[PIECE..]).0.is_some();
        let (text, after) = text.split_at(if is_in_pieces { PIECE } else { text.len() });
        rest = after;
        Some((source, at, text))
    })
}

/// `2026-11-21T14:12:13.851113461Z some text`.
fn split_time(entry: &[u8]) -> (Option<Timestamp>, &[u8]) {
    // With an offset and nanoseconds it has 35 characters.
    let space = entry.iter().take(36).position(|byte| *byte == b' ');
    let time = space.and_then(|space| std::str::from_utf8(&entry[..space]).ok()?.parse().ok());
    match (time, space) {
        (Some(time), Some(space)) => (Some(time), &entry[space + 1..]),
        _ => (None, entry),
    }
}

/// How far a log has been read. Engines are asked by the second; this is exact to the entry.
#[derive(Default)]
pub(super) struct Position {
    stdout: Mark,
    stderr: Mark,
}

/// The newest entry of one stream.
#[derive(Clone, Copy, Default)]
struct Mark {
    at: Option<Timestamp>,
    /// So many entries bear that time: the pieces of a long line, or lines of one instant.
    count: usize,
}

impl Position {
    /// What to ask the engine for, as a UNIX time: a little more than is new.
    pub fn since(&self) -> i32 {
        let newest = self.stdout.at.max(self.stderr.at);
        let since = newest.map_or(0, |at| at.as_second() - OVERLAP);
        i32::try_from(since).unwrap_or(0)
    }

    /// For the entries of one answer, in order.
    pub fn reading(&mut self) -> Reading<'_> {
        Reading {
            known: [self.stdout, self.stderr],
            position: self,
        }
    }
}

/// Tells the new entries of one answer from those that came with an earlier one.
pub(super) struct Reading<'a> {
    position: &'a mut Position,
    /// Where this answer's new entries begin; the count goes down as known ones pass by.
    known: [Mark; 2],
}

impl Reading<'_> {
    /// Whether this entry is new. Each must be shown once, in order.
    pub fn is_new(&mut self, source: Source, at: Timestamp) -> bool {
        let (known, mark) = match source {
            Source::Stderr => (&mut self.known[1], &mut self.position.stderr),
            _ => (&mut self.known[0], &mut self.position.stdout),
        };
        if known.at.is_some_and(|known| at < known) {
            return false;
        }
        if known.at == Some(at) && known.count > 0 {
            known.count -= 1;
            return false;
        }
        if mark.at == Some(at) {
            mark.count += 1;
        } else {
            let at = Some(at);
            *mark = Mark { at, count: 1 };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("a time")
    }

    fn accepted(position: &mut Position, entries: &[(Source, i64)]) -> Vec<i64> {
        let mut reading = position.reading();
        let new = entries
            .iter()
            .filter(|(source, millis)| reading.is_new(*source, at(*millis)));
        new.map(|(_, millis)| *millis).collect()
    }

    #[test]
    fn what_comes_again_is_known_also_among_entries_of_one_instant() {
        use Source::{Stderr, Stdout};
        let mut position = Position::default();
        assert_eq!(position.since(), 0);
        let first = [
            (Stdout, 9_000),
            (Stderr, 9_500),
            (Stdout, 9_900),
            (Stdout, 9_900),
        ];
        assert_eq!(accepted(&mut position, &first).len(), 4);
        assert_eq!(position.since(), 7);
        let again = [
            (Stdout, 9_000),
            (Stderr, 9_500),
            // Late, of the other stream.
            (Stderr, 9_800),
            (Stdout, 9_900),
            (Stdout, 9_900),
            (Stdout, 9_900),
            (Stdout, 9_901),
        ];
        assert_eq!(accepted(&mut position, &again), [9_800, 9_900, 9_901]);
        assert!(accepted(&mut position, &again).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing_while_one_reads() {
        let mut position = Position::default();
        let entries = [(Source::Stdout, 9_000), (Source::Stdout, 5_000)];
        assert_eq!(accepted(&mut position, &entries), [9_000, 5_000]);
        assert_eq!(accepted(&mut position, &[(Source::Stdout, 5_001)]), [5_001]);
    }

    fn texts(chunk: &LogOutput) -> Vec<(Option<i64>, usize)> {
        let entries = entries(chunk);
        entries
            .map(|(_, at, text)| (at.map(Timestamp::as_second), text.len()))
            .collect()
    }

    #[test]
    fn a_long_line_of_a_terminal_is_put_together_again() {
        let time = "2026-11-21T14:12:13.851113461Z ";
        let (piece, rest) = ("x".repeat(PIECE), "y".repeat(99));
        let line = format!("{time}{piece}{time}{piece}{time}{rest}\r\n");
        let message = line.clone().into();
        let at = Some(1_795_270_333);
        assert_eq!(
            texts(&LogOutput::Console { message }),
            [(at, PIECE), (at, PIECE), (at, 101)]
        );
        let message = format!("{time}{piece}{piece}\n").into();
        assert_eq!(
            texts(&LogOutput::Console { message }),
            [(at, 2 * PIECE + 1)]
        );
        let message = "no time at all\n".into();
        assert_eq!(texts(&LogOutput::StdErr { message }), [(None, 15)]);
    }
}
