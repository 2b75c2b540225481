//! Help: every key of the context, generated from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

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

/// Columns of the terminal that a column of keys takes, and how many there are at most.
const COLUMN: u16 = 74;
const COLUMNS: u16 = 3;

pub struct Help {
    context: Context,
    rows: Vec<Row>,
    /// Rows of each column of keys; the next one goes on where it ends.
    long: usize,
    top: usize,
    height: usize,
}

impl Help {
    pub fn new(context: Context) -> Self {
        Self {
            context,
            rows: Vec::new(),
            long: 1,
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

    fn size(&self, screen: Rect, cx: &Cx) -> (u16, u16) {
        let (rows, height) = (self.build(cx).len(), screen.height.saturating_sub(2));
        let needed = rows.div_ceil(usize::from(height.max(3) - 2));
        let columns = columns(screen.width).min(u16::try_from(needed).unwrap_or(COLUMNS));
        let long = u16::try_from(rows.div_ceil(columns.into())).unwrap_or(u16::MAX);
        let width = (columns * COLUMN + 2).min(screen.width);
        (width, long.saturating_add(2).min(height))
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
        self.long = self.rows.len().div_ceil(columns(area.width).into()).max(1);
        self.top = self.top.min(self.long.saturating_sub(self.height));
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let keys = |row: &Row| match row {
            Row::Key { keys, .. } => width(keys),
            _ => 0,
        };
        let keys = self.rows.iter().map(keys).max().unwrap_or_default() + 4;
        let wide = area.width / columns(area.width);
        for (rows, column) in self.rows.chunks(self.long).zip(0..) {
            let column = Rect {
                x: area.x + column * wide,
                width: wide,
                ..area
            };
            for (row, place) in rows.iter().skip(self.top).zip(column.rows()) {
                draw_row(row, keys, place, buf, cx);
            }
        }
    }
}

/// Columns of keys in so many columns of the terminal.
fn columns(width: u16) -> u16 {
    (width / COLUMN).clamp(1, COLUMNS)
}

fn draw_row(row: &Row, keys_wide: usize, place: Rect, buf: &mut Buffer, cx: &Cx) {
    let mut put = |x: usize, text: &str, role: Role| {
        let left = place.x + u16::try_from(x).unwrap_or(u16::MAX);
        let room = usize::from(place.width).saturating_sub(x);
        buf.set_stringn(left, place.y, cut(text, room), room, cx.theme.style(role));
    };
    match row {
        Row::Heading(text) => put(1, text, Role::Title),
        Row::Text(text) => put(2, text, Role::Text),
        Row::Key { keys, help } => {
            put(2, keys, Role::Key);
            put(keys_wide, help, Role::Text);
        }
    }
}
