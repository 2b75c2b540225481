//! Box runtimes that somebody else runs: the real ones of the package index, and a peer that says what they were recorded to say.
#![allow(clippy::unwrap_used)] // tests may

mod actions;
#[allow(dead_code)] // tests/drivers uses the rest of it
#[path = "../drivers/bench.rs"]
mod bench;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod driver;
#[path = "../sandbox/index.rs"]
mod index;
mod kills;
mod peer;
mod proxy;
mod relay;
mod runtime;
#[allow(dead_code)] // made for the commands, which use all of it
#[path = "../commands/shell.rs"]
mod shell;
#[allow(dead_code)]
#[path = "../drivers/wire.rs"]
mod wire;
mod wires;
