//! What has failed in a session, and why; one key tries all of it again.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::Modal;
use super::death_card::DeathCardPage;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Grid, mark};
use crate::console::widgets::hint;
use crate::console::widgets::phase::glyph;
use crate::console::widgets::sheet::wrap;
use crate::console::widgets::text::{cut, plural};
use crate::model::{Command, Fleet, Instance, InstanceId, Level, Notice, Phase, SessionId};
use crate::stores::lines::clean;

/// Rows below the list for the reason of the one under the cursor.
const DETAIL: u16 = 8;

pub struct Failures {
    /// `None`: of all sessions.
    session: Option<SessionId>,
    rows: Vec<InstanceId>,
    grid: Grid<InstanceId>,
}

/// The failed instances of one session or of all.
fn failed<'a>(
    session: Option<&'a SessionId>,
    fleet: &'a Fleet,
) -> impl Iterator<Item = &'a Arc<Instance>> {
    fleet.instances().filter(move |instance| {
        instance.phase == Phase::Failed && session.is_none_or(|id| *id == instance.session)
    })
}

/// Starts all of them again.
pub fn retry(session: Option<&SessionId>, fleet: &Fleet) -> Vec<Intent> {
    let mut sessions: Vec<_> = failed(session, fleet).map(|one| &one.session).collect();
    sessions.sort();
    sessions.dedup();
    if sessions.is_empty() {
        return vec![nothing()];
    }
    let commands = sessions.into_iter().cloned().map(Command::RetryFailed);
    commands.map(Intent::send).collect()
}

fn nothing() -> Intent {
    Intent::Tell(Notice::new(Level::Info, "nothing has failed"))
}

impl Failures {
    /// Opens the page if there is anything on it.
    pub fn open(session: Option<&SessionId>, fleet: &Fleet) -> Intent {
        if failed(session, fleet).next().is_none() {
            return nothing();
        }
        Intent::Open(Box::new(Self {
            session: session.cloned(),
            rows: Vec::new(),
            grid: Grid::default(),
        }))
    }

    fn current<'a>(&self, cx: &Cx<'a>) -> Option<&'a Arc<Instance>> {
        cx.fleet.instance(self.grid.selected()?)
    }

    fn card(&self, cx: &Cx) -> Vec<Intent> {
        let page = self.current(cx).and_then(DeathCardPage::new);
        page.map(|page| vec![Intent::Open(Box::new(page))])
            .unwrap_or_default()
    }

    fn draw_detail(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let Some(card) = self.current(cx).and_then(|one| one.death.as_ref()) else {
            return;
        };
        let room = usize::from(area.width.saturating_sub(3));
        let reason = wrap(&card.failure.to_string(), room);
        let output = card
            .failure
            .output
            .iter()
            .map(|line| cut(&clean(line), room));
        let lines = reason.into_iter().map(|line| (line, Role::LevelError));
        let left = usize::from(area.height).saturating_sub(lines.len());
        let skipped = card.failure.output.len().saturating_sub(left);
        let lines = lines.chain(output.skip(skipped).map(|line| (line, Role::LogStderr)));
        for ((line, role), row) in lines.zip(area.rows()) {
            buf.set_stringn(row.x + 2, row.y, line, room, cx.theme.style(role));
        }
    }
}

/// `✖ memory 99aabbcc  start: exited with status 137`
fn line(instance: &Instance) -> String {
    let reason = instance.death.as_ref().map(|card| card.failure.to_string());
    let text = format!(
        "{} {} {}  {}",
        glyph(instance.phase),
        instance.backend.name,
        instance.id.short(),
        reason.unwrap_or_default()
    );
    clean(&text).into_owned()
}

impl Modal for Failures {
    fn title(&self) -> String {
        let whose = self.session.as_ref().map_or_else(
            || "all sessions".to_owned(),
            |session| format!("session {}", clean(session.short())),
        );
        format!("{} in {whose}", plural(self.rows.len(), "failure"))
    }

    fn size(&self, screen: Rect, cx: &Cx) -> (u16, u16) {
        let rows = failed(self.session.as_ref(), cx.fleet).count();
        let rows = u16::try_from(rows).unwrap_or(u16::MAX);
        let height = rows.saturating_add(DETAIL + 3).min(screen.height);
        (screen.width.saturating_sub(4).min(120), height)
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Open, Action::RetryFailed, Action::Copy]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent> {
        if self.grid.on_action(action, &self.rows) {
            return Vec::new();
        }
        match action {
            Action::Open | Action::Inspect => self.card(cx),
            Action::RetryFailed | Action::RunAgain => {
                let mut intents = vec![Intent::CloseModal];
                intents.extend(retry(self.session.as_ref(), cx.fleet));
                intents
            }
            Action::Copy | Action::CopyAll => {
                let lines = failed(self.session.as_ref(), cx.fleet).map(|one| line(one) + "\n");
                vec![Intent::copy(lines.collect::<String>(), "all failures")]
            }
            _ => Vec::new(),
        }
    }

    fn on_click(&mut self, at: Position, cx: &Cx) -> Vec<Intent> {
        if self.grid.click(&self.rows, at.y.into()) {
            self.card(cx)
        } else {
            Vec::new()
        }
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        self.grid.step(&self.rows, rows);
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        let failed = failed(self.session.as_ref(), cx.fleet);
        self.rows = failed.map(|instance| instance.id.clone()).collect();
        let height = area.height.saturating_sub(DETAIL + 1);
        self.grid.sync(&self.rows, height.into());
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        if self.rows.is_empty() {
            hint::draw("nothing has failed any more", area, buf, cx.theme);
            return;
        }
        let [list, rule, detail] = parts(area);
        let places = self.grid.top()..self.rows.len();
        for (place, row) in places.zip(list.rows()) {
            let Some(instance) = cx.fleet.instance(&self.rows[place]) else {
                continue;
            };
            let room = usize::from(row.width.saturating_sub(3));
            let text = cut(&line(instance), room);
            let style = cx.theme.style(Role::PhaseFailed);
            buf.set_stringn(row.x + 2, row.y, text, room, style);
            if place == self.grid.index() {
                buf.set_string(row.x, row.y, ">", Style::new());
                mark(row, buf, cx.theme, true);
            }
        }
        let dashes = "─".repeat(rule.width.into());
        buf.set_stringn(
            rule.x,
            rule.y,
            dashes,
            rule.width.into(),
            cx.theme.style(Role::Dim),
        );
        self.draw_detail(detail, buf, cx);
    }
}

/// The list, a line, and the detail below it.
fn parts(area: Rect) -> [Rect; 3] {
    let list = area.height.saturating_sub(DETAIL + 1);
    ratatui::layout::Layout::vertical([list, 1, DETAIL]).areas(area)
}
