//! How a container is spoken with, and where its output comes from.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::attach::Pipes;
use super::logs::Logs;
use super::watch::Watched;
use crate::drivers::{Contact, Endpoint, Facts, HttpEndpoint};

/// For the rest of the output after the end.
const DRAIN: Duration = Duration::from_millis(500);

/// Each of its two transports.
pub enum Channel {
    /// Its attached streams.
    Stdio {
        pipes: Option<Pipes>,
        /// Ends when all is delivered that it wrote.
        pump: Option<AbortOnDropHandle<()>>,
        drain_until: Option<Instant>,
    },
    /// Its port, and its log as the engine keeps it.
    Http {
        endpoint: Option<HttpEndpoint>,
        contact: Contact,
        logs: Logs,
    },
}

impl Channel {
    pub fn stdio(pipes: Pipes, pump: AbortOnDropHandle<()>) -> Self {
        Self::Stdio {
            pipes: Some(pipes),
            pump: Some(pump),
            drain_until: None,
        }
    }

    pub fn http(contact: Contact, logs: Logs) -> Self {
        Self::Http {
            endpoint: None,
            contact,
            logs,
        }
    }

    /// Taken once, and over HTTP not before its port is known.
    pub fn endpoint(&mut self) -> Option<Endpoint> {
        match self {
            Channel::Stdio { pipes, .. } => {
                let Pipes { stdin, stdout } = pipes.take()?;
                Some(Endpoint::Stdio {
                    read: Box::new(stdout),
                    write: Box::new(stdin),
                })
            }
            Channel::Http { endpoint, .. } => endpoint.take().map(Endpoint::Http),
        }
    }

    /// Closes our end of its input, unless a client holds it; whether its end may follow from that.
    pub fn close(&mut self) -> bool {
        match self {
            Channel::Stdio { pipes, .. } => {
                *pipes = None;
                true
            }
            Channel::Http { .. } => false,
        }
    }

    /// After the end: waits for the rest of the output, but not for long.
    pub async fn drain(&mut self) {
        match self {
            Channel::Stdio {
                pump, drain_until, ..
            } => {
                let deadline = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
                if let Some(running) = pump
                    && timeout_at(deadline, running).await.is_ok()
                {
                    *pump = None;
                }
            }
            Channel::Http { logs, .. } => {
                let _ = timeout(DRAIN, logs.flush()).await;
            }
        }
    }

    /// Brings the log up to date where it is not by itself.
    pub async fn flush(&self) {
        if let Channel::Http { logs, .. } = self {
            logs.flush().await;
        }
    }

    /// What is known of the contact.
    pub fn facts(&self) -> Facts {
        match self {
            Channel::Stdio { .. } => Facts::new(),
            Channel::Http { contact, .. } => contact.standing().facts(),
        }
    }

    /// Marked as changed whenever the facts of either have.
    pub fn changes(&self, watched: &Watched) -> Changes {
        let state = watched.facts_changed();
        match self {
            Channel::Stdio { .. } => Changes {
                receiver: state,
                _task: None,
            },
            Channel::Http { contact, .. } => Changes::of_both(state, contact.changes()),
        }
    }
}

/// News of changed facts.
pub struct Changes {
    pub receiver: watch::Receiver<()>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Changes {
    fn of_both(mut one: watch::Receiver<()>, mut other: watch::Receiver<()>) -> Self {
        let (sender, receiver) = watch::channel(());
        let task = tokio::spawn(async move {
            loop {
                let changed = tokio::select! {
                    changed = one.changed() => changed,
                    changed = other.changed() => changed,
                };
                // Either ends only with the container.
                if changed.is_err() || sender.send(()).is_err() {
                    return;
                }
            }
        });
        Self {
            receiver,
            _task: Some(AbortOnDropHandle::new(task)),
        }
    }
}
