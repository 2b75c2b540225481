//! "Really?": says what will be lost; Enter keeps everything, `y` goes on.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::text::width;

pub struct Confirm {
    question: String,
    /// What will be lost, a line each.
    lost: Vec<String>,
    /// Taken when the answer is yes.
    then: Vec<Intent>,
}

impl Confirm {
    pub fn new(question: impl Into<String>, lost: Vec<String>, then: Vec<Intent>) -> Self {
        Self {
            question: question.into(),
            lost,
            then,
        }
    }
}

const ANSWERS: &str = "y = yes    Enter, Esc = no";

impl Modal for Confirm {
    fn title(&self) -> String {
        self.question.clone()
    }

    fn size(&self, _: Rect, _: &Cx) -> (u16, u16) {
        let lines = self
            .lost
            .iter()
            .map(String::as_str)
            .chain([self.question.as_str(), ANSWERS]);
        let widest = lines.map(width).max().unwrap_or_default() + 6;
        let height = self.lost.len() + 4;
        (
            u16::try_from(widest).unwrap_or(u16::MAX),
            u16::try_from(height).unwrap_or(u16::MAX),
        )
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        match key.code {
            KeyCode::Char('y' | 'Y') => {
                let mut intents = vec![Intent::CloseModal];
                intents.append(&mut self.then);
                Some(intents)
            }
            KeyCode::Enter | KeyCode::Char('n' | 'N') => Some(vec![Intent::CloseModal]),
            _ => None,
        }
    }

    fn on_action(&mut self, _: Action, _: &Cx) -> Vec<Intent> {
        Vec::new()
    }

    fn sync(&mut self, _: Rect, _: &Cx) -> Vec<Intent> {
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        for (line, y) in self.lost.iter().zip(area.rows().map(|row| row.y)) {
            buf.set_stringn(
                area.x + 2,
                y,
                line,
                area.width.saturating_sub(2).into(),
                cx.theme.style(Role::Text),
            );
        }
        let key = cx.theme.style(Role::Key);
        let answers = Line::from(vec![Span::styled(ANSWERS, key)]);
        let last = Rect {
            x: area.x + 2,
            y: area.bottom().saturating_sub(1),
            width: area.width.saturating_sub(2),
            height: 1,
        };
        answers.render(last, buf);
    }
}
