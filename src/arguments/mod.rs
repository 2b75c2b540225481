//! The arguments of a tool: what a JSON Schema says they may be, and what somebody wrote of them.

pub mod json_text;
pub mod rules;
pub mod schema;
pub mod typed;
