//! Logs: what the selected instance writes, what its server tells, and what we did with it.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind, empty};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::widgets::log_view::{ACTIONS, LogView};

#[derive(Default)]
pub struct Logs {
    view: LogView,
}

impl Pane for Logs {
    fn kind(&self) -> PaneKind {
        PaneKind::Logs
    }

    fn title(&self, cx: &Cx) -> String {
        match &cx.selection.instance {
            Some(instance) => format!("{}  {}", instance.short(), self.view.title()),
            None => String::new(),
        }
    }

    fn actions(&self) -> &'static [Action] {
        ACTIONS
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        self.view.on_action(action, cx)
    }

    fn is_editing(&self) -> bool {
        self.view.is_editing()
    }

    fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        self.view.on_key(key, cx)
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        self.view.on_paste(text);
        Vec::new()
    }

    fn on_click(&mut self, at: Position, _: bool, _: &Cx) -> Vec<Intent> {
        self.view.on_click(at);
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        self.view.scroll(rows);
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        let instance = cx.selection.instance.as_ref();
        self.view.sync(instance, area, cx.logs);
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if cx.selection.instance.is_none() {
            empty(
                area,
                buf,
                cx,
                "no instance selected — choose one in Instances",
            );
        } else if self.view.is_empty() {
            let text = "nothing yet: its stderr, stray stdout and log messages show here";
            empty(area, buf, cx, text);
        }
        self.view.draw(buf, focused, cx);
    }

    fn cursor(&self, _: Rect) -> Option<Position> {
        self.view.text_cursor()
    }

    fn shows_time(&self, _: &Cx) -> bool {
        self.view.shows_time()
    }
}
