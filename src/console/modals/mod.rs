//! What covers the panes and takes all keys: dialogs, help, palette, death card.

pub mod confirm;
pub mod death_card;
pub mod help;
pub mod inspect;
pub mod new_session;
pub mod palette;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::action::Action;
use super::effect::Intent;
use super::msg::Inspected;
use super::panes::Cx;

/// A box over the panes. `Esc` closes it (the model does that).
pub trait Modal {
    fn title(&self) -> String;

    /// The size it would like, borders included.
    fn size(&self, screen: Rect, cx: &Cx) -> (u16, u16);

    /// Actions for its hint line.
    fn actions(&self) -> &'static [Action] {
        &[]
    }

    /// A key that is plain text for it, or means something only here; `None`: look it up as an action.
    fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        let _ = (key, cx);
        None
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent>;

    fn on_paste(&mut self, text: &str, cx: &Cx) -> Vec<Intent> {
        let _ = (text, cx);
        Vec::new()
    }

    /// A click at this position relative to the inner area.
    fn on_click(&mut self, at: Position, cx: &Cx) -> Vec<Intent> {
        let _ = (at, cx);
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, cx: &Cx) {
        let _ = (rows, cx);
    }

    /// What the world told of an instance; only pages that asked do anything with it.
    fn on_inspected(&mut self, inspected: &Inspected, cx: &Cx) {
        let _ = (inspected, cx);
    }

    /// Before each drawing.
    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent>;

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx);

    fn cursor(&self, area: Rect) -> Option<Position> {
        let _ = area;
        None
    }
}
