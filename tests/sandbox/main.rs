//! What `box` promises: paths and files without an engine, servers in sandboxes on a real one.
#![allow(clippy::unwrap_used)] // tests may

#[allow(dead_code)] // tests/drivers uses the rest of it
#[path = "../drivers/bench.rs"]
mod bench;
mod crowd;
#[path = "../docker_watch/daemon.rs"]
mod daemon;
#[allow(dead_code)] // tests/scenarios uses the rest of it
#[path = "../common/deck.rs"]
mod deck;
mod ends;
#[allow(dead_code)]
#[path = "../common/fake.rs"]
mod fake;
mod index;
mod installs;
mod lab;
mod outages;
mod security;
#[allow(dead_code)]
#[path = "../common/server.rs"]
mod server;
mod staging;
mod starts;
mod vectors;
