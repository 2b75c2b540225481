//! The palette (`ctrl+p`) and the command line (`:`): everything by name.

mod commands;
mod entries;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use self::entries::Entry;
use super::Modal;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Grid, mark};
use crate::console::widgets::prompt::{Prompt, Typed};
use crate::console::widgets::text::{cut, width};
use crate::stores::lines::clean;

/// Columns of the kind of an entry.
const KIND: u16 = 10;

pub struct Palette {
    command_line: bool,
    prompt: Prompt,
    /// Everything there is, made when the box opens.
    entries: Option<Vec<Entry>>,
    /// Places in `entries` that match, the best first, with the matched characters.
    found: Vec<(usize, Vec<usize>)>,
    rows: Vec<usize>,
    grid: Grid<usize>,
    /// What the entries in `found` were searched for.
    searched: Option<String>,
    problem: Option<String>,
}

impl Palette {
    /// `command_line`: actions only, opened with `:`.
    pub fn new(command_line: bool) -> Self {
        Self {
            command_line,
            prompt: Prompt::default(),
            entries: None,
            found: Vec::new(),
            rows: Vec::new(),
            grid: Grid::default(),
            searched: None,
            problem: None,
        }
    }

    fn label(&self) -> &'static str {
        if self.command_line { ":" } else { "> " }
    }

    fn search(&mut self, cx: &Cx) {
        let query = self.prompt.text();
        if self.searched.as_deref() == Some(query) {
            return;
        }
        let entries = self.entries.get_or_insert_with(|| {
            if self.command_line {
                entries::commands(cx)
            } else {
                entries::everything(cx)
            }
        });
        let matches = entries.iter().enumerate();
        let mut scored: Vec<_> = matches
            .filter_map(|(index, entry)| Some((entry.matches(query)?, index)))
            .collect();
        // Stable: equal ones stay in the order they were made in, the most useful first.
        scored.sort_by_key(|(found, _)| std::cmp::Reverse(found.score));
        self.found = scored
            .into_iter()
            .map(|(found, index)| (index, found.at))
            .collect();
        self.rows = (0..self.found.len()).collect();
        self.grid.select(None);
        self.searched = Some(query.to_owned());
    }

    fn current(&self) -> Option<&Entry> {
        let (index, _) = self.found.get(self.grid.index())?;
        self.entries.as_ref()?.get(*index)
    }

    /// What was typed as a command, or else the entry under the cursor.
    fn run(&mut self, cx: &Cx) -> Vec<Intent> {
        let typed = self.prompt.text().trim();
        // Whoever moved the cursor means the entry, not what he typed.
        let meant = self.command_line && self.grid.index() == 0;
        let parsed = if meant && !typed.is_empty() {
            commands::parse(typed, cx)
        } else {
            None
        };
        let intents = match (parsed, self.current()) {
            (Some(Ok(intents)), _) => intents,
            (Some(Err(problem)), _) => {
                self.problem = Some(problem);
                return Vec::new();
            }
            (None, Some(entry)) => entry.intents(),
            (None, None) => {
                self.problem = Some(commands::unknown(typed));
                return Vec::new();
            }
        };
        std::iter::once(Intent::CloseModal).chain(intents).collect()
    }

    /// Takes over the text of the entry under the cursor.
    fn complete(&mut self) {
        if let Some(entry) = self.current() {
            let text = entry.completion();
            self.prompt = Prompt::new(text);
        }
    }

    fn draw_entry(&self, place: usize, row: Rect, buf: &mut Buffer, cx: &Cx) {
        let (index, matched) = &self.found[place];
        let Some(entry) = self
            .entries
            .as_ref()
            .and_then(|entries| entries.get(*index))
        else {
            return;
        };
        let dim = cx.theme.style(Role::Dim);
        buf.set_stringn(row.x + 2, row.y, entry.kind(), KIND.into(), dim);
        let left = row.x + 2 + KIND;
        let key = entry.key(cx).unwrap_or_default();
        let right = row
            .right()
            .saturating_sub(u16::try_from(width(&key)).unwrap_or_default() + 1);
        let room = usize::from(right.saturating_sub(left + 1));
        buf.set_stringn(right, row.y, &key, width(&key), cx.theme.style(Role::Key));
        let mut x = left;
        for (place, character) in cut(&entry.text, room).chars().enumerate() {
            let role = if matched.contains(&place) {
                Role::Key
            } else {
                Role::Text
            };
            let text = character.encode_utf8(&mut [0; 4]).to_owned();
            (x, _) = buf.set_stringn(x, row.y, text, room, cx.theme.style(role));
        }
        let note = cut(
            &clean(&entry.note),
            usize::from(right.saturating_sub(x + 3)),
        );
        buf.set_stringn(x + 2, row.y, &note, note.len(), dim);
    }
}

