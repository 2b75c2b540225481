//! The state of one container, as the engine tells it.

use std::collections::VecDeque;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, Health, HealthStatusEnum,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::drivers::Facts;
use crate::model::{Exit, fact};
use crate::stores::lines::clean;

/// Events kept for the death card.
const EVENTS_KEPT: usize = 8;
/// The most characters kept of what a healthcheck printed.
const OUTPUT_CHARS: usize = 200;
/// Shells and engines alike report the end by signal N as status 128 + N.
const SIGNALS: std::ops::RangeInclusive<i64> = 129..=192;

/// What is known of one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerState {
    pub life: Life,
    /// How it ended, the first time it did; that stays, also when somebody starts it again from outside: what was
    /// running is dead all the same.
    pub exit: Option<Exit>,
    /// `None` where it has no HEALTHCHECK.
    pub health: Option<Healthcheck>,
    /// How often the kernel killed a process in it for want of memory.
    pub out_of_memory: u32,
    /// Restarts by the engine's own policy.
    pub restarts: u32,
    /// By the engine's clock.
    pub started: Option<Timestamp>,
    /// Bytes; `None` where it has no limit of its own.
    pub memory_limit: Option<u64>,
    /// Since when the engine has not answered; all else is as it was then.
    pub engine_lost: Option<Timestamp>,
    /// The latest events, oldest first.
    pub events: VecDeque<Heard>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Life {
    /// Not looked at yet.
    #[default]
    Unknown,
    Created,
    Running,
    Paused,
    /// The engine's own restart policy waits to start it again.
    Restarting,
    Exited,
    Removed,
}

/// What HEALTHCHECK of the image or of its options said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    pub verdict: Verdict,
    /// Failures in a row.
    pub failures: u32,
    /// What the last check printed, in one clean line, cut.
    pub output: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    Starting,
    Healthy,
    Unhealthy,
}

/// One event, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// By the engine's clock.
    pub at: Timestamp,
    /// `die 137`, `kill SIGTERM`, `oom`, …
    pub what: Box<str>,
}

impl ContainerState {
    pub(super) fn remember(&mut self, heard: Heard) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(heard);
    }

    /// What there is to say of how it is, in the order it is shown.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        let mut say = |name: &str, text: String| facts.push((name.into(), text.into()));
        if let Some(since) = self.engine_lost {
            say(fact::ENGINE, format!("unreachable since {}", clock(since)));
        }
        say(fact::STATUS, self.status());
        if let Some(health) = &self.health {
            say(fact::HEALTH, health.to_string());
        }
        if self.out_of_memory > 0 {
            let text = match self.out_of_memory {
                1 => "the kernel killed a process in it".to_owned(),
                n => format!("the kernel killed processes in it {n} times"),
            };
            say(fact::OUT_OF_MEMORY, text);
        }
        if !self.events.is_empty() {
            let events = self.events.iter().map(ToString::to_string);
            say("events", events.collect::<Vec<_>>().join(" · "));
        }
        facts
    }

    fn status(&self) -> String {
        let life = match (&self.exit, self.life) {
            (Some(exit), Life::Exited) => exit.to_string(),
            (Some(exit), life) => format!("{exit}, now {life}"),
            (None, Life::Unknown) => "not seen yet".to_owned(),
            (None, life) => life.to_string(),
        };
        match self.restarts {
            0 => life,
            n => format!("{life} · {n} restarts by the engine"),
        }
    }
}

impl std::fmt::Display for Healthcheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.verdict)?;
        if self.failures > 0 {
            write!(f, " ×{}", self.failures)?;
        }
        // What a healthy one prints is noise.
        if self.failures > 0 && !self.output.is_empty() {
            write!(f, " · {}", self.output)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", clock(self.at), self.what)
    }
}

fn clock(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::system());
    zoned.strftime("%H:%M:%S").to_string()
}

/// One inspection.
#[derive(Debug)]
pub(super) struct Look {
    pub life: Life,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub started: Option<Timestamp>,
    pub health: Option<Healthcheck>,
    pub restarts: u32,
    pub memory_limit: Option<u64>,
}

impl From<ContainerInspectResponse> for Look {
    fn from(answer: ContainerInspectResponse) -> Self {
        let state = answer.state.unwrap_or_default();
        let limit = answer.host_config.and_then(|config| config.memory);
        Self {
            life: life(state.status),
            exit_code: state.exit_code,
            oom_killed: state.oom_killed.unwrap_or_default(),
            started: state.started_at.as_deref().and_then(moment),
            health: state.health.and_then(healthcheck),
            restarts: count(answer.restart_count),
            memory_limit: limit
                .and_then(|limit| u64::try_from(limit).ok())
                .filter(|limit| *limit > 0),
        }
    }
}

