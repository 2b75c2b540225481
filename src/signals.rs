//! How the program is told to end: SIGINT, SIGTERM and SIGHUP.

use std::future::pending;
use std::io;
use std::process::ExitCode;

use futures::FutureExt;
use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Requests to end, from the moment it was made on. Each listener hears all of them.
pub struct Ends {
    interrupt: Option<unix::Signal>,
    terminate: Option<unix::Signal>,
    hangup: Option<unix::Signal>,
}

impl Ends {
    /// Listens, inside of a tokio runtime. What whoever started us had ignored stays ignored: `nohup`, and a
    /// shell that runs us in the background of a script, count on that.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let hear = |signal: Signal| {
            let number = signal as i32;
            if ignored & (1 << (number - 1)) != 0 {
                return Ok(None);
            }
            unix::signal(SignalKind::from_raw(number)).map(Some)
        };
        Ok(Self {
            interrupt: hear(Signal::SIGINT)?,
            terminate: hear(Signal::SIGTERM)?,
            hangup: hear(Signal::SIGHUP)?,
        })
    }

    /// The next request. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            () = came(&mut self.interrupt) => Signal::SIGINT,
            () = came(&mut self.terminate) => Signal::SIGTERM,
            () = came(&mut self.hangup) => Signal::SIGHUP,
        }
    }

    /// The next Ctrl-C. Cancel-safe.
    pub async fn interrupted(&mut self) {
        came(&mut self.interrupt).await;
    }

    /// A request that has come already.
    pub fn heard(&mut self) -> Option<Signal> {
        self.next().now_or_never()
    }
}

/// Ends the process by `signal`, as if it had never been heard: a shell tells by that, not by an exit code, that its
/// loop over us is to end. Gives the code for it where that is not possible.
pub fn end_by(signal: Signal) -> ExitCode {
    let number = signal as i32;
    // Returns only on failure.
    let _ = signal_hook::low_level::emulate_default_handler(number);
    ExitCode::from(128 + u8::try_from(number).unwrap_or_default())
}

async fn came(signal: &mut Option<unix::Signal>) {
    let has_come = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !has_come {
        pending::<()>().await;
    }
}

/// The signals that are ignored now, a bit each from SIGHUP = 1 on; none where the system does not tell
/// (all but Linux, see `proc_pid_status(5)`).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}
