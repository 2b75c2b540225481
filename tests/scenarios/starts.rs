//! Opening sessions: several at once, bounded, each with its own clock.

use std::sync::Arc;

use envdeck::model::{Backend, Fleet, Instance, SessionId, StartupCheck};
use envdeck::model::{Cause, Command, Level, Limits, Phase, SHARED_SESSION, Scope, Stage};
use envdeck::orchestrator::Reply;
use serde_json::json;
use tokio::time::Instant;

use crate::deck::{Deck, backend, count, notice, open, seconds};
use crate::fake::{Script, Start};
use crate::server::Manners;

fn limits(parallel_starts: usize) -> Limits {
    Limits {
        parallel_starts,
        ..Limits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_instance_does_not_take_down_the_others_and_one_can_be_stopped_meanwhile() {
    let slow = Script {
        start_delay: seconds(2),
        ..Script::default()
    };
    let fails = Script {
        start: Start::Fails,
        ..slow.clone()
    };
    let scripts = [("slow", slow), ("fails", fails)];
    let deck = Deck::new(vec![backend("slow"), backend("fails")], &scripts);
    let mut notices = deck.handle.notices();
    let opening = deck.asking(open(&[("slow", 3), ("fails", 1)]));
    let fleet = deck
        .wait_until("all are starting", |fleet| {
            let starting = fleet.instances().filter(|one| one.phase == Phase::Starting);
            starting.count() == 4
        })
        .await;
    let slow = fleet
        .instances()
        .find(|one| &*one.backend.name == "slow")
        .unwrap();
    deck.request(Command::Stop(slow.id.clone())).await.unwrap();
    let Ok(Reply::Opened(session, _)) = opening.await.unwrap() else {
        panic!("not opened")
    };
    let fleet = deck.fleet();
    assert_eq!(deck.instance(&slow.id).phase, Phase::Stopped);
    assert_eq!(count(&fleet, &session, Phase::Ready), 2);
    assert_eq!(count(&fleet, &session, Phase::Failed), 1);
    assert_eq!(deck.world.alive(), 2);
    let summary = notice(&mut notices, "2 of 4 instances are ready").await;
    assert_eq!(summary.level, Level::Warn);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_says_what_failed_at_which_stage() {
    let fails = Script {
        start: Start::Fails,
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("fails")], &[("fails", fails)]);
    let mut notices = deck.handle.notices();
    let id = deck.open_one("fails").await;
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Failed);
    let card = instance.death.as_ref().unwrap();
    assert_eq!(card.failure.to_string(), "create: no such image");
    assert_eq!(card.uptime, None);
    notice(&mut notices, "did not start: create: no such image").await;
    assert!(deck.log(&id).contains("create: no such image"));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_start_at_once_and_waiting_costs_no_start_time() {
    // Eight starts of 20 s each, two at a time, need 80 s: more than any single one has.
    let slow = Script {
        start_delay: seconds(20),
        ..Script::default()
    };
    let backend = Backend {
        start_timeout: seconds(30),
        ..backend("slow")
    };
    let deck = Deck::limited(vec![backend], &[("slow", slow)], limits(2));
    let began = Instant::now();
    let opening = deck.asking(open(&[("slow", 8)]));
    let fleet = deck
        .wait_until("some queue", |fleet| {
            fleet
                .instances()
                .filter(|instance| instance.step.as_deref() == Some("queued"))
                .count()
                == 6
        })
        .await;
    assert!(fleet.instances().all(|instance| match instance.phase {
        Phase::Pending => instance.step_deadline.is_none(),
        phase => phase == Phase::Starting,
    }));
    let Ok(Reply::Opened(session, _)) = opening.await.unwrap() else {
        panic!("not opened")
    };
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 8);
    assert_eq!(deck.world.most_starting(), 2);
    assert!(began.elapsed() >= seconds(80), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_fails_at_the_step_it_is_in() {
    let slow = Script {
        start_delay: seconds(31),
        ..Script::default()
    };
    let silent = Script {
        server: Manners {
            silent: true,
            ..Manners::default()
        },
        ..Script::default()
    };
    let deck = Deck::new(
        vec![backend("slow"), backend("silent")],
        &[("slow", slow), ("silent", silent)],
    );
    let began = Instant::now();
    let session = deck.open(&[("slow", 1), ("silent", 1)]).await;
    assert!(
        began.elapsed() >= seconds(30) && began.elapsed() < seconds(33),
        "{:?}",
        began.elapsed()
    );
    let fleet = deck.fleet();
    for instance in fleet.sessions[&session].instances.values() {
        let failure = &instance.death.as_ref().unwrap().failure;
        let (stage, what) = match &*instance.backend.name {
            "slow" => (Stage::Start, "start"),
            _ => (Stage::Initialize, "initialize"),
        };
        assert_eq!((instance.phase, failure.stage), (Phase::Failed, stage));
        assert!(
            matches!(&failure.cause, Cause::Deadline { what: said, .. } if said == what),
            "{failure}"
        );
    }
    assert_eq!(deck.world.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exit_during_the_start_is_told_with_its_status_and_last_output() {
    let dies = Script {
        start: Start::Exits(3),
        stderr: vec!["first", "no module named server"],
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("dies")], &[("dies", dies)]);
    let id = deck.open_one("dies").await;
    let card = deck.instance(&id).death.clone().unwrap();
    assert_eq!(card.failure.to_string(), "start: exited with status 3");
    let output: Vec<_> = card.failure.output.iter().map(|line| &**line).collect();
    assert_eq!(output, ["first", "no module named server"]);
    assert_eq!(&*card.facts[0].1, "fake --scripted");
}

fn checked(name: &str, tool: &str) -> Backend {
    let check = StartupCheck {
        tool: tool.to_owned(),
        arguments: json!({}),
    };
    Backend {
        startup_check: Some(check),
        ..backend(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_up_check_must_name_a_tool_and_succeed() {
    let backends = vec![
        checked("good", "echo"),
        checked("typo", "ecko"),
        checked("bad", "fail"),
    ];
    let deck = Deck::new(backends, &[]);
    deck.open(&[("good", 1), ("typo", 1), ("bad", 1)]).await;
    let fleet = deck.fleet();
    let of = |name: &str| {
        fleet
            .instances()
            .find(|one| &*one.backend.name == name)
            .unwrap()
    };
    assert_eq!(of("good").phase, Phase::Ready);
    let failure = |name: &str| of(name).death.as_ref().unwrap().failure.to_string();
    assert_eq!(
        failure("typo"),
        "prepare: start-up check `ecko`: the server has no such tool — did you mean `echo`?"
    );
    assert_eq!(
        failure("bad"),
        "prepare: start-up check `fail`: the tool answered with an error: it did not work"
    );
    assert_eq!(of("good").calls, 1, "the check is a call like any other");
    assert_eq!(deck.world.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_meant_is_refused_with_the_nearest_name() {
    let deck = Deck::new(vec![backend("filesystem")], &[]);
    let refused = deck.refusal(open(&[("filesytem", 1)])).await;
    assert_eq!(
        refused,
        "config: there is no backend `filesytem` — did you mean `filesystem`?"
    );
    assert!(
        deck.refusal(open(&[("filesystem", 0)]))
            .await
            .contains("at least 1")
    );
    assert!(
        deck.refusal(open(&[]))
            .await
            .contains("at least one backend")
    );
    assert!(deck.fleet().sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_command_that_nobody_waits_for_becomes_a_notice() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let mut notices = deck.handle.notices();
    deck.handle
        .send(Command::CloseSession(SessionId::new("nothing")))
        .unwrap();
    assert_eq!(
        notice(&mut notices, "there is no session").await.level,
        Level::Error
    );
}

#[tokio::test(start_paused = true)]
async fn a_shared_instance_is_made_once_and_survives_every_session() {
    let shared = Backend {
        scope: Scope::SharedGlobal,
        ..backend("shared")
    };
    let deck = Deck::new(vec![shared, backend("own")], &[]);
    let first = deck.open(&[("shared", 3), ("own", 1)]).await;
    let second = deck.open(&[("shared", 1)]).await;
    let fleet = deck.fleet();
    let home = &fleet.sessions[&SessionId::new(SHARED_SESSION)];
    assert_eq!(home.instances.len(), 1);
    assert_eq!(
        (
            fleet.sessions[&first].instances.len(),
            fleet.sessions[&second].instances.len()
        ),
        (1, 0)
    );
    let instance = home.instances.keys().next().unwrap().clone();
    assert!(deck.close(first).await.is_empty());
    assert!(deck.close(second).await.is_empty());
    assert_eq!(deck.instance(&instance).phase, Phase::Ready);
    let outcome = deck.call(&instance, "echo", "{}").await;
    assert_eq!(outcome.word(), "ok");
    assert_eq!(deck.world.started(), 2, "shared once, own once");
    let close = Command::CloseSession(SessionId::new(SHARED_SESSION));
    assert!(
        deck.refusal(close)
            .await
            .contains("belong to every session")
    );
    assert!(
        deck.refusal(Command::Remove(instance))
            .await
            .contains("belongs to every session")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_instances_open_and_close() {
    let deck = Deck::limited(vec![backend("many")], &[], limits(64));
    let session = deck.open(&[("many", 1_000)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 1_000);
    assert_eq!(deck.world.alive(), 1_000);
    assert!(deck.world.most_starting() <= 64);
    assert!(deck.close(session).await.is_empty());
    assert_eq!(deck.world.alive(), 0);
    assert!(deck.fleet().sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_failed_in_a_session_is_tried_again_all_at_once() {
    let fails = Script {
        start: Start::Fails,
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("good"), backend("bad")], &[("bad", fails)]);
    let session = deck.open(&[("good", 1), ("bad", 100)]).await;
    let other = deck.open(&[("bad", 1)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Failed), 100);
    deck.world.script("bad", Script::default());
    let retry = Command::RetryFailed(session.clone());
    deck.request(retry.clone()).await.unwrap();
    let all_ready = |fleet: &Fleet| count(fleet, &session, Phase::Ready) == 101;
    let fleet = deck.wait_until("all are ready", all_ready).await;
    let restarts = |one: &Arc<Instance>| one.restarts;
    let restarts = fleet.sessions[&session].instances.values().map(restarts);
    assert_eq!(restarts.sum::<u32>(), 100, "the good one was left alone");
    assert_eq!(count(&fleet, &other, Phase::Failed), 1);
    let why = deck.refusal(retry).await;
    assert!(why.contains("nothing has failed in session"), "{why}");
}
