//! All state of the console, and how panes and modals are reached.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ratatui::layout::Rect;
use strum::EnumCount;

use super::keymap::{Keymap, Press};
use super::layout::{Layout, Zoom, layout};
use super::modals::Modal;
use super::panes::{self, About, Cx, Pane, PaneKind, Selection};
use super::theme::Theme;
use super::widgets::toast::Toasts;
use crate::model::{Fleet, InstanceId};
use crate::stores::logs::LogStore;
use crate::stores::results::ResultStore;

/// A borrow of the model's readable fields that leaves panes and modals free to change.
macro_rules! cx {
    ($model:expr, $now:expr) => {
        $crate::console::panes::Cx {
            fleet: &$model.fleet,
            logs: &$model.logs,
            results: &$model.results,
            theme: &$model.theme,
            keymap: &$model.keymap,
            selection: &$model.selection,
            about: &$model.about,
            now: $now,
            read_only: $model.read_only,
        }
    };
}
pub(super) use cx;

/// What the console is made of; everything is injected.
pub struct Setup {
    pub fleet: Arc<Fleet>,
    pub logs: LogStore,
    pub results: ResultStore,
    pub theme: Arc<Theme>,
    pub keymap: Keymap,
    pub about: About,
    /// Wall-clock time.
    pub clock: Box<dyn Fn() -> Timestamp>,
    pub size: (u16, u16),
    pub mouse: bool,
}

/// The console's state. Changed only by [`Model::update`] and [`Model::sync`].
pub struct Model {
    pub(super) fleet: Arc<Fleet>,
    pub(super) logs: LogStore,
    pub(super) results: ResultStore,
    pub(super) theme: Arc<Theme>,
    pub(super) keymap: Keymap,
    pub(super) about: About,
    clock: Box<dyn Fn() -> Timestamp>,
    pub(super) panes: Vec<Box<dyn Pane>>,
    pub(super) modals: Vec<Box<dyn Modal>>,
    pub(super) selection: Selection,
    /// All panes, the most recently focused first.
    pub(super) recent: Vec<PaneKind>,
    pub(super) zoom: Zoom,
    pub(super) toasts: Toasts,
    /// The beginning of a key sequence.
    pub(super) pending: Vec<Press>,
    pub(super) screen: Rect,
    pub(super) mouse: bool,
    pub(super) read_only: bool,
    pub(super) last_cancel: Option<Timestamp>,
    pub(super) last_click: Option<(Timestamp, u16, u16)>,
    pub(super) watched: Option<InstanceId>,
    pub(super) notices_skipped: u64,
}

/// All panes as they are needed: where several share a place, the first of them is seen at first.
const AT_FIRST: [PaneKind; PaneKind::COUNT] = [
    PaneKind::Instances,
    PaneKind::Tools,
    PaneKind::Call,
    PaneKind::Logs,
    PaneKind::Result,
    PaneKind::Sessions,
    PaneKind::Health,
    PaneKind::Calls,
    PaneKind::Events,
];

impl Model {
    pub fn new(setup: Setup) -> Self {
        let (width, height) = setup.size;
        Self {
            fleet: setup.fleet,
            logs: setup.logs,
            results: setup.results,
            theme: setup.theme,
            keymap: setup.keymap,
            about: setup.about,
            clock: setup.clock,
            panes: panes::all(),
            modals: Vec::new(),
            selection: Selection::default(),
            recent: AT_FIRST.to_vec(),
            zoom: Zoom::Normal,
            toasts: Toasts::default(),
            pending: Vec::new(),
            screen: Rect::new(0, 0, width, height),
            mouse: setup.mouse,
            read_only: false,
            last_cancel: None,
            last_click: None,
            watched: None,
            notices_skipped: 0,
        }
    }

    /// The focused pane.
    pub fn focus(&self) -> PaneKind {
        self.recent[0]
    }

    /// What is selected.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(super) fn set_focus(&mut self, kind: PaneKind) {
        self.recent.retain(|other| *other != kind);
        self.recent.insert(0, kind);
    }

    pub(super) fn layout(&self) -> Option<Layout> {
        layout(self.screen, &self.recent, self.zoom)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Runs `act` on a pane with everything it may read.
    pub(super) fn with_pane<T>(
        &mut self,
        kind: PaneKind,
        act: impl FnOnce(&mut dyn Pane, &Cx) -> T,
    ) -> T {
        let now = self.now();
        let cx = cx!(self, now);
        act(self.panes[kind as usize].as_mut(), &cx)
    }

    /// Runs `act` on the topmost modal, if there is one.
    pub(super) fn with_modal<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Modal, &Cx) -> T,
    ) -> Option<T> {
        let now = self.now();
        let cx = cx!(self, now);
        self.modals.last_mut().map(|modal| act(modal.as_mut(), &cx))
    }

    /// How soon the screen changes by the passing of time alone; `None`: never.
    pub fn next_tick(&self) -> Option<Duration> {
        let now = self.now();
        let cx = cx!(self, now);
        let moving = self.toasts.is_showing()
            || self
                .fleet
                .calls
                .values()
                .rev()
                .any(|call| call.is_running())
            || self.panes.iter().any(|pane| pane.shows_time(&cx));
        moving.then_some(Duration::from_millis(250))
    }
}
