//! Pane 1: sessions by age, with what they are made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::{Cx, Pane, PaneKind, sessions_in_order};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::modals::confirm::Confirm;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Grid, mark};
use crate::console::widgets::hint;
use crate::console::widgets::phase::{Tally, glyph, role};
use crate::console::widgets::spark::progress_bar;
use crate::console::widgets::text::{cut, plural, width};
use crate::model::{
    BackendName, Caller, Command, Fleet, Level, Notice, Phase, SHARED_SESSION, Session, SessionId,
};
use crate::stores::lines::clean;

/// A row of the tree.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    All,
    Session(SessionId),
    Backend(SessionId, BackendName),
}

impl Node {
    fn session(&self) -> Option<&SessionId> {
        match self {
            Node::All => None,
            Node::Session(session) | Node::Backend(session, _) => Some(session),
        }
    }
}

#[derive(Default)]
pub struct Sessions {
    grid: Grid<Node>,
    rows: Vec<Node>,
    /// Sessions folded or unfolded against their default.
    flipped: BTreeSet<SessionId>,
    /// The narrowing at the last sync: tells a choice made here from one made elsewhere.
    seen: Option<SessionId>,
    revision: Option<u64>,
    /// The newest session the operator opened.
    newest_own: Option<SessionId>,
}

impl Sessions {
    /// What the operator opened is unfolded; of others there may be hundreds.
    fn is_unfolded(&self, session: &Session) -> bool {
        (session.caller == Caller::Operator) != self.flipped.contains(&session.id)
    }

    fn refresh(&mut self, cx: &Cx) {
        if self.revision.replace(cx.fleet.revision) == Some(cx.fleet.revision) {
            return;
        }
        self.rows.clear();
        let sessions = shown(cx.fleet);
        if sessions.is_empty() {
            return;
        }
        self.rows.push(Node::All);
        for session in sessions {
            self.rows.push(Node::Session(session.id.clone()));
            if self.is_unfolded(session) {
                let backends = backends(session).into_iter();
                self.rows
                    .extend(backends.map(|name| Node::Backend(session.id.clone(), name)));
            }
        }
    }

    /// Takes over a narrowing made elsewhere, and goes to a session the operator has just opened.
    fn follow(&mut self, cx: &Cx) {
        let own = |session: &&&Arc<Session>| session.caller == Caller::Operator;
        let sessions = cx.fleet.sessions_by_age();
        let newest = sessions.iter().rfind(own).map(|session| session.id.clone());
        let opened =
            newest.is_some() && newest != self.newest_own && cx.selection.session.is_some();
        self.newest_own.clone_from(&newest);
        let current = self.grid.selected().and_then(Node::session);
        if opened {
            self.grid.select(newest.map(Node::Session));
        } else if cx.selection.session != self.seen && cx.selection.session.as_ref() != current {
            let node = cx
                .selection
                .session
                .clone()
                .map_or(Node::All, Node::Session);
            self.grid.select(Some(node));
        }
    }

    fn select(&self) -> Vec<Intent> {
        let session = self.grid.selected().and_then(Node::session);
        vec![Intent::SelectSession(session.cloned())]
    }

