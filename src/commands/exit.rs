//! Exit codes, as `--help` lists them.

/// Everything went well.
pub const OK: u8 = 0;
/// Wrong usage or configuration.
pub const USAGE: u8 = 2;
/// The environment failed: an engine, a process, a file system, or something was left behind.
pub const ENVIRONMENT: u8 = 3;
