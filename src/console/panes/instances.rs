//! Pane 2: the instances of the selected session, or of all.

mod columns;
pub mod commands;

use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind, sessions_in_order};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::widgets::find::{Find, Mode};
use crate::console::widgets::grid::{Grid, Table};
use crate::console::widgets::hint;
use crate::console::widgets::phase::{Tally, is_moving};
use crate::console::widgets::text::is_young;
use crate::model::{Instance, InstanceId, Phase, SessionId};
use crate::stores::lines::clean;

/// Columns of the bar that tells how far many starts are.
const BAR: usize = 10;

/// What the cached order of rows was made from.
#[derive(Clone, Debug, Default, PartialEq)]
struct Source {
    revision: u64,
    session: Option<SessionId>,
    filter: String,
}

#[derive(Default)]
pub struct Instances {
    grid: Grid<InstanceId>,
    find: Find,
    rows: Vec<InstanceId>,
    source: Option<Source>,
    /// The phases of all rows.
    tally: Tally,
    /// What was selected for all panes at the last sync: tells a choice made here from one made elsewhere.
    seen: Option<InstanceId>,
}

impl Instances {
    /// Instances in the order of their sessions, then backend, then id: an order that nothing but arrival
    /// and removal changes.
    fn refresh(&mut self, cx: &Cx) {
        let source = Source {
            revision: cx.fleet.revision,
            session: cx.selection.session.clone(),
            filter: self.find.filter().to_owned(),
        };
        if self.source.as_ref() == Some(&source) {
            return;
        }
        let narrowed = self
            .source
            .as_ref()
            .is_some_and(|old| old.session != source.session);
        self.rows.clear();
        for session in sessions_in_order(cx.fleet) {
            if source.session.as_ref().is_some_and(|id| *id != session.id) {
                continue;
            }
            let mut instances: Vec<_> = session
                .instances
                .values()
                .filter(|instance| self.admits(instance))
                .collect();
            instances.sort_by(|a, b| a.backend.name.cmp(&b.backend.name));
            self.rows
                .extend(instances.into_iter().map(|instance| instance.id.clone()));
        }
        self.tally = Tally::default();
        for instance in self.rows.iter().filter_map(|id| cx.fleet.instance(id)) {
            self.tally.add(instance.phase);
        }
        let here = |id: &&InstanceId| self.rows.contains(id);
        let kept = self.grid.selected().or(self.seen.as_ref()).filter(here);
        if kept.is_none() && (narrowed || self.grid.selected().is_none()) {
            self.grid.select(self.best(cx));
        } else if self.grid.selected().is_none() {
            self.grid.select(kept.cloned());
        }
        self.source = Some(source);
    }

    /// Takes over what was selected elsewhere, in the palette for example.
    fn follow(&mut self, cx: &Cx) {
        let wanted = &cx.selection.instance;
        if *wanted == self.seen || wanted.as_ref() == self.grid.selected() {
            return;
        }
        let hidden = |instance: &Arc<Instance>| !self.admits(instance);
        if cx.instance().is_some_and(hidden) {
            self.find.clear();
        }
        self.grid.select(wanted.clone());
    }

    fn admits(&self, instance: &Instance) -> bool {
        if self.find.filter().is_empty() {
            return true;
        }
        let phase = instance.phase.to_string();
        self.find.admits(&[
            instance.id.as_str(),
            &instance.backend.name,
            &phase,
            instance.session.as_str(),
        ])
    }

    /// Where somebody who has chosen nothing wants to be.
    fn best(&self, cx: &Cx) -> Option<InstanceId> {
        let is_ready = |id: &&InstanceId| {
            cx.fleet
                .instance(id)
                .is_some_and(|instance| instance.phase == Phase::Ready)
        };
        self.rows
            .iter()
            .find(is_ready)
            .or(self.rows.first())
            .cloned()
    }

