//! A form as rows: label, value or what is missing, and what is wrong.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Entry, Field, Form, State};
use crate::arguments::schema::Kind;
use crate::console::panes::Cx;
use crate::console::theme::{Role, Theme};
use crate::console::widgets::grid::mark;
use crate::console::widgets::pen::{Pen, head, scroll_to};
use crate::console::widgets::text::{cut, width};
use crate::stores::lines::clean;

/// Bytes of a value that may be on its row.
const SHOWN: usize = 2_048;
/// Columns of the focus mark.
const MARK: usize = 2;
/// Columns between labels and values.
const GAP: usize = 2;

impl Form {
    /// Keeps the focused row on screen.
    pub fn sync(&mut self, height: usize) {
        self.top = scroll_to(self.top, self.focus, height, self.rows.len());
    }

    /// Rows that it would like.
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// The row at this height of its area.
    pub fn row_at(&self, y: u16) -> Option<usize> {
        let row = self.top + usize::from(y);
        (row < self.rows.len()).then_some(row)
    }

    /// Draws into the area whose height was told to [`Form::sync`].
    pub fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        let column = self.value_column(area);
        for (line, rect) in area.rows().enumerate() {
            let row = self.top + line;
            let Some(field) = self.field(row) else {
                return;
            };
            let here = focused && row == self.focus;
            let editing = here && self.editing;
            let mut pen = Pen::new(buf, area, line);
            pen.put(if here { "> " } else { "  " }, cx.theme.style(Role::Key));
            self.draw_label(&mut pen, row, column - MARK, field, cx.theme);
            if editing && let Some(prompt) = field.prompt() {
                let value = value_area(rect, column, self.error(field).as_deref());
                let style = cx.theme.style(Role::FormValue);
                prompt.draw("", value, buf, style, style);
                let mut pen = Pen::new(buf, rect, 0);
                pen.skip(usize::from(value.right() - rect.x));
                draw_error(&mut pen, self.error(field).as_deref(), cx.theme);
            } else {
                self.draw_value(&mut pen, field, here, cx.theme);
                if here {
                    let label = Rect {
                        width: u16::try_from(column - 1)
                            .unwrap_or(u16::MAX)
                            .min(rect.width),
                        ..rect
                    };
                    mark(label, buf, cx.theme, true);
                }
            }
        }
    }

    /// Where the text cursor is while a field is typed.
    pub fn cursor(&self, area: Rect) -> Option<Position> {
        let field = self.focused().filter(|_| self.editing)?;
        let line = u16::try_from(self.focus.checked_sub(self.top)?).ok()?;
        let rect = Rect {
            y: area.y + line,
            height: 1,
            ..area
        };
        if line >= area.height {
            return None;
        }
        let value = value_area(rect, self.value_column(area), self.error(field).as_deref());
        field.prompt().map(|prompt| prompt.cursor("", value))
    }

    fn value_column(&self, area: Rect) -> usize {
        let label = |row: usize| {
            let field = self.field(row);
            field.map_or(0, |field| self.indent(row) + width(&field.name) + 1)
        };
        let widest = (0..self.rows.len()).map(label).max().unwrap_or_default();
        let most = usize::from(area.width) * 2 / 5;
        MARK + widest.min(most) + GAP
    }

    fn indent(&self, row: usize) -> usize {
        let path = self.rows.get(row).map_or(0, |row| row.path.len());
        path.saturating_sub(1) * 2
    }

    fn draw_label(&self, pen: &mut Pen, row: usize, columns: usize, field: &Field, theme: &Theme) {
        let indent = self.indent(row);
        let mark = match (field.required, field.known) {
            (_, false) => "?",
            // Items of a list are all there or not at all.
            (true, true) if self.is_item(row) => " ",
            (true, true) => "*",
            (false, true) => " ",
        };
        let room = columns.saturating_sub(indent + 1 + GAP);
        let name = cut(&clean(&field.name), room);
        let used = indent + width(&name) + 1;
        pen.put(&" ".repeat(indent), theme.style(Role::FormLabel))
            .put(&name, theme.style(Role::FormLabel))
            .put(mark, theme.style(Role::FormRequired))
            .put(
                &" ".repeat(columns.saturating_sub(used)),
                theme.style(Role::Text),
            );
    }

    fn is_item(&self, row: usize) -> bool {
        let path = self.rows.get(row).map_or(&[][..], |row| &row.path);
        let Some((_, parent)) = path.split_last() else {
            return false;
        };
        let parent = parent
            .iter()
            .fold(&self.root, |field, index| &field.children()[*index]);
        matches!(parent.entry, Entry::List(_))
    }

    fn draw_value(&self, pen: &mut Pen, field: &Field, here: bool, theme: &Theme) {
        let (text, role) = value(field, here);
        let error = self.error(field);
        let dim = theme.style(Role::FormAbsent);
        let note = match (field.state, &error) {
            (_, Some(_)) => String::new(),
            (State::Value, _) if field.is_default => "  default".to_owned(),
            (State::Omitted, _) => format!("  {}", field.spec.words()),
            (State::Value, _) if !field.known => "  not in the schema".to_owned(),
            (State::Value, _) if here => match &field.spec.kind {
                Kind::Choice(choices) if choices.len() > 2 => {
                    let index = if let Entry::Choice(index) = field.entry {
                        index + 1
                    } else {
                        0
                    };
                    format!("  {index} of {}", choices.len())
                }
                _ => String::new(),
            },
            _ => String::new(),
        };
        let reserved = error
            .as_deref()
            .map_or(width(&note), |error| width(error) + 4);
        let room = pen.room().saturating_sub(reserved).max(pen.room() / 3);
        pen.put(&cut(&clean(&text), room), theme.style(role))
            .put_cut(&clean(&note), dim);
        draw_error(pen, error.as_deref(), theme);
    }

    /// What the row tells: missing values only once sending was tried.
    fn error(&self, field: &Field) -> Option<String> {
        field
            .error()
            .filter(|_| self.insists || field.state != State::Omitted)
    }
}

