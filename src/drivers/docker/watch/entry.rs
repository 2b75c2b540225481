//! One watched container: what events and inspections make of its state, and what its log is told.

use std::sync::Arc;

use bollard::models::EventMessage;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use tokio::sync::{broadcast, watch};

use super::state::{ContainerState, Heard, Life, Look, exit};
use crate::model::Exit;
use crate::stores::logs::{LogWriter, Source};

/// The status of what SIGKILL ended: also the kernel, for want of memory.
const KILLED: i32 = 137;

/// Ends of what was executed in the container that somebody who is slow may have missed.
const ENDS: usize = 64;

pub(super) struct Entry {
    state: watch::Sender<ContainerState>,
    facts: watch::Sender<()>,
    /// Ids of what was executed in it and has ended.
    ends: broadcast::Sender<Arc<str>>,
    log: LogWriter,
    /// The newest event, nanoseconds of the engine's clock.
    heard: i64,
    /// As an event told it; an inspection of what runs again does not.
    died: Option<Exit>,
    /// Somebody sent it a signal through the engine.
    was_signalled: bool,
    has_had_grace: bool,
    first_started: Option<Timestamp>,
}

impl Entry {
    pub fn new(log: LogWriter, engine_lost: Option<Timestamp>) -> Self {
        let state = ContainerState {
            engine_lost,
            ..ContainerState::default()
        };
        Self {
            state: watch::Sender::new(state),
            facts: watch::Sender::new(()),
            ends: broadcast::Sender::new(ENDS),
            log,
            heard: 0,
            died: None,
            was_signalled: false,
            has_had_grace: false,
            first_started: None,
        }
    }

    pub fn subscribe(&self) -> (watch::Receiver<ContainerState>, watch::Receiver<()>) {
        (self.state.subscribe(), self.facts.subscribe())
    }

    pub fn ends(&self) -> broadcast::Receiver<Arc<str>> {
        self.ends.subscribe()
    }

