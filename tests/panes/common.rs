//! What the tests of panes share.

use envdeck::console::effect::Effect;
use envdeck::console::testing::Harness;
use envdeck::console::testing::fleet::{OWN, backend, fleet, instance, session};
use envdeck::model::{Caller, Command, Event, Fleet, Happening, InstanceId, Phase};
use envdeck::stores::results::ResultStore;

/// An empty console.
pub fn empty(width: u16, height: u16) -> Harness {
    let directory = std::env::temp_dir().join("envdeck-panes-test");
    Harness::new(width, height, ResultStore::new(directory))
}

/// A console over [`fleet`].
pub fn full(width: u16, height: u16) -> Harness {
    empty(width, height).given(fleet())
}

/// The screen without the first and last row: header and hints.
pub fn body(harness: &Harness) -> String {
    let screen = harness.screen();
    let lines: Vec<_> = screen.lines().collect();
    lines[1..lines.len() - 1].join("\n")
}

/// What is written in a zoomed pane, without its frame and empty rows.
pub fn text(harness: &Harness) -> String {
    let body = body(harness);
    let lines: Vec<_> = body
        .lines()
        .map(|line| line.trim_matches(['│', ' ']))
        .filter(|line| !line.is_empty() && !line.starts_with(['┌', '└']))
        .collect();
    lines.join("\n")
}

/// The first columns of the first rows.
pub fn columns(harness: &Harness, columns: usize, rows: usize) -> String {
    let screen = harness.screen();
    let rows = screen.lines().take(rows);
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    rows.map(cut).collect::<Vec<_>>().join("\n")
}

/// What was sent to the orchestrator, but for what only looks.
pub fn commands(harness: &Harness) -> Vec<Command> {
    let sent = harness.effects.iter().filter_map(|effect| match effect {
        Effect::Send(Command::Watch(_)) => None,
        Effect::Send(command) => Some(command.clone()),
        _ => None,
    });
    sent.collect()
}

/// What was copied last.
pub fn copied(harness: &Harness) -> Option<&str> {
    harness
        .effects
        .iter()
        .rev()
        .find_map(|effect| match effect {
            Effect::Copy { text, .. } => Some(&**text),
            _ => None,
        })
}

/// The instance selected for all panes.
pub fn selected(harness: &Harness) -> InstanceId {
    harness.model.selection().instance.clone().unwrap()
}

pub fn opened() -> Happening {
    Happening::SessionOpened {
        session: session(OWN),
        caller: Caller::Operator,
    }
}

pub fn added(id: &str) -> Happening {
    Happening::InstanceAdded {
        session: session(OWN),
        instance: instance(id),
        backend: backend("files"),
    }
}

pub fn phase(id: &str, phase: Phase) -> Happening {
    Happening::PhaseChanged {
        instance: instance(id),
        phase,
    }
}

/// One session with so many pending instances.
pub fn fleet_of(instances: usize) -> Fleet {
    let mut fleet = Fleet::new([backend("files")].into());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let happenings = (0..instances).map(|number| added(&format!("{number:08}")));
    for what in std::iter::once(opened()).chain(happenings) {
        fleet.apply(&Event { at, what });
    }
    fleet
}
