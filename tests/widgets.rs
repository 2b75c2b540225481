//! Tools, Call, Result, Logs and Events through keys and screens.
#![allow(clippy::unwrap_used, reason = "tests may")]

#[path = "widgets/fixture.rs"]
mod fixture;
#[path = "widgets/form.rs"]
mod form;
#[path = "widgets/logs.rs"]
mod logs;
