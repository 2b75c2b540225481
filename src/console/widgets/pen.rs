//! Writes pieces of text one after the other on one row.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::text::{cut, width};
use crate::stores::lines::clean;

/// A pen at some column of a row. Text must be clean; what does not fit is cut.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    x: u16,
    y: u16,
    right: u16,
}

impl<'a> Pen<'a> {
    /// At the left end of row `row` of `area`; below its end nothing is written.
    pub fn new(buf: &'a mut Buffer, area: Rect, row: usize) -> Self {
        let row = u16::try_from(row).unwrap_or(u16::MAX);
        let right = if row < area.height {
            area.right()
        } else {
            area.x
        };
        Self {
            buf,
            x: area.x,
            y: area.y.saturating_add(row),
            right,
        }
    }

    /// Columns left.
    pub fn room(&self) -> usize {
        self.right.saturating_sub(self.x).into()
    }

    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        if self.room() > 0 {
            let (x, _) = self
                .buf
                .set_stringn(self.x, self.y, text, self.room(), style);
            self.x = x;
        }
        self
    }

    /// Like [`Pen::put`], with `…` at the end of what does not fit.
    pub fn put_cut(&mut self, text: &str, style: Style) -> &mut Self {
        let text = cut(text, self.room());
        self.put(&text, style)
    }

    /// `text` with the looks of `marks` (byte ranges in it, ordered) over `style`.
    pub fn put_marked(
        &mut self,
        text: &str,
        style: Style,
        marks: &[(Range<usize>, Style)],
    ) -> &mut Self {
        let mut from = 0;
        for (range, look) in marks {
            let (start, end) = (range.start.max(from), range.end.min(text.len()));
            if let (Some(before), Some(marked)) = (text.get(from..start), text.get(start..end)) {
                self.put(before, style).put(marked, style.patch(*look));
                from = end;
            }
        }
        self.put(text.get(from..).unwrap_or_default(), style)
    }

    /// Moves on to this column of the row, counted from `area`'s left end as given to [`Pen::new`].
    pub fn skip(&mut self, columns: usize) -> &mut Self {
        let columns = u16::try_from(columns).unwrap_or(u16::MAX);
        self.x = self.x.saturating_add(columns).min(self.right);
        self
    }

    /// Writes at the right end of the row, over what is there; the room left for others shrinks.
    pub fn put_right(&mut self, text: &str, style: Style) -> &mut Self {
        let text = cut(text, self.room());
        let columns = u16::try_from(width(&text)).unwrap_or(u16::MAX);
        self.right -= columns.min(self.right);
        self.buf.set_string(self.right, self.y, text, style);
        self
    }
}

/// Bytes of the beginning of `text` that takes at most `columns` columns; at least one grapheme, so that
/// whoever goes on behind it comes to an end.
pub fn fitting(text: &str, columns: usize) -> usize {
    let ascii = text.len().min(columns + 1);
    if text.as_bytes()[..ascii].iter().all(u8::is_ascii) {
        return text.len().min(columns.max(1));
    }
    let mut used = 0;
    for (offset, grapheme) in text.grapheme_indices(true) {
        used += width(grapheme);
        if used > columns && offset > 0 {
            return offset;
        }
    }
    text.len()
}

/// Where the rows of `text` start, broken after every `columns` columns.
pub fn row_starts(text: &str, columns: usize) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    loop {
        at += fitting(&text[at..], columns);
        if at >= text.len() {
            return starts;
        }
        starts.push(at);
    }
}

/// Breaks text into rows of at most `columns` columns, at spaces where there are some. Line breaks stay.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    if columns == 0 {
        return rows;
    }
    for line in text.lines() {
        let mut row = String::new();
        for word in line.split_inclusive(' ') {
            if !row.is_empty() && width(&row) + width(word.trim_end()) > columns {
                rows.push(std::mem::take(&mut row).trim_end().to_owned());
            }
            row.push_str(word);
            while width(row.trim_end()) > columns {
                let rest = row.split_off(fitting(&row, columns));
                rows.push(std::mem::replace(&mut row, rest));
            }
        }
        if !row.is_empty() || line.is_empty() {
            rows.push(row.trim_end().to_owned());
        }
    }
    rows
}

/// The first rows of foreign text, made clean and wrapped; costs no more than what it returns.
pub fn paragraph(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let wrapped = text.lines().take(rows).flat_map(|line| {
        // The widest characters take four bytes for each two columns.
        let line = head(line, columns.saturating_mul(rows).saturating_mul(4));
        let rows = wrap(&clean(line), columns);
        if rows.is_empty() {
            vec![String::new()]
        } else {
            rows
        }
    });
    wrapped.take(rows).collect()
}

/// At most `bytes` bytes of the beginning of `text`.
pub fn head(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first row to show so that row `selected` of `count` is among `height` rows, moving as little as
/// possible from `top`.
pub fn scroll_to(top: usize, selected: usize, height: usize, count: usize) -> usize {
    let last_top = count.saturating_sub(height);
    let lowest = (selected + 1).saturating_sub(height);
    top.clamp(lowest, selected.max(lowest)).min(last_top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("a abcdefghij\n\nb", 4),
            ["a", "abcd", "efgh", "ij", "", "b"]
        );
        assert_eq!(wrap("日本語", 5), ["日本", "語"]);
        assert_eq!(
            wrap("日", 1),
            ["日"],
            "a character wider than the row still gets one"
        );
    }

    #[test]
    fn rows_of_a_line_start_where_the_one_before_is_full() {
        assert_eq!(row_starts("", 3), [0]);
        assert_eq!(row_starts("abcdef", 3), [0, 3]);
        assert_eq!(row_starts("a日本語b", 3), [0, 4, 7]);
        assert_eq!(row_starts("日本", 0), [0, 3]);
    }

    #[test]
    fn scrolling_moves_as_little_as_possible() {
        assert_eq!(scroll_to(0, 5, 10, 100), 0);
        assert_eq!(scroll_to(0, 12, 10, 100), 3);
        assert_eq!(scroll_to(20, 12, 10, 100), 12);
        assert_eq!(scroll_to(95, 99, 10, 100), 90);
        assert_eq!(scroll_to(3, 1, 10, 2), 0);
        assert_eq!(scroll_to(0, 0, 0, 0), 0);
    }
}
