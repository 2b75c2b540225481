//! An engine that is not there, goes away in the middle, or comes back: on an engine of the test's own.

use std::time::{Duration, Instant};

use envdeck::drivers::Driver;
use envdeck::drivers::docker::{Address, Containers, Engine};
use envdeck::model::{Backend, Outcome, Phase, RestartPolicy, RunId, Stage};
use nix::sys::signal::Signal;

use crate::daemon::Daemon;
use crate::deck::{open, seconds};
use crate::fleet::{deck, down, of};
use crate::lab::{Lab, mode, script};

/// The server on an engine that has no bridge.
fn server(name: &str) -> Backend {
    let mut spec = script("exec serve");
    spec.options.network.mode = Some("none".into());
    let restart = RestartPolicy::OnFailure {
        attempts: 3,
        backoff: Duration::from_millis(20),
        ceiling: Duration::from_millis(20),
        stable: seconds(600),
    };
    Backend {
        restart,
        stop_grace: seconds(1),
        ..of(name, mode(spec))
    }
}

#[tokio::test]
async fn without_an_engine_everything_says_so_at_once() {
    let nowhere = tempfile::tempdir().unwrap();
    let address = Address::Unix(nowhere.path().join("engine.sock"));
    let driver = Containers::new(Engine::at(address), nowhere.path());
    let began = Instant::now();
    let failure = driver.check().await.unwrap_err();
    assert_eq!(failure.stage, Stage::Check);
    assert!(
        failure
            .to_string()
            .contains("there is no Docker engine at unix:///"),
        "{failure}"
    );
    assert!(failure.hint.is_some());
    let (order, _) = crate::bench::order(&RunId::new("test"), mode(script("")));
    let refused = driver.start(order).await.err().unwrap();
    assert_eq!(refused.to_string(), failure.to_string());
    driver.settle().await.unwrap();
    assert!(began.elapsed() < seconds(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn an_engine_killed_while_it_starts_containers_leaves_nothing_when_it_is_back() {
    let mut daemon = Daemon::new(true).await;
    let lab = Lab::at(daemon.address()).await;
    for wait in [0, 150, 400, 800] {
        let backend = Backend {
            start_timeout: seconds(6),
            ..server("tiny")
        };
        let deck = deck(&lab, vec![backend]);
        let opening = deck.asking(open(&[("tiny", 4)]));
        deck.wait_until("some", |fleet| fleet.instances().count() == 4)
            .await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        daemon.end(Signal::SIGKILL).await;
        let session = deck.fleet().sessions.keys().next().unwrap().clone();
        // Some may be ready, others must have failed, and with a reason.
        deck.wait_until("the end of all starts", |fleet| {
            fleet.instances().all(|one| one.phase != Phase::Starting)
        })
        .await;
        for one in deck
            .fleet()
            .instances()
            .filter(|one| one.phase == Phase::Failed)
        {
            let failure = one.death.as_ref().unwrap().failure.to_string();
            let is_named =
                failure.contains("Docker engine") || failure.contains("the engine cannot be");
            assert!(is_named, "{failure}");
        }
        daemon.start().await;
        deck.close(session).await;
        let _ = opening.await;
        down(&lab, deck).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn containers_that_outlive_their_engine_go_on_answering() {
    let mut daemon = Daemon::new(true).await;
    let lab = Lab::at(daemon.address()).await;
    let deck = deck(&lab, vec![server("tiny")]);
    let id = deck.open_one("tiny").await;
    let before = lab.find(&id).await.unwrap().id;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        daemon.end(signal).await;
        let lost = deck.wait_for(&id, "the outage", |one| {
            one.facts.iter().any(|(name, _)| &**name == "engine")
        });
        assert_eq!(lost.await.phase, Phase::Ready);
        daemon.start().await;
        deck.wait_for(&id, "its end", |one| {
            one.facts.iter().all(|(name, _)| &**name != "engine")
        })
        .await;
        let outcome = deck.call(&id, "echo", r#"{"text":"still here"}"#).await;
        assert!(
            matches!(outcome, Outcome::Done(_)),
            "{outcome:?}\n{}",
            deck.log(&id)
        );
        assert_eq!(deck.instance(&id).restarts, 0);
        assert_eq!(
            lab.find(&id).await.unwrap().id,
            before,
            "the same container"
        );
    }
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn containers_that_die_with_their_engine_come_back_with_it() {
    let mut daemon = Daemon::new(false).await;
    let lab = Lab::at(daemon.address()).await;
    let deck = deck(&lab, vec![server("tiny")]);
    let session = deck.open(&[("tiny", 3)]).await;
    daemon.end(Signal::SIGTERM).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fleet = deck.fleet();
    assert!(
        fleet.instances().all(|one| one.phase != Phase::Failed),
        "{fleet:?}"
    );
    daemon.start().await;
    deck.wait_until("their return", |fleet| {
        fleet
            .instances()
            .all(|one| one.phase == Phase::Ready && one.restarts == 1)
    })
    .await;
    assert_eq!(lab.carrying("envdeck.run", lab.run.as_str()).await.len(), 3);
    assert!(deck.close(session).await.is_empty());
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn the_end_does_not_wait_for_an_engine_that_is_gone() {
    let mut daemon = Daemon::new(true).await;
    let lab = Lab::at(daemon.address()).await;
    let deck = deck(&lab, vec![server("tiny")]);
    deck.open(&[("tiny", 2)]).await;
    daemon.end(Signal::SIGKILL).await;
    let began = Instant::now();
    let left = deck
        .orchestrator
        .shutdown(|_| (), std::future::pending())
        .await;
    assert_eq!(left.len(), 2, "{left:?}");
    let failure = lab.driver.settle().await.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("containers of 2 instances may be left"),
        "{failure}"
    );
    assert!(began.elapsed() < seconds(20), "{:?}", began.elapsed());
    daemon.start().await;
    // They are still on their way out, and go when it is back.
    lab.driver.settle().await.unwrap();
    assert!(
        lab.carrying("envdeck.run", lab.run.as_str())
            .await
            .is_empty()
    );
}

#[tokio::test]
#[ignore = "needs root and dockerd"]
async fn an_engine_that_hangs_is_not_waited_for_for_ever() {
    let daemon = Daemon::new(false).await;
    let lab = Lab::at(daemon.address()).await;
    lab.driver.check().await.unwrap();
    daemon.signal(Signal::SIGSTOP);
    let failure = loop {
        // It stops a moment later.
        if let Err(failure) = lab.driver.check().await {
            break failure;
        }
    };
    let silence = "no answer to the request to ping the engine within 10s";
    assert!(failure.to_string().contains(silence), "{failure}");
    daemon.signal(Signal::SIGCONT);
    lab.driver.check().await.unwrap();
}
