//! What the palette offers, and what choosing it does.

use std::collections::BTreeSet;
use std::sync::Arc;

use strum::IntoEnumIterator;

use crate::console::action::Action;
use crate::console::effect::{Effect, Intent};
use crate::console::keymap::Context;
use crate::console::panes::{Cx, PaneKind};
use crate::console::theme::BUILT_IN;
use crate::console::widgets::fuzzy::{Match, fuzzy};
use crate::model::{Ask, BackendName, Caller, Command, Instance, InstanceId, Phase, SessionId};
use crate::stores::lines::clean;

/// What an entry is about.
enum Target {
    Action(Action),
    Theme(&'static str),
    Session(Option<SessionId>),
    Instance(InstanceId),
    Tool(InstanceId, Arc<str>),
    /// A new session with one instance of it.
    Backend(BackendName),
}

/// One line of the palette.
pub struct Entry {
    target: Target,
    /// What is searched; clean.
    pub text: String,
    pub note: String,
}

impl Entry {
    fn new(target: Target, text: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            target,
            text: clean(&text.into()).into_owned(),
            note: clean(&note.into()).into_owned(),
        }
    }

    /// By its text; what has the query in its note comes after all of those.
    pub fn matches(&self, query: &str) -> Option<Match> {
        fuzzy(query, &self.text).or_else(|| {
            let said = self.note.to_lowercase().contains(&query.to_lowercase());
            said.then_some(Match {
                score: i32::MIN,
                at: Vec::new(),
            })
        })
    }

    pub fn kind(&self) -> &'static str {
        match self.target {
            Target::Action(_) => "action",
            Target::Theme(_) => "theme",
            Target::Session(_) => "session",
            Target::Instance(_) => "instance",
            Target::Tool(..) => "tool",
            Target::Backend(_) => "open",
        }
    }

    /// What Tab puts into the prompt.
    pub fn completion(&self) -> String {
        match &self.target {
            Target::Theme(name) => format!("theme {name}"),
            Target::Backend(name) => format!("open {name} "),
            _ => self.text.clone(),
        }
    }

    /// The key that does the same.
    pub fn key(&self, cx: &Cx) -> Option<String> {
        match self.target {
            Target::Action(action) => cx.keymap.key_for(Context::Global, action),
            _ => None,
        }
    }

    pub fn intents(&self) -> Vec<Intent> {
        match &self.target {
            Target::Action(action) => vec![Intent::Do(*action)],
            Target::Theme(name) => vec![Intent::Run(Effect::LoadTheme((*name).to_owned()))],
            Target::Session(session) => vec![
                Intent::SelectSession(session.clone()),
                Intent::Focus(PaneKind::Instances),
            ],
            Target::Instance(instance) => vec![
                Intent::SelectSession(None),
                Intent::SelectInstance(instance.clone()),
                Intent::Focus(PaneKind::Instances),
            ],
            Target::Tool(instance, tool) => vec![
                Intent::SelectSession(None),
                Intent::SelectInstance(instance.clone()),
                Intent::SelectTool(tool.clone()),
                Intent::Focus(PaneKind::Call),
            ],
            Target::Backend(backend) => vec![open(backend.clone(), 1)],
        }
    }
}

/// A new session of the operator's.
pub fn open(backend: BackendName, count: usize) -> Intent {
    Intent::send(Command::OpenSession {
        caller: Caller::Operator,
        asks: vec![Ask::new(backend, count)],
    })
}

/// Actions, themes and backends to open.
pub fn commands(cx: &Cx) -> Vec<Entry> {
    let mut entries = actions();
    entries.extend(
        BUILT_IN
            .iter()
            .map(|(name, _)| Entry::new(Target::Theme(name), format!("theme {name}"), "")),
    );
    entries.extend(backends(cx));
    entries
}

/// What can be done, then what can be called, then where one can go.
pub fn everything(cx: &Cx) -> Vec<Entry> {
    let mut entries = actions();
    if let Some(instance) = cx.instance() {
        entries.extend(tools(instance));
    }
    entries.extend(other_tools(cx));
    entries.extend(cx.fleet.sessions_by_age().into_iter().map(|session| {
        let note = format!(
            "of {}, {} instances",
            session.caller,
            session.instances.len()
        );
        Entry::new(
            Target::Session(Some(session.id.clone())),
            session.id.as_str(),
            note,
        )
    }));
    entries.push(Entry::new(Target::Session(None), "all sessions", ""));
    entries.extend(cx.fleet.instances().map(|instance| {
        let text = format!("{} {}", instance.backend.name, instance.id.short());
        let note = format!("{} · session {}", instance.phase, instance.session.short());
        Entry::new(Target::Instance(instance.id.clone()), text, note)
    }));
    entries.extend(backends(cx));
    entries
}

/// Plain movements are no use by name.
fn actions() -> Vec<Entry> {
    let useful = Action::iter().filter(|action| {
        !matches!(
            action,
            Action::Up
                | Action::Down
                | Action::Left
                | Action::Right
                | Action::PageUp
                | Action::PageDown
                | Action::First
                | Action::Last
                | Action::Back
                | Action::Palette
                | Action::CommandLine
        )
    });
    useful
        .map(|action| Entry::new(Target::Action(action), action.name(), action.help()))
        .collect()
}

fn backends(cx: &Cx) -> impl Iterator<Item = Entry> {
    cx.fleet.backends.iter().map(|backend| {
        Entry::new(
            Target::Backend(backend.name.clone()),
            format!("open {}", backend.name),
            format!("new session with one · {}", backend.summary),
        )
    })
}

fn tools(instance: &Instance) -> impl Iterator<Item = Entry> {
    let tools = instance.tools.iter().flat_map(|tools| tools.iter());
    tools.map(|tool| {
        Entry::new(
            Target::Tool(instance.id.clone(), tool.name.clone()),
            &*tool.name,
            format!("of {} {}", instance.backend.name, instance.id.short()),
        )
    })
}

/// Tools of one ready instance for each other backend: thousands of instances have the same tools.
fn other_tools<'a>(cx: &Cx<'a>) -> impl Iterator<Item = Entry> + use<'a> {
    let here = cx.instance().map(|instance| instance.backend.name.clone());
    let mut seen: BTreeSet<BackendName> = here.into_iter().collect();
    let ready = cx.fleet.instances().filter(|i| i.phase == Phase::Ready);
    ready
        .filter(move |instance| seen.insert(instance.backend.name.clone()))
        .flat_map(|instance| tools(instance))
}
