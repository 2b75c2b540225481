//! The single writer: events in; snapshots, notices and the journal out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::{events_log, journal, notices};
use crate::model::{Event, Fleet, Happening, Notice};
use crate::stores::logs::{LogWriter, Source};

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
    /// The Events pane.
    events_log: LogWriter,
    /// Answered at the next publication.
    flushes: Vec<oneshot::Sender<()>>,
}

impl Hub {
    pub fn new(fleet: Fleet, events_log: LogWriter) -> (Self, Reporter, Outlets) {
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
            events_log,
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
        journal::write(&self.fleet, &event);
        if Arc::make_mut(&mut self.fleet).apply(&event) {
            if let Some(notice) = notices::worth_telling(&self.fleet, &event) {
                let _ = self.notices.send(notice);
            }
        } else if let Happening::PhaseChanged { instance, phase } = &event.what
            && let Some(known) = self.fleet.instance(instance)
        {
            tracing::error!(%instance, from = %known.phase, to = %phase, "illegal move");
        }
        if let Some(line) = events_log::line(&self.fleet, &event) {
            self.events_log.line(Source::Envdeck, &line);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Caller, InstanceId, SessionId};
    use crate::stores::logs::LogStore;

    fn opened(number: u32) -> Happening {
        let session = SessionId::new(number.to_string());
        Happening::SessionOpened {
            session,
            caller: Caller::Operator,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_is_published_at_once_and_a_flood_once_a_frame() {
        let (hub, reporter, mut outlets) = Hub::new(
            Fleet::default(),
            LogStore::default().writer(&InstanceId::new("events")),
        );
        tokio::spawn(hub.run());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        reporter.report(opened(0)).await;
        outlets.fleet.changed().await.expect("the hub runs");
        assert_eq!(began.elapsed(), Duration::ZERO);
        let flood = tokio::spawn(async move {
            for number in 1..=1_000 {
                reporter.report(opened(number)).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut snapshots = 0;
        while outlets.fleet.borrow_and_update().sessions.len() <= 1_000 {
            outlets.fleet.changed().await.expect("the hub runs");
            snapshots += 1;
        }
        flood.await.expect("it does not panic");
        assert!(
            (50..=64).contains(&snapshots),
            "{snapshots} snapshots in a second"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_resolves_when_everything_before_it_is_published() {
        let (hub, reporter, outlets) = Hub::new(
            Fleet::default(),
            LogStore::default().writer(&InstanceId::new("events")),
        );
        tokio::spawn(hub.run());
        for number in 0..100 {
            reporter.report(opened(number)).await;
            reporter.flush().await;
            assert_eq!(outlets.fleet.borrow().sessions.len(), number as usize + 1);
        }
    }

    #[tokio::test]
    async fn the_hub_ends_with_its_last_reporter_and_publishes_everything() {
        let (hub, reporter, outlets) = Hub::new(
            Fleet::default(),
            LogStore::default().writer(&InstanceId::new("events")),
        );
        let hub = tokio::spawn(hub.run());
        for number in 0..500 {
            reporter.report(opened(number)).await;
        }
        drop(reporter);
        hub.await.expect("it ends");
        assert_eq!(outlets.fleet.borrow().sessions.len(), 500);
    }
}
