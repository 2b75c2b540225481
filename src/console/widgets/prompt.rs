//! A line of text being typed: search, filter, command line, form field.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tui_input::Input;
use tui_input::backend::crossterm::to_input_request;

use super::text::{cut, skip, width};
use crate::stores::lines::clean;

/// What a key did to the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// It was for the prompt: the text or the cursor may have changed.
    Changed,
    /// Enter.
    Submitted,
    /// Esc.
    Cancelled,
    /// Not a key of the prompt.
    Ignored,
}

/// One line of editable text.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    input: Input,
}

impl Prompt {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            input: Input::new(text.into()),
        }
    }

    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// A key of the prompt is one even where it has nothing to do, as ctrl+u on an empty line: it must not
    /// act as a command of the pane.
    pub fn on_key(&mut self, key: KeyEvent) -> Typed {
        let request = match key.code {
            KeyCode::Enter => return Typed::Submitted,
            KeyCode::Esc => return Typed::Cancelled,
            _ => to_input_request(&Event::Key(key)),
        };
        let Some(request) = request else {
            return Typed::Ignored;
        };
        self.input.handle(request);
        Typed::Changed
    }

    /// Pasted text goes in at the cursor; line breaks become spaces.
    pub fn paste(&mut self, text: &str) {
        self.insert(&text.replace(['\n', '\r', '\t'], " "));
    }

    /// Text goes in at the cursor as it is, line breaks and all.
    pub fn insert(&mut self, text: &str) {
        // At once: character by character, a long text would take quadratic time.
        let cursor = self.input.cursor();
        let before: String = self.text().chars().take(cursor).collect();
        let value = format!("{before}{text}{}", &self.text()[before.len()..]);
        self.input = Input::new(value).with_cursor(cursor + text.chars().count());
    }

    /// Draws `label` and the text on the first row of `area`, scrolled so that the cursor is visible.
    pub fn draw(
        &self,
        label: &str,
        area: Rect,
        buf: &mut Buffer,
        label_style: Style,
        style: Style,
    ) {
        let left = u16::try_from(width(label))
            .unwrap_or(u16::MAX)
            .min(area.width);
        buf.set_stringn(area.x, area.y, label, area.width.into(), label_style);
        let room = usize::from(area.width - left);
        // One column for each tab, as the cursor counts.
        let text = skip(self.text(), self.scroll(room)).replace('\t', "␉");
        let text = clean(&text);
        buf.set_stringn(area.x + left, area.y, cut(&text, room), room, style);
    }

    /// Where the cursor is when drawn so.
    pub fn cursor(&self, label: &str, area: Rect) -> Position {
        let left = width(label);
        let room = usize::from(area.width).saturating_sub(left);
        let column = left + self.input.visual_cursor() - self.scroll(room);
        let column = u16::try_from(column).unwrap_or(u16::MAX);
        Position::new(area.x.saturating_add(column), area.y)
    }

    fn scroll(&self, room: usize) -> usize {
        self.input.visual_scroll(room.saturating_sub(1))
    }
}
