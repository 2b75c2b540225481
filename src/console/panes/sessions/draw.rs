//! How the rows of the sessions tree look.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Node, Sessions, is_shared};
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::phase::{Tally, glyph, role};
use crate::console::widgets::text::{cut, width};
use crate::model::{Phase, Session};
use crate::stores::lines::clean;

impl Sessions {
    pub(super) fn draw_row(
        &self,
        node: &Node,
        tally: &Tally,
        row: Rect,
        buf: &mut Buffer,
        cx: &Cx,
    ) {
        let mut cells = Cells { row, buf };
        match node {
            Node::All => {
                let used = cells.right(&[summary(tally, cx)]);
                cells.left(2, "all sessions", cx.theme.style(Role::Text), used);
            }
            Node::Session(id) => {
                if let Some(session) = cx.fleet.sessions.get(id) {
                    self.draw_session(session, tally, &mut cells, cx);
                }
            }
            Node::Sandbox(_, name) => {
                let used = cells.right(&states(tally, cx));
                cells.left(4, &clean(name), cx.theme.style(Role::Text), used);
            }
            Node::Backend(_, sandbox, name) => {
                let used = cells.right(&states(tally, cx));
                let dim = cx.theme.style(Role::Dim);
                let times = format!(" ×{}", tally.total());
                let wide = u16::try_from(width(&times)).unwrap_or_default();
                let left = if sandbox.is_some() { 6 } else { 4 };
                let x = cells.left(left, &clean(name), dim, used + wide);
                cells.left(x, &times, dim, used);
            }
        }
    }

    fn draw_session(&self, session: &Session, tally: &Tally, cells: &mut Cells, cx: &Cx) {
        let fold = if session.instances.is_empty() {
            " "
        } else if self.is_unfolded(session) {
            "▾"
        } else {
            "▸"
        };
        let mut right = summary(tally, cx);
        if session.closing {
            right = ("closing ◍".to_owned(), cx.theme.style(Role::PhaseStopping));
        } else if let Some(text) = progress(tally, cells.row.width) {
            right = (text, cx.theme.style(Role::PhaseStarting));
        }
        let mut rights = vec![right];
        let failed = tally.count(Phase::Failed);
        // The bar tells of the others only.
        if failed > 0 && tally.rising() > 0 && !session.closing {
            let text = format!("{failed}{}", glyph(Phase::Failed));
            rights.insert(0, (text, cx.theme.style(Role::PhaseFailed)));
        }
        let used = cells.right(&rights);
        cells.left(0, fold, cx.theme.style(Role::Dim), 0);
        let id = clean(session.id.short()).into_owned();
        let after = cells.left(2, &id, cx.theme.style(Role::Text), used);
        if !is_shared(session) {
            let caller = session.caller.to_string();
            cells.left(after + 1, &clean(&caller), cx.theme.style(Role::Dim), used);
        }
    }
}

/// One row of the pane that is being filled from both sides.
struct Cells<'a> {
    row: Rect,
    buf: &'a mut Buffer,
}

impl Cells<'_> {
    /// Draws one column off the right edge; the columns it took, with a space at both ends.
    fn right(&mut self, texts: &[(String, Style)]) -> u16 {
        let total: usize = texts.iter().map(|(text, _)| width(text)).sum();
        let total = u16::try_from(total + texts.len().saturating_sub(1)).unwrap_or(u16::MAX);
        let mut x = self.row.right().saturating_sub(total + 1).max(self.row.x);
        for (text, style) in texts {
            let room = self.row.right().saturating_sub(x);
            let (after, _) = self
                .buf
                .set_stringn(x, self.row.y, text, room.into(), *style);
            x = after + 1;
        }
        total.saturating_add(2)
    }

    /// Draws from column `left` on, leaving `used` columns at the right alone; the column after it.
    fn left(&mut self, left: u16, text: &str, style: Style, used: u16) -> u16 {
        let room = usize::from(self.row.width.saturating_sub(left + used));
        let x = self.row.x + left.min(self.row.width);
        let (after, _) = self
            .buf
            .set_stringn(x, self.row.y, cut(text, room), room, style);
        after - self.row.x
    }
}

/// `3 ●`, or `1✖/3` when not all are alike: the state that needs attention most.
fn summary(tally: &Tally, cx: &Cx) -> (String, Style) {
    let total = tally.total();
    match tally.iter().next() {
        Some((phase, count)) => {
            let text = if count == total {
                format!("{total} {}", glyph(phase))
            } else {
                format!("{count}{}/{total}", glyph(phase))
            };
            (text, cx.theme.style(role(phase)))
        }
        None => ("–".to_owned(), cx.theme.style(Role::Dim)),
    }
}

/// `1✖`, `2●`: each state that occurs.
fn states(tally: &Tally, cx: &Cx) -> Vec<(String, Style)> {
    let text = |count, phase| {
        if tally.total() == 1 {
            glyph(phase).to_owned()
        } else {
            format!("{count}{}", glyph(phase))
        }
    };
    let states = tally.iter();
    states
        .map(|(phase, count)| (text(count, phase), cx.theme.style(role(phase))))
        .collect()
}

/// `▰▰▰▰▰▰▱▱ 3/4 ready`, shorter where there is less room.
fn progress(tally: &Tally, columns: u16) -> Option<String> {
    Some(match columns {
        // What failed stands beside it.
        0..36 if tally.count(Phase::Failed) > 0 => tally.progress(0)?.trim_start().to_owned(),
        0..26 => {
            let text = tally.progress(0)?;
            format!("{} {}", text.trim_start(), glyph(Phase::Starting))
        }
        26..36 => tally.progress(3)?,
        _ => format!("{} ready", tally.progress(8)?),
    })
}
