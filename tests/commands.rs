//! The real program without a screen: what a script reads of stdout, stderr and the exit code.
#![allow(clippy::unwrap_used)] // tests may

mod common;

#[path = "commands/shell.rs"]
mod shell;

#[path = "commands/call.rs"]
mod call;
#[path = "commands/completions.rs"]
mod completions;
#[path = "commands/ends.rs"]
mod ends;
#[path = "commands/ps.rs"]
mod ps;
#[path = "commands/serve.rs"]
mod serve;
#[path = "commands/terminal.rs"]
mod terminal;
#[path = "commands/tools.rs"]
mod tools;
