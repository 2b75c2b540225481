//! The palette (`ctrl+p`) and the command line (`:`): everything by name.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;

pub struct Palette {}

impl Palette {
    /// `command_line`: actions only, opened with `:`.
    pub fn new(command_line: bool) -> Self {
        let _ = command_line;
        Self {}
    }
}

impl Modal for Palette {
    fn title(&self) -> String {
        "Palette".to_owned()
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
