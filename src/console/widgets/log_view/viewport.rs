//! Which lines are on screen: moves of the cursor, and the lines above and below it.

use super::filter::lines;
use super::{LogView, Times};
use crate::console::widgets::pen::row_starts;
use crate::model::InstanceId;
use crate::stores::logs::{LogLine, LogStore, Source};

/// Columns of the source mark and the space behind it.
const MARK: usize = 8;

impl LogView {
    /// Lines that the filter leaves.
    fn len(&self) -> usize {
        match &self.filter {
            Some(filter) => filter.passing().len(),
            None => usize::try_from(self.end - self.first).unwrap_or(usize::MAX),
        }
    }

    /// How many of them come before this sequence number.
    fn index(&self, seq: u64) -> usize {
        match &self.filter {
            Some(filter) => filter.passing().partition_point(|other| *other < seq),
            None => {
                usize::try_from(seq.clamp(self.first, self.end) - self.first).unwrap_or(usize::MAX)
            }
        }
    }

    /// The sequence number of one of them; of the last one for any index behind it.
    fn nth(&self, index: usize) -> Option<u64> {
        let index = index.min(self.len().checked_sub(1)?);
        match &self.filter {
            Some(filter) => filter.passing().get(index).copied(),
            None => Some(self.first + index as u64),
        }
    }

    pub(super) fn cursor_index(&self) -> usize {
        self.index(self.cursor)
    }

    pub(super) fn pause(&mut self) {
        if self.following {
            self.following = false;
            self.paused_at = self.end;
        }
    }

    pub(super) fn follow(&mut self) {
        self.following = true;
        self.top_rows_above = 0;
    }

    pub(super) fn go_to(&mut self, seq: u64) {
        self.cursor = seq;
        self.top_rows_above = 0;
    }

    pub(super) fn jump(&mut self, index: usize) {
        if let Some(seq) = self.nth(index) {
            self.pause();
            self.go_to(seq);
        }
    }

    /// A line up, or a row within a line that is taller than the screen.
    pub(super) fn step_up(&mut self) {
        if self.cursor == self.top && self.top_rows_above > 0 {
            self.pause();
            self.top_rows_above -= 1;
        } else {
            self.jump(self.cursor_index().saturating_sub(1));
        }
    }

    pub(super) fn step_down(&mut self) {
        let below = self.shown.first().is_some_and(|line| {
            line.seq == self.cursor && self.rows(line) > self.height() + self.top_rows_above
        });
        if below && !self.following {
            self.top_rows_above += 1;
        } else if !self.following {
            self.jump(self.cursor_index() + 1);
        }
    }

    /// Moves the view; the cursor comes along only as far as it must.
    pub fn scroll(&mut self, rows: i32) {
        let step = usize::try_from(rows.unsigned_abs()).unwrap_or_default();
        let top = self.index(self.top);
        let last_top = self.len().saturating_sub(self.height());
        let top = if rows < 0 {
            top.saturating_sub(step)
        } else {
            (top + step).min(last_top.max(top))
        };
        if let Some(seq) = self.nth(top)
            && (rows < 0 || !self.following)
        {
            self.pause();
            (self.top, self.top_rows_above) = (seq, 0);
            let bottom = top + self.height().saturating_sub(1);
            self.cursor = self
                .nth(self.cursor_index().clamp(top, bottom))
                .unwrap_or(seq);
        }
    }

    /// The line on this row of the area.
    pub(super) fn line_at(&self, row: usize) -> Option<u64> {
        let mut left = row + self.top_rows_above;
        for line in &self.shown {
            match left.checked_sub(self.rows(line)) {
                Some(rest) => left = rest,
                None => return Some(line.seq),
            }
        }
        None
    }

    /// Columns before the text of a line.
    pub(super) fn prefix(&self) -> usize {
        MARK + match self.times {
            Times::Absolute => 13,
            Times::Relative => 8,
            Times::Off => 0,
        }
    }

    pub(super) fn text_columns(&self) -> usize {
        usize::from(self.area.width)
            .saturating_sub(self.prefix())
            .max(1)
    }

    /// Rows that a line takes.
    pub(super) fn rows(&self, line: &LogLine) -> usize {
        if self.wraps {
            let text = body(line);
            row_starts(&text, self.text_columns()).len()
        } else {
            1
        }
    }

    /// Reads the lines on screen: the last ones when following, else from the top line on, moved as
    /// little as needed to have the cursor among them.
    pub(super) fn fill(&mut self, logs: &LogStore, log: &InstanceId) {
        let height = self.height();
        let Some(last) = self.nth(usize::MAX).filter(|_| height > 0) else {
            self.shown.clear();
            return;
        };
        if self.following {
            self.cursor = last;
        }
        let index = self.cursor_index().min(self.len() - 1);
        self.cursor = self.nth(index).unwrap_or(last);
        let top = self.index(self.top).min(self.len() - 1);
        if !self.following && top <= index && index - top < height {
            self.shown = self.read(logs, log, top, height);
            self.top = self.shown.first().map_or(self.top, |line| line.seq);
            if self.shows_cursor() {
                return;
            }
        }
        if self.following || top < index {
            self.fill_up_to(logs, log, index);
        } else {
            self.top = self.cursor;
            self.shown = self.read(logs, log, index, height);
        }
        if self.wraps {
            self.drop_below(height);
        }
    }

    /// Whether the cursor's line is on screen to its end, or from its start if it is the top line.
    fn shows_cursor(&mut self) -> bool {
        let height = self.height();
        let mut used = 0;
        for line in &self.shown {
            used += self.rows(line);
            if line.seq == self.cursor {
                return used <= height + self.top_rows_above || line.seq == self.top;
            }
        }
        false
    }

    /// The cursor's line at the bottom of the screen, and what fits above it.
    fn fill_up_to(&mut self, logs: &LogStore, log: &InstanceId, index: usize) {
        let height = self.height();
        let start = (index + 1).saturating_sub(height);
        let mut read = self.read(logs, log, start, index + 1 - start);
        let mut used = 0;
        let mut keep = read.len();
        while used < height && keep > 0 {
            keep -= 1;
            used += self.rows(&read[keep]);
        }
        read.drain(..keep);
        self.top = read.first().map_or(self.cursor, |line| line.seq);
        self.top_rows_above = used.saturating_sub(height);
        if !self.following && self.top == self.cursor {
            self.top_rows_above = 0;
        }
        self.shown = read;
    }

    fn drop_below(&mut self, height: usize) {
        let mut used = 0;
        let room = height + self.top_rows_above;
        let fits = self.shown.iter().take_while(|line| {
            let starts_above = used < room;
            used += self.rows(line);
            starts_above
        });
        let count = fits.count();
        self.shown.truncate(count);
    }

    /// `count` lines that the filter leaves, from this index on.
    fn read(&self, logs: &LogStore, log: &InstanceId, index: usize, count: usize) -> Vec<LogLine> {
        match &self.filter {
            None => {
                let from = self.first + index as u64;
                lines(logs, log, from..from + count as u64)
            }
            Some(filter) => {
                let seqs = filter.passing().iter().skip(index).take(count);
                seqs.flat_map(|seq| lines(logs, log, *seq..*seq + 1))
                    .collect()
            }
        }
    }
}

/// What is shown of a line: a server's message has its level before it.
pub(super) fn body(line: &LogLine) -> std::borrow::Cow<'_, str> {
    match line.source {
        Source::Server(level) => format!("{level} {}", line.line.text).into(),
        _ => (&*line.line.text).into(),
    }
}
