//! What the integration tests share: a real terminal, a tape player, process checks and real MCP servers.
#![allow(dead_code)] // each test file is a crate of its own and uses its part of this

pub mod emulator;
mod keeper;
pub mod keys;
pub mod operator;
pub mod player;
pub mod processes;
pub mod pty;
pub mod servers;
pub mod tape;

use std::time::{Duration, Instant};

/// How long a test waits for something that takes milliseconds on an idle machine.
///
/// Generous on purpose: it only bounds a failing test, and machines that run checks are slow and busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Polls what nothing announces (`/proc`, files) until `check` holds or the deadline passes.
pub fn eventually(deadline: Duration, mut check: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if check() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
