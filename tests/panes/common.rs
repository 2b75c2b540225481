//! What the tests of panes share.

use envdeck::console::effect::Effect;
use envdeck::console::testing::{Harness, fleet};
use envdeck::model::Command;
use envdeck::stores::results::ResultStore;

/// An empty console.
pub fn empty(width: u16, height: u16) -> Harness {
    let directory = std::env::temp_dir().join("envdeck-panes-test");
    Harness::new(width, height, ResultStore::new(directory))
}

/// A console over [`fleet::fleet`].
pub fn full(width: u16, height: u16) -> Harness {
    empty(width, height).given(fleet::fleet())
}

/// The screen without the first and last row: header and hints.
pub fn body(harness: &Harness) -> String {
    let screen = harness.screen();
    let lines: Vec<_> = screen.lines().collect();
    lines[1..lines.len() - 1].join("\n")
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
