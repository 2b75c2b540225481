//! The containers that somebody watches, and whom of them to look at next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerSummary, EventMessage};
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use super::entry::Entry;
use super::state::{ContainerState, Life, Look};
use crate::stores::logs::LogWriter;

/// An engine may learn of a kill for want of memory a little later than of the end that it brought.
const MEMORY_GRACE: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Roll {
    by_container: HashMap<String, Line>,
    due: VecDeque<String>,
    /// Since when the engine has not answered.
    lost: Option<Timestamp>,
}

struct Line {
    entry: Entry,
    subscriptions: usize,
    turn: Turn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    None,
    /// It stands in [`Roll::due`].
    Due,
    /// An inspection is under way.
    Looking,
    /// Something has happened since that inspection began.
    LookingAndDue,
}

/// What comes of an inspection.
pub(super) enum Next {
    Nothing,
    /// Look again after so long.
    Look(Duration),
}

impl Roll {
    pub fn is_empty(&self) -> bool {
        self.by_container.is_empty()
    }

    pub fn enter(
        &mut self,
        container: &str,
        log: LogWriter,
    ) -> (watch::Receiver<ContainerState>, watch::Receiver<()>) {
        let lost = self.lost;
        let line = self.by_container.entry(container.to_owned());
        let line = line.or_insert_with(|| Line {
            entry: Entry::new(log, lost),
            subscriptions: 0,
            turn: Turn::None,
        });
        line.subscriptions += 1;
        let receivers = line.entry.subscribe();
        self.mark(container);
        receivers
    }

    /// Of a container that was entered.
    pub fn ends(&self, container: &str) -> Option<broadcast::Receiver<Arc<str>>> {
        Some(self.by_container.get(container)?.entry.ends())
    }

    pub fn leave(&mut self, container: &str) {
        if let Some(line) = self.by_container.get_mut(container) {
            line.subscriptions -= 1;
            if line.subscriptions == 0 {
                self.by_container.remove(container);
            }
        }
    }

    /// Must be looked at; once is enough, however often it is said before that happens.
    fn mark(&mut self, container: &str) {
        let Some(line) = self.by_container.get_mut(container) else {
            return;
        };
        match line.turn {
            Turn::None => {
                line.turn = Turn::Due;
                self.due.push_back(container.to_owned());
            }
            Turn::Looking => line.turn = Turn::LookingAndDue,
            Turn::Due | Turn::LookingAndDue => {}
        }
    }

    /// The engine answers; nothing will come of looks that began before.
    pub fn mark_all(&mut self) {
        self.due = self.by_container.keys().cloned().collect();
        for line in self.by_container.values_mut() {
            line.turn = Turn::Due;
        }
        self.lost = None;
    }

    /// The next one to look at; [`Roll::seen`] or [`Roll::not_seen`] must follow.
    pub fn next_due(&mut self) -> Option<String> {
        while let Some(container) = self.due.pop_front() {
            if let Some(line) = self.by_container.get_mut(&container) {
                line.turn = Turn::Looking;
                return Some(container);
            }
        }
        None
    }

    pub fn hear(&mut self, event: &EventMessage) {
        let actor = event.actor.as_ref();
        let Some(container) = actor.and_then(|actor| actor.id.as_deref()) else {
            return;
        };
        if let Some(line) = self.by_container.get_mut(container)
            && line.entry.hear(event)
        {
            self.mark(container);
        }
    }

    /// Compares what the engine lists with what is known, and marks what differs; so, too, what has a HEALTHCHECK,
    /// because a check that fails again makes no event.
    pub fn compare(&mut self, listed: &[ContainerSummary]) {
        let lives: HashMap<&str, String> = listed
            .iter()
            .filter_map(|one| Some((one.id.as_deref()?, one.state?.to_string())))
            .collect();
        let differs = |(container, line): (&String, &Line)| {
            let known = line.entry.state();
            let listed = lives.get(container.as_str());
            let is_as_known = listed.is_some_and(|life| *life == known.life.to_string());
            // What is gone stays gone.
            let is_odd = known.life != Life::Removed && (!is_as_known || known.health.is_some());
            is_odd.then(|| container.clone())
        };
        let odd: Vec<String> = self.by_container.iter().filter_map(differs).collect();
        for container in odd {
            self.mark(&container);
        }
    }

    /// An inspection came back: with what it saw, or with nothing because the container is gone.
    pub fn seen(&mut self, container: &str, look: Option<Look>) -> Next {
        let Some(line) = self.by_container.get_mut(container) else {
            return Next::Nothing;
        };
        if let Some(look) = &look
            && line.entry.may_be_out_of_memory(look)
        {
            return Next::Look(MEMORY_GRACE);
        }
        line.entry.see(look);
        let was = std::mem::replace(&mut line.turn, Turn::None);
        if was == Turn::LookingAndDue {
            self.mark(container);
        }
        Next::Nothing
    }

    /// An inspection failed; another must follow.
    pub fn not_seen(&mut self, container: &str) {
        if let Some(line) = self.by_container.get_mut(container) {
            line.entry.believe();
        }
    }

    /// The engine does not answer.
    pub fn lose(&mut self, why: &str) {
        let since = *self.lost.get_or_insert_with(Timestamp::now);
        for line in self.by_container.values_mut() {
            // An engine that stops may tell of an end and not live to be asked about it.
            line.entry.believe();
            line.entry.lose(since, why);
        }
    }
}