    fn current<'a>(&self, cx: &Cx<'a>) -> Option<&'a Arc<Session>> {
        cx.fleet.sessions.get(self.grid.selected()?.session()?)
    }

    /// Folds or unfolds; a backend's row folds its session.
    fn fold(&mut self, unfold: Option<bool>, cx: &Cx) {
        let Some(session) = self.current(cx) else {
            return;
        };
        let is = self.is_unfolded(session);
        if unfold.unwrap_or(!is) == is {
            return;
        }
        if !self.flipped.remove(&session.id) {
            self.flipped.insert(session.id.clone());
        }
        self.grid.select(Some(Node::Session(session.id.clone())));
        self.revision = None;
    }

    fn draw_row(&self, node: &Node, row: Rect, buf: &mut Buffer, cx: &Cx) {
        let mut cells = Cells { row, buf };
        match node {
            Node::All => {
                let tally = Tally::of(cx.fleet.instances().map(|instance| instance.phase));
                let used = cells.right(&[summary(&tally, cx)]);
                cells.left(2, "all sessions", cx.theme.style(Role::Text), used);
            }
            Node::Session(id) => {
                if let Some(session) = cx.fleet.sessions.get(id) {
                    self.draw_session(session, &mut cells, cx);
                }
            }
            Node::Backend(id, name) => {
                let session = cx.fleet.sessions.get(id);
                let instances = session.into_iter().flat_map(|s| s.instances.values());
                let mine = instances.filter(|instance| instance.backend.name == *name);
                let tally = Tally::of(mine.map(|instance| instance.phase));
                let used = cells.right(&states(&tally, cx));
                let dim = cx.theme.style(Role::Dim);
                let times = format!(" ×{}", tally.total());
                let wide = u16::try_from(width(&times)).unwrap_or_default();
                let x = cells.left(4, &clean(name), dim, used + wide);
                cells.left(x, &times, dim, used);
            }
        }
    }

    fn draw_session(&self, session: &Session, cells: &mut Cells, cx: &Cx) {
        let tally = tally(session);
        let fold = if session.instances.is_empty() {
            " "
        } else if self.is_unfolded(session) {
            "▾"
        } else {
            "▸"
        };
        let mut right = summary(&tally, cx);
        if session.closing {
            right = ("closing ◍".to_owned(), cx.theme.style(Role::PhaseStopping));
        } else if tally.rising() > 0 {
            right = (
                progress(&tally, cells.row.width),
                cx.theme.style(Role::PhaseStarting),
            );
        }
        let used = cells.right(&[right]);
        cells.left(0, fold, cx.theme.style(Role::Dim), 0);
        let id = clean(session.id.short()).into_owned();
        let after = cells.left(2, &id, cx.theme.style(Role::Text), used);
        if session.id.as_str() != SHARED_SESSION {
            let caller = session.caller.to_string();
            cells.left(after + 1, &clean(&caller), cx.theme.style(Role::Dim), used);
        }
    }
}

/// One row of the pane that is being filled from both sides.
struct Cells<'a> {
    row: Rect,
    buf: &'a mut Buffer,
}

impl Cells<'_> {
    /// Draws one column off the right edge; the columns it took, with a space at both ends.
    fn right(&mut self, texts: &[(String, Style)]) -> u16 {
        let total: usize = texts.iter().map(|(text, _)| width(text)).sum();
        let total = u16::try_from(total + texts.len().saturating_sub(1)).unwrap_or(u16::MAX);
        let mut x = self.row.right().saturating_sub(total + 1).max(self.row.x);
        for (text, style) in texts {
            let room = self.row.right().saturating_sub(x);
            let (after, _) = self
                .buf
                .set_stringn(x, self.row.y, text, room.into(), *style);
            x = after + 1;
        }
        total.saturating_add(2)
    }

    /// Draws from column `left` on, leaving `used` columns at the right alone; the column after it.
    fn left(&mut self, left: u16, text: &str, style: Style, used: u16) -> u16 {
        let room = usize::from(self.row.width.saturating_sub(left + used));
        let x = self.row.x + left.min(self.row.width);
        let (after, _) = self
            .buf
            .set_stringn(x, self.row.y, cut(text, room), room, style);
        after - self.row.x
    }
}

/// Sessions by age, the shared one last and only if there is something in it.
fn shown(fleet: &Fleet) -> Vec<&Arc<Session>> {
    let mut sessions = sessions_in_order(fleet);
    sessions.retain(|session| !(is_shared(session) && session.instances.is_empty()));
    sessions
}

fn is_shared(session: &Session) -> bool {
    session.id.as_str() == SHARED_SESSION
}

fn backends(session: &Session) -> BTreeSet<BackendName> {
    let instances = session.instances.values();
    instances
        .map(|instance| instance.backend.name.clone())
        .collect()
}

fn tally(session: &Session) -> Tally {
    Tally::of(session.instances.values().map(|instance| instance.phase))
}

/// `3 ●`, or `1✖ of 3` when not all are alike: the state that needs attention most.
fn summary(tally: &Tally, cx: &Cx) -> (String, Style) {
    let total = tally.total();
    match tally.iter().next() {
        Some((phase, count)) => {
            let text = if count == total {
                format!("{total} {}", glyph(phase))
            } else {
                format!("{count}{} of {total}", glyph(phase))
            };
            (text, cx.theme.style(role(phase)))
        }
        None => ("–".to_owned(), cx.theme.style(Role::Dim)),
    }
}

/// `1✖`, `2●`: each state that occurs.
fn states(tally: &Tally, cx: &Cx) -> Vec<(String, Style)> {
    let text = |count, phase| {
        if tally.total() == 1 {
            glyph(phase).to_owned()
        } else {
            format!("{count}{}", glyph(phase))
        }
    };
    let states = tally.iter();
    states
        .map(|(phase, count)| (text(count, phase), cx.theme.style(role(phase))))
        .collect()
}

