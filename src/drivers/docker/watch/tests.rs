//! Tests of what events and inspections make of states, without an engine.

use std::collections::HashMap;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EventActor, EventMessage};
use jiff::Timestamp;

use super::roll::{Next, Roll};
use super::state::{ContainerState, Life, Look};
use crate::model::InstanceId;
use crate::stores::logs::LogStore;

const ID: &str = "0123456789ab";

/// One watched container, and the engine's side of it.
struct Bench {
    roll: Roll,
    state: tokio::sync::watch::Receiver<ContainerState>,
    logs: LogStore,
    time: i64,
}

impl Bench {
    fn new() -> Self {
        let (mut roll, logs) = (Roll::default(), LogStore::default());
        let (state, _) = roll.enter(ID, logs.writer(&InstanceId::new(ID)));
        Self {
            roll,
            state,
            logs,
            time: 1_795_269_285_000_000_000,
        }
    }

    fn event(&mut self, action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        self.time += 1;
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        EventMessage {
            action: Some(action.into()),
            actor: Some(EventActor {
                id: Some(ID.into()),
                attributes: Some(attributes.collect::<HashMap<_, _>>()),
            }),
            time_nano: Some(self.time),
            ..EventMessage::default()
        }
    }

    fn hear(&mut self, action: &str, attributes: &[(&str, &str)]) {
        let event = self.event(action, attributes);
        self.roll.hear(&event);
    }

    /// The next look, if one is due, sees this.
    fn look(&mut self, look: Option<Look>) -> Option<Next> {
        let due = self.roll.next_due()?;
        Some(self.roll.seen(&due, look))
    }

    fn exit(&self) -> Option<String> {
        self.state.borrow().exit.as_ref().map(ToString::to_string)
    }

    fn texts(&self) -> Vec<String> {
        let lines = self.logs.tail(&InstanceId::new(ID), usize::MAX).lines;
        lines
            .iter()
            .map(|line| line.line.text.to_string())
            .collect()
    }
}

fn running(second: i64) -> Look {
    Look {
        life: Life::Running,
        exit_code: Some(0),
        oom_killed: false,
        started: Timestamp::from_second(second).ok(),
        health: None,
        restarts: 0,
        memory_limit: Some(64 << 20),
    }
}

fn exited(code: i64) -> Look {
    Look {
        life: Life::Exited,
        exit_code: Some(code),
        ..running(1)
    }
}

#[test]
fn what_happens_during_a_look_is_a_reason_for_another() {
    let mut bench = Bench::new();
    let due = bench.roll.next_due().expect("a new one is looked at");
    assert!(bench.roll.next_due().is_none());
    bench.hear("start", &[]);
    bench.hear("pause", &[]);
    assert!(bench.roll.next_due().is_none(), "one look at a time");
    bench.roll.seen(&due, Some(running(1)));
    assert!(bench.look(Some(running(1))).is_some());
    assert!(bench.roll.next_due().is_none());
    bench.hear("exec_start: sh", &[]);
    bench.hear("attach", &[]);
    assert!(bench.roll.next_due().is_none(), "no change of state");
}

#[test]
fn events_that_come_again_count_once() {
    let mut bench = Bench::new();
    let oom = bench.event("oom", &[]);
    let killed = bench.event("kill", &[("signal", "15")]);
    for _ in 0..3 {
        bench.roll.hear(&oom);
        bench.roll.hear(&killed);
    }
    assert_eq!(bench.state.borrow().out_of_memory, 1);
    assert_eq!(bench.state.borrow().events.len(), 2);
    assert_eq!(bench.texts().len(), 2);
    assert!(bench.texts()[1].contains("SIGTERM"));
}

