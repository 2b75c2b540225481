//! Text on screen, however long its lines and however many: reads only what is visible.

use std::ops::Range;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::matcher::Matcher;
use super::pen::Pen;
use super::text::width;
use crate::console::action::Action;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::stores::document::LinedText;
use crate::stores::lines::clean;

/// Columns that a tab takes.
const TAB: &str = "    ";
/// Bytes of a line looked at for each column of the screen: the longest character, and some without width.
const BYTES: usize = 8;
/// Rows of lines up to this long are broken from their start, of longer ones from where one is.
const EXACT: usize = 4 << 10;
/// Lines searched at once going backward.
const PIECE: usize = 4_096;

/// A piece of what is read.
#[derive(Clone, Debug)]
pub enum Part {
    Text(Arc<LinedText>),
    /// A line of ours: a heading, a note.
    Note(String),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Text(text) => text.len(),
            Part::Note(_) => 1,
        }
    }
}

/// Where a row starts: a line, and a byte of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    line: usize,
    byte: usize,
}

#[derive(Default)]
pub struct Pager {
    parts: Vec<Part>,
    top: Spot,
    columns_left: usize,
    wraps: bool,
    search: Option<Matcher>,
    area: Rect,
    /// The lowest top row, for the area and the wrapping that it was computed for.
    lowest: Option<(Rect, bool, Spot)>,
}