impl Modal for Palette {
    fn title(&self) -> String {
        if self.command_line {
            "Command".to_owned()
        } else {
            "Go to, do, call".to_owned()
        }
    }

    fn size(&self, screen: Rect, _: &Cx) -> (u16, u16) {
        let width = screen.width.saturating_sub(4).min(100);
        (width, (screen.height * 2 / 3).max(10).min(screen.height))
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Open]
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        if key.code == crossterm::event::KeyCode::Tab {
            self.complete();
            return Some(Vec::new());
        }
        match self.prompt.on_key(key) {
            Typed::Changed => {
                self.problem = None;
                Some(Vec::new())
            }
            Typed::Cancelled => Some(vec![Intent::CloseModal]),
            // Enter is an action, so that it can be bound to another key.
            Typed::Submitted | Typed::Ignored => None,
        }
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent> {
        if self.grid.on_action(action, &self.rows) {
            return Vec::new();
        }
        match action {
            Action::Open => {
                self.search(cx);
                self.run(cx)
            }
            Action::Palette => vec![Intent::CloseModal],
            _ => Vec::new(),
        }
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        self.prompt.paste(text);
        Vec::new()
    }

    fn on_click(&mut self, at: Position, _: &Cx) -> Vec<Intent> {
        let row = usize::from(at.y).checked_sub(2);
        if row.is_some_and(|row| self.grid.click(&self.rows, row))
            && let Some(entry) = self.current()
        {
            let intents = entry.intents();
            return std::iter::once(Intent::CloseModal).chain(intents).collect();
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        self.grid.step(&self.rows, rows);
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.search(cx);
        let height = area.height.saturating_sub(2);
        self.grid.sync(&self.rows, height.into());
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let style = |role| cx.theme.style(role);
        let line = Rect {
            x: area.x + 1,
            width: area.width.saturating_sub(2),
            ..area
        };
        self.prompt
            .draw(self.label(), line, buf, style(Role::Key), style(Role::Text));
        let note = match &self.problem {
            Some(problem) => Some((problem.clone(), Role::LevelError)),
            None if self.found.is_empty() => Some(("nothing matches".to_owned(), Role::Dim)),
            None => None,
        };
        if let Some((text, role)) = note {
            let room = usize::from(line.width);
            let text = cut(&clean(&text), room);
            buf.set_stringn(line.x, area.y + 1, text, room, style(role));
        }
        let list = Rect {
            y: area.y + 2,
            height: area.height.saturating_sub(2),
            ..area
        };
        let places = self.grid.top()..self.found.len();
        for (place, row) in places.zip(list.rows()) {
            self.draw_entry(place, row, buf, cx);
            if place == self.grid.index() {
                buf.set_string(row.x, row.y, ">", Style::new());
                mark(row, buf, cx.theme, true);
            }
        }
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        let line = Rect {
            x: area.x + 1,
            width: area.width.saturating_sub(2),
            ..area
        };
        Some(self.prompt.cursor(self.label(), line))
    }
}
