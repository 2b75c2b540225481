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

    /// In the lower right corner of `area`, the newest lowest.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        for (row, (notice, _)) in self.showing.iter().rev().enumerate() {
            let Some(y) = area
                .bottom()
                .checked_sub(2 + u16::try_from(row).unwrap_or(u16::MAX))
            else {
                return;
            };
            let (glyph, role) = match notice.level {
                Level::Info => ('i', Role::LevelInfo),
                Level::Warn => ('!', Role::LevelWarn),
                Level::Error => ('✖', Role::LevelError),
            };
            let text = cut(
                &clean(&notice.text),
                usize::from(area.width).saturating_sub(8),
            );
            let text = format!(" {glyph} {text} ");
            let x = area.right().saturating_sub(
                u16::try_from(width(&text))
                    .unwrap_or(u16::MAX)
                    .saturating_add(2),
            );
            let style: Style = cx.theme.style(role).patch(cx.theme.style(Role::Toast));
            let x = x.max(area.x);
            let place = Rect::new(x, y, area.right() - x, 1);
            let shown = u16::try_from(width(&text)).unwrap_or(u16::MAX);
            // Else the looks of what is below would shine through.
            Clear.render(
                Rect {
                    width: shown.min(place.width),
                    ..place
                },
                buf,
            );
            buf.set_stringn(x, y, text, place.width.into(), style);
        }
    }
}
