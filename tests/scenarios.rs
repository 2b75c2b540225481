//! The core without any screen: real tasks, a real MCP client, scripted instances; driven through the handle only.
#![allow(clippy::unwrap_used)] // tests may

#[path = "common/deck.rs"]
mod deck;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/server.rs"]
mod server;

#[path = "scenarios/calls.rs"]
mod calls;
#[path = "scenarios/deaths.rs"]
mod deaths;
#[path = "scenarios/endings.rs"]
mod endings;
#[path = "scenarios/errands.rs"]
mod errands;
#[path = "scenarios/real.rs"]
mod real;
#[path = "scenarios/starts.rs"]
mod starts;
