//! Help: every key of the context, generated from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::text::{cut, width};

/// A heading, or a key with its meaning.
enum Row {
    Heading(String),
    Key { keys: String, help: &'static str },
    Text(String),
}

pub struct Help {
    context: Context,
    rows: Vec<Row>,
    top: usize,
    height: usize,
}

impl Help {
    pub fn new(context: Context) -> Self {
        Self {
            context,
            rows: Vec::new(),
            top: 0,
            height: 0,
        }
    }

    fn build(&self, cx: &Cx) -> Vec<Row> {
        let mut rows = Vec::new();
        for context in [self.context, Context::Global] {
            let (heading, table) = match context {
                Context::Global => (
                    "everywhere".to_owned(),
                    cx.keymap.fallback_table(self.context),
                ),
                other => (format!("in {other}"), cx.keymap.table(other)),
            };
            if table.is_empty() {
                continue;
            }
            rows.push(Row::Heading(heading));
            rows.extend(table.into_iter().map(key_row));
        }
        rows.push(Row::Heading("about".to_owned()));
        rows.push(Row::Text(format!("envdeck {}", env!("CARGO_PKG_VERSION"))));
        rows.push(Row::Text(format!("log: {}", cx.about.log_path)));
        rows
    }

    fn scroll(&mut self, rows: isize) {
        self.top = self.top.saturating_add_signed(rows);
    }
}

fn key_row((action, chords): (Action, Vec<String>)) -> Row {
    Row::Key {
        keys: chords.join("  "),
        help: action.help(),
    }
}

impl Modal for Help {
    fn title(&self) -> String {
        "Help".to_owned()
    }

    fn size(&self, screen: Rect, _: &Cx) -> (u16, u16) {
        (76.min(screen.width), screen.height.saturating_sub(2))
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Down, Action::PageDown]
    }

    fn on_action(&mut self, action: Action, _: &Cx) -> Vec<Intent> {
        let page = self.height.cast_signed();
        match action {
            Action::Up => self.scroll(-1),
            Action::Down => self.scroll(1),
            Action::PageUp => self.scroll(-page),
            Action::PageDown => self.scroll(page),
            Action::First => self.top = 0,
            Action::Last => self.top = usize::MAX,
            Action::Help => return vec![Intent::CloseModal],
            _ => {}
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        self.scroll(isize::try_from(rows).unwrap_or_default());
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.rows = self.build(cx);
        self.height = area.height.into();
        self.top = self.top.min(self.rows.len().saturating_sub(self.height));
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let room = usize::from(area.width);
        let keys = |row: &Row| {
            if let Row::Key { keys, .. } = row {
                width(keys)
            } else {
                0
            }
        };
        let column = self.rows.iter().map(keys).max().unwrap_or_default() + 4;
        let mut put = |x: usize, y: u16, text: &str, style: Style| {
            let left = area.x + u16::try_from(x).unwrap_or(u16::MAX);
            buf.set_stringn(
                left,
                y,
                cut(text, room.saturating_sub(x)),
                room.saturating_sub(x),
                style,
            );
        };
        for (row, y) in self
            .rows
            .iter()
            .skip(self.top)
            .zip(area.top()..area.bottom())
        {
            match row {
                Row::Heading(text) => put(1, y, text, cx.theme.style(Role::Title)),
                Row::Text(text) => put(2, y, text, cx.theme.style(Role::Text)),
                Row::Key { keys, help } => {
                    put(2, y, keys, cx.theme.style(Role::Key));
                    put(column, y, help, cx.theme.style(Role::Text));
                }
            }
        }
    }
}
