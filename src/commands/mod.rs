//! The front ends, one file a subcommand; they may print.

#![allow(clippy::print_stdout, clippy::print_stderr)] // they are what a shell user reads

pub mod call;
pub mod check;
pub mod completions;
pub mod console;
mod errand;
pub mod exit;
pub mod gc;
mod host;
mod onlooker;
mod output;
mod progress;
pub mod ps;
mod register;
mod survey;
mod table;
pub mod tools;
