//! What hurts a client, through the core and on the screen: `tests/servers/nasty.py` and whoever never starts.
#![allow(clippy::unwrap_used)] // tests may

mod common;
#[allow(dead_code)] // made for the scenarios, which use all of it
#[path = "common/deck.rs"]
mod deck;
#[allow(dead_code)]
#[path = "common/fake.rs"]
mod fake;
#[allow(dead_code)]
#[path = "common/server.rs"]
mod server;

#[path = "nasty/answers.rs"]
mod answers;
#[path = "nasty/floods.rs"]
mod floods;
#[path = "nasty/host.rs"]
mod host;
#[path = "nasty/screen.rs"]
mod screen;
#[path = "nasty/starts.rs"]
mod starts;
