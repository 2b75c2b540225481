//! Events: what the orchestrator did, as its own log tells it.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind, empty};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::widgets::log_view::{ACTIONS, LogView};
use crate::model::InstanceId;
use crate::stores::logs::EVENTS_LOG;

pub struct Events {
    view: LogView,
    log: InstanceId,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            view: LogView::default(),
            log: InstanceId::new(EVENTS_LOG),
        }
    }
}

impl Pane for Events {
    fn kind(&self) -> PaneKind {
        PaneKind::Events
    }

    fn title(&self, _: &Cx) -> String {
        self.view.title()
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
        self.view.sync(Some(&self.log), area, cx.logs);
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.view.is_empty() {
            let text = "nothing yet: starts, stops, restarts and calls of every session show here";
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
