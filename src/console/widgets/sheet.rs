//! A page of headings, facts and text that wraps, scrolls and can be copied as plain text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pen;
use super::text::{cut, width};
use crate::console::action::Action;
use crate::console::theme::{Role, Theme};
use crate::stores::lines::clean;

/// Columns before facts and text.
const INDENT: usize = 2;
/// The widest column of labels.
const LABELS: usize = 14;

#[derive(Clone, Debug)]
enum Part {
    Heading(String),
    Fact(String, String, Role),
    Text(String, Role),
}

/// One row on screen.
#[derive(Clone, Debug, Default)]
struct Line {
    label: String,
    /// Where the text begins.
    left: usize,
    text: String,
    role: Option<Role>,
}

/// A page. Foreign text may be put in as it is: it is cleaned here.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    parts: Vec<Part>,
    lines: Vec<Line>,
    wrapped_at: usize,
    top: usize,
    height: usize,
}

impl Sheet {
    pub fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    pub fn fact(&mut self, label: &str, value: impl Into<String>) {
        self.fact_as(label, value, Role::Text);
    }

    pub fn fact_as(&mut self, label: &str, value: impl Into<String>, role: Role) {
        self.parts
            .push(Part::Fact(label.to_owned(), value.into(), role));
    }

    /// Text of one or more lines.
    pub fn text(&mut self, text: impl Into<String>, role: Role) {
        self.parts.push(Part::Text(text.into(), role));
    }

    /// All of it, unwrapped.
    pub fn plain(&self) -> String {
        let parts = self
            .parts
            .iter()
            .enumerate()
            .map(|(place, part)| match part {
                Part::Heading(heading) if place == 0 => format!("{heading}\n"),
                Part::Heading(heading) => format!("\n{heading}\n"),
                Part::Fact(label, value, _) => format!("  {label}: {value}\n"),
                Part::Text(text, _) => text.lines().flat_map(|line| ["  ", line, "\n"]).collect(),
            });
        parts.collect()
    }

    /// The rows it needs at this width.
    pub fn rows(&mut self, columns: usize) -> usize {
        self.wrap(columns);
        self.lines.len()
    }

    pub fn sync(&mut self, area: Rect) {
        self.wrap(area.width.into());
        self.height = area.height.into();
        self.top = self.top.min(self.lines.len().saturating_sub(self.height));
    }

    fn wrap(&mut self, columns: usize) {
        if self.wrapped_at == columns {
            return;
        }
        self.wrapped_at = columns;
        let label = |part: &Part| match part {
            Part::Fact(label, ..) => width(label),
            _ => 0,
        };
        let labels = self.parts.iter().map(label).max().unwrap_or_default();
        let left = INDENT + labels.min(LABELS) + 2;
        self.lines = self
            .parts
            .iter()
            .flat_map(|part| wrapped(part, columns, left))
            .collect();
        if self.lines.first().is_some_and(|line| line.text.is_empty()) {
            self.lines.remove(0);
        }
    }

    /// Scrolls; `false` if the action is no movement.
    pub fn on_action(&mut self, action: Action) -> bool {
        let page = self.height.max(1).cast_signed();
        match action {
            Action::Up => self.scroll(-1),
            Action::Down => self.scroll(1),
            Action::PageUp => self.scroll(-page),
            Action::PageDown => self.scroll(page),
            Action::First => self.top = 0,
            Action::Last => self.top = self.lines.len(),
            _ => return false,
        }
        true
    }

    /// The first row in sight.
    pub fn top(&self) -> usize {
        self.top
    }

    pub fn scroll(&mut self, rows: isize) {
        self.top = self.top.saturating_add_signed(rows);
    }

    pub fn draw(&self, area: Rect, buf: &mut Buffer, theme: &Theme) {
        let mut put = |left: usize, y: u16, text: &str, style: Style| {
            let room = usize::from(area.width).saturating_sub(left);
            let x = area.x + u16::try_from(left).unwrap_or(area.width);
            buf.set_stringn(x, y, text, room, style);
        };
        let rows = self.lines.iter().skip(self.top);
        for (line, y) in rows.zip(area.top()..area.bottom()) {
            put(INDENT, y, &line.label, theme.style(Role::Dim));
            put(
                line.left,
                y,
                &line.text,
                theme.style(line.role.unwrap_or(Role::Title)),
            );
        }
        let below = self.lines.len().saturating_sub(self.top + self.height);
        if below > 0 && area.height > 0 {
            let more = format!(" {below} more ↓ ");
            let left = usize::from(area.width).saturating_sub(width(&more) + 1);
            put(left, area.bottom() - 1, &more, theme.style(Role::Dim));
        }
    }
}

fn wrapped(part: &Part, columns: usize, left: usize) -> Vec<Line> {
    let line = |left, text, role| Line {
        left,
        text,
        role,
        ..Line::default()
    };
    match part {
        Part::Heading(text) => vec![
            Line::default(),
            line(1, cut(&clean(text), columns.saturating_sub(2)), None),
        ],
        Part::Text(text, role) => wrap(text, columns.saturating_sub(INDENT + 1))
            .into_iter()
            .map(|text| line(INDENT, text, Some(*role)))
            .collect(),
        Part::Fact(label, value, role) => {
            let mut lines: Vec<_> = wrap(value, columns.saturating_sub(left + 1))
                .into_iter()
                .map(|text| line(left, text, Some(*role)))
                .collect();
            if let Some(first) = lines.first_mut() {
                first.label = cut(&clean(label), LABELS);
            }
            lines
        }
    }
}

/// Breaks foreign text into clean rows of at most so many columns; at least one row.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(clean).collect();
    let mut rows = pen::wrap(&lines.join("\n"), columns.max(1));
    if rows.is_empty() {
        rows.push(String::new());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_clean_text_and_keeps_the_row_of_an_empty_value() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij", 4), ["a", "abcd", "efgh", "ij"]);
        assert_eq!(wrap("  at x\n\ny\u{7}", 10), ["  at x", "", "y␇"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn copies_as_plain_text_without_wrapping() {
        let mut sheet = Sheet::default();
        sheet.heading("what");
        sheet.fact("command", "a long line of words");
        sheet.text("one\ntwo", Role::Text);
        sheet.sync(Rect::new(0, 0, 10, 2));
        assert_eq!(
            sheet.plain(),
            "what\n  command: a long line of words\n  one\n  two\n"
        );
    }
}
