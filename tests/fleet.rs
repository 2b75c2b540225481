//! The reducer against any order of events, legal or not: nothing panics, and what is counted stays true.
#![allow(clippy::unwrap_used)] // tests may

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use envdeck::config::{backend_infos, demo};
use envdeck::model::{
    BackendInfo, Call, CallId, CallState, Caller, Cause, DeathCard, Event, Failure, Fleet,
    Happening, InstanceId, Outcome, Phase, Probe, Progress, ResultId, Sample, SessionId, Stage,
};
use jiff::Timestamp;
use proptest::prelude::*;
use strum::IntoEnumIterator;

/// Few names, so that events meet.
fn session(number: u8) -> SessionId {
    SessionId::new(format!("session{}", number % 2))
}

fn instance(number: u8) -> InstanceId {
    InstanceId::new(format!("instance{}", number % 30))
}

fn backend() -> Arc<BackendInfo> {
    backend_infos(&demo())[0].clone()
}

fn call(id: u64, number: u8) -> Call {
    Call {
        id: CallId(id),
        session: session(number),
        instance: instance(number),
        backend: "demo".into(),
        tool: "echo".into(),
        arguments: "{}".into(),
        caller: Caller::Operator,
        started: Timestamp::UNIX_EPOCH,
        deadline: Timestamp::UNIX_EPOCH,
        progress: None,
        state: CallState::Running,
    }
}

fn failure() -> Failure {
    Failure::new(Stage::Run, Cause::Closed)
}

fn ended(ok: bool) -> CallState {
    let outcome = if ok {
        Outcome::Done(ResultId(1))
    } else {
        Outcome::Failed(failure())
    };
    CallState::Ended {
        outcome,
        at: Timestamp::UNIX_EPOCH,
        took: Duration::from_millis(3),
        size: 9,
    }
}

fn card() -> Arc<DeathCard> {
    Arc::new(DeathCard {
        at: Timestamp::UNIX_EPOCH,
        failure: failure(),
        uptime: None,
        restarts: 0,
        facts: Arc::default(),
        in_flight: vec![],
        last_good: None,
        memory: vec![],
    })
}

fn probe(ok: bool) -> Probe {
    let result = if ok {
        Ok(Duration::from_millis(1))
    } else {
        Err(Arc::new(failure()))
    };
    Probe {
        at: Timestamp::UNIX_EPOCH,
        result,
        how: "ping",
    }
}

fn sample() -> Sample {
    Sample {
        at: Timestamp::UNIX_EPOCH,
        cpu: 1.0,
        memory: 2,
        memory_limit: None,
        processes: 1,
        network: None,
        disk: None,
    }
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(Phase::iter().collect::<Vec<_>>())
}

fn about_sessions(kind: u8, number: u8) -> Happening {
    let session = session(number);
    match kind {
        0 => Happening::SessionOpened {
            session,
            caller: Caller::Operator,
        },
        1 => Happening::SessionClosing { session },
        _ => Happening::SessionClosed { session },
    }
}

fn about_instances(kind: u8, number: u8, phase: Phase) -> Happening {
    let instance = instance(number);
    let at = Timestamp::UNIX_EPOCH;
    match kind {
        0 => Happening::InstanceAdded {
            session: session(number / 30),
            instance,
            backend: backend(),
        },
        1 => Happening::InstanceRemoved { instance },
        2 => Happening::Step {
            instance,
            step: "start".into(),
            deadline: None,
        },
        3 => Happening::RetryAt {
            instance,
            attempt: 1,
            of: 3,
            at,
        },
        4 => Happening::Died {
            instance,
            card: card(),
        },
        5 => Happening::Probed {
            instance,
            probe: probe(number > 100),
        },
        6 => Happening::Sampled {
            instance,
            sample: sample(),
        },
        7 => Happening::StdoutNoise { instance, lines: 2 },
        8 => Happening::ToolsListed {
            instance,
            tools: Arc::default(),
        },
        _ => Happening::PhaseChanged { instance, phase },
    }
}

fn about_calls(kind: u8, id: u64, number: u8) -> Happening {
    let progress = Progress {
        done: 1.0,
        total: None,
        message: None,
    };
    let deadline = Timestamp::MAX;
    match kind {
        0..=2 => Happening::CallStarted {
            call: Arc::new(call(id, number)),
        },
        3 => Happening::CallProgressed {
            call: CallId(id),
            progress,
            deadline,
        },
        4 => Happening::CallExtended {
            call: CallId(id),
            deadline,
        },
        5 => Happening::CallCancelling { call: CallId(id) },
        6 => Happening::CallEnded {
            call: CallId(id),
            state: CallState::Running,
        },
        _ => Happening::CallEnded {
            call: CallId(id),
            state: ended(number > 100),
        },
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => (0_u8..6, any::<u8>()).prop_map(|(kind, number)| about_sessions(kind % 3, number)),
        4 => (0_u8..14, any::<u8>(), phase())
            .prop_map(|(kind, number, phase)| about_instances(kind, number, phase)),
        4 => (0_u8..10, 1_u64..12, any::<u8>())
            .prop_map(|(kind, id, number)| about_calls(kind, id, number)),
    ]
}

