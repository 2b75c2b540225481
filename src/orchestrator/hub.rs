//! The single writer: events in; snapshots, notices and the journal out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::notices;
use crate::model::{Event, Fleet, Happening, Notice};

/// Events that may wait for the hub; then those who report them wait.
const QUEUE: usize = 1024;
/// Snapshots are published no more often than a screen can show them.
const FRAME: Duration = Duration::from_millis(16);
/// Events reduced between two looks at the clock.
const BATCH: usize = 256;
/// Notices and events that a slow reader may be behind before it skips some.
const NOTICES: usize = 256;
const EVENTS: usize = 1024;

enum Message {
    Event(Event),
    Flush(oneshot::Sender<()>),
}

/// Where all tasks report what happened. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reporter {
    messages: mpsc::Sender<Message>,
    notices: broadcast::Sender<Notice>,
}

impl Reporter {
    /// Waits only while the hub is far behind.
    pub async fn report(&self, what: Happening) {
        let event = Event {
            at: Timestamp::now(),
            what,
        };
        // The hub ends last; if it is gone, so is everybody who could look.
        let _ = self.messages.send(Message::Event(event)).await;
    }

    /// Resolves when everything reported before is in the published fleet.
    pub async fn flush(&self) {
        let (done, published) = oneshot::channel();
        if self.messages.send(Message::Flush(done)).await.is_ok() {
            let _ = published.await;
        }
    }

    pub fn notice(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }
}

/// What readers get from the hub.
pub(super) struct Outlets {
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub notices: broadcast::Sender<Notice>,
    pub events: broadcast::Sender<Arc<Event>>,
}

pub(super) struct Hub {
    messages: mpsc::Receiver<Message>,
    fleet: Arc<Fleet>,
    published: watch::Sender<Arc<Fleet>>,
    last_publish: Option<Instant>,
    notices: broadcast::Sender<Notice>,
    events: broadcast::Sender<Arc<Event>>,
    /// Answered at the next publication.
    flushes: Vec<oneshot::Sender<()>>,
}

impl Hub {
    pub fn new(fleet: Fleet) -> (Self, Reporter, Outlets) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let fleet = Arc::new(fleet);
        let (published, reader) = watch::channel(fleet.clone());
        let (notices, _) = broadcast::channel(NOTICES);
        let (events, _) = broadcast::channel(EVENTS);
        let reporter = Reporter {
            messages: sender,
            notices: notices.clone(),
        };
        let outlets = Outlets {
            fleet: reader,
            notices: notices.clone(),
            events: events.clone(),
        };
        let hub = Self {
            messages,
            fleet,
            published,
            last_publish: None,
            notices,
            events,
            flushes: vec![],
        };
        (hub, reporter, outlets)
    }

    /// Runs until the last [`Reporter`] is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let due = self.next_publication();
            let waiting = self.is_behind();
            tokio::select! {
                count = self.messages.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    for message in batch.drain(..) {
                        self.take(message);
                    }
                }
                () = sleep_until(due), if waiting => {}
            }
            if self.is_behind() && self.next_publication() <= Instant::now() {
                self.publish();
            }
        }
        self.publish();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.reduce(event),
            Message::Flush(done) => self.flushes.push(done),
        }
    }

    fn reduce(&mut self, event: Event) {
        journal(&event);
        if Arc::make_mut(&mut self.fleet).apply(&event) {
            if let Some(notice) = notices::worth_telling(&self.fleet, &event) {
                let _ = self.notices.send(notice);
            }
        } else if let Happening::PhaseChanged { instance, phase } = &event.what
            && let Some(known) = self.fleet.instance(instance)
        {
            tracing::error!(%instance, from = %known.phase, to = %phase, "illegal move");
        }
        let _ = self.events.send(Arc::new(event));
    }

    fn is_behind(&self) -> bool {
        !self.flushes.is_empty() || self.published.borrow().revision != self.fleet.revision
    }

    fn next_publication(&self) -> Instant {
        self.last_publish
            .map_or_else(Instant::now, |last| last + FRAME)
    }

    fn publish(&mut self) {
        self.last_publish = Some(Instant::now());
        self.published.send_replace(self.fleet.clone());
        for done in self.flushes.drain(..) {
            let _ = done.send(());
        }
    }
}

/// One line per event: who and how much, never what was said.
fn journal(event: &Event) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let what = &event.what;
    let call = what.call().map(|call| call.0);
    let (session, instance) = (
        what.session().map(tracing::field::display),
        what.instance().map(tracing::field::display),
    );
    match what {
        Happening::PhaseChanged { phase, .. } => {
            tracing::debug!(instance, %phase, "phase-changed");
        }
        Happening::Step { step, .. } => tracing::debug!(instance, %step, "step"),
        Happening::RetryAt { attempt, of, .. } => {
            tracing::debug!(instance, attempt, of, "retry-at")
        }
        Happening::ToolsListed { tools, .. } => {
            tracing::debug!(instance, tools = tools.len(), "tools-listed");
        }
        Happening::StdoutNoise { lines, .. } => tracing::debug!(instance, lines, "stdout-noise"),
        Happening::CallStarted { call: started } => {
            tracing::debug!(
                instance,
                call,
                bytes = started.arguments.len(),
                "call-started"
            );
        }
        Happening::CallEnded {
            state:
                crate::model::CallState::Ended {
                    outcome,
                    took,
                    size,
                    ..
                },
            ..
        } => {
            tracing::debug!(
                call,
                outcome = outcome.word(),
                ?took,
                bytes = size,
                "call-ended"
            );
        }
        other => tracing::debug!(session, instance, call, "{}", other.name()),
    }
}