#[test]
fn a_sudden_end_waits_a_moment_for_its_reason() {
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.hear("die", &[("exitCode", "137")]);
    assert!(matches!(bench.look(Some(exited(137))), Some(Next::Look(_))));
    assert_eq!(bench.exit(), None);
    bench.hear("oom", &[]);
    bench.roll.seen(ID, Some(exited(137)));
    assert_eq!(bench.exit().as_deref(), Some("out of memory"));

    // Without a reason it is told all the same; with one, or without a limit, at once.
    let mut bench = Bench::new();
    bench.look(Some(exited(137)));
    bench.roll.seen(ID, Some(exited(137)));
    assert_eq!(bench.exit().as_deref(), Some("killed by SIGKILL"));
    let mut bench = Bench::new();
    bench.hear("kill", &[("signal", "SIGKILL")]);
    assert!(matches!(bench.look(Some(exited(137))), Some(Next::Nothing)));
    let unlimited = Look {
        memory_limit: None,
        ..exited(137)
    };
    assert!(matches!(
        Bench::new().look(Some(unlimited)),
        Some(Next::Nothing)
    ));
}

#[test]
fn what_was_started_anew_unseen_has_ended_before() {
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.hear("die", &[("exitCode", "5")]);
    bench.look(Some(running(2)));
    assert_eq!(bench.exit().as_deref(), Some("exited with status 5"));
    assert_eq!(bench.state.borrow().life, Life::Running);
    assert_eq!(
        bench.texts(),
        ["the container was started again from outside"]
    );
    // With no event at all, after an outage.
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.hear("start", &[]);
    bench.look(Some(running(2)));
    assert_eq!(bench.exit().as_deref(), Some("ended"));
}

#[test]
fn an_event_is_believed_when_the_engine_does_not_say_more() {
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.hear("die", &[("exitCode", "9")]);
    let due = bench.roll.next_due().expect("it is due");
    bench.roll.not_seen(&due);
    assert_eq!(bench.exit().as_deref(), Some("exited with status 9"));
    bench.roll.seen(&due, None);
    assert_eq!(bench.state.borrow().life, Life::Removed);
    assert_eq!(bench.exit().as_deref(), Some("exited with status 9"));
}

#[test]
fn an_outage_is_told_once_and_is_no_end() {
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.roll.lose("nobody there");
    bench.roll.lose("nobody there");
    let (late, _) = bench
        .roll
        .enter("late", bench.logs.writer(&InstanceId::new("late")));
    let since = bench.state.borrow().engine_lost;
    assert!(since.is_some() && late.borrow().engine_lost == since);
    assert_eq!(
        (bench.state.borrow().life, bench.exit()),
        (Life::Running, None)
    );
    bench.roll.mark_all();
    assert!(
        bench.state.borrow().engine_lost.is_some(),
        "not looked at yet"
    );
    bench.look(Some(running(1)));
    bench.look(Some(running(1)));
    assert_eq!(bench.state.borrow().engine_lost, None);
    let texts = bench.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(texts[0], "the engine cannot be reached: nobody there");
    assert!(texts[1].starts_with("the engine answers again after"));
}

#[test]
fn an_end_that_the_engine_told_before_it_went_is_one() {
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench.hear("die", &[("exitCode", "7")]);
    bench.roll.lose("nobody there");
    assert_eq!(bench.exit().as_deref(), Some("exited with status 7"));
}

#[test]
fn a_list_finds_what_no_event_told() {
    let listed = |state| ContainerSummary {
        id: Some(ID.into()),
        state: Some(state),
        ..ContainerSummary::default()
    };
    let mut bench = Bench::new();
    bench.look(Some(running(1)));
    bench
        .roll
        .compare(&[listed(ContainerSummaryStateEnum::RUNNING)]);
    assert!(bench.roll.next_due().is_none());
    bench
        .roll
        .compare(&[listed(ContainerSummaryStateEnum::EXITED)]);
    bench.look(Some(exited(0)));
    assert_eq!(bench.exit().as_deref(), Some("exited with status 0"));
    bench.roll.compare(&[]);
    bench.look(None);
    assert_eq!(bench.state.borrow().life, Life::Removed);
    bench.roll.compare(&[]);
    assert!(bench.roll.next_due().is_none(), "gone for good");
}
