//! The MCP client over HTTP: against real servers, and against servers that misbehave.
#![allow(clippy::unwrap_used)] // tests may

mod common;
#[allow(dead_code)] // made for the tests over pipes, which use all of it
#[path = "mcp/peer.rs"]
mod peer;

#[path = "http/everything.rs"]
mod everything;
#[path = "http/real.rs"]
mod real;
#[path = "http/remote.rs"]
mod remote;