fn apply(fleet: &mut Fleet, what: Happening) -> bool {
    fleet.apply(&Event {
        at: Timestamp::UNIX_EPOCH,
        what,
    })
}

/// An open session with one instance.
fn small_fleet() -> Fleet {
    let mut fleet = Fleet::new(vec![backend()].into());
    apply(
        &mut fleet,
        Happening::SessionOpened {
            session: session(0),
            caller: Caller::Operator,
        },
    );
    apply(&mut fleet, about_instances(0, 0, Phase::Pending));
    fleet
}

proptest! {
    #[test]
    fn any_order_of_events_leaves_a_consistent_fleet(events in prop::collection::vec(happening(), 0..200)) {
        let mut fleet = small_fleet();
        let mut used = HashSet::from([instance(0)]);
        for what in events {
            // No id is ever used again.
            if let Happening::InstanceAdded { instance, .. } = &what && !used.insert(instance.clone()) {
                continue;
            }
            let before = fleet.clone();
            let name = what.name();
            let moved = match &what {
                Happening::PhaseChanged { instance, phase } => {
                    before.instance(instance).map(|old| (old.phase, *phase))
                }
                _ => None,
            };
            let changed = apply(&mut fleet, what);
            prop_assert_eq!(fleet.revision, before.revision + u64::from(changed), "{}", name);
            if let Some((from, to)) = moved {
                prop_assert_eq!(changed, from.may_become(to));
            }
            for instance in fleet.instances() {
                let found = fleet.instance(&instance.id);
                prop_assert!(found.is_some_and(|found| Arc::ptr_eq(found, instance)));
                prop_assert!(u64::from(instance.in_flight) + instance.errors <= instance.calls);
            }
        }
    }

    #[test]
    fn what_is_in_flight_is_what_runs(events in prop::collection::vec((0_u8..10, 1_u64..12), 0..100)) {
        let mut fleet = small_fleet();
        for (kind, id) in events {
            apply(&mut fleet, about_calls(kind, id, 0));
            let running = fleet.calls.values().filter(|call| call.is_running()).count();
            let shown = fleet.instance(&instance(0)).unwrap().in_flight;
            prop_assert_eq!(running, usize::try_from(shown).unwrap());
        }
    }
}

#[test]
fn ended_calls_are_bounded_and_running_ones_never_dropped() {
    let mut fleet = small_fleet();
    apply(&mut fleet, about_calls(0, 1, 0));
    for id in 2..5_000 {
        apply(&mut fleet, about_calls(0, id, 0));
        apply(&mut fleet, about_calls(9, id, 200));
    }
    assert!(fleet.calls[&CallId(1)].is_running());
    assert_eq!(fleet.calls.len(), 1_001);
    let it = fleet.instance(&instance(0)).unwrap();
    assert_eq!((it.calls, it.in_flight, it.errors), (4_999, 1, 0));
    assert!(it.latencies.len() <= 120);
    // What took longest is the latest news.
    apply(&mut fleet, about_calls(9, 1, 200));
    assert!(!fleet.calls[&CallId(1)].is_running());
    assert_eq!(fleet.calls.len(), 1_000);
}

#[test]
fn late_events_of_a_removed_instance_change_nothing() {
    let mut fleet = small_fleet();
    apply(&mut fleet, about_calls(0, 1, 0));
    apply(&mut fleet, about_instances(1, 0, Phase::Pending));
    let revision = fleet.revision;
    for kind in 1..10 {
        assert!(
            !apply(&mut fleet, about_instances(kind, 0, Phase::Ready)),
            "kind {kind}"
        );
    }
    assert!(
        !apply(&mut fleet, about_calls(0, 2, 0)),
        "no call starts on it"
    );
    assert_eq!(fleet.revision, revision);
    assert!(
        apply(&mut fleet, about_calls(9, 1, 0)),
        "its last call still ends"
    );
}

#[test]
fn a_change_copies_one_instance_and_not_its_neighbours() {
    let mut fleet = small_fleet();
    apply(&mut fleet, about_instances(0, 1, Phase::Pending));
    let before = fleet.clone();
    apply(&mut fleet, about_instances(7, 0, Phase::Pending));
    let same =
        |id: &InstanceId| Arc::ptr_eq(fleet.instance(id).unwrap(), before.instance(id).unwrap());
    assert!(!same(&instance(0)));
    assert!(same(&instance(1)));
    assert_eq!(before.instance(&instance(0)).unwrap().stdout_noise, 0);
}
