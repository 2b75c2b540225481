//! A virtual table: knows how many rows there are, draws only those in sight, and selects by id.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::text::{cut, width};
use crate::console::action::Action;
use crate::console::theme::{Role, Theme};

/// Columns before the first one: the `>` of the selected row.
const MARKER: u16 = 2;
/// Columns between two of them.
const GAP: u16 = 2;

/// A column of a [`Grid`].
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    /// Columns of the terminal; the last column shown takes what is left if it is [`Column::fill`].
    pub width: u16,
    /// As the room shrinks, columns with the highest number go first; 0 always stays.
    pub priority: u8,
    pub right_aligned: bool,
    /// Takes the room that the others leave, at least `width`.
    pub fill: bool,
}

impl Column {
    pub const fn left(title: &'static str, width: u16, priority: u8) -> Self {
        Self {
            title,
            width,
            priority,
            right_aligned: false,
            fill: false,
        }
    }

    pub const fn right(title: &'static str, width: u16, priority: u8) -> Self {
        Self {
            right_aligned: true,
            ..Self::left(title, width, priority)
        }
    }

    #[must_use]
    pub const fn fill(self) -> Self {
        Self { fill: true, ..self }
    }
}

/// What one row shows. Text must be clean.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One for each column, in their order; with a tail, only those before it.
    pub cells: Vec<Span<'static>>,
    /// Takes the place of all further columns.
    pub tail: Option<Span<'static>>,
}

/// What is drawn: columns, how many rows there are, and how to get one of them.
pub struct Table<'a> {
    pub columns: &'a [Column],
    pub len: usize,
    /// Asked for the rows in sight only.
    pub row: &'a dyn Fn(usize) -> Row,
}

/// Where a column is on screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    column: usize,
    x: u16,
    width: u16,
}

/// Cursor and scroll of a table whose rows are known by `Id`.
#[derive(Clone, Debug)]
pub struct Grid<Id> {
    selected: Option<Id>,
    /// Where the selected row was at the last [`Grid::sync`].
    index: usize,
    top: usize,
    height: usize,
}

impl<Id> Default for Grid<Id> {
    fn default() -> Self {
        Self {
            selected: None,
            index: 0,
            top: 0,
            height: 0,
        }
    }
}

impl<Id: Clone + PartialEq> Grid<Id> {
    pub fn selected(&self) -> Option<&Id> {
        self.selected.as_ref()
    }

    /// The position of the selected row.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The first row in sight.
    pub fn top(&self) -> usize {
        self.top
    }

    /// The cursor goes to this row, wherever it is.
    pub fn select(&mut self, id: Option<Id>) {
        self.selected = id;
    }

    /// Fits cursor and scroll to `rows` of which `height` are in sight. The selected row stays selected
    /// wherever it went; if it is gone, the one in its place is.
    pub fn sync(&mut self, rows: &[Id], height: usize) {
        let is_there = |index: &usize| rows.get(*index) == self.selected.as_ref();
        let found = Some(self.index).filter(is_there).or_else(|| {
            let selected = self.selected.as_ref()?;
            rows.iter().position(|row| row == selected)
        });
        let here = if self.selected.is_some() {
            self.index
        } else {
            0
        };
        self.go(rows, found.unwrap_or(here));
        if height > 0 {
            self.height = height;
            let least = (self.index + 1).saturating_sub(height);
            let last_page = rows.len().saturating_sub(height);
            self.top = self.top.clamp(least, self.index.min(last_page).max(least));
        }
    }

    /// Moves the cursor; `false` if the action is no movement.
    pub fn on_action(&mut self, action: Action, rows: &[Id]) -> bool {
        let page = self.height.max(1).cast_signed();
        match action {
            Action::Up => self.step(rows, -1),
            Action::Down => self.step(rows, 1),
            Action::PageUp => self.step(rows, -page),
            Action::PageDown => self.step(rows, page),
            Action::First => self.go(rows, 0),
            Action::Last => self.go(rows, usize::MAX),
            _ => return false,
        }
        true
    }

    /// Moves the cursor by so many rows.
    pub fn step(&mut self, rows: &[Id], by: isize) {
        self.go(rows, self.index.saturating_add_signed(by));
    }

    /// Moves the cursor to the row at this position, or the last one.
    pub fn go(&mut self, rows: &[Id], index: usize) {
        self.index = index.min(rows.len().saturating_sub(1));
        self.selected = rows.get(self.index).cloned();
    }

    /// Selects the row that is drawn `y` rows below the first one; `false` if there is none.
    pub fn click(&mut self, rows: &[Id], y: usize) -> bool {
        let index = self.top + y;
        let hit = index < rows.len();
        if hit {
            self.go(rows, index);
        }
        hit
    }

