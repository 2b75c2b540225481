//! A JSON tree with its own search and copying, for dialogs.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::json_tree::{JsonTree, Sought};
use super::prompt::{Prompt, Typed, body, last_row};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::model::{Level, Notice};
use crate::stores::document::Document;

pub struct JsonView {
    tree: JsonTree,
    /// What is being typed to search for.
    prompt: Option<Prompt>,
}

impl JsonView {
    pub fn new(document: Arc<Document>) -> Self {
        Self {
            tree: JsonTree::new(document),
            prompt: None,
        }
    }

    /// What it does with keys, the most useful first.
    pub const ACTIONS: &'static [Action] = &[
        Action::Search,
        Action::SearchNext,
        Action::Copy,
        Action::CopyAll,
        Action::FoldAll,
        Action::UnfoldAll,
    ];

    /// `NetworkSettings.Ports`
    pub fn path(&self) -> String {
        self.tree.path()
    }

    /// A key while a search is typed.
    pub fn on_key(&mut self, key: KeyEvent) -> Option<Vec<Intent>> {
        let prompt = self.prompt.as_mut()?;
        match prompt.on_key(key) {
            Typed::Ignored => return None,
            Typed::Cancelled => {
                self.prompt = None;
                self.tree.forget_search();
            }
            Typed::Changed => self.tree.mark(prompt.text()),
            Typed::Submitted => {
                self.tree.mark(prompt.text());
                self.tree.seek(true, true);
                self.prompt = None;
            }
        }
        Some(Vec::new())
    }

    /// `what` names the whole, once it is copied.
    pub fn on_action(&mut self, action: Action, what: &str) -> Vec<Intent> {
        let copied = match action {
            Action::Search => {
                self.prompt = Some(Prompt::default());
                return Vec::new();
            }
            Action::SearchNext | Action::SearchPrevious => {
                self.tree.seek(action == Action::SearchNext, false);
                return Vec::new();
            }
            Action::Copy => self.tree.value(),
            Action::CopyAll => self.tree.whole().map(|text| (text, what.to_owned())),
            _ => {
                self.tree.on_action(action);
                return Vec::new();
            }
        };
        vec![match copied {
            Ok((text, what)) => Intent::copy(text, what),
            Err(why) => Intent::Tell(Notice::new(Level::Warn, why)),
        }]
    }

    pub fn on_paste(&mut self, text: &str) {
        if let Some(prompt) = &mut self.prompt {
            prompt.paste(text);
            self.tree.mark(prompt.text());
        }
    }

    pub fn on_click(&mut self, row: usize) {
        self.tree.click(row, false);
    }

    pub fn scroll(&mut self, rows: i32) {
        self.tree.scroll(rows);
    }

    /// Tells what came of a search.
    pub fn sync(&mut self, area: Rect) -> Vec<Intent> {
        let sought = self.tree.sync(body(area, self.prompt.as_ref()));
        let notice = sought.and_then(Sought::notice);
        notice.map(Intent::Tell).into_iter().collect()
    }

    pub fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        self.tree
            .draw(body(area, self.prompt.as_ref()), buf, true, cx);
        if let Some(prompt) = &self.prompt {
            let (key, text) = (cx.theme.style(Role::Key), cx.theme.style(Role::Text));
            prompt.draw("/", last_row(area), buf, key, text);
        }
    }

    pub fn cursor(&self, area: Rect) -> Option<Position> {
        let prompt = self.prompt.as_ref()?;
        Some(prompt.cursor("/", last_row(area)))
    }
}
