//! What becomes of our containers: one stream of events for each engine, and a state for each container.
//!
//! Events are only reasons to look: what is published was read by an inspection that began after the event, so a
//! state is never older than what caused it, and hearing an event twice, late or not at all changes nothing. After
//! each (re)connection everything is looked at; beyond that a list of our containers every few seconds proves that
//! the engine still answers and finds what a lost event would have told.
//!
//! An engine that cannot be reached is no death: states stay as they were, marked with
//! [`ContainerState::engine_lost`], until the engine answers again.

mod entry;
mod roll;
mod rounds;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::state::{ContainerState, Healthcheck, Heard, Life, Verdict, exit};

use self::roll::Roll;
use self::rounds::Rounds;
use super::engine::Engine;
use crate::drivers::Facts;
use crate::model::{Exit, RunId};
use crate::stores::logs::LogWriter;

/// Watches the containers of one run on one engine. Costs nothing while nobody is subscribed. Cheap to clone.
#[derive(Clone)]
pub struct Watcher {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    run: RunId,
    roll: Mutex<Roll>,
    /// Somebody has been added to the roll.
    added: Notify,
    /// The stream; it lives while the roll is not empty.
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Watcher {
    /// The containers must carry the labels of [`super::labels::of_run`].
    pub fn new(engine: Engine, run: RunId) -> Self {
        let shared = Shared {
            engine,
            run,
            roll: Mutex::default(),
            added: Notify::new(),
            task: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Subscribes to a container by its full id, best between its creation and its start. What happens to it from
    /// outside is told in `log`. Must be called within a tokio runtime.
    pub fn watch(&self, container: &str, log: LogWriter) -> Watched {
        // In this order everywhere; held together so that the last one to leave cannot end a stream just begun.
        let mut task = self.shared.task.lock();
        let (state, facts) = self.shared.roll.lock().enter(container, log);
        if task.is_none() {
            let rounds = Rounds::new(self.shared.clone()).run();
            *task = Some(AbortOnDropHandle::new(tokio::spawn(rounds)));
        }
        drop(task);
        self.shared.added.notify_one();
        Watched {
            state,
            facts,
            lease: Lease {
                shared: self.shared.clone(),
                container: container.to_owned(),
            },
        }
    }

    /// Whether there is a stream now.
    pub fn is_watching(&self) -> bool {
        self.shared.task.lock().is_some()
    }
}

/// A subscription to one container; ends when dropped.
pub struct Watched {
    state: watch::Receiver<ContainerState>,
    facts: watch::Receiver<()>,
    lease: Lease,
}

impl Watched {
    pub fn container(&self) -> &str {
        &self.lease.container
    }

    /// The state as last seen.
    pub fn state(&self) -> ContainerState {
        self.state.borrow().clone()
    }

    /// For those who need the state as long as this subscription lives.
    pub fn states(&self) -> watch::Receiver<ContainerState> {
        self.state.clone()
    }

    /// The ids of what is executed in it, each when it has ended; nothing is told of what ended before.
    pub fn ends(&self) -> broadcast::Receiver<Arc<str>> {
        let roll = self.lease.shared.roll.lock();
        let ends = roll.ends(&self.lease.container);
        // The roll keeps the sender while a lease lives.
        ends.unwrap_or_else(|| broadcast::channel(1).1)
    }

    /// Resolves with the next state. Cancel-safe.
    pub async fn changed(&mut self) -> ContainerState {
        if self.state.changed().await.is_err() {
            unreachable!("the roll keeps the sender while a lease lives")
        }
        self.state.borrow_and_update().clone()
    }

    /// Resolves when the container has ended, however it did: by itself, killed, or removed. Never because of an
    /// engine that is out of reach. Cancel-safe.
    pub async fn ended(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.state.borrow_and_update().exit.clone() {
                return exit;
            }
            self.changed().await;
        }
    }

    /// What there is to say of how it is, for [`crate::drivers::Running::facts`].
    pub fn facts(&self) -> Facts {
        self.state.borrow().facts()
    }

    /// Why its silence is no death now, for [`crate::drivers::Running::excuse`].
    pub fn excuse(&self) -> Option<&'static str> {
        let state = self.state.borrow();
        match state.life {
            _ if state.engine_lost.is_some() => Some("the engine cannot be reached"),
            Life::Paused => Some("the container is paused"),
            _ => None,
        }
    }

    /// Marked as changed whenever [`Watched::facts`] have, for [`crate::drivers::Running::changes`].
    pub fn facts_changed(&self) -> watch::Receiver<()> {
        self.facts.clone()
    }
}

struct Lease {
    shared: Arc<Shared>,
    container: String,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut task = self.shared.task.lock();
        let mut roll = self.shared.roll.lock();
        roll.leave(&self.container);
        if roll.is_empty() {
            *task = None;
        }
    }
}
