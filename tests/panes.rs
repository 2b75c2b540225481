//! Panes and dialogs from outside: a fleet and keys in, screens and effects out.
#![allow(clippy::unwrap_used, reason = "tests may")]

#[path = "panes/calls.rs"]
mod calls;
#[path = "panes/common.rs"]
mod common;
#[path = "panes/health.rs"]
mod health;
#[path = "panes/inspect.rs"]
mod inspect;
#[path = "panes/instances.rs"]
mod instances;
#[path = "panes/modals.rs"]
mod modals;
#[path = "panes/palette.rs"]
mod palette;
#[path = "panes/sessions.rs"]
mod sessions;
