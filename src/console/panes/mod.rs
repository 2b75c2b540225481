//! The panes: one file each. A pane owns its scroll, selection and filters, and nothing else.

mod call;
pub mod calls;
pub mod health;
pub mod instances;
mod logs;
mod result;
pub mod sessions;
mod tools;

use std::sync::Arc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use strum::{Display, EnumCount, EnumIter};

use super::action::Action;
use super::effect::Intent;
use super::invocation::Invocation;
use super::keymap::Keymap;
use super::theme::Theme;
use super::widgets::hint;
use crate::model::{
    CallId, Fleet, Instance, InstanceId, SHARED_SESSION, Session, SessionId, ToolSpec,
};
use crate::stores::logs::LogStore;
use crate::stores::results::ResultStore;

/// The name of a pane; its place in the list is its number on screen.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumCount, EnumIter,
)]
pub enum PaneKind {
    Sessions,
    Instances,
    Tools,
    Call,
    Result,
    Health,
    Logs,
    Calls,
    Events,
}

impl PaneKind {
    /// 1 for Sessions … 9 for Events.
    pub fn number(self) -> usize {
        self as usize + 1
    }
}

/// What is selected, shared by all panes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// `None` shows the instances of all sessions.
    pub session: Option<SessionId>,
    pub instance: Option<InstanceId>,
    pub tool: Option<Arc<str>>,
    /// The call shown in Result.
    pub call: Option<CallId>,
}

/// Facts about this run that the screen tells.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The configuration's name, for the header.
    pub origin: String,
    /// Where the program's own log goes.
    pub log_path: String,
    /// How to do the same from a shell, for copied commands.
    pub invocation: Invocation,
    /// The time zone of the times on screen; UTC if absent.
    pub zone: Option<TimeZone>,
}

/// Everything a pane may read.
pub struct Cx<'a> {
    pub fleet: &'a Fleet,
    pub logs: &'a LogStore,
    pub results: &'a ResultStore,
    pub theme: &'a Theme,
    pub keymap: &'a Keymap,
    pub selection: &'a Selection,
    pub about: &'a About,
    pub now: Timestamp,
    pub read_only: bool,
}

impl Cx<'_> {
    /// The selected instance.
    pub fn instance(&self) -> Option<&Arc<Instance>> {
        self.fleet.instance(self.selection.instance.as_ref()?)
    }

    /// The selected tool of the selected instance.
    pub fn tool(&self) -> Option<&Arc<ToolSpec>> {
        let name = self.selection.tool.as_ref()?;
        self.instance()?
            .tools
            .as_ref()?
            .iter()
            .find(|tool| tool.name == *name)
    }

    /// `14:03:22`, where the user is.
    pub fn clock(&self, at: Timestamp) -> String {
        let zone = self.about.zone.clone().unwrap_or(TimeZone::UTC);
        at.to_zoned(zone).strftime("%H:%M:%S").to_string()
    }
}

/// Every pane, in the order of [`PaneKind`].
pub fn all() -> Vec<Box<dyn Pane>> {
    use strum::IntoEnumIterator;
    PaneKind::iter()
        .map(|kind| -> Box<dyn Pane> {
            match kind {
                PaneKind::Sessions => Box::<sessions::Sessions>::default(),
                PaneKind::Instances => Box::<instances::Instances>::default(),
                PaneKind::Health => Box::<health::HealthPane>::default(),
                PaneKind::Logs => Box::new(logs::Logs::of_selected()),
                PaneKind::Calls => Box::<calls::Calls>::default(),
                PaneKind::Events => Box::new(logs::Logs::of_orchestrator()),
                PaneKind::Tools => Box::<tools::Tools>::default(),
                PaneKind::Call => Box::<call::CallPane>::default(),
                PaneKind::Result => Box::<result::ResultPane>::default(),
            }
        })
        .collect()
}

/// What an empty pane says: what to do to have something in it.
fn empty(area: Rect, buf: &mut Buffer, cx: &Cx, text: &str) {
    hint::draw(text, area, buf, cx.theme);
}

/// Sessions by age, the shared one last.
fn sessions_in_order(fleet: &Fleet) -> Vec<&Arc<Session>> {
    let mut sessions = fleet.sessions_by_age();
    sessions.sort_by_key(|session| session.id.as_str() == SHARED_SESSION);
    sessions
}

/// A part of the screen.
pub trait Pane {
    fn kind(&self) -> PaneKind;

    /// What stands after the pane's name in its frame, plain and short.
    fn title(&self, cx: &Cx) -> String;

    /// What it does with keys, the most useful first: hint bar and help come from this.
    fn actions(&self) -> &'static [Action];

    /// `None`: not for me now, so the key's global meaning applies.
    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>>;

    /// While it is true, keys go to [`Pane::on_key`] first (a text field is being edited).
    fn is_editing(&self) -> bool {
        false
    }

    /// A key while editing; `None`: not for me, look it up as an action.
    fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        let _ = (key, cx);
        None
    }

    /// Pasted text.
    fn on_paste(&mut self, text: &str, cx: &Cx) -> Vec<Intent> {
        let _ = (text, cx);
        Vec::new()
    }

    /// A click at this position relative to the pane's inner area; `double` for the second of two.
    fn on_click(&mut self, at: Position, double: bool, cx: &Cx) -> Vec<Intent> {
        let _ = (at, double, cx);
        Vec::new()
    }

    /// The wheel: rows down (negative: up).
    fn on_scroll(&mut self, rows: i32, cx: &Cx) {
        let _ = (rows, cx);
    }

    /// Before each drawing: clamp scroll and selection, refresh cached order. `area` is the inner area.
    /// May ask for selection changes (for example when the selected thing is gone).
    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent>;

    /// Draws into the inner area. Costs O(visible rows).
    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx);

    /// Where the text cursor is, if the pane is editing.
    fn cursor(&self, area: Rect) -> Option<Position> {
        let _ = area;
        None
    }

    /// Whether what it shows changes with time alone (elapsed seconds).
    fn shows_time(&self, cx: &Cx) -> bool {
        let _ = cx;
        false
    }

    /// Puts a call into the form; only the Call pane does anything with it.
    fn load_call(&mut self, tool: &ToolSpec, arguments: &str) {
        let _ = (tool, arguments);
    }

    /// The text an editor gave back; only panes that asked for one do anything with it.
    fn on_edited(&mut self, text: &str, cx: &Cx) -> Vec<Intent> {
        let _ = (text, cx);
        Vec::new()
    }
}
