//! Signals that mean something to the console, and stopping until `SIGCONT`.

use std::io;

use nix::sys::signal::Signal as Kind;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
pub enum Stop {
    End,
    /// Ctrl-C of a terminal that is not in raw mode, or somebody's SIGINT.
    Interrupt,
    Suspend,
}

pub struct Signals {
    terminate: Signal,
    hangup: Signal,
    pub interrupt: Signal,
    suspend: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            suspend: signal(SignalKind::from_raw(Kind::SIGTSTP as i32))?,
        })
    }

    /// Cancel-safe.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::End,
            _ = self.hangup.recv() => Stop::End,
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.suspend.recv() => Stop::Suspend,
        }
    }
}

/// Stops this process until `SIGCONT`.
pub fn stop() -> io::Result<()> {
    Ok(nix::sys::signal::raise(Kind::SIGSTOP)?)
}

/// Whether a stop would be for ever: a session leader (`docker run`, `ssh -t`, the command of a tmux pane)
/// has no shell above it with an `fg`.
pub fn nobody_resumes_us() -> bool {
    nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid())
}
