//! A line of text being typed: search, filter, command line, form field.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use tui_input::backend::crossterm::to_input_request;
use tui_input::{Input, InputRequest};

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

/// The last row of `area`, where the prompt of a search is.
pub fn last_row(area: Rect) -> Rect {
    Rect {
        y: area.bottom().saturating_sub(1),
        height: 1,
        ..area
    }
}

/// What of `area` is not taken by a prompt in its last row.
pub fn body(area: Rect, prompt: Option<&Prompt>) -> Rect {
    let taken = u16::from(prompt.is_some()).min(area.height);
    Rect {
        height: area.height - taken,
        ..area
    }
}

/// One line of editable text.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    input: Input,
    /// All of the text: typing replaces it, moving keeps it.
    selected: bool,
}

impl Prompt {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            input: Input::new(text.into()),
            selected: false,
        }
    }

    /// With its text selected: who types means something else, who moves means to change it.
    pub fn selected(text: impl Into<String>) -> Self {
        let mut prompt = Self::new(text);
        prompt.select_all();
        prompt
    }

    pub fn select_all(&mut self) {
        self.selected = !self.text().is_empty();
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
        let was_selected = std::mem::take(&mut self.selected);
        if was_selected && changes_text(request) {
            self.input.reset();
        }
        self.input.handle(request);
        Typed::Changed
    }

    /// Pasted text goes in at the cursor; line breaks become spaces.
    pub fn paste(&mut self, text: &str) {
        self.insert(&text.replace(['\n', '\r', '\t'], " "));
    }

    /// Text goes in at the cursor as it is, line breaks and all.
    pub fn insert(&mut self, text: &str) {
        if std::mem::take(&mut self.selected) {
            self.input.reset();
        }
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
        let style = if self.selected {
            style.add_modifier(Modifier::REVERSED)
        } else {
            style
        };
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

fn changes_text(request: InputRequest) -> bool {
    use InputRequest::{
        DeleteFromStart, DeleteLine, DeleteNextChar, DeleteNextWord, DeletePrevChar,
        DeletePrevWord, DeleteTillEnd, InsertChar, Yank,
    };
    matches!(
        request,
        InsertChar(_)
            | DeletePrevChar
            | DeleteNextChar
            | DeletePrevWord
            | DeleteNextWord
            | DeleteLine
            | DeleteTillEnd
            | DeleteFromStart
            | Yank
    )
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    fn after(keys: &[KeyCode]) -> String {
        let mut prompt = Prompt::selected("old");
        for key in keys {
            prompt.on_key(KeyEvent::new(*key, KeyModifiers::NONE));
        }
        prompt.text().to_owned()
    }

    #[test]
    fn what_is_selected_is_replaced_by_typing_and_kept_by_moving() {
        let (a, b) = (KeyCode::Char('a'), KeyCode::Char('b'));
        let cases: [(&[KeyCode], &str); 7] = [
            (&[], "old"),
            (&[a, b], "ab"),
            (&[KeyCode::Backspace, a], "a"),
            (&[KeyCode::Delete], ""),
            (&[KeyCode::End, a], "olda"),
            (&[KeyCode::Left, a], "olad"),
            (&[KeyCode::Home, a], "aold"),
        ];
        for (keys, expected) in cases {
            assert_eq!(after(keys), expected, "{keys:?}");
        }
        let mut pasted = Prompt::selected("old");
        pasted.paste("new");
        pasted.paste("er");
        assert_eq!(pasted.text(), "newer");
    }
}
