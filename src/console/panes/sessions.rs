//! Pane 1: sessions by age, with what they are made of.

mod draw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind, sessions_in_order};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::modals::confirm::Confirm;
use crate::console::modals::failures::Failures;
use crate::console::widgets::grid::{Grid, mark};
use crate::console::widgets::hint;
use crate::console::widgets::phase::Tally;
use crate::console::widgets::text::plural;
use crate::model::{
    BackendName, Caller, Command, Fleet, Level, Notice, SHARED_SESSION, Session, SessionId, fact,
};
use crate::stores::lines::clean;

/// A row of the tree.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    All,
    Session(SessionId),
    /// What several of its instances share.
    Sandbox(SessionId, SandboxName),
    Backend(SessionId, Option<SandboxName>, BackendName),
}

/// As [`fact::SANDBOX`].
type SandboxName = Arc<str>;

impl Node {
    fn session(&self) -> Option<&SessionId> {
        match self {
            Node::All => None,
            Node::Session(session) | Node::Sandbox(session, _) | Node::Backend(session, _, _) => {
                Some(session)
            }
        }
    }
}

#[derive(Default)]
pub struct Sessions {
    grid: Grid<Node>,
    rows: Vec<Node>,
    /// The instances of each row.
    tallies: Vec<Tally>,
    /// Sessions folded or unfolded against their default.
    flipped: BTreeSet<SessionId>,
    /// The narrowing at the last sync: tells a choice made here from one made elsewhere.
    seen: Option<SessionId>,
    revision: Option<u64>,
    /// The newest session the operator opened so far.
    newest_own: Option<(Timestamp, SessionId)>,
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
        self.tallies.clear();
        let mut all = Tally::default();
        for session in shown(cx.fleet) {
            let id = &session.id;
            let groups = groups(session);
            let sum = sum(groups.values().flat_map(BTreeMap::values));
            all = all.plus(&sum);
            self.push(Node::Session(id.clone()), sum);
            if !self.is_unfolded(session) {
                continue;
            }
            for (sandbox, backends) in groups {
                if let Some(sandbox) = &sandbox {
                    let node = Node::Sandbox(id.clone(), sandbox.clone());
                    self.push(node, self::sum(backends.values()));
                }
                for (name, tally) in backends {
                    self.push(Node::Backend(id.clone(), sandbox.clone(), name), tally);
                }
            }
        }
        if !self.rows.is_empty() {
            self.rows.insert(0, Node::All);
            self.tallies.insert(0, all);
        }
    }

    fn push(&mut self, node: Node, tally: Tally) {
        self.rows.push(node);
        self.tallies.push(tally);
    }

    /// Takes over a narrowing made elsewhere, and goes to a session the operator has just opened.
    fn follow(&mut self, cx: &Cx) {
        let own = |session: &&Arc<Session>| session.caller == Caller::Operator;
        let own = cx.fleet.sessions.values().filter(own);
        let newest = own
            .map(|session| (session.opened, session.id.clone()))
            .max();
        let opened = newest > self.newest_own && cx.selection.session.is_some();
        if newest > self.newest_own {
            self.newest_own.clone_from(&newest);
        }
        let current = self.grid.selected().and_then(Node::session);
        if opened {
            self.grid.select(newest.map(|(_, id)| Node::Session(id)));
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

/// The instances of each backend of a session.
fn backends(session: &Session) -> BTreeMap<BackendName, Tally> {
    let mut backends: BTreeMap<_, Tally> = BTreeMap::new();
    for instance in session.instances.values() {
        let tally = backends.entry(instance.backend.name.clone());
        tally.or_default().add(instance.phase);
    }
    backends
}

/// The same by the sandbox that they share with others, those in none first.
fn groups(session: &Session) -> BTreeMap<Option<SandboxName>, BTreeMap<BackendName, Tally>> {
    let mut groups: BTreeMap<_, BTreeMap<_, Tally>> = BTreeMap::new();
    for instance in session.instances.values() {
        let sandbox = instance.fact(fact::SANDBOX).map(Arc::from);
        let group = groups.entry(sandbox).or_default();
        let tally = group.entry(instance.backend.name.clone());
        tally.or_default().add(instance.phase);
    }
    groups
}

fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Tally {
    tallies.fold(Tally::default(), Tally::plus)
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
        .map(|(name, tally)| format!("{} ×{}", clean(&name), tally.total()))
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
        &[
            Action::Open,
            Action::RetryFailed,
            Action::Inspect,
            Action::Remove,
            Action::Copy,
        ]
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
            // What has failed in the session, and why.
            Action::Inspect => {
                let session = self.grid.selected().and_then(Node::session);
                return Some(vec![Failures::open(session, cx.fleet)]);
            }
            Action::RunAgain => return Some(vec![Intent::Do(Action::RetryFailed)]),
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
            self.draw_row(node, &self.tallies[index], row, buf, cx);
            if index == self.grid.index() {
                mark(row, buf, cx.theme, focused);
            }
        }
    }
}
