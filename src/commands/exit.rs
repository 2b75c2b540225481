//! Exit codes, as `--help` lists them, and what leads to them.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::model::{Cause, Failure, Stage};

/// Everything went well.
pub const OK: u8 = 0;
/// The tool, or its server, answered with an error.
pub const TOOL: u8 = 1;
/// Wrong usage or configuration.
pub const USAGE: u8 = 2;
/// The environment failed: an engine, a process, a file system, or something was left behind.
pub const ENVIRONMENT: u8 = 3;
/// A deadline passed.
pub const TIMEOUT: u8 = 4;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Code(u8),
    /// By the signal that asked for it, so that a shell's loop over us ends, too; `$?` is 128 and its number.
    Signal(Signal),
}

/// Why something was not done.
#[derive(Debug)]
pub enum Trouble {
    /// It was asked for wrongly, in words.
    Usage(String),
    Failure(Failure),
    /// The result could not be written.
    Stdout(io::Error),
    /// `--timeout` is over.
    Late(Duration),
    /// A signal asked us to end.
    Signal(Signal),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Failure(failure) => failure.fmt(f),
            Self::Stdout(error) => write!(f, "stdout: {error}"),
            Self::Late(timeout) => write!(f, "not done within the --timeout of {timeout:?}"),
            Self::Signal(signal) => write!(f, "interrupted by {signal}"),
        }
    }
}

impl Trouble {
    /// Whether the last words of the server may explain it.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Failure(failure) => !matches!(failure.cause, Cause::Rpc { .. }),
            Self::Late(_) => true,
            Self::Usage(_) | Self::Stdout(_) | Self::Signal(_) => false,
        }
    }

    pub fn ending(&self) -> Ending {
        match self {
            Self::Usage(_) => Ending::Code(USAGE),
            Self::Failure(failure) => Ending::Code(code(failure)),
            Self::Stdout(_) => Ending::Code(ENVIRONMENT),
            Self::Late(_) => Ending::Code(TIMEOUT),
            Self::Signal(signal) => Ending::Signal(*signal),
        }
    }
}

/// The code that tells of this failure.
pub fn code(failure: &Failure) -> u8 {
    match (&failure.cause, failure.stage) {
        (Cause::Deadline { .. }, _) => TIMEOUT,
        (Cause::Rpc { .. }, Stage::Call) => TOOL,
        (Cause::Config(_), _) | (_, Stage::Config) => USAGE,
        _ => ENVIRONMENT,
    }
}
