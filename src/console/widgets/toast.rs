//! Toasts: notices that stay in a corner for a while.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Clear, Widget};

use super::text::{cut, width};
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::model::{Level, Notice};
use crate::stores::lines::clean;

/// As many as are shown at once; older ones give way.
const SHOWN: usize = 4;

#[derive(Default)]
pub struct Toasts {
    showing: VecDeque<(Notice, Timestamp)>,
}

impl Toasts {
    pub fn push(&mut self, notice: Notice, now: Timestamp) {
        self.showing.retain(|(other, _)| other.text != notice.text);
        let linger = SignedDuration::try_from(notice.linger).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(linger).unwrap_or(Timestamp::MAX);
        self.showing.push_back((notice, until));
        if self.showing.len() > SHOWN {
            self.showing.pop_front();
        }
    }

    pub fn expire(&mut self, now: Timestamp) {
        self.showing.retain(|(_, until)| *until > now);
    }

    pub fn is_showing(&self) -> bool {
        !self.showing.is_empty()
    }

    /// Along the lower edge of `area`, the newest at the right; what has no room there goes above it.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let edge = area.right().saturating_sub(MARGIN);
        let (mut right, mut y) = (edge, area.bottom().saturating_sub(1));
        for (notice, _) in self.showing.iter().rev() {
            let (text, style) = shown(notice, area.width, cx);
            let wide = u16::try_from(width(&text)).unwrap_or(u16::MAX);
            if right < edge && right < wide.saturating_add(area.x + MARGIN) {
                (right, y) = (edge, y.saturating_sub(1));
            }
            if y < area.y {
                return;
            }
            let x = right.saturating_sub(wide).max(area.x);
            let place = Rect::new(x, y, wide.min(area.right().saturating_sub(x)), 1);
            // Else the looks of what is below would shine through.
            Clear.render(place, buf);
            buf.set_stringn(x, y, text, place.width.into(), style);
            right = x.saturating_sub(1);
        }
    }
}

/// Columns at both ends of a row of toasts.
const MARGIN: u16 = 2;

fn shown(notice: &Notice, columns: u16, cx: &Cx) -> (String, Style) {
    let (glyph, role) = match notice.level {
        Level::Info => ('i', Role::LevelInfo),
        Level::Warn => ('!', Role::LevelWarn),
        Level::Error => ('✖', Role::LevelError),
    };
    let room = usize::from(columns).saturating_sub(8);
    let text = format!(" {glyph} {} ", cut(&clean(&notice.text), room));
    let style = cx.theme.style(role).patch(cx.theme.style(Role::Toast));
    (text, style)
}
