//! The real program in a real terminal: what a person sees, and what is left when it ends.
#![allow(clippy::unwrap_used)] // tests may

mod common;

#[path = "console/desk.rs"]
mod desk;

#[path = "console/calls.rs"]
mod calls;
#[path = "console/deaths.rs"]
mod deaths;
#[path = "console/editor.rs"]
mod editor;
#[path = "console/ends.rs"]
mod ends;
#[path = "console/gateway.rs"]
mod gateway;
#[path = "console/hostile.rs"]
mod hostile;
#[path = "console/looks.rs"]
mod looks;
#[path = "console/panics.rs"]
mod panics;
#[path = "console/pointer.rs"]
mod pointer;
#[path = "console/refusals.rs"]
mod refusals;
#[path = "console/shells.rs"]
mod shells;
#[path = "console/sizes.rs"]
mod sizes;
#[path = "console/suspend.rs"]
mod suspend;