    /// Draws the header on the first row and the rows in sight below it.
    pub fn draw(&self, table: &Table, area: Rect, buf: &mut Buffer, theme: &Theme, focused: bool) {
        let Table { columns, len, row } = *table;
        let places = places(columns, area);
        let header = theme.style(Role::Dim);
        for place in &places {
            let column = columns[place.column];
            put(
                buf,
                *place,
                area.y,
                &Span::styled(column.title, header),
                column.right_aligned,
            );
        }
        let last = len.min(self.top + usize::from(area.height.saturating_sub(1)));
        for (index, y) in (self.top..last).zip(area.y + 1..) {
            let selected = index == self.index && self.selected.is_some();
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            draw_row(columns, &places, &row(index), line, buf);
            if selected {
                buf.set_stringn(line.x, y, ">", line.width.into(), Style::new());
                mark(line, buf, theme, focused);
            }
        }
    }
}

/// Shows that this row of the screen is the selected one.
pub fn mark(row: Rect, buf: &mut Buffer, theme: &Theme, focused: bool) {
    if !focused {
        buf.set_style(row, theme.style(Role::SelectionBlurred));
        return;
    }
    let found = theme.style(Role::Match);
    for x in row.left()..row.right() {
        let cell = &mut buf[(x, row.y)];
        if found.bg == Some(cell.bg) {
            continue;
        }
        // Reversing a row of several colours would make a patchwork: one style for all of it, but for
        // what was searched for, which stays as it is or, where reversed, is plain among the reversed.
        let is_match = cell.modifier.contains(Modifier::REVERSED);
        cell.set_style(Style::reset());
        if !is_match {
            cell.set_style(theme.style(Role::Selection));
        }
    }
}

fn draw_row(columns: &[Column], places: &[Place], row: &Row, area: Rect, buf: &mut Buffer) {
    for place in places {
        if let Some(cell) = row.cells.get(place.column) {
            put(
                buf,
                *place,
                area.y,
                cell,
                columns[place.column].right_aligned,
            );
        }
    }
    let Some(tail) = &row.tail else { return };
    let before = places
        .iter()
        .take_while(|place| place.column < row.cells.len())
        .last();
    let x = before.map_or(area.x + MARKER, |place| place.x + place.width + GAP);
    let place = Place {
        column: 0,
        x,
        width: area.right().saturating_sub(x + 1),
    };
    put(buf, place, area.y, tail, false);
}

fn put(buf: &mut Buffer, place: Place, y: u16, text: &Span, right_aligned: bool) {
    let shown = cut(&text.content, place.width.into());
    let free = usize::from(place.width).saturating_sub(width(&shown));
    let left = if right_aligned { free } else { 0 };
    let x = place.x + u16::try_from(left).unwrap_or_default();
    buf.set_stringn(x, y, shown, place.width.into(), text.style);
}

