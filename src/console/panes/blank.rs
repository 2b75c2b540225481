//! Stands in for panes that are being written.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Cx, Pane, PaneKind};
use crate::console::action::Action;
use crate::console::effect::Intent;

pub struct Blank(pub PaneKind);

impl Pane for Blank {
    fn kind(&self) -> PaneKind {
        self.0
    }
    fn title(&self, _: &Cx) -> String {
        String::new()
    }
    fn actions(&self) -> &'static [Action] {
        &[]
    }
    fn on_action(&mut self, _: Action, _: &Cx) -> Option<Vec<Intent>> {
        None
    }
    fn sync(&mut self, _: Rect, _: &Cx) -> Vec<Intent> {
        Vec::new()
    }
    fn draw(&self, _: Rect, _: &mut Buffer, _: bool, _: &Cx) {}
}
