//! envdeck: a terminal console over an embedded orchestrator of MCP environments.

pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod drivers;
pub mod mcp;
pub mod model;
pub mod orchestrator;
pub mod paths;
pub mod stores;
pub mod telemetry;
