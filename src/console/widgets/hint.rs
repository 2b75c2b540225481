//! What an empty pane says: what to do next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::sheet::wrap;
use crate::console::theme::{Role, Theme};

/// Draws `text`, wrapped, at the top of `area`, where the first row would be.
pub fn draw(text: &str, area: Rect, buf: &mut Buffer, theme: &Theme) {
    let lines = wrap(text, usize::from(area.width.saturating_sub(2)));
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        let room = usize::from(area.width.saturating_sub(1));
        buf.set_stringn(area.x + 1, y, line, room, theme.style(Role::Dim));
    }
}