    fn current<'a>(&self, cx: &Cx<'a>) -> Option<&'a Arc<Instance>> {
        cx.fleet.instance(self.grid.selected()?)
    }

    fn select(&self) -> Vec<Intent> {
        self.grid
            .selected()
            .cloned()
            .map(Intent::SelectInstance)
            .into_iter()
            .collect()
    }

    fn draw_empty(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let key = |action| {
            cx.keymap
                .key_for(Context::Pane(PaneKind::Instances), action)
                .unwrap_or_else(|| format!(":{action}"))
        };
        let text = if !self.find.filter().is_empty() {
            format!(
                "nothing matches {:?} — {} clears the filter",
                self.find.filter(),
                key(Action::Back)
            )
        } else if cx.fleet.backends.is_empty() {
            "no backends configured: see envdeck --help".to_owned()
        } else if cx.selection.session.is_some() {
            "this session has no instances (any more)".to_owned()
        } else {
            format!(
                "no instances yet — {} opens a session with some",
                key(Action::NewSession)
            )
        };
        hint::draw(&text, area, buf, cx.theme);
    }
}

impl Pane for Instances {
    fn kind(&self) -> PaneKind {
        PaneKind::Instances
    }

    fn title(&self, cx: &Cx) -> String {
        let whose = cx.selection.session.as_ref();
        let whose = whose.map_or("all sessions", |session| session.short());
        let filter = self.find.filter();
        let shown = self.rows.len();
        let title = if filter.is_empty() {
            format!("{} · {shown}", clean(whose))
        } else {
            format!("{} · {shown} match {}", clean(whose), clean(filter))
        };
        match self.tally.progress(BAR) {
            Some(progress) if self.tally.rising() > 1 => format!("{title}  {progress} ready"),
            _ => title,
        }
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::Open,
            Action::RunAgain,
            Action::StopStart,
            Action::RetryFailed,
            Action::Remove,
            Action::Inspect,
            Action::OpenShell,
            Action::ShowLogs,
            Action::PauseResume,
            Action::Filter,
            Action::Copy,
            Action::CopyCommand,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        if self.grid.on_action(action, &self.rows) {
            return Some(self.select());
        }
        match action {
            Action::Filter => self.find.begin(Mode::Filter),
            Action::Back if self.find.clear() => {}
            _ => {
                return commands::act(action, self.current(cx)?, cx);
            }
        }
        Some(Vec::new())
    }

    fn is_editing(&self) -> bool {
        self.find.is_editing()
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        self.find.on_key(key).map(|_| Vec::new())
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        self.find.paste(text);
        Vec::new()
    }

    fn on_click(&mut self, at: Position, double: bool, cx: &Cx) -> Vec<Intent> {
        let hit = at.y > 0 && self.grid.click(&self.rows, usize::from(at.y) - 1);
        if !hit {
            return Vec::new();
        }
        let mut intents = self.select();
        if double && let Some(instance) = self.current(cx) {
            intents.extend(commands::open(instance));
        }
        intents
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        self.grid
            .step(&self.rows, isize::try_from(rows).unwrap_or_default());
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.follow(cx);
        self.refresh(cx);
        self.grid
            .sync(&self.rows, usize::from(area.height.saturating_sub(1)));
        self.seen.clone_from(&cx.selection.instance);
        match self.grid.selected() {
            Some(selected) if self.seen.as_ref() != Some(selected) => {
                self.seen = Some(selected.clone());
                self.select()
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.rows.is_empty() {
            self.draw_empty(area, buf, cx);
        } else {
            let columns = columns::columns(cx);
            let row = |index: usize| {
                cx.fleet
                    .instance(&self.rows[index])
                    .map(|instance| columns::row(instance, cx))
                    .unwrap_or_default()
            };
            let table = Table {
                columns: &columns,
                len: self.rows.len(),
                row: &row,
            };
            self.grid.draw(&table, area, buf, cx.theme, focused);
        }
        self.find.draw(area, buf, cx.theme);
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        self.find.cursor(area)
    }

    fn shows_time(&self, cx: &Cx) -> bool {
        let moves = |instance: &Arc<Instance>| {
            is_moving(instance.phase)
                || instance.phase == Phase::Ready && is_young(instance.since, cx.now)
        };
        cx.fleet.instances().any(moves)
    }
}