fn life(status: Option<Status>) -> Life {
    match status {
        Some(Status::CREATED) => Life::Created,
        Some(Status::RUNNING | Status::STOPPING) => Life::Running,
        Some(Status::PAUSED) => Life::Paused,
        Some(Status::RESTARTING) => Life::Restarting,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => Life::Exited,
        Some(Status::EMPTY) | None => Life::Unknown,
    }
}

/// Engines write the year 1 where there is no time.
fn moment(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

fn healthcheck(health: Health) -> Option<Healthcheck> {
    let verdict = match health.status? {
        HealthStatusEnum::STARTING => Verdict::Starting,
        HealthStatusEnum::HEALTHY => Verdict::Healthy,
        HealthStatusEnum::UNHEALTHY => Verdict::Unhealthy,
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => return None,
    };
    let last = health.log.unwrap_or_default().pop();
    let output = last.and_then(|check| check.output).unwrap_or_default();
    Some(Healthcheck {
        verdict,
        failures: count(health.failing_streak),
        output: one_line(&output),
    })
}

fn one_line(text: &str) -> Box<str> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = words.chars().take(OUTPUT_CHARS).collect();
    clean(&cut).into_owned().into()
}

fn count(number: Option<i64>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// The end with this status, if any is known.
pub fn exit(code: Option<i64>, out_of_memory: bool) -> Exit {
    let signal = code.filter(|code| SIGNALS.contains(code));
    Exit {
        code: code.and_then(|code| i32::try_from(code).ok()),
        signal: signal.and_then(|code| i32::try_from(code - 128).ok()),
        out_of_memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_over_128_are_signals() {
        assert_eq!(exit(Some(137), false).to_string(), "killed by SIGKILL");
        assert_eq!(exit(Some(137), true).to_string(), "out of memory");
        assert_eq!(exit(Some(1), false).to_string(), "exited with status 1");
        assert_eq!(exit(Some(255), false).to_string(), "exited with status 255");
        assert_eq!(exit(None, false).to_string(), "ended");
    }

    #[test]
    fn a_time_that_never_was_is_none() {
        assert_eq!(moment("0001-01-01T00:00:00Z"), None);
        let at = moment("2026-11-21T13:54:45.486185655Z").expect("a time");
        assert_eq!(at.as_second(), 1_795_269_285);
    }

    #[test]
    fn a_failing_healthcheck_shows_what_it_printed_as_one_safe_line() {
        let health = Healthcheck {
            verdict: Verdict::Unhealthy,
            failures: 3,
            output: one_line("no\n  route \x1b[31mto host\n"),
        };
        let shown = health.to_string();
        assert!(shown.starts_with("unhealthy ×3 · no route "), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown}");
        let health = Healthcheck {
            verdict: Verdict::Healthy,
            failures: 0,
            ..health
        };
        assert_eq!(health.to_string(), "healthy");
    }

    #[test]
    fn only_what_is_amiss_alarms() {
        let alarming = |state: &ContainerState| -> Vec<String> {
            let facts = state.facts();
            let bad = facts
                .iter()
                .filter(|(name, text)| fact::is_alarming(name, text));
            bad.map(|(name, text)| format!("{name}: {text}")).collect()
        };
        let health = |verdict, failures| Healthcheck {
            verdict,
            failures,
            output: "no route".into(),
        };
        let mut state = ContainerState {
            life: Life::Running,
            health: Some(health(Verdict::Starting, 1)),
            ..ContainerState::default()
        };
        assert!(alarming(&state).is_empty());
        state.health = Some(health(Verdict::Unhealthy, 3));
        state.life = Life::Paused;
        state.out_of_memory = 1;
        assert_eq!(
            alarming(&state),
            [
                "status: paused",
                "health: unhealthy ×3 · no route",
                "oom: the kernel killed a process in it"
            ]
        );
        state.exit = Some(exit(Some(3), false));
        assert_eq!(
            alarming(&state)[0],
            "status: exited with status 3, now paused"
        );
    }

    #[test]
    fn only_the_latest_events_are_kept() {
        let mut state = ContainerState::default();
        for n in 0..20 {
            state.remember(Heard {
                at: Timestamp::UNIX_EPOCH,
                what: format!("die {n}").into(),
            });
        }
        assert_eq!(state.events.len(), EVENTS_KEPT);
        assert_eq!(&*state.events[EVENTS_KEPT - 1].what, "die 19");
    }
}
