//! The calls of one instance while they run, and what is remembered of it for its death card.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::calls::{self, Accepted};
use super::core::{Asker, Seat};
use super::handle::Reply;
use super::start::list_tools;
use crate::drivers::Task;
use crate::mcp::ToolClient;
use crate::model::{
    Call, CallId, CallState, Cause, Failure, Outcome, Progress, Stage, ToolCall, ToolSpec,
};

/// How far back the death card looks at the memory.
const MEMORY_SPAN: Duration = Duration::from_secs(60);

/// For a driver's answer about what runs.
const ASK: Duration = Duration::from_secs(10);

/// What a task of the instance brought.
pub(super) enum Landed {
    Call,
    Tools(Result<Arc<[Arc<ToolSpec>]>, Failure>, Option<Asker>),
    Answered,
}

enum Finished {
    Call(Arc<Call>, Option<Bytes>, Asker),
    Tools(Result<Arc<[Arc<ToolSpec>]>, Failure>, Option<Asker>),
    Answered,
}

struct Waiting {
    call: Arc<Call>,
    progress: watch::Receiver<Option<Progress>>,
}

pub(super) struct Flight {
    waiting: HashMap<CallId, Waiting>,
    tasks: JoinSet<Finished>,
    /// Why the instance is gone; a fresh one for each life.
    gone: watch::Sender<Option<Failure>>,
    last_good: Option<Arc<Call>>,
    memory: VecDeque<(Instant, u64)>,
    /// What the server's own news asked for.
    relisting: Relisting,
}

/// However often a server says that its tools changed, one listing is under way, and the last word counts.
#[derive(Clone, Copy, Default, PartialEq)]
enum Relisting {
    #[default]
    No,
    UnderWay,
    /// They changed again after it had been asked for.
    Stale,
}

