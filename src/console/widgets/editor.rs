//! A small editor of several lines, for JSON.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::pen::{Pen, scroll_to};
use super::text::{skip, width};
use crate::stores::lines::clean;

/// Text and a cursor in it.
#[derive(Clone, Debug)]
pub struct Editor {
    /// At least one.
    lines: Vec<String>,
    row: usize,
    /// Bytes before the cursor on its line, always between two graphemes.
    column: usize,
    top: usize,
    left: usize,
}

impl Editor {
    /// With the cursor at the start.
    pub fn new(text: &str) -> Self {
        Self {
            lines: text.split('\n').map(str::to_owned).collect(),
            row: 0,
            column: 0,
            top: 0,
            left: 0,
        }
    }

    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Handles a key; `false` if it means nothing here.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if control => self.column = 0,
            KeyCode::Char('e') if control => self.column = self.line().len(),
            KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
                self.insert(c.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Tab => self.insert("  "),
            KeyCode::Enter => {
                let indent = self.line().len() - self.line().trim_start_matches(' ').len();
                let indent = " ".repeat(indent.min(self.column));
                self.insert(&format!("\n{indent}"));
            }
            KeyCode::Backspace => {
                if self.step(false) {
                    self.delete();
                }
            }
            KeyCode::Delete => self.delete(),
            KeyCode::Left => {
                self.step(false);
            }
            KeyCode::Right => {
                self.step(true);
            }
            KeyCode::Up => self.move_by(-1),
            KeyCode::Down => self.move_by(1),
            KeyCode::Home => self.column = 0,
            KeyCode::End => self.column = self.line().len(),
            _ => return false,
        }
        true
    }

    /// Text goes in at the cursor.
    pub fn insert(&mut self, text: &str) {
        let rest = self.lines[self.row].split_off(self.column);
        for (index, part) in text.replace("\r\n", "\n").split('\n').enumerate() {
            if index > 0 {
                self.row += 1;
                self.lines.insert(self.row, String::new());
            }
            self.lines[self.row].push_str(part);
        }
        self.column = self.line().len();
        self.lines[self.row].push_str(&rest);
    }

    /// Moves by lines, at the same width where there is text.
    pub fn move_by(&mut self, lines: isize) {
        let wanted = width(&self.line()[..self.column]);
        let row = self.row.saturating_add_signed(lines);
        self.row = row.min(self.lines.len() - 1);
        self.column = self.line().len() - skip(self.line(), wanted).len();
    }

    fn line(&self) -> &str {
        &self.lines[self.row]
    }

    /// One grapheme on or back, over the ends of lines; `false` at the end of the text.
    fn step(&mut self, forward: bool) -> bool {
        let (before, after) = self.line().split_at(self.column);
        let near = if forward {
            after.graphemes(true).next()
        } else {
            before.graphemes(true).next_back()
        };
        match (near.map(str::len), forward) {
            (Some(len), true) => self.column += len,
            (Some(len), false) => self.column -= len,
            (None, true) if self.row + 1 < self.lines.len() => {
                self.row += 1;
                self.column = 0;
            }
            (None, false) if self.row > 0 => {
                self.row -= 1;
                self.column = self.line().len();
            }
            (None, _) => return false,
        }
        true
    }

    fn delete(&mut self) {
        let after = &self.lines[self.row][self.column..];
        if let Some(len) = after.graphemes(true).next().map(str::len) {
            self.lines[self.row].drain(self.column..self.column + len);
        } else if self.row + 1 < self.lines.len() {
            let next = self.lines.remove(self.row + 1);
            self.lines[self.row].push_str(&next);
        }
    }

    /// Keeps the cursor on screen.
    pub fn sync(&mut self, area: Rect) {
        self.top = scroll_to(self.top, self.row, area.height.into(), self.lines.len());
        let cursor = width(&clean(&self.line()[..self.column]));
        let room = usize::from(area.width).saturating_sub(1);
        self.left = self.left.clamp(cursor.saturating_sub(room), cursor);
    }

    /// Draws into the area that was told to [`Editor::sync`].
    pub fn draw(&self, area: Rect, buf: &mut Buffer, style: Style) {
        let rows = usize::from(area.height);
        for (row, line) in self.lines.iter().skip(self.top).take(rows).enumerate() {
            let line = clean(line);
            Pen::new(buf, area, row).put(skip(&line, self.left), style);
        }
    }

    pub fn cursor(&self, area: Rect) -> Position {
        let column = width(&clean(&self.line()[..self.column])).saturating_sub(self.left);
        let at = |from: u16, by: usize| from.saturating_add(u16::try_from(by).unwrap_or(u16::MAX));
        Position::new(
            at(area.x, column),
            at(area.y, self.row.saturating_sub(self.top)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str, keys: &[KeyCode]) -> Editor {
        let mut editor = Editor::new(text);
        for key in keys {
            editor.on_key(KeyEvent::new(*key, KeyModifiers::NONE));
        }
        editor
    }

    #[test]
    fn lines_are_split_and_joined() {
        use KeyCode::{Backspace, Char, Delete, Down, End, Enter, Home, Left};
        assert_eq!(typed("  ab", &[End, Enter, Char('c')]).text(), "  ab\n  c");
        assert_eq!(typed("a\nb", &[Down, Backspace]).text(), "ab");
        assert_eq!(typed("a\nb", &[End, Delete]).text(), "ab");
        assert_eq!(typed("a\nb", &[Backspace]).text(), "a\nb");
        assert_eq!(typed("añ日", &[End, Left, Left, Delete]).text(), "a日");
        assert_eq!(
            typed("日本\nabc", &[End, Down, Char('x')]).text(),
            "日本\nabcx"
        );
        assert_eq!(typed("abc", &[End, Home, Char('x')]).text(), "xabc");
    }

    #[test]
    fn pasted_lines_are_lines() {
        let mut editor = typed("{}", &[KeyCode::Right]);
        editor.insert("\r\n  \"a\": 1\n");
        assert_eq!(editor.text(), "{\n  \"a\": 1\n}");
    }
}
