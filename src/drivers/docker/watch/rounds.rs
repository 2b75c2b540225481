//! The task behind a watcher: connects, listens, looks, and begins again when the engine goes away.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerSummary, EventMessage};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
};
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use rand::Rng;
use tokio::time::sleep;

use super::Shared;
use super::roll::Next;
use super::state::Look;
use crate::drivers::docker::engine::{QUICK, USUAL};
use crate::drivers::docker::labels;
use crate::drivers::docker::words::Trouble;
use crate::model::Stage;

/// Between two proofs that the engine still answers and that no event was lost.
const BEAT: Duration = Duration::from_secs(10);
/// Inspections under way at once.
const LOOKS: usize = 16;
/// Before a failed inspection is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Between two attempts to reach an engine that is away: doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Rounds {
    shared: Arc<Shared>,
    /// The newest event heard, nanoseconds of the engine's clock.
    heard: i64,
    pause: Duration,
}

/// A request under way.
type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

enum Answer {
    Seen(String, Result<Look, Trouble>),
    Listed(Result<Vec<ContainerSummary>, Trouble>),
}

impl Rounds {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            heard: 0,
            pause: FIRST_PAUSE,
        }
    }

    pub async fn run(mut self) {
        loop {
            if let Err(trouble) = self.round().await {
                let why = trouble.at(Stage::Run).cause.to_string();
                self.shared.roll.lock().lose(&why);
            }
            let jitter = rand::rng().random_range(0.8..1.2);
            sleep(self.pause.mul_f64(jitter)).await;
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
    }

    /// One connection, until it ends or the engine does not answer any more.
    async fn round(&mut self) -> Result<(), Trouble> {
        let listed = list(&self.shared).await?;
        let mut events = pin!(self.events(&listed).await?);
        self.shared.roll.lock().mark_all();
        let mut asking = FuturesUnordered::from_iter([beat(self.shared.clone())]);
        loop {
            while asking.len() <= LOOKS
                && let Some(container) = self.next_due()
            {
                asking.push(look(self.shared.clone(), container, Duration::ZERO));
            }
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.hear(&event),
                    // Whether the engine is still there, the next list tells.
                    Some(Err(_)) | None => return Ok(()),
                },
                Some(answer) = asking.next() => match answer {
                    Answer::Seen(container, seen) => asking.extend(self.seen(container, seen)),
                    Answer::Listed(listed) => {
                        self.shared.roll.lock().compare(&listed?);
                        self.pause = FIRST_PAUSE;
                        asking.push(beat(self.shared.clone()));
                    }
                },
                () = self.shared.added.notified() => {}
            }
        }
    }

    fn next_due(&self) -> Option<String> {
        self.shared.roll.lock().next_due()
    }

    /// Begins early enough to tell what happened before this connection, as far as the engine remembers it.
    async fn events(
        &self,
        listed: &[ContainerSummary],
    ) -> Result<impl Stream<Item = Result<EventMessage, Error>> + use<>, Trouble> {
        let oldest = listed
            .iter()
            .filter_map(|container| container.created)
            .min();
        let since = if self.heard > 0 {
            self.heard / 1_000_000_000
        } else {
            oldest.unwrap_or(1)
        };
        let mut filters = labels::by_run(&self.shared.run);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        let options = EventsOptionsBuilder::default()
            .since(&since.to_string())
            .filters(&filters)
            .build();
        let docker = self.shared.engine.docker("follow its events").await?;
        Ok(docker.events(Some(options)))
    }

    fn hear(&mut self, event: &EventMessage) {
        self.heard = self.heard.max(event.time_nano.unwrap_or(0));
        self.shared.roll.lock().hear(event);
    }

    /// Returns the look that must follow, if one must.
    fn seen(&self, container: String, seen: Result<Look, Trouble>) -> Option<Asking> {
        let mut roll = self.shared.roll.lock();
        let next = match seen {
            Ok(look) => roll.seen(&container, Some(look)),
            Err(trouble) if trouble.is_gone() => roll.seen(&container, None),
            // Whether the engine is still there, the next list tells: it waits for no container's lock.
            Err(_) => {
                roll.not_seen(&container);
                Next::Look(RETRY)
            }
        };
        drop(roll);
        match next {
            Next::Nothing => None,
            Next::Look(after) => Some(look(self.shared.clone(), container, after)),
        }
    }
}

fn look(shared: Arc<Shared>, container: String, after: Duration) -> Asking {
    Box::pin(async move {
        sleep(after).await;
        let answer = shared.engine.ask("look at a container", USUAL, |docker| {
            let container = container.clone();
            async move {
                let options = None::<InspectContainerOptions>;
                docker.inspect_container(&container, options).await
            }
        });
        let seen = answer.await.map(Look::from);
        Answer::Seen(container, seen)
    })
}

fn beat(shared: Arc<Shared>) -> Asking {
    Box::pin(async move {
        sleep(BEAT).await;
        Answer::Listed(list(&shared).await)
    })
}

async fn list(shared: &Shared) -> Result<Vec<ContainerSummary>, Trouble> {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&labels::by_run(&shared.run))
        .build();
    let answer = shared
        .engine
        .ask("list its containers", QUICK, |docker| async move {
            docker.list_containers(Some(options)).await
        });
    answer.await
}