fn draw_error(pen: &mut Pen, error: Option<&str>, theme: &Theme) {
    if let Some(error) = error {
        let style = theme.style(Role::FormError);
        pen.put("  ✖ ", style).put_cut(&clean(error), style);
    }
}

fn value(field: &Field, here: bool) -> (String, Role) {
    match (field.state, &field.entry) {
        (State::Omitted, _) => ("–".to_owned(), Role::FormAbsent),
        (State::Null, _) => ("null".to_owned(), Role::JsonLiteral),
        (_, Entry::Text(prompt)) if prompt.text().is_empty() && field.is_text() => {
            ("\"\"".to_owned(), Role::FormValue)
        }
        (_, Entry::Text(prompt) | Entry::Json(prompt)) => {
            (head(prompt.text(), SHOWN).to_owned(), Role::FormValue)
        }
        (_, Entry::Choice(index)) => {
            let label = match &field.spec.kind {
                Kind::Choice(choices) => choices.get(*index).map_or("", |choice| &choice.label),
                _ => "",
            };
            if here {
                (format!("‹ {label} ›"), Role::FormValue)
            } else {
                (label.to_owned(), Role::FormValue)
            }
        }
        (_, Entry::List(items)) => (format!("[{}]", items.len()), Role::JsonPunctuation),
        (_, Entry::Group(_)) => (String::new(), Role::JsonPunctuation),
    }
}

/// Where a value is typed: an error at its right keeps its place, if there is enough for both.
fn value_area(row: Rect, column: usize, error: Option<&str>) -> Rect {
    let left = u16::try_from(column).unwrap_or(u16::MAX).min(row.width);
    let room = row.width - left;
    let error = error.map_or(0, |error| {
        u16::try_from(width(error) + 4).unwrap_or(u16::MAX)
    });
    Rect {
        x: row.x + left,
        width: room.saturating_sub(error).max(room / 2),
        ..row
    }
}
