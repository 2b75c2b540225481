//! What a server in any sandbox is started by, and what it says of a missing command.

use crate::model::{Cause, Exit, Failure, SandboxPhase};
use crate::stores::logs::LogWriter;

/// Becomes the command line behind it.
pub const SERVE: &str = include_str!("scripts/serve.sh");
/// What it says, with the command behind it.
const NOT_FOUND: &str = "envdeck: command not found: ";

/// Why it did not become the server, if it did not find its command.
pub fn not_found(exit: &Exit, log: &LogWriter) -> Option<Failure> {
    if exit.code != Some(127) {
        return None;
    }
    let said = log.last_output(1);
    let command = said.last()?.strip_prefix(NOT_FOUND)?;
    let cause = Cause::CommandNotFound(command.to_owned());
    let failure = SandboxPhase::ProcessStart.failed(cause);
    Some(failure.hint("it must be in the image, or be installed by the project"))
}

/// An end that nobody saw.
pub fn unknown() -> Exit {
    Exit {
        code: None,
        signal: None,
        out_of_memory: false,
    }
}