/// The columns that fit, the least important ones left out.
fn places(columns: &[Column], area: Rect) -> Vec<Place> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed = |kept: &[usize]| {
        let widths: u16 = kept.iter().map(|index| columns[*index].width + GAP).sum();
        (MARKER + widths).saturating_sub(GAP)
    };
    // One column off the right edge.
    let room = area.width.saturating_sub(1);
    while needed(&kept) > room {
        let least = kept
            .iter()
            .copied()
            .filter(|index| columns[*index].priority > 0)
            .max_by_key(|index| columns[*index].priority);
        let Some(least) = least else { break };
        kept.retain(|index| *index != least);
    }
    let mut spare = room.saturating_sub(needed(&kept));
    let mut x = area.x + MARKER;
    let mut places = Vec::with_capacity(kept.len());
    for column in kept {
        let extra = if columns[column].fill {
            std::mem::take(&mut spare)
        } else {
            0
        };
        let room = area.right().saturating_sub(x);
        let width = (columns[column].width + extra).min(room);
        places.push(Place { column, x, width });
        x = x.saturating_add(width + GAP).min(area.right());
    }
    places
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;
    use crate::console::theme::ColorDepth;

    fn theme() -> Theme {
        Theme::load("mono", None, ColorDepth::None).expect("built in")
    }

    fn text(buf: &Buffer) -> Vec<String> {
        let row = |y| {
            (0..buf.area.width)
                .map(|x| buf[(x, y)].symbol())
                .collect::<String>()
        };
        (0..buf.area.height)
            .map(|y| row(y).trim_end().to_owned())
            .collect()
    }

    const COLUMNS: [Column; 3] = [
        Column::left("NAME", 6, 0),
        Column::right("N", 3, 2),
        Column::left("LAST", 4, 1).fill(),
    ];

    fn row(name: &'static str) -> Row {
        Row {
            cells: vec![name.into(), "7".into(), "some words".into()],
            tail: None,
        }
    }

    fn drawn(width: u16, rows: &[&'static str], grid: &Grid<&'static str>) -> Vec<String> {
        let area = Rect::new(0, 0, width, 4);
        let mut buf = Buffer::empty(area);
        let table = Table {
            columns: &COLUMNS,
            len: rows.len(),
            row: &|index| row(rows[index]),
        };
        grid.draw(&table, area, &mut buf, &theme(), true);
        text(&buf)
    }

    #[test]
    fn columns_leave_from_the_least_important_and_one_takes_the_rest() {
        let rows = ["alpha", "a long name"];
        let mut grid = Grid::default();
        grid.sync(&rows, 3);
        assert_eq!(
            drawn(30, &rows, &grid)[..3],
            [
                "  NAME      N  LAST",
                "> alpha     7  some words",
                "  a lon…    7  some words"
            ]
        );
        assert_eq!(
            drawn(16, &rows, &grid)[..2],
            ["  NAME    LAST", "> alpha   some…"]
        );
        assert_eq!(drawn(10, &rows, &grid)[..2], ["  NAME", "> alpha"]);
    }

    #[test]
    fn a_tail_takes_the_place_of_further_columns() {
        let area = Rect::new(0, 0, 30, 2);
        let mut buf = Buffer::empty(area);
        let tail = |_| Row {
            cells: vec!["alpha".into()],
            tail: Some("everything that follows".into()),
        };
        let table = Table {
            columns: &COLUMNS,
            len: 1,
            row: &tail,
        };
        Grid::<u8>::default().draw(&table, area, &mut buf, &theme(), true);
        assert_eq!(text(&buf)[1], "  alpha   everything that fo…");
    }

    #[test]
    fn the_cursor_stays_on_its_row_when_the_order_changes() {
        let mut grid = Grid::default();
        grid.sync(&["a", "b", "c"], 3);
        assert!(grid.on_action(Action::Down, &["a", "b", "c"]));
        grid.sync(&["c", "a", "x", "b"], 3);
        assert_eq!((grid.selected(), grid.index()), (Some(&"b"), 3));
    }

    #[test]
    fn when_the_selected_row_vanishes_its_neighbour_is_selected() {
        let mut grid = Grid::default();
        grid.select(Some("c"));
        grid.sync(&["a", "b", "c"], 3);
        grid.sync(&["a", "b"], 3);
        assert_eq!(grid.selected(), Some(&"b"));
        grid.sync(&[], 3);
        assert_eq!(grid.selected(), None);
    }

    #[test]
    fn scrolling_follows_the_cursor_and_the_last_page_is_full() {
        let rows: Vec<u32> = (0..100).collect();
        let mut grid = Grid::default();
        grid.sync(&rows, 10);
        for (action, cursor, top) in [
            (Action::PageDown, 10, 1),
            (Action::Last, 99, 90),
            (Action::PageUp, 89, 89),
            (Action::Up, 88, 88),
            (Action::First, 0, 0),
        ] {
            grid.on_action(action, &rows);
            grid.sync(&rows, 10);
            assert_eq!((grid.index(), grid.top()), (cursor, top), "{action}");
        }
        assert!(grid.click(&rows, 4));
        assert_eq!(grid.selected(), Some(&4));
        assert!(!grid.click(&rows[..3], 4));
        grid.on_action(Action::Last, &rows);
        grid.sync(&rows, 10);
        grid.sync(&rows[..95], 20);
        assert_eq!((grid.index(), grid.top()), (94, 75));
    }

    #[test]
    fn ten_thousand_rows_cost_what_is_in_sight() {
        let rows: Vec<u32> = (0..10_000).collect();
        let mut grid = Grid::default();
        grid.sync(&rows, 44);
        grid.on_action(Action::Last, &rows);
        grid.sync(&rows, 44);
        let area = Rect::new(0, 0, 160, 45);
        let mut buf = Buffer::empty(area);
        let asked = Cell::new(0);
        let row = |_| {
            asked.set(asked.get() + 1);
            row("alpha")
        };
        let table = Table {
            columns: &COLUMNS,
            len: rows.len(),
            row: &row,
        };
        let theme = theme();
        let begin = Instant::now();
        grid.draw(&table, area, &mut buf, &theme, true);
        let took = begin.elapsed();
        assert_eq!(asked.get(), 44);
        // A debug build on a loaded machine; a release build needs about 50 µs.
        assert!(took.as_millis() < 20, "{took:?}");
    }
}
