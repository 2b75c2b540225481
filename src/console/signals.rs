//! Signals that mean something to the console, and stopping until `SIGCONT`.

use std::io;

use nix::sys::signal::Signal as Kind;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::signals::Ends;

/// What a signal asks for.
pub enum Stop {
    End,
    /// Ctrl-C of a terminal that is not in raw mode, or somebody's SIGINT.
    Interrupt,
    Suspend,
}

pub struct Signals<'a> {
    /// Heard since before the console opened: a request that came meanwhile counts.
    ends: &'a mut Ends,
    suspend: Signal,
}

impl<'a> Signals<'a> {
    pub fn new(ends: &'a mut Ends) -> io::Result<Self> {
        let suspend = signal(SignalKind::from_raw(Kind::SIGTSTP as i32))?;
        Ok(Self { ends, suspend })
    }

    /// Cancel-safe.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            signal = self.ends.next() => match signal {
                Kind::SIGINT => Stop::Interrupt,
                _ => Stop::End,
            },
            _ = self.suspend.recv() => Stop::Suspend,
        }
    }

    /// The next Ctrl-C. Cancel-safe.
    pub async fn interrupted(&mut self) {
        self.ends.interrupted().await;
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