impl Flight {
    pub fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            tasks: JoinSet::new(),
            gone: watch::Sender::new(None),
            last_good: None,
            memory: VecDeque::new(),
            relisting: Relisting::No,
        }
    }

    /// Nothing of an earlier life ends what flies now.
    pub fn reset(&mut self) {
        self.gone = watch::Sender::new(None);
        self.memory.clear();
        self.relisting = Relisting::No;
    }

    /// Accepts a call and makes it, or tells why not.
    pub fn launch(
        &mut self,
        seat: &Arc<Seat>,
        client: &ToolClient,
        wanted: ToolCall,
        mut asker: Asker,
    ) {
        let behalf = asker.visit.as_ref().map(|(session, _)| session.clone());
        let session = behalf.unwrap_or_else(|| seat.session.clone());
        let accepted = match calls::accept(seat, wanted, session, asker.progress.take()) {
            Ok(accepted) => accepted,
            Err(failure) => return asker.answer(Err(failure)),
        };
        let Accepted { call, progress, .. } = &accepted;
        let waiting = Waiting {
            call: call.clone(),
            progress: progress.subscribe(),
        };
        self.waiting.insert(call.id, waiting);
        let cancel = accepted.cancel();
        let call = calls::run(
            seat.clone(),
            client.clone(),
            self.gone.subscribe(),
            accepted,
        );
        self.tasks.spawn(async move {
            let mut call = pin!(call);
            let (ended, answer) = tokio::select! {
                biased;
                ended = &mut call => ended,
                () = asker.abandoned() => {
                    cancel.cancel();
                    call.await
                }
            };
            Finished::Call(ended, answer, asker)
        });
    }

    /// The server says that its tools changed: asks for them, unless that is under way.
    pub fn relist(&mut self, client: &ToolClient, timeout: Duration) {
        if self.relisting == Relisting::No {
            self.relisting = Relisting::UnderWay;
            self.list_tools(client, timeout, None);
        } else {
            self.relisting = Relisting::Stale;
        }
    }

    /// A listing of [`Flight::relist`] has landed; asks once more if they changed meanwhile.
    pub fn relisted(&mut self, client: &ToolClient, timeout: Duration) {
        if std::mem::take(&mut self.relisting) == Relisting::Stale {
            self.relist(client, timeout);
        }
    }

    /// Asks for the tools again, without waiting.
    pub fn list_tools(&mut self, client: &ToolClient, timeout: Duration, asker: Option<Asker>) {
        let (client, mut gone) = (client.clone(), self.gone.subscribe());
        self.tasks.spawn(async move {
            let tools = tokio::select! {
                biased;
                tools = list_tools(&client, timeout) => tools,
                reason = calls::reason(&mut gone) => Err(reason),
            };
            Finished::Tools(tools, asker)
        });
    }

    /// Asks the driver for something about what runs, without waiting.
    pub fn ask<T: 'static>(
        &mut self,
        what: &'static str,
        work: Task<'static, T>,
        reply: fn(T) -> Reply,
        asker: Asker,
    ) {
        let mut gone = self.gone.subscribe();
        self.tasks.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = timeout(ASK, work) => answer.unwrap_or_else(|_| Err(too_slow(what))),
                reason = calls::reason(&mut gone) => Err(reason),
            };
            asker.answer(answer.map(reply));
            Finished::Answered
        });
    }

    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next task that finished; pending while there is none. Cancel-safe.
    pub async fn landed(&mut self) -> Landed {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(finished)) => return self.land(finished),
                // Calls catch their panics themselves; what remains is a listing of tools or a driver's answer.
                Some(Err(error)) => {
                    tracing::error!("a task of an instance was lost: {error}");
                    self.relisting = Relisting::No;
                }
                None => std::future::pending().await,
            }
        }
    }

    fn land(&mut self, finished: Finished) -> Landed {
        match finished {
            Finished::Tools(tools, asker) => Landed::Tools(tools, asker),
            Finished::Answered => Landed::Answered,
            Finished::Call(call, answer, asker) => {
                self.waiting.remove(&call.id);
                if let CallState::Ended { outcome, .. } = &call.state {
                    asker.answer(Ok(Reply::Called(outcome.clone(), answer)));
                    if matches!(outcome, Outcome::Done(_)) {
                        self.last_good = Some(call);
                    }
                }
                Landed::Call
            }
        }
    }

    /// Ends everything in flight with `reason` and waits until each call has been reported. Returns the calls
    /// that got no answer, oldest first, as they were before.
    pub async fn end(&mut self, reason: Failure) -> Vec<Arc<Call>> {
        let mut unanswered = self.calls();
        self.gone.send_replace(Some(reason));
        while let Some(finished) = self.tasks.join_next().await {
            match finished {
                Ok(Finished::Call(call, answer, asker)) => {
                    if call
                        .outcome()
                        .is_some_and(|outcome| outcome.result().is_some())
                    {
                        unanswered.retain(|other| other.id != call.id);
                    }
                    self.land(Finished::Call(call, answer, asker));
                }
                Ok(Finished::Tools(Err(failure), Some(asker))) => asker.answer(Err(failure)),
                Ok(Finished::Tools(..) | Finished::Answered) | Err(_) => {}
            }
        }
        self.waiting.clear();
        unanswered
    }

    /// The calls in flight, with their latest progress, oldest first.
    fn calls(&self) -> Vec<Arc<Call>> {
        let with_progress = |waiting: &Waiting| {
            let mut call = Call::clone(&waiting.call);
            call.progress.clone_from(&waiting.progress.borrow());
            Arc::new(call)
        };
        let mut calls: Vec<_> = self.waiting.values().map(with_progress).collect();
        calls.sort_by_key(|call| call.id);
        calls
    }

    pub fn last_good(&self) -> Option<Arc<Call>> {
        self.last_good.clone()
    }

    pub fn remember_memory(&mut self, bytes: u64) {
        let now = Instant::now();
        self.memory.push_back((now, bytes));
        while self
            .memory
            .front()
            .is_some_and(|(at, _)| now - *at > MEMORY_SPAN)
        {
            self.memory.pop_front();
        }
    }

    /// Memory of the last minute, oldest first.
    pub fn memory(&self) -> Vec<u64> {
        self.memory.iter().map(|(_, bytes)| *bytes).collect()
    }
}

fn too_slow(what: &'static str) -> Failure {
    let cause = Cause::Deadline {
        what: what.into(),
        after: ASK,
    };
    Failure::new(Stage::Run, cause)
}
