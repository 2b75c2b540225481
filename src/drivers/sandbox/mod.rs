//! `box`: MCP servers as managed processes in sandboxes.

pub mod remote;
