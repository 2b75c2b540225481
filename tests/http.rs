//! The MCP client over HTTP: against real servers, and against servers that misbehave.
#![allow(clippy::unwrap_used)] // tests may

mod common;
#[allow(dead_code)] // made for the scenarios, which use all of it
#[path = "common/deck.rs"]
mod deck;
#[allow(dead_code)]
#[path = "common/fake.rs"]
mod fake;
#[allow(dead_code)] // made for the tests over pipes, which use all of it
#[path = "mcp/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "common/server.rs"]
mod server;

#[path = "http/command_line.rs"]
mod command_line;
#[path = "http/conformance.rs"]
mod conformance;
#[path = "http/console.rs"]
mod console;
#[path = "http/everything.rs"]
mod everything;
#[path = "http/external.rs"]
mod external;
#[path = "http/failures.rs"]
mod failures;
#[path = "http/legacy.rs"]
mod legacy;
#[path = "http/logins.rs"]
mod logins;
#[path = "http/provider.rs"]
mod provider;
#[path = "http/real.rs"]
mod real;
#[path = "http/remote.rs"]
mod remote;
#[path = "http/scripted.rs"]
mod scripted;
#[path = "http/sessions.rs"]
mod sessions;
#[path = "http/stateless.rs"]
mod stateless;
#[path = "http/streams.rs"]
mod streams;
