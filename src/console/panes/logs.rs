//! Logs: what the selected instance writes, what its server tells, and what we did with it. Events: what the
//! orchestrator did, as its own log tells it.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind, empty};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::widgets::log_view::{ACTIONS, LogView};
use crate::model::InstanceId;
use crate::stores::logs::EVENTS_LOG;

pub struct Logs {
    view: LogView,
    /// The orchestrator's own log; `None`: the selected instance's.
    events: Option<InstanceId>,
}

impl Logs {
    pub fn of_selected() -> Self {
        Self {
            view: LogView::default(),
            events: None,
        }
    }

    pub fn of_orchestrator() -> Self {
        Self {
            view: LogView::default(),
            events: Some(InstanceId::new(EVENTS_LOG)),
        }
    }

    /// Why there is nothing to see.
    fn nothing(&self, cx: &Cx) -> &'static str {
        if self.events.is_some() {
            "nothing yet: starts, stops, restarts and calls of every session show here"
        } else if cx.selection.instance.is_none() {
            "no instance selected — choose one in Instances"
        } else {
            "nothing yet: its stderr, stray stdout and log messages show here"
        }
    }
}

impl Pane for Logs {
    fn kind(&self) -> PaneKind {
        if self.events.is_some() {
            PaneKind::Events
        } else {
            PaneKind::Logs
        }
    }

    fn title(&self, cx: &Cx) -> String {
        match (&self.events, &cx.selection.instance) {
            (Some(_), _) => self.view.title(),
            (None, Some(instance)) => format!("{}  {}", instance.short(), self.view.title()),
            (None, None) => String::new(),
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
        let log = self.events.as_ref().or(cx.selection.instance.as_ref());
        self.view.sync(log, area, cx.logs);
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.view.is_empty() {
            empty(area, buf, cx, self.nothing(cx));
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