/// `▰▰▰▰▰▰▱▱ 3/4 ready`, shorter where there is less room.
fn progress(tally: &Tally, columns: u16) -> String {
    let (ready, total) = (tally.count(Phase::Ready), tally.total());
    let (width, word) = match columns {
        0..26 => return format!("{ready}/{total} {}", glyph(Phase::Starting)),
        26..36 => (3, ""),
        _ => (8, " ready"),
    };
    #[allow(clippy::cast_precision_loss, reason = "a bar of a few columns")]
    let bar = progress_bar(ready as f64, total as f64, width);
    format!("{bar} {ready}/{total}{word}")
}

fn close(session: &Session, fleet: &Fleet) -> Intent {
    if is_shared(session) {
        return Intent::Tell(Notice::new(
            Level::Info,
            "shared instances live as long as envdeck; remove single ones in Instances",
        ));
    }
    let parts: Vec<_> = backends(session)
        .into_iter()
        .map(|name| {
            let mine = |i: &&Arc<crate::model::Instance>| i.backend.name == name;
            let count = session.instances.values().filter(mine).count();
            format!("{} ×{count}", clean(&name))
        })
        .collect();
    let mut lost = Vec::new();
    if !parts.is_empty() {
        lost.push(format!(
            "{} with their state: {}",
            plural(session.instances.len(), "instance"),
            parts.join(", ")
        ));
    }
    let running = |call: &&Arc<crate::model::Call>| call.is_running() && call.session == session.id;
    let running = fleet.calls.values().filter(running).count();
    if running > 0 {
        lost.push(plural(running, "running call"));
    }
    if let Caller::Agent(name) = &session.caller {
        lost.push(format!("{} may still be using it", clean(name)));
    }
    if lost.is_empty() {
        lost.push("it is empty: nothing is lost".to_owned());
    }
    let question = format!("Close session {}?", clean(session.id.short()));
    let command = Command::CloseSession(session.id.clone());
    Intent::Open(Box::new(Confirm::new(
        question,
        lost,
        vec![Intent::send(command)],
    )))
}

impl Pane for Sessions {
    fn kind(&self) -> PaneKind {
        PaneKind::Sessions
    }

    fn title(&self, cx: &Cx) -> String {
        let count = shown(cx.fleet).len();
        if count > 0 {
            count.to_string()
        } else {
            String::new()
        }
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Open, Action::Remove, Action::Copy]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        if self.grid.on_action(action, &self.rows) {
            return Some(self.select());
        }
        match action {
            Action::Left => self.fold(Some(false), cx),
            Action::Right => self.fold(Some(true), cx),
            Action::Open if self.grid.selected() == Some(&Node::All) => {
                return Some(vec![Intent::Focus(PaneKind::Instances)]);
            }
            Action::Open => self.fold(None, cx),
            Action::Remove => {
                let session = self.current(cx)?;
                return Some(vec![close(session, cx.fleet)]);
            }
            Action::Copy => {
                let session = self.current(cx)?;
                let what = format!("session id {}", clean(session.id.short()));
                return Some(vec![Intent::copy(session.id.as_str(), what)]);
            }
            _ => return None,
        }
        Some(Vec::new())
    }

    fn on_click(&mut self, at: Position, double: bool, cx: &Cx) -> Vec<Intent> {
        if !self.grid.click(&self.rows, at.y.into()) {
            return Vec::new();
        }
        let on_fold = at.x < 2 && matches!(self.grid.selected(), Some(Node::Session(_)));
        if double || on_fold {
            self.fold(None, cx);
        }
        self.select()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        self.grid.step(&self.rows, rows);
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.follow(cx);
        self.refresh(cx);
        self.grid.sync(&self.rows, area.height.into());
        let narrowed = self.grid.selected().and_then(Node::session).cloned();
        self.seen.clone_from(&narrowed);
        if narrowed == cx.selection.session {
            Vec::new()
        } else {
            self.select()
        }
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.rows.is_empty() {
            let key = cx.keymap.key_for(Context::Global, Action::NewSession);
            let text = format!(
                "no sessions yet — {} opens one",
                key.unwrap_or_else(|| ":new-session".to_owned())
            );
            hint::draw(&text, area, buf, cx.theme);
        }
        let rows = self.rows.iter().enumerate().skip(self.grid.top());
        for ((index, node), row) in rows.zip(area.rows()) {
            self.draw_row(node, row, buf, cx);
            if index == self.grid.index() {
                mark(row, buf, cx.theme, focused);
            }
        }
    }
}