    pub fn state(&self) -> watch::Ref<'_, ContainerState> {
        self.state.borrow()
    }

    /// Changes the state, and wakes those who wait for what has changed.
    fn publish(&self, change: impl FnOnce(&mut ContainerState)) {
        let before = self.state.borrow().clone();
        let mut now = before.clone();
        change(&mut now);
        if now == before {
            return;
        }
        let say_other = now.facts() != before.facts();
        self.state.send_replace(now);
        if say_other {
            self.facts.send_replace(());
        }
    }

    fn tell(&self, text: &str) {
        self.log.line(Source::Envdeck, text);
    }

    /// Returns whether it is a reason to look.
    pub fn hear(&mut self, event: &EventMessage) -> bool {
        if event.action.as_deref() == Some("exec_die")
            && let Some(id) = attribute(event, "execID")
        {
            // Usually nobody wants to know.
            let _ = self.ends.send(id.into());
        }
        let Some(what) = words(event) else {
            return false;
        };
        let at = event.time_nano.unwrap_or(0);
        // Else it was heard before, on an earlier connection.
        if at > self.heard {
            self.heard = at;
            self.note(event);
            if let Ok(at) = Timestamp::from_nanosecond(at.into()) {
                let what = what.into();
                self.publish(|state| state.remember(Heard { at, what }));
            }
        }
        true
    }

    /// What inspections do not show.
    fn note(&mut self, event: &EventMessage) {
        match event.action.as_deref() {
            Some("die" | "died") => {
                let code = attribute(event, "exitCode").and_then(|code| code.parse().ok());
                self.died = Some(exit(code, false));
            }
            Some("kill") => {
                self.was_signalled = true;
                let signal = signal(event);
                self.tell(&format!(
                    "the engine was asked to send {signal} to the container"
                ));
            }
            Some("oom") => {
                self.tell("out of memory: the kernel killed a process in the container");
                self.publish(|state| state.out_of_memory += 1);
            }
            _ => {}
        }
    }

    /// Whether to wait for the reason of a sudden end that may be want of memory. Says so only once.
    pub fn may_be_out_of_memory(&mut self, look: &Look) -> bool {
        let is_sudden = look.life == Life::Exited && look.exit_code == Some(KILLED.into());
        let is_explained = look.oom_killed || self.has_oomed() || self.was_signalled;
        let is_news = self.state().exit.is_none() && look.memory_limit.is_some();
        let may_be = is_news && is_sudden && !is_explained;
        may_be && !std::mem::replace(&mut self.has_had_grace, true)
    }

    fn has_oomed(&self) -> bool {
        self.state().out_of_memory > 0
    }

    /// Takes over what an inspection saw; nothing if the container is gone.
    pub fn see(&mut self, look: Option<Look>) {
        let was = self.state().clone();
        let exit = was.exit.clone().or_else(|| self.exit(look.as_ref()));
        self.publish(|state| {
            state.engine_lost = None;
            state.exit = exit;
            match look {
                Some(look) => {
                    state.life = look.life;
                    state.started = look.started;
                    state.health = look.health;
                    state.restarts = look.restarts;
                    state.memory_limit = look.memory_limit;
                }
                None => state.life = Life::Removed,
            }
        });
        self.tell_changes(&was);
    }

    /// How it has ended, if it has.
    fn exit(&mut self, look: Option<&Look>) -> Option<Exit> {
        let Some(look) = look else {
            return Some(self.told());
        };
        if matches!(look.life, Life::Exited | Life::Restarting) {
            let end = exit(look.exit_code, look.oom_killed);
            return Some(self.explained(end));
        }
        // What runs now is not what ran first.
        let first = *self.first_started.get_or_insert(look.started?);
        (look.started != Some(first)).then(|| self.told())
    }

    /// The end as an event told it, if one did.
    fn told(&self) -> Exit {
        let died = self.died.clone();
        self.explained(died.unwrap_or_else(|| exit(None, false)))
    }

    fn explained(&self, mut exit: Exit) -> Exit {
        exit.out_of_memory |= exit.code == Some(KILLED) && self.has_oomed();
        exit
    }

    /// For want of an inspection, an event's word.
    pub fn believe(&mut self) {
        if self.died.is_some() && self.state().exit.is_none() {
            let exit = self.told();
            self.publish(|state| {
                state.life = Life::Exited;
                state.exit = Some(exit);
            });
        }
    }

    pub fn lose(&self, since: Timestamp, why: &str) {
        if self.state().engine_lost.is_none() {
            self.tell(&format!("the engine cannot be reached: {why}"));
            self.publish(|state| state.engine_lost = Some(since));
        }
    }

    /// Tells the log what happened to the container from outside.
    fn tell_changes(&self, was: &ContainerState) {
        let now = self.state().clone();
        if let Some(lost) = was.engine_lost {
            let seconds = Timestamp::now().duration_since(lost).as_secs();
            self.tell(&format!("the engine answers again after {seconds} s"));
        }
        match (was.life, now.life) {
            (Life::Running, Life::Paused) => {
                self.tell("the container was paused: it does nothing now");
            }
            (Life::Paused, Life::Running) => self.tell("the container goes on"),
            (before, Life::Removed) if before != Life::Removed => {
                self.tell("the container was removed");
            }
            _ => {}
        }
        if now.exit.is_some() && now.life == Life::Running && was.started != now.started {
            self.tell("the container was started again from outside");
        }
        let verdict = |state: &ContainerState| state.health.as_ref().map(|health| health.verdict);
        if verdict(was) != verdict(&now)
            && let Some(health) = &now.health
        {
            self.tell(&format!("healthcheck: {health}"));
        }
    }
}

fn attribute<'a>(event: &'a EventMessage, name: &str) -> Option<&'a str> {
    let attributes = event.actor.as_ref()?.attributes.as_ref()?;
    attributes.get(name).map(String::as_str)
}

/// An event in words, if it tells of a change of state: `die 137`, `kill SIGTERM`, `oom`.
fn words(event: &EventMessage) -> Option<String> {
    let action = event.action.as_deref()?;
    match action {
        "die" | "died" => Some(match attribute(event, "exitCode") {
            Some(code) => format!("die {code}"),
            None => "die".to_owned(),
        }),
        "kill" => Some(format!("kill {}", signal(event))),
        "create" | "start" | "restart" | "stop" | "oom" | "pause" | "unpause" | "update"
        | "destroy" | "remove" => Some(action.to_owned()),
        _ => action
            .strip_prefix("health_status")
            .map(|verdict| format!("health{verdict}")),
    }
}

/// Engines tell its number or its name.
fn signal(event: &EventMessage) -> String {
    let told = attribute(event, "signal").unwrap_or("a signal");
    let number = told.parse().ok();
    let name = number.and_then(|number: i32| Signal::try_from(number).ok());
    name.map_or_else(|| told.to_owned(), |name| name.to_string())
}
