//! The front ends, one file a subcommand; they may print.

#![allow(clippy::print_stdout, clippy::print_stderr)] // they are what a shell user reads

pub mod check;
pub mod console;
pub mod exit;
mod host;
mod progress;
