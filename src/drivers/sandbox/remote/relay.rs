//! The stdin and stdout of a process, over web sockets that may come and go while it lives.
//!
//! A relay tells nothing when it ends: whatever happened, its socket is closed with 1000 and no word. So the runtime
//! is asked what became of the process, and if it runs, the next socket goes on where the last one ended. What the
//! process wrote meanwhile comes first then, so that old answers can come late; they meet nobody, because ids are
//! never used again, and those who waited for them have been told ([`crate::drivers::Interruption`]).

use std::time::Duration;

use tokio::io::{AsyncRead, DuplexStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_util::task::AbortOnDropHandle;

use super::actions::{Process, ProcessStatus};
use super::connection::Connection;
use super::pump::{Pump, Remarks};
use super::socket::{self, Socket};
use super::trouble::Trouble;
use crate::model::Cause;
use crate::stores::logs::LogWriter;

/// A runtime knows that a process has ended before it knows how.
const STATUS: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_millis(20);

/// Which process, of which runtime.
#[derive(Clone)]
pub struct Target {
    pub connection: Connection,
    pub session: String,
    pub process: String,
}

/// A process that is attached, for as long as this is not dropped.
pub struct Relay {
    /// What it writes to stdout. Reading may fail with an [`crate::drivers::Interruption`] and go on.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// Its stdin: one message a line. Its end is the end of the process's.
    pub write: DuplexStream,
    pub state: watch::Receiver<State>,
    pub task: AbortOnDropHandle<()>,
}

/// How it is with a relay.
#[derive(Clone, Debug)]
pub enum State {
    Attached,
    /// The process cannot be heard now, and why.
    Torn(Cause),
    Ended(End),
}

/// What became of a process.
#[derive(Clone, Debug)]
pub enum End {
    Exited(Process),
    /// The runtime knows it no more: it was stopped, or its session ended, or its end is long ago.
    Gone(String),
    /// It was given up.
    Lost(Trouble),
}

/// Why a process cannot be attached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAttached {
    #[error("the process has ended")]
    Ended(Process),
    #[error("another client is attached to the process, and a runtime serves one at a time")]
    Held,
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Target {
    /// What the runtime knows of it.
    pub(super) async fn look(&self) -> Result<Process, Trouble> {
        let deadline = Instant::now() + STATUS;
        loop {
            let process = self
                .connection
                .process(&self.session, &self.process)
                .await?;
            let is_vague = process.status == ProcessStatus::Exited && process.exit_code.is_none();
            if !is_vague || Instant::now() > deadline {
                return Ok(process);
            }
            sleep(SOON).await;
        }
    }

    /// The runtime ends it, more or less, and knows it no more.
    pub(super) async fn forget(&self) -> Result<(), Trouble> {
        let Self {
            connection,
            session,
            process,
        } = self;
        match connection.stop_process(session, process).await {
            Err(trouble) if !trouble.is_not_found() => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Attaches, if nobody else is: a runtime would let a second one wait without a word. The log gets our remarks.
    pub async fn attach(self, log: Option<LogWriter>) -> Result<Relay, NotAttached> {
        let dialect = self.connection.dialect().await?;
        let process = self.look().await?;
        if process.status == ProcessStatus::Exited {
            return Err(NotAttached::Ended(process));
        }
        if process.attached {
            return Err(NotAttached::Held);
        }
        let socket = match self.open().await {
            Ok(socket) => socket,
            // It may have ended between the two.
            Err(cause) => match self.look().await? {
                ended if ended.status == ProcessStatus::Exited => {
                    return Err(NotAttached::Ended(ended));
                }
                _ => return Err(Trouble::Away(cause).into()),
            },
        };
        Ok(Pump::start(self, dialect, Remarks(log), socket))
    }

    pub(super) async fn open(&self) -> Result<Socket, Cause> {
        let place = self.connection.place();
        let url = place.relay(&self.session, &self.process);
        let mut headers = place.relay_headers().map_err(Cause::Config)?;
        let protocol = HeaderValue::from_static("mcp");
        headers.insert("sec-websocket-protocol", protocol);
        socket::open(place, &url, headers).await
    }
}

impl State {
    /// Why the process cannot be heard now.
    pub fn excuse(&self) -> Option<&'static str> {
        matches!(self, State::Torn(_)).then_some("the Box runtime is out of reach, or its relay")
    }
}