impl Pager {
    pub fn new(parts: Vec<Part>) -> Self {
        Self {
            parts,
            wraps: true,
            ..Self::default()
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Lines of all parts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first visible line, counted from 1.
    pub fn line(&self) -> usize {
        self.top.line + 1
    }

    /// The part with this line, and the line's index in it.
    fn part(&self, mut line: usize) -> Option<(&Part, usize)> {
        self.parts.iter().find_map(|part| {
            if line < part.len() {
                return Some((part, line));
            }
            line -= part.len();
            None
        })
    }

    fn read(&self, line: usize, range: Range<usize>) -> String {
        match self.part(line) {
            Some((Part::Text(text), line)) => text.part(line, &range).into_owned(),
            Some((Part::Note(note), _)) => note.get(range.start..).unwrap_or_default().to_owned(),
            None => String::new(),
        }
    }

    fn bytes(&self, line: usize) -> usize {
        match self.part(line) {
            Some((Part::Text(text), line)) => text.span(line).len(),
            Some((Part::Note(note), _)) => note.len(),
            None => 0,
        }
    }

    fn columns(&self) -> usize {
        usize::from(self.area.width).max(1)
    }

    fn height(&self) -> usize {
        self.area.height.into()
    }

    /// Where the row behind this one starts.
    fn next(&self, spot: Spot) -> Option<Spot> {
        let columns = self.columns();
        if self.wraps {
            let text = self.read(spot.line, spot.byte..spot.byte + columns * BYTES);
            let byte = spot.byte + fitting(&text, columns);
            if byte < self.bytes(spot.line) {
                return Some(Spot { byte, ..spot });
            }
        }
        let line = spot.line + 1;
        (line < self.len()).then_some(Spot { line, byte: 0 })
    }

    fn previous(&self, spot: Spot) -> Option<Spot> {
        if spot.byte > 0 {
            let byte = self.row_before(spot);
            return Some(Spot { byte, ..spot });
        }
        let line = spot.line.checked_sub(1)?;
        let end = Spot {
            line,
            byte: self.bytes(line),
        };
        let wrapped = self.wraps && end.byte > 0;
        let byte = if wrapped { self.row_before(end) } else { 0 };
        Some(Spot { line, byte })
    }

    /// The start of the row that ends at `spot`, in the same line.
    fn row_before(&self, spot: Spot) -> usize {
        let columns = self.columns();
        if spot.byte <= EXACT {
            let text = self.read(spot.line, 0..spot.byte);
            let mut start = 0;
            while let Some(rest) = text.get(start..) {
                let next = start + fitting(rest, columns);
                if next >= text.len() {
                    break;
                }
                start = next;
            }
            return start;
        }
        let from = spot.byte.saturating_sub(columns * BYTES);
        let text = self.read(spot.line, from..spot.byte);
        let mut used = 0;
        let mut start = text.len();
        for (at, grapheme) in text.grapheme_indices(true).rev() {
            used += columns_of(grapheme);
            if used > columns {
                break;
            }
            start = at;
        }
        spot.byte - (text.len() - start)
    }

    fn move_by(&mut self, rows: isize) {
        for _ in 0..rows.unsigned_abs() {
            let next = if rows < 0 {
                self.previous(self.top)
            } else {
                self.next(self.top)
            };
            match next {
                Some(next) => self.top = next,
                None => return,
            }
        }
    }

    fn last(&self) -> Spot {
        let end = Spot {
            line: self.len(),
            byte: 0,
        };
        let rows = std::iter::successors(Some(end), |spot| self.previous(*spot));
        rows.take(self.height().max(1) + 1)
            .last()
            .unwrap_or_default()
    }

    /// Moves and settings. `false`: not an action of the pager.
    pub fn on_action(&mut self, action: Action) -> bool {
        let page = isize::try_from(self.height().saturating_sub(1).max(1)).unwrap_or(1);
        let half = (self.columns() / 2).max(1);
        match action {
            Action::Up => self.move_by(-1),
            Action::Down => self.move_by(1),
            Action::PageUp => self.move_by(-page),
            Action::PageDown => self.move_by(page),
            Action::First => self.top = Spot::default(),
            Action::Last => self.top = self.last(),
            Action::Left => self.columns_left = self.columns_left.saturating_sub(half),
            Action::Right if !self.wraps => self.columns_left += half,
            Action::ToggleWrap => {
                self.wraps = !self.wraps;
                (self.columns_left, self.top.byte) = (0, 0);
            }
            _ => return false,
        }
        true
    }

    pub fn scroll(&mut self, rows: i32) {
        self.move_by(isize::try_from(rows).unwrap_or_default());
    }

    /// Never shows less than it could.
    pub fn sync(&mut self, area: Rect) {
        self.area = area;
        let lowest = match self.lowest {
            Some((for_area, wraps, spot)) if (for_area, wraps) == (area, self.wraps) => spot,
            _ => self.last(),
        };
        self.lowest = Some((area, self.wraps, lowest));
        self.top = self.top.min(lowest);
    }

    /// Marks what is being typed.
    pub fn mark(&mut self, search: Option<Matcher>) {
        self.search = search;
    }

    /// Goes to the next or previous line with a match; `here` counts the top line. Returns whether it had to
    /// start over, `None` if nothing matches.
    pub fn seek(&mut self, forward: bool, here: bool) -> Option<bool> {
        let search = self.search.clone()?;
        let (top, end) = (self.top.line, self.len());
        let (near, far) = match (forward, here) {
            (true, true) => (top..end, 0..top),
            (true, false) => (top + 1..end, 0..top + 1),
            (false, _) => (0..top, top..end),
        };
        let found = self.find(&search, near, forward).map(|line| (line, false));
        let (line, wrapped) =
            found.or_else(|| self.find(&search, far, forward).map(|line| (line, true)))?;
        self.top = Spot { line, byte: 0 };
        Some(wrapped)
    }

    /// The first or last of these lines with a match.
    fn find(&self, search: &Matcher, lines: Range<usize>, forward: bool) -> Option<usize> {
        let mut first = 0;
        let mut found = None;
        for part in &self.parts {
            let end = first + part.len();
            let within = lines.start.clamp(first, end) - first..lines.end.clamp(first, end) - first;
            let line = match part {
                _ if within.is_empty() => None,
                Part::Text(text) => find_in(text, search, within, forward),
                Part::Note(note) => search.is_match(note).then_some(0),
            };
            found = line.map(|line| first + line).or(found);
            if forward && found.is_some() {
                return found;
            }
            first = end;
        }
        found
    }

    /// Draws into the area of the last sync.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let text = cx.theme.style(Role::Text);
        let note = cx.theme.style(Role::Dim);
        let look = cx.theme.style(Role::Match);
        let mut spot = Some(self.top).filter(|_| !self.is_empty());
        for row in 0..usize::from(area.height) {
            let Some(at) = spot else {
                return;
            };
            let style = match self.part(at.line) {
                Some((Part::Note(_), _)) => note,
                _ => text,
            };
            let shown = self.shown(at);
            let marks: Vec<(Range<usize>, Style)> = match &self.search {
                Some(search) => search.ranges(&shown).map(|range| (range, look)).collect(),
                None => Vec::new(),
            };
            Pen::new(buf, area, row).put_marked(&shown, style, &marks);
            spot = self.next(at);
        }
    }

    /// The text of a row as it is drawn.
    fn shown(&self, at: Spot) -> String {
        let columns = self.columns() + self.columns_left;
        let raw = self.read(at.line, at.byte..at.byte + columns * BYTES);
        let end = fitting(&raw, columns);
        let text = clean(&raw[..end].replace('\t', TAB)).into_owned();
        super::text::skip(&text, self.columns_left).to_owned()
    }
}

/// The first or last of these lines with a match, which is looked for in the text as a whole: a million
/// lines are searched faster than they are taken apart.
fn find_in(
    text: &LinedText,
    search: &Matcher,
    lines: Range<usize>,
    forward: bool,
) -> Option<usize> {
    let piece = if forward { lines.len() } else { PIECE };
    let mut end = lines.end;
    while end > lines.start {
        let start = end.saturating_sub(piece).max(lines.start);
        let from = text.span(start).start;
        let bytes = &text.bytes()[from..text.span(end - 1).end];
        let part = String::from_utf8_lossy(bytes);
        let found = if forward {
            search.first(&part)
        } else {
            search.last(&part)
        };
        if let Some(at) = found {
            return Some(text.line_at(from + at));
        }
        end = start;
    }
    None
}

fn columns_of(grapheme: &str) -> usize {
    if grapheme == "\t" {
        TAB.len()
    } else {
        width(&clean(grapheme))
    }
}

/// Bytes of the beginning of raw text that takes at most `columns` columns, at least one grapheme.
fn fitting(text: &str, columns: usize) -> usize {
    let head = &text.as_bytes()[..text.len().min(columns + 1)];
    if head.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.len().min(columns.max(1));
    }
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += columns_of(grapheme);
        if used > columns && at > 0 {
            return at;
        }
    }
    text.len()
}
