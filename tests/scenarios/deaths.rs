//! Instances that die, hang up, fall silent or panic: what is shown, and what happens next.

use envdeck::model::{
    Backend, Cause, Command, Event, Happening, HealthPolicy, Instance, InstanceId, Level, Outcome,
    Phase, RestartPolicy, Stage,
};
use tokio::sync::broadcast::error::RecvError;

use crate::deck::{Deck, backend, notice, seconds};
use crate::fake::{Script, Start};
use crate::server::Manners;

/// Two attempts: after about 1 s, then 2 s; a minute of peace gives both back.
fn restarting(name: &str) -> Backend {
    let restart = RestartPolicy::OnFailure {
        attempts: 2,
        backoff: seconds(1),
        ceiling: seconds(30),
        stable: seconds(60),
    };
    Backend {
        restart,
        ..backend(name)
    }
}

fn failure(outcome: Option<&Outcome>) -> String {
    match outcome {
        Some(Outcome::Failed(failure)) => failure.to_string(),
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_the_call_in_flight_with_the_exit_and_leaves_a_death_card() {
    let chatty = Script {
        stderr: vec!["thread panicked"],
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("one")], &[("one", chatty)]);
    let mut notices = deck.handle.notices();
    let id = deck.open_one("one").await;
    deck.call(&id, "echo", "{}").await;
    let hanging = deck.begin(&id, "hang", "{}").await;
    let outcome = deck.call(&id, "crash", r#"{"code":3}"#).await;
    let hanging = deck.end_of(hanging).await;
    for outcome in [Some(&outcome), hanging.outcome()] {
        let text = failure(outcome);
        assert!(text.starts_with("call: exited with status 3"), "{text}");
    }
    let instance = deck.wait_for_phase(&id, Phase::Failed).await;
    let card = instance.death.as_ref().unwrap();
    assert_eq!(card.failure.to_string(), "run: exited with status 3");
    assert_eq!(&*card.failure.output[0], "thread panicked");
    assert!(card.uptime.is_some());
    let in_flight: Vec<_> = card.in_flight.iter().map(|call| &*call.tool).collect();
    assert_eq!(in_flight, ["hang", "crash"]);
    assert_eq!(&*card.last_good.as_ref().unwrap().tool, "echo");
    assert_eq!(&*card.facts[0].0, "command");
    assert_eq!(
        (instance.in_flight, instance.calls, instance.errors),
        (0, 3, 2)
    );
    assert!(
        instance
            .tools
            .as_ref()
            .is_some_and(|tools| !tools.is_empty()),
        "tools survive"
    );
    assert!(
        deck.log(&id).contains("thread panicked"),
        "the log survives"
    );
    assert_eq!(
        notice(&mut notices, "died: run: exited with status 3")
            .await
            .level,
        Level::Error
    );
    assert_eq!(deck.world.alive(), 0);
    let refused = deck.refusal(crate::deck::call(&id, "echo", "{}")).await;
    assert!(
        refused.contains("is failed: run: exited with status 3"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_just_before_the_end_is_an_answer() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    assert_eq!(deck.call(&id, "farewell", "{}").await.word(), "ok");
    let card = deck
        .wait_for_phase(&id, Phase::Failed)
        .await
        .death
        .clone()
        .unwrap();
    assert_eq!(card.failure.to_string(), "run: exited with status 0");
    assert!(card.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn restarts_back_off_until_the_budget_is_used_up() {
    let deck = Deck::new(vec![restarting("one")], &[]);
    let (mut events, mut notices) = (deck.handle.events(), deck.handle.notices());
    let id = deck.open_one("one").await;
    let mut pauses = vec![];
    for attempt in 1..=2 {
        deck.world.crash(&id, 1);
        pauses.push(pause(&mut events, &id, attempt).await);
        let back = deck
            .wait_for(&id, "it is back", |one| {
                one.phase == Phase::Ready && one.restarts == attempt
            })
            .await;
        assert!(back.death.is_some(), "the card outlives the restart");
    }
    assert!(pauses[0] >= 0.5 && pauses[0] <= 1.01, "{pauses:?}");
    assert!(pauses[1] >= 1.0 && pauses[1] <= 2.01, "{pauses:?}");
    deck.world.crash(&id, 1);
    let failed = deck.wait_for_phase(&id, Phase::Failed).await;
    assert_eq!(failed.retry, None);
    notice(&mut notices, "is ready again").await;
    notice(&mut notices, "gave up after 2 restarts").await;
    assert_eq!((deck.world.started(), deck.world.alive()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_followed_by_the_next_attempt() {
    let deck = Deck::new(vec![restarting("one")], &[]);
    let mut notices = deck.handle.notices();
    let id = deck.open_one("one").await;
    let broken = Script {
        start: Start::Fails,
        ..Script::default()
    };
    deck.world.script("one", broken.clone());
    deck.world.crash(&id, 1);
    let second = |one: &Instance| one.retry.is_some_and(|(attempt, ..)| attempt == 2);
    let waiting = deck.wait_for(&id, "it waits again", second).await;
    assert_eq!((waiting.phase, waiting.restarts), (Phase::Waiting, 1));
    deck.world.script("one", Script::default());
    deck.wait_for_phase(&id, Phase::Ready).await;

    deck.world.script("one", broken);
    deck.world.crash(&id, 1);
    let failed = deck.wait_for_phase(&id, Phase::Failed).await;
    assert_eq!(failed.restarts, 2, "both attempts were used up before");
    notice(&mut notices, "did not start").await;
    notice(&mut notices, "gave up after 2 restarts").await;
}

/// Seconds until the announced attempt.
async fn pause(
    events: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<Event>>,
    id: &InstanceId,
    attempt: u32,
) -> f64 {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => panic!("the orchestrator runs"),
        };
        if let Happening::RetryAt {
            instance,
            attempt: number,
            of: 2,
            at,
        } = &event.what
        {
            assert_eq!((instance, *number), (id, attempt));
            return at.duration_since(event.at).as_secs_f64();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stable_time_gives_the_budget_back() {
    let deck = Deck::new(vec![restarting("one")], &[]);
    let id = deck.open_one("one").await;
    // More deaths than the budget holds, each after a minute of peace.
    for restarts in 1..=4 {
        tokio::time::sleep(seconds(61)).await;
        deck.world.crash(&id, 1);
        deck.wait_for(&id, "it is back", |one| {
            one.phase == Phase::Ready && one.restarts == restarts
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_hand_works_after_giving_up_and_has_a_fresh_budget() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    deck.world.crash(&id, 1);
    deck.wait_for_phase(&id, Phase::Failed).await;
    assert!(
        deck.refusal(Command::Stop(id.clone()))
            .await
            .contains("already failed")
    );
    deck.request(Command::Restart(id.clone())).await.unwrap();
    deck.wait_for_phase(&id, Phase::Ready).await;
    assert!(
        deck.refusal(Command::Start(id.clone()))
            .await
            .contains("already running")
    );
    assert_eq!(deck.call(&id, "echo", "{}").await.word(), "ok");
    // And of a running one.
    deck.request(Command::Restart(id.clone())).await.unwrap();
    deck.wait_for(&id, "it is back", |one| {
        one.phase == Phase::Ready && one.restarts == 2
    })
    .await;
    assert_eq!((deck.world.started(), deck.world.alive()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_is_a_death_and_the_process_is_stopped() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    deck.world.hang_up(&id);
    let instance = deck.wait_for_phase(&id, Phase::Failed).await;
    let failure = &instance.death.as_ref().unwrap().failure;
    assert!(matches!(failure.cause, Cause::Closed), "{failure}");
    assert_eq!(failure.stage, Stage::Run);
    assert_eq!(deck.world.alive(), 0);
}

fn probed(name: &str) -> Backend {
    let health = HealthPolicy {
        interval: seconds(5),
        timeout: seconds(5),
        failures: 3,
    };
    Backend {
        health,
        call_timeout: seconds(300),
        ..backend(name)
    }
}

fn deaf() -> Script {
    let server = Manners {
        deaf_to_pings: true,
        ..Manners::default()
    };
    Script {
        server,
        ..Script::default()
    }
}

#[tokio::test(start_paused = true)]
async fn unanswered_pings_of_an_idle_server_are_its_death() {
    let deck = Deck::new(vec![probed("one")], &[("one", deaf())]);
    let id = deck.open_one("one").await;
    let instance = deck.wait_for_phase(&id, Phase::Failed).await;
    let failure = &instance.death.as_ref().unwrap().failure;
    assert!(
        matches!(&failure.cause, Cause::Deadline { what, .. } if what == "ping"),
        "{failure}"
    );
    assert_eq!(instance.health.consecutive_failures, 3);
    assert_eq!(deck.world.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn unanswered_pings_while_a_call_runs_do_not_kill() {
    let deck = Deck::new(vec![probed("one")], &[("one", deaf())]);
    let id = deck.open_one("one").await;
    assert_eq!(
        deck.call(&id, "sleep", r#"{"ms":200000}"#).await.word(),
        "ok"
    );
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Ready);
    let unanswered = instance
        .health
        .probes
        .iter()
        .filter(|probe| probe.result.is_err());
    assert!(unanswered.count() > 3, "it was probed and did not answer");
    deck.wait_for_phase(&id, Phase::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn unanswered_pings_of_what_is_paused_do_not_kill() {
    let paused = Script {
        excuse: Some("it is paused"),
        ..deaf()
    };
    let deck = Deck::new(vec![probed("one")], &[("one", paused)]);
    let id = deck.open_one("one").await;
    let instance = deck
        .wait_for(&id, "unanswered probes", |one| {
            one.health.consecutive_failures > 5
        })
        .await;
    assert_eq!(instance.phase, Phase::Ready);
    deck.world.hang_up(&id);
    let instance = deck.wait_for_phase(&id, Phase::Failed).await;
    let failure = &instance.death.as_ref().unwrap().failure;
    assert_eq!(failure.hint.as_deref(), Some("it is paused"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_what_logs_lazily_are_on_the_death_card() {
    let script = Script {
        last_words: Some("Traceback: it had a reason"),
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("one")], &[("one", script)]);
    let id = deck.open_one("one").await;
    deck.world.crash(&id, 3);
    let instance = deck.wait_for_phase(&id, Phase::Failed).await;
    let output = &instance.death.as_ref().unwrap().failure.output;
    assert_eq!(**output, ["Traceback: it had a reason".into()]);
}

#[tokio::test(start_paused = true)]
async fn answered_pings_and_samples_are_shown() {
    let deck = Deck::new(vec![probed("one")], &[]);
    let id = deck.open_one("one").await;
    deck.handle.send(Command::Watch(Some(id.clone()))).unwrap();
    let instance = deck
        .wait_for(&id, "samples and probes", |one| {
            one.health.samples.len() >= 20 && one.health.probes.len() >= 3
        })
        .await;
    assert!(
        instance
            .health
            .probes
            .iter()
            .all(|probe| probe.result.is_ok() && probe.how == "ping")
    );
    // A sample a second while it is watched: many times more than probes.
    assert!(instance.health.samples.len() >= 4 * instance.health.probes.len());
    assert_eq!(instance.latest_sample().unwrap().memory, 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_panic_becomes_the_failure_of_one_instance() {
    let script = |start| Script {
        start,
        ..Script::default()
    };
    let scripts = [
        ("panics", script(Start::Panics)),
        ("waits", script(Start::WaitPanics)),
    ];
    let deck = Deck::new(
        vec![backend("panics"), backend("waits"), backend("fine")],
        &scripts,
    );
    deck.open(&[("panics", 1), ("waits", 1), ("fine", 1)]).await;
    let fleet = deck.fleet();
    let of = |name: &str| {
        fleet
            .instances()
            .find(|one| &*one.backend.name == name)
            .unwrap()
    };
    let text = |name: &str| of(name).death.as_ref().unwrap().failure.to_string();
    assert_eq!(
        text("panics"),
        "start: internal error: the driver lost its mind; please report it"
    );
    assert_eq!(
        text("waits"),
        "start: internal error: waiting went wrong; please report it"
    );
    assert_eq!(deck.call(&of("fine").id, "echo", "{}").await.word(), "ok");
    assert_eq!(deck.world.alive(), 1, "what panicked is killed");
    // It can be asked again, like any other that failed.
    deck.world.script("panics", Script::default());
    let id = of("panics").id.clone();
    deck.request(Command::Start(id.clone())).await.unwrap();
    deck.wait_for_phase(&id, Phase::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_on_stdout_is_counted_and_told_once() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let mut notices = deck.handle.notices();
    let id = deck.open_one("one").await;
    for _ in 0..2 {
        deck.call(&id, "babble", r#"{"lines":5}"#).await;
    }
    let instance = deck
        .wait_for(&id, "noise", |one| one.stdout_noise == 10)
        .await;
    assert_eq!(instance.phase, Phase::Ready);
    notice(&mut notices, "the server writes to stdout: not JSON-RPC").await;
    deck.request(Command::Stop(id.clone())).await.unwrap();
    deck.wait_for_phase(&id, Phase::Stopped).await;
    while let Ok(other) = notices.try_recv() {
        assert!(!other.text.contains("stdout"), "told again: {}", other.text);
    }
}

#[tokio::test(start_paused = true)]
async fn tools_are_listed_again_when_they_change_or_on_demand() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    let tools = |one: &envdeck::model::Instance| one.tools.as_ref().map_or(0, |tools| tools.len());
    let before = tools(&deck.instance(&id));
    deck.call(&id, "grow", "{}").await;
    deck.wait_for(&id, "one more tool", |one| tools(one) == before + 1)
        .await;
    deck.request(Command::ListTools(id.clone())).await.unwrap();
    deck.request(Command::Stop(id.clone())).await.unwrap();
    let refused = deck.refusal(Command::ListTools(id)).await;
    assert!(refused.contains("is stop"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn reports_of_a_removed_instance_change_nothing() {
    let deck = Deck::new(vec![backend("one")], &[]);
    deck.open(&[("one", 2)]).await;
    let id = deck.fleet().instances().next().unwrap().id.clone();
    deck.request(Command::Remove(id.clone())).await.unwrap();
    let fleet = deck
        .wait_until("it is gone", |fleet| fleet.instance(&id).is_none())
        .await;
    assert_eq!((fleet.instances().count(), deck.world.alive()), (1, 1));
    let mut copy = envdeck::model::Fleet::clone(&fleet);
    let late = [
        Happening::PhaseChanged {
            instance: id.clone(),
            phase: Phase::Ready,
        },
        Happening::StdoutNoise {
            instance: id.clone(),
            lines: 3,
        },
        Happening::InstanceRemoved {
            instance: id.clone(),
        },
    ];
    for what in late {
        assert!(!copy.apply(&Event {
            at: jiff::Timestamp::now(),
            what
        }));
    }
    assert_eq!(copy.revision, fleet.revision);
    assert!(
        deck.refusal(Command::Restart(id))
            .await
            .contains("there is no instance")
    );
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_is_known_after_the_pipe_closed_is_still_the_reason() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    let hanging = deck.begin(&id, "hang", "{}").await;
    deck.world.hang_up(&id);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    deck.world.crash(&id, 9);
    let card = deck.wait_for_phase(&id, Phase::Failed).await.death.clone();
    assert_eq!(
        card.unwrap().failure.to_string(),
        "run: exited with status 9"
    );
    let ended = deck.end_of(hanging).await;
    assert!(failure(ended.outcome()).starts_with("call: exited with status 9"));
}
