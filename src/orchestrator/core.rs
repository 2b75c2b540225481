//! What all tasks of the orchestrator share.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rand::Rng;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::timestamp;
use super::desk::Desk;
use super::handle::{OnProgress, Reply};
use super::hub::Reporter;
use super::lease::{Lease, Visit};
use super::mailbox::Mail;
use super::session::SessionMail;
use crate::config::Config;
use crate::drivers::Drivers;
use crate::model::{
    Backend, BackendInfo, BackendName, Failure, Happening, InstanceId, Level, Notice, Phase, RunId,
    SessionId, Stage,
};
use crate::stores::history::History;
use crate::stores::logs::{LogStore, LogWriter};
use crate::stores::results::ResultStore;

/// How to reach the task of an instance.
#[derive(Clone)]
pub(super) struct InstancePost {
    pub session: SessionId,
    pub backend: BackendName,
    pub mail: mpsc::Sender<Mail>,
    pub phase: watch::Receiver<Phase>,
    /// Whether its resource use is on screen.
    pub watched: Arc<watch::Sender<bool>>,
}

/// How to reach the task of a session, and its end: what of it could not be stopped.
pub(super) struct SessionPost {
    pub mail: mpsc::Sender<SessionMail>,
    pub task: JoinHandle<Vec<Failure>>,
    pub lease: Arc<Lease>,
}

pub(super) struct Core {
    pub config: Arc<Config>,
    /// In the order of `config.backends`.
    pub backends: Arc<[Arc<BackendInfo>]>,
    pub drivers: Arc<dyn Drivers>,
    pub run: RunId,
    pub logs: LogStore,
    pub results: ResultStore,
    pub history: Option<History>,
    pub reporter: Reporter,
    /// Start slots.
    pub starts: Arc<Semaphore>,
    pub calls: Desk,
    pub instances: RwLock<HashMap<InstanceId, InstancePost>>,
    pub sessions: Mutex<HashMap<SessionId, SessionPost>>,
    /// Instances whose tasks run, for the progress of a shutdown.
    pub population: watch::Sender<usize>,
    pub tasks: TaskTracker,
    pub tokens: Tokens,
}

/// Who an instance is: everything about it that never changes.
pub(super) struct Seat {
    pub core: Arc<Core>,
    pub id: InstanceId,
    pub session: SessionId,
    pub backend: Arc<Backend>,
    pub info: Arc<BackendInfo>,
    pub log: LogWriter,
}

impl Seat {
    pub async fn report(&self, what: Happening) {
        self.core.reporter.report(what).await;
    }

    /// Shows what a starting or stopping instance does now.
    pub async fn step(&self, step: impl Into<Arc<str>>, deadline: Option<Instant>) {
        let (instance, deadline) = (self.id.clone(), deadline.map(timestamp));
        self.report(Happening::Step {
            instance,
            step: step.into(),
            deadline,
        })
        .await;
    }

    pub async fn report_noise(&self, lines: u64) {
        if lines > 0 {
            self.report(Happening::StdoutNoise {
                instance: self.id.clone(),
                lines,
            })
            .await;
        }
    }

    /// `filesystem 1a2b3c4d`
    pub fn label(&self) -> String {
        format!("{} {}", self.backend.name, self.id.short())
    }
}

/// Who asked for something: waits for the answer, or reads the notices.
pub(super) struct Asker {
    reply: Option<oneshot::Sender<Result<Reply, Failure>>>,
    reporter: Reporter,
    /// Of a call: who hears of its progress.
    pub progress: Option<OnProgress>,
    /// Of a session: cancelled when the client that opens it is gone; `None` where nobody will ever know.
    pub client: Option<CancellationToken>,
    /// Of a call: the session on whose behalf it is made, and its being in flight there.
    pub visit: Option<(SessionId, Visit)>,
}

impl Asker {
    pub fn new(reply: Option<oneshot::Sender<Result<Reply, Failure>>>, reporter: Reporter) -> Self {
        Self {
            reply,
            reporter,
            progress: None,
            client: None,
            visit: None,
        }
    }

    /// A refusal that nobody waits for becomes a notice; a wish never fails silently.
    pub fn answer(self, answer: Result<Reply, Failure>) {
        // The one who asked may have stopped waiting.
        let _ = self.tell(answer);
    }

    /// Like [`Asker::answer`]; returns whether the one who asked was still there, if there was one.
    pub fn tell(self, answer: Result<Reply, Failure>) -> bool {
        // Whoever hears that a call has ended may make the next one at once.
        drop(self.visit);
        match (self.reply, answer) {
            (Some(reply), answer) => return reply.send(answer).is_ok(),
            (None, Err(failure)) => {
                self.reporter
                    .notice(Notice::new(Level::Error, failure.to_string()));
            }
            (None, Ok(_)) => {}
        }
        true
    }

    /// Resolves when the one who asked and waited for the answer has gone. Cancel-safe.
    pub async fn abandoned(&mut self) {
        match &mut self.reply {
            Some(reply) => reply.closed().await,
            None => std::future::pending().await,
        }
    }
}

/// What ends things, from polite to brutal.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    /// Every session closes.
    pub closing: CancellationToken,
    /// No more grace: what is being stopped is killed.
    pub insist: CancellationToken,
    /// Every instance task is dropped where it stands; drivers kill what they drop.
    pub abandon: CancellationToken,
}

impl Core {
    /// An id that no instance of this run has or had, as far as eight random digits allow. It begins with a letter:
    /// clients that guess types take `525e2366` for a number.
    pub fn new_instance_id(&self) -> InstanceId {
        loop {
            let number = rand::rng().random_range(0xa000_0000..=u32::MAX);
            let id = InstanceId::new(format!("{number:08x}"));
            if !self.instances.read().contains_key(&id) {
                return id;
            }
        }
    }

    pub fn post(&self, instance: &InstanceId) -> Result<InstancePost, Failure> {
        self.instances.read().get(instance).cloned().ok_or_else(|| {
            Failure::other(
                Stage::Run,
                format!("there is no instance {}", instance.short()),
            )
            .hint("it may have been removed or its session closed")
        })
    }
}

/// The random, unguessable id of a new session: whoever knows it may use it.
pub(super) fn new_session_id() -> SessionId {
    SessionId::new(format!("{:032x}", rand::rng().random::<u128>()))
}
