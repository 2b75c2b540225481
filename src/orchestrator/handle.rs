//! All a front end ever holds of the orchestrator.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::drivers::Shell;
use crate::model::{CallId, Command, Event, Failure, Fleet, Notice, Outcome, SessionId};
use crate::stores::history::History;
use crate::stores::logs::LogStore;
use crate::stores::results::ResultStore;

/// The command queue is full: try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the orchestrator is busy, try again")]
pub struct Busy;

/// The answer to a command, for those who wait for it.
#[derive(Debug)]
pub enum Reply {
    /// Accepted; what comes of it shows in the fleet.
    Accepted,
    /// All instances of the session are ready, failed or stopped.
    Opened(SessionId),
    /// Everything of the session is gone; failures of single instances.
    Closed(Vec<Failure>),
    Called(CallId, Outcome),
    /// Dropping it ends it.
    Shell(Shell),
    /// JSON text; `None` where nothing is known beyond the facts.
    Inspected(Option<String>),
}

pub(super) struct Envelope {
    pub command: Command,
    pub reply: Option<oneshot::Sender<Result<Reply, Failure>>>,
}

/// Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Envelope>,
    pub(super) fleet: watch::Receiver<Arc<Fleet>>,
    pub(super) notices: broadcast::Sender<Notice>,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) logs: LogStore,
    pub(super) results: ResultStore,
    pub(super) history: Option<History>,
}

impl Handle {
    /// Asks for something and does not wait for it.
    pub fn send(&self, command: Command) -> Result<(), Busy> {
        self.commands
            .try_send(Envelope {
                command,
                reply: None,
            })
            .map_err(|_| Busy)
    }

    /// Asks for something and waits until it is done.
    pub async fn request(&self, command: Command) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::other(crate::model::Stage::Run, "the orchestrator has shut down");
        let envelope = Envelope {
            command,
            reply: Some(reply),
        };
        self.commands.send(envelope).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The newest picture of everything; the reader can be late, never wrong.
    pub fn fleet(&self) -> watch::Receiver<Arc<Fleet>> {
        self.fleet.clone()
    }

    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Every event as it happens, for the events pane and tests; slow readers skip some and are told how many.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    pub fn logs(&self) -> &LogStore {
        &self.logs
    }

    pub fn results(&self) -> &ResultStore {
        &self.results
    }
    /// The finished calls of this and earlier runs, where they are kept.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }
}
