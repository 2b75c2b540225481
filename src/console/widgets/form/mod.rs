//! A form from a JSON Schema: the arguments of a tool as fields, each omitted, null or a value.

mod draw;
mod field;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

pub use self::field::{Entry, Field, State};
use super::prompt::Typed;
use crate::arguments::json_text::{Members, check};
use crate::arguments::schema::{Kind, Spec};

/// A field's place among the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// Index among the fields, then among the field's own, …
    path: Vec<usize>,
}

/// The arguments of one tool while they are filled in.
#[derive(Clone, Debug)]
pub struct Form {
    root: Field,
    rows: Vec<Row>,
    focus: usize,
    editing: bool,
    /// Missing values are marked once sending was tried.
    insists: bool,
    top: usize,
}

impl Form {
    pub fn new(schema: &Value) -> Self {
        let root = Field::new("", Arc::new(Spec::of_arguments(schema)), true);
        let mut form = Self {
            root,
            rows: Vec::new(),
            focus: 0,
            editing: false,
            insists: false,
            top: 0,
        };
        form.lay_out();
        form
    }

    /// Whether there is nothing to fill in.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn is_editing(&self) -> bool {
        self.editing
    }

    /// The arguments as one JSON object on one line. Digits and order are kept as they were typed.
    pub fn arguments(&self) -> String {
        let mut out = String::new();
        self.root.write(&mut out);
        out
    }

    /// Replaces all fields by what an object says; others are omitted. Says why text is no object.
    pub fn load(&mut self, json: &str) -> Result<(), String> {
        check(json).map_err(|error| error.to_string())?;
        if serde_json::from_str::<Members>(json).is_err() {
            return Err("arguments are one JSON object: {…}".to_owned());
        }
        self.root.load(json);
        self.editing = false;
        self.lay_out();
        Ok(())
    }

    /// How many members of `json` the form knows, if that is an object.
    pub fn knows(&self, json: &str) -> Option<usize> {
        let Members(members) = serde_json::from_str(json).ok()?;
        let known = |name: &str| {
            self.root
                .children()
                .iter()
                .any(|field| *field.name == *name)
        };
        Some(members.iter().filter(|(name, _)| known(name)).count())
    }

    /// The first wrong field gets the focus; its path and what is wrong with it.
    pub fn complain(&mut self) -> Option<String> {
        self.insists = true;
        let wrong = (0..self.rows.len()).find_map(|row| Some((row, self.field(row)?.error()?)));
        let (row, error) = wrong?;
        self.focus = row;
        let path = self.path(row);
        Some(format!("{path}: {error}"))
    }

    /// Puts the focus on the first required field that is typed, and starts editing it. Without one,
    /// the first field has the focus.
    pub fn begin(&mut self) {
        let typed = |field: &Field| field.prompt().is_some() && field.required;
        let first = (0..self.rows.len()).find(|row| self.field(*row).is_some_and(typed));
        self.focus = first.unwrap_or(0);
        self.editing = first.is_some();
    }

    /// The field that has the focus.
    pub fn focused(&self) -> Option<&Field> {
        self.field(self.focus)
    }

    fn focused_mut(&mut self) -> Option<&mut Field> {
        let path = self.rows.get(self.focus)?.path.clone();
        Some(self.at_mut(&path))
    }

    fn field(&self, row: usize) -> Option<&Field> {
        let path = &self.rows.get(row)?.path;
        Some(
            path.iter()
                .fold(&self.root, |field, index| &field.children()[*index]),
        )
    }

    fn at_mut(&mut self, path: &[usize]) -> &mut Field {
        path.iter().fold(&mut self.root, |field, index| {
            &mut field.children_mut()[*index]
        })
    }

    /// `home.street`, `tags[0]`.
    fn path(&self, row: usize) -> String {
        let mut text = String::new();
        let mut parent = &self.root;
        for index in self.rows.get(row).map_or(&[][..], |row| &row.path) {
            let field = &parent.children()[*index];
            if matches!(parent.entry, Entry::List(_)) {
                let _ = write!(text, "[{index}]");
            } else {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&field.name);
            }
            parent = field;
        }
        crate::stores::lines::clean(&text).into_owned()
    }

    /// Finds the rows anew after fields came, went or were omitted.
    fn lay_out(&mut self) {
        fn add(field: &Field, path: &mut Vec<usize>, rows: &mut Vec<Row>) {
            for (index, child) in field.children().iter().enumerate() {
                path.push(index);
                rows.push(Row { path: path.clone() });
                if child.state == State::Value {
                    add(child, path, rows);
                }
                path.pop();
            }
        }
        let mut rows = Vec::new();
        add(&self.root, &mut Vec::new(), &mut rows);
        self.rows = rows;
        self.focus = self.focus.min(self.rows.len().saturating_sub(1));
    }

    pub fn move_by(&mut self, rows: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.focus = self.focus.saturating_add_signed(rows).min(last);
    }

    pub fn move_to(&mut self, row: usize) {
        self.focus = row.min(self.rows.len().saturating_sub(1));
    }

    pub fn stop_editing(&mut self) {
        self.editing = false;
    }

    /// What Enter does while nothing is edited: starts editing, or the nearest thing for other fields.
    pub fn open(&mut self) {
        let Some(field) = self.focused_mut() else {
            return;
        };
        match (&field.entry, field.state) {
            (Entry::Choice(_), _) => {
                field.choose(1);
            }
            (Entry::Group(_), _) => self.toggle(),
            (Entry::List(_), _) => self.add_item(),
            _ => self.editing = true,
        }
    }

    /// The next or previous choice of the focused field, if it has choices.
    pub fn choose(&mut self, step: isize) -> bool {
        self.focused_mut().is_some_and(|field| field.choose(step))
    }

    pub fn toggle(&mut self) {
        if let Some(field) = self.focused_mut() {
            field.toggle();
        }
        self.lay_out();
    }

    /// Adds an item to the focused list, or behind the focused item, and starts editing it.
    pub fn add_item(&mut self) {
        let Some((mut path, index)) = self.list_of_focus() else {
            return;
        };
        let list = self.at_mut(&path);
        let Kind::List { item, .. } = &list.spec.kind else {
            return;
        };
        let mut item = Field::new("", item.clone(), true);
        if item.is_text() {
            item.state = State::Value;
        }
        list.state = State::Value;
        list.is_default = false;
        if let Entry::List(items) = &mut list.entry {
            let at = index.map_or(items.len(), |index| index + 1);
            items.insert(at, item);
            renumber(items);
            path.push(at);
        }
        self.lay_out();
        // A new item is there to be filled in: itself, or the first of its fields.
        let of_item = |row: &usize| self.rows[*row].path.starts_with(&path);
        let typed = |row: &usize| self.field(*row).is_some_and(|it| it.prompt().is_some());
        let rows: Vec<_> = (0..self.rows.len()).filter(of_item).collect();
        let first = rows.iter().copied().find(typed);
        self.focus = first.or(rows.first().copied()).unwrap_or(self.focus);
        self.editing = first.is_some();
    }

    pub fn remove_item(&mut self) {
        if let Some((path, Some(index))) = self.list_of_focus() {
            let list = self.at_mut(&path);
            list.is_default = false;
            if let Entry::List(items) = &mut list.entry {
                items.remove(index);
                renumber(items);
            }
            self.editing = false;
            self.lay_out();
            let mut next = path;
            next.push(index);
            let row = self.rows.iter().position(|row| row.path == next);
            self.focus = row.unwrap_or_else(|| {
                let list = &next[..next.len() - 1];
                let in_list = |row: &Row| row.path.starts_with(list);
                self.rows.iter().rposition(in_list).unwrap_or(0)
            });
        }
    }

    /// The nearest list at or around the focus, and the item in which the focus is.
    fn list_of_focus(&self) -> Option<(Vec<usize>, Option<usize>)> {
        let path = &self.rows.get(self.focus)?.path;
        (0..=path.len()).rev().find_map(|len| {
            let field = path[..len]
                .iter()
                .fold(&self.root, |field, i| &field.children()[*i]);
            let is_list = matches!(field.spec.kind, Kind::List { .. })
                && matches!(field.entry, Entry::List(_));
            is_list.then(|| (path[..len].to_vec(), path.get(len).copied()))
        })
    }

    /// A key while editing. `false`: not for the form.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        match key.code {
            KeyCode::Esc => self.editing = false,
            KeyCode::Enter if self.focus + 1 >= self.rows.len() => self.editing = false,
            KeyCode::Enter | KeyCode::Tab | KeyCode::Down => self.move_by(1),
            KeyCode::BackTab | KeyCode::Up => self.move_by(-1),
            // In a list this key removes the item instead of the rest of its text.
            KeyCode::Char('k') if !plain && self.is_in_list() => return false,
            _ => return self.type_into(key, plain),
        }
        true
    }

    fn is_in_list(&self) -> bool {
        matches!(self.list_of_focus(), Some((_, Some(_))))
    }

    fn type_into(&mut self, key: KeyEvent, plain: bool) -> bool {
        let Some(field) = self.focused_mut() else {
            return false;
        };
        let before = field.state;
        let handled = match (field.prompt_mut(), key.code) {
            (Some(prompt), KeyCode::Backspace) if prompt.text().is_empty() => {
                field.state = State::Omitted;
                true
            }
            (Some(prompt), _) => {
                let text = prompt.text().to_owned();
                let typed = prompt.on_key(key);
                if prompt.text() != text {
                    field.touched();
                }
                typed != Typed::Ignored
            }
            (None, KeyCode::Char(' ') | KeyCode::Right) => field.choose(1),
            (None, KeyCode::Left) => field.choose(-1),
            // Letters must not act as commands in the middle of typing.
            (None, KeyCode::Char(typed)) if plain => {
                field.choose_by(typed);
                true
            }
            _ => false,
        };
        if field.state != before {
            self.lay_out();
        }
        handled
    }

    /// Pasted text goes into the field that is being edited.
    pub fn paste(&mut self, text: &str) {
        let Some(field) = self.focused_mut() else {
            return;
        };
        let verbatim = field.is_text();
        if let Some(prompt) = field.prompt_mut() {
            if verbatim {
                prompt.insert(text);
            } else {
                prompt.paste(text.trim());
            }
            field.touched();
        }
    }

    /// The text of the focused string field, for an editor.
    pub fn focused_text(&self) -> Option<&str> {
        let field = self.focused().filter(|field| field.is_text())?;
        field.prompt().map(super::prompt::Prompt::text)
    }

    /// Replaces the text of the focused string field.
    pub fn set_focused_text(&mut self, text: &str) {
        if let Some(field) = self.focused_mut().filter(|field| field.is_text()) {
            field.entry = Entry::Text(super::prompt::Prompt::new(text));
            field.touched();
        }
    }
}

fn renumber(items: &mut [Field]) {
    for (index, item) in items.iter_mut().enumerate() {
        item.name = index.to_string().into();
    }
}
