//! The new-session dialog: choose backends and counts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::model::Fleet;

pub struct NewSession {}

impl NewSession {
    pub fn new(fleet: &Fleet) -> Self {
        let _ = fleet;
        Self {}
    }
}

impl Modal for NewSession {
    fn title(&self) -> String {
        "NewSession".to_owned()
    }

    fn size(&self, _: Rect, _: &Cx) -> (u16, u16) {
        (60, 20)
    }

    fn on_action(&mut self, _: Action, _: &Cx) -> Vec<Intent> {
        Vec::new()
    }

    fn sync(&mut self, _: Rect, _: &Cx) {}

    fn draw(&self, _: Rect, _: &mut Buffer, _: &Cx) {}
}
