//! All a front end ever holds of the orchestrator.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::drivers::Shell;
use crate::model::{
    Ask, Caller, Command, Event, Failure, Fleet, InstanceId, Notice, Outcome, Progress, SessionId,
    ToolCall, ToolSpec,
};
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
    /// All instances of the session are ready, failed or stopped: which, for each of the asks. A shared one stands
    /// once where it was asked for, however often.
    Opened(SessionId, Vec<Vec<InstanceId>>),
    /// Everything of the session is gone; failures of single instances.
    Closed(Vec<Failure>),
    /// How a call ended, and the JSON text of the `CallToolResult` if it was answered.
    Called(Outcome, Option<Bytes>),
    /// What the server offers now.
    Listed(Arc<[Arc<ToolSpec>]>),
    /// Dropping it ends it.
    Shell(Shell),
    /// JSON text; `None` where nothing is known beyond the facts.
    Inspected(Option<String>),
}

/// Hears of the progress of a call; never blocks.
pub type OnProgress = Box<dyn Fn(&Progress) + Send + Sync>;

pub(super) struct Envelope {
    pub command: Command,
    pub reply: Option<oneshot::Sender<Result<Reply, Failure>>>,
    /// Of what uses an instance: on whose behalf, where that is not the session of the instance. Of a session: its id.
    pub session: Option<SessionId>,
    /// Of a session: cancelled when the client that opens it is gone.
    pub client: Option<CancellationToken>,
    /// Of a call: who hears of its progress.
    pub progress: Option<OnProgress>,
}

impl Envelope {
    fn new(command: Command) -> Self {
        Self {
            command,
            reply: None,
            session: None,
            client: None,
            progress: None,
        }
    }
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
            .try_send(Envelope::new(command))
            .map_err(|_| Busy)
    }

    /// Asks for something and waits until it is done.
    ///
    /// Dropping the future takes back what only the one who asked can use: a call is cancelled, a session that is
    /// still starting is closed. Anything else goes on.
    pub async fn request(&self, command: Command) -> Result<Reply, Failure> {
        self.ask(Envelope::new(command)).await
    }

    /// Opens a session under an id that the one who asks has made up: at random, for whoever knows it may use it.
    /// Dropping the future closes it, unless it has been answered.
    ///
    /// `client` is cancelled when the client is gone; `None` where nobody will ever know. Then the session ends when it
    /// has not been used for as long as it takes to forget a client.
    pub async fn open(
        &self,
        id: SessionId,
        caller: Caller,
        asks: Vec<Ask>,
        client: Option<CancellationToken>,
    ) -> Result<Reply, Failure> {
        self.ask(Envelope {
            session: Some(id),
            client,
            ..Envelope::new(Command::OpenSession { caller, asks })
        })
        .await
    }

    /// Makes a call on behalf of a session, which may use instances that are not its own: shared ones. Dropping
    /// the future cancels the call.
    pub async fn call(
        &self,
        call: ToolCall,
        session: SessionId,
        progress: Option<OnProgress>,
    ) -> Result<Reply, Failure> {
        self.ask(Envelope {
            session: Some(session),
            progress,
            ..Envelope::new(Command::Call(call))
        })
        .await
    }

    /// Asks an instance for its tools on behalf of a session, which may use instances that are not its own.
    pub async fn list_tools(
        &self,
        instance: InstanceId,
        session: SessionId,
    ) -> Result<Reply, Failure> {
        self.ask(Envelope {
            session: Some(session),
            ..Envelope::new(Command::ListTools(instance))
        })
        .await
    }

    async fn ask(&self, envelope: Envelope) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::other(crate::model::Stage::Run, "the orchestrator has shut down");
        let envelope = Envelope {
            reply: Some(reply),
            ..envelope
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
