//! Panes and dialogs from outside: a fleet and keys in, screens and effects out.
#![allow(clippy::unwrap_used, reason = "tests may")]

#[path = "panes/common.rs"]
mod common;
#[path = "panes/look.rs"]
mod look;
