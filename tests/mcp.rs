//! The MCP client against a real rmcp server and against scripted peers that misbehave.
#![allow(clippy::unwrap_used)] // tests may

#[path = "mcp/peer.rs"]
mod peer;

#[path = "mcp/calls.rs"]
mod calls;
#[path = "mcp/garbage.rs"]
mod garbage;
#[path = "mcp/handshake.rs"]
mod handshake;
#[path = "mcp/questions.rs"]
mod questions;
#[path = "mcp/real.rs"]
mod real;
#[path = "mcp/tools.rs"]
mod tools;
