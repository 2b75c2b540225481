//! The non-interactive front ends, one file a subcommand; they may print.

pub mod check;
