//! The new-session dialog: choose backends and counts.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Span;

use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Column, Grid, Row, Table};
use crate::console::widgets::hint;
use crate::console::widgets::text::{plural, width};
use crate::model::{Ask, BackendInfo, BackendName, Caller, Command, Fleet, Scope};
use crate::stores::lines::clean;

/// The most instances of one backend in one go.
const MOST: usize = 999;

struct Choice {
    backend: Arc<BackendInfo>,
    count: usize,
}

impl Choice {
    fn is_shared(&self) -> bool {
        self.backend.scope == Scope::SharedGlobal
    }

    fn most(&self) -> usize {
        if self.is_shared() { 1 } else { MOST }
    }

    fn set(&mut self, count: usize) {
        self.count = count.min(self.most());
    }
}

pub struct NewSession {
    choices: Vec<Choice>,
    names: Vec<BackendName>,
    grid: Grid<BackendName>,
    /// The last key was a digit: the next one continues the number.
    in_number: bool,
    /// Enter was pressed with nothing chosen.
    told_empty: bool,
}

impl NewSession {
    pub fn new(fleet: &Fleet) -> Self {
        let mut choices: Vec<_> = fleet
            .backends
            .iter()
            .map(|backend| Choice {
                backend: backend.clone(),
                count: 0,
            })
            .collect();
        if let [only] = choices.as_mut_slice() {
            only.count = 1;
        }
        let names: Vec<_> = choices.iter().map(|c| c.backend.name.clone()).collect();
        let mut grid = Grid::default();
        grid.select(names.first().cloned());
        Self {
            choices,
            names,
            grid,
            in_number: false,
            told_empty: false,
        }
    }

    fn change(&mut self, change: impl FnOnce(usize) -> usize) {
        self.told_empty = false;
        if let Some(choice) = self.choices.get_mut(self.grid.index()) {
            choice.set(change(choice.count));
        }
    }

    fn open(&mut self) -> Vec<Intent> {
        let asks: Vec<_> = self
            .choices
            .iter()
            .filter(|choice| choice.count > 0)
            .map(|choice| Ask::new(choice.backend.name.clone(), choice.count))
            .collect();
        self.told_empty = asks.is_empty();
        if self.told_empty {
            return Vec::new();
        }
        let caller = Caller::Operator;
        vec![
            Intent::CloseModal,
            Intent::send(Command::OpenSession { caller, asks }),
        ]
    }

    fn row(&self, index: usize, cx: &Cx) -> Row {
        let choice = &self.choices[index];
        let backend = &choice.backend;
        let span = |text: &str, role| Span::styled(clean(text).into_owned(), cx.theme.style(role));
        let count = match choice.count {
            0 => "  0 ".to_owned(),
            count => format!("[{count:>2}]"),
        };
        let note = if choice.is_shared() {
            format!("shared by all sessions · {}", backend.summary)
        } else {
            backend.summary.to_string()
        };
        let chosen = if choice.count > 0 {
            Role::Key
        } else {
            Role::Dim
        };
        Row {
            cells: vec![
                span(&count, chosen),
                span(&backend.name, Role::Text),
                span(backend.mode, Role::Dim),
                span(&note, Role::Text),
            ],
            tail: None,
        }
    }

    fn columns(&self) -> [Column; 4] {
        let names = self.names.iter().map(|name| width(name));
        let widest = names.max().unwrap_or_default().clamp(7, 24);
        [
            Column::right("COUNT", 5, 0),
            Column::left("BACKEND", u16::try_from(widest).unwrap_or(24), 0),
            Column::left("MODE", 8, 2),
            Column::left("RUNS", 12, 1).fill(),
        ]
    }

    fn sum(&self) -> (String, Role) {
        let total: usize = self.choices.iter().map(|choice| choice.count).sum();
        let none = self.choices.iter().all(|choice| choice.most() == 0);
        if none {
            (
                "none of these can run in this version".to_owned(),
                Role::LevelWarn,
            )
        } else if total > 0 {
            (
                format!("Enter opens a session with {}", plural(total, "instance")),
                Role::Key,
            )
        } else if self.told_empty {
            (
                "choose at least one instance first".to_owned(),
                Role::LevelWarn,
            )
        } else {
            ("choose how many of each you want".to_owned(), Role::Dim)
        }
    }
}

const ABOUT: &str = "The instances of a session are closed together.";
const KEYS: &str = "+ − or a number: how many    space: none or one";

impl Modal for NewSession {
    fn title(&self) -> String {
        "New session".to_owned()
    }

    fn size(&self, screen: Rect, _: &Cx) -> (u16, u16) {
        let height = u16::try_from(self.choices.len().max(1) + 8).unwrap_or(u16::MAX);
        (
            screen.width.saturating_sub(4).min(90),
            height.min(screen.height),
        )
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Open]
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        let digit = match key.code {
            KeyCode::Char(c) => c.to_digit(10),
            _ => None,
        };
        let continued = std::mem::replace(&mut self.in_number, digit.is_some());
        match key.code {
            KeyCode::Char('+' | '=') => self.change(|count| count + 1),
            KeyCode::Char('-' | '_') => self.change(|count| count.saturating_sub(1)),
            KeyCode::Char(' ') => self.change(|count| usize::from(count == 0)),
            _ => {
                let digit = digit? as usize;
                self.change(|count| {
                    let longer = count * 10 + digit;
                    if continued && longer <= MOST {
                        longer
                    } else {
                        digit
                    }
                });
            }
        }
        Some(Vec::new())
    }

    fn on_action(&mut self, action: Action, _: &Cx) -> Vec<Intent> {
        self.in_number = false;
        if self.grid.on_action(action, &self.names) {
            return Vec::new();
        }
        match action {
            Action::Left => self.change(|count| count.saturating_sub(1)),
            Action::Right => self.change(|count| count + 1),
            Action::Open => return self.open(),
            _ => {}
        }
        Vec::new()
    }

    fn on_click(&mut self, at: Position, _: &Cx) -> Vec<Intent> {
        let again = usize::from(at.y)
            .checked_sub(3)
            .map(|y| self.grid.top() + y);
        let again = again == Some(self.grid.index());
        if at.y >= 3 && self.grid.click(&self.names, usize::from(at.y) - 3) && again {
            self.change(|count| count + 1);
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        self.grid.step(&self.names, rows);
    }

    fn sync(&mut self, area: Rect, _: &Cx) -> Vec<Intent> {
        self.grid
            .sync(&self.names, area.height.saturating_sub(6).into());
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        if self.choices.is_empty() {
            let text = "no backends are configured: add one to the configuration file, \
                        or name a command: envdeck -- COMMAND";
            hint::draw(text, area, buf, cx.theme);
            return;
        }
        let mut line = |y: u16, text: &str, role| {
            if y < area.height {
                let room = area.width.saturating_sub(2).into();
                let style = cx.theme.style(role);
                buf.set_stringn(area.x + 2, area.y + y, text, room, style);
            }
        };
        line(0, ABOUT, Role::Dim);
        let (sum, role) = self.sum();
        line(area.height.saturating_sub(2), &sum, role);
        line(area.height.saturating_sub(1), KEYS, Role::Dim);
        let below = Rect {
            y: area.y + 2,
            height: area.height.saturating_sub(5),
            ..area
        };
        let table = Table {
            columns: &self.columns(),
            len: self.choices.len(),
            row: &|index| self.row(index, cx),
        };
        self.grid.draw(&table, below, buf, cx.theme, true);
    }
}
