//! Containers that end, are paused, fall ill: seen at once, and told in words.

use std::time::{Duration, Instant};

use bollard::models::{HealthConfig, HostConfig};
use envdeck::drivers::docker::watch::{Life, Verdict};
use envdeck::model::{Exit, fact};

use crate::lab::{Lab, eventually, facts, soon, until};

const SLEEP: &str = "exec sleep 1000";

fn exited(code: i32, signal: Option<i32>) -> Exit {
    Exit {
        code: Some(code),
        signal,
        out_of_memory: false,
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_kill_from_outside_is_seen_within_a_second() {
    let lab = Lab::new().await;
    let mut delays = Vec::new();
    for _ in 0..5 {
        let mut watched = lab.running(SLEEP).await;
        until(&mut watched, |state| state.life == Life::Running).await;
        let id = watched.container().to_owned();
        let began = Instant::now();
        // Whoever watches does not wait for the answer to the one who kills.
        let (exit, ()) = tokio::join!(soon(watched.ended()), lab.kill(&id));
        delays.push(began.elapsed());
        assert_eq!(exit, exited(137, Some(9)));
        assert_eq!(exit.to_string(), "killed by SIGKILL");
        assert_eq!(&*facts(&watched)[fact::CONDITION], "killed by SIGKILL");
        assert!(facts(&watched)["events"].contains("kill SIGKILL"));
        let told = "the engine was asked to send SIGKILL to the container";
        assert_eq!(lab.texts(&id), [told]);
    }
    delays.sort();
    println!("from asking for the kill to the known end: {delays:?}");
    assert!(delays[2] < Duration::from_secs(1), "{delays:?}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn what_ends_at_once_is_seen_whenever_one_begins_to_watch() {
    let lab = Lab::new().await;
    let mut early = lab.running("exit 3").await;
    assert_eq!(soon(early.ended()).await, exited(3, None));
    let late = lab.create(lab.script("exit 4")).await;
    lab.start(&late).await;
    let mut late = lab.watcher.watch(&late, lab.log(&late));
    assert_eq!(soon(late.ended()).await, exited(4, None));
    assert_eq!(early.state().life, Life::Exited);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn want_of_memory_is_named() {
    let lab = Lab::new().await;
    let limited = |script: &str| {
        let mut body = lab.script(script);
        body.host_config = Some(HostConfig {
            memory: Some(24 << 20),
            memory_swap: Some(24 << 20),
            ..body.host_config.unwrap_or_default()
        });
        body
    };
    let mut watched = lab.launch(limited("exec tail /dev/zero")).await;
    let exit = soon(watched.ended()).await;
    assert!(exit.out_of_memory, "{exit:?}");
    assert_eq!(watched.state().memory_limit, Some(24 << 20));

    // The first process survives the death of its child.
    let mut parent = lab.launch(limited("tail /dev/zero; sleep 1000")).await;
    let state = until(&mut parent, |state| state.out_of_memory > 0).await;
    assert_eq!(state.exit, None);
    assert!(facts(&parent)[fact::OUT_OF_MEMORY].contains("killed"));
    let told = lab.texts(parent.container());
    assert!(told[0].starts_with("out of memory"), "{told:?}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_pause_is_no_death() {
    let lab = Lab::new().await;
    let mut watched = lab.running(SLEEP).await;
    until(&mut watched, |state| state.life == Life::Running).await;
    let id = watched.container().to_owned();
    let mut changes = watched.facts_changed();
    lab.docker.pause_container(&id).await.unwrap();
    until(&mut watched, |state| state.life == Life::Paused).await;
    soon(changes.changed()).await.unwrap();
    assert_eq!(&*facts(&watched)[fact::CONDITION], "paused");
    lab.docker.unpause_container(&id).await.unwrap();
    let state = until(&mut watched, |state| state.life == Life::Running).await;
    assert_eq!(state.exit, None);
    assert_eq!(
        lab.texts(&id),
        [
            "the container was paused: it does nothing now",
            "the container goes on"
        ]
    );
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_healthcheck_is_followed_from_starting_to_unhealthy_and_back() {
    let lab = Lab::new().await;
    let check = "test ! -e /ill || { echo no route; echo to host; exit 1; }";
    let nanoseconds = |millis: i64| Some(millis * 1_000_000);
    let mut body = lab.script("sleep 1; echo > /ill; sleep 4; rm /ill; sleep 1000");
    body.healthcheck = Some(HealthConfig {
        test: Some(vec!["CMD-SHELL".into(), check.into()]),
        interval: nanoseconds(300),
        timeout: nanoseconds(20_000),
        retries: Some(2),
        ..HealthConfig::default()
    });
    let mut watched = lab.launch(body).await;
    let mut seen = Vec::new();
    for verdict in [
        Verdict::Starting,
        Verdict::Healthy,
        Verdict::Unhealthy,
        Verdict::Healthy,
    ] {
        let is = |health: Option<_>| health == Some(verdict);
        let state = until(&mut watched, |state| {
            is(state.health.as_ref().map(|health| health.verdict))
        });
        let health = state.await.health.unwrap();
        if verdict == Verdict::Unhealthy {
            assert!(health.failures >= 2, "{health:?}");
            assert_eq!(&*health.output, "no route to host");
        }
        seen.push(facts(&watched)[fact::HEALTHCHECK].to_string());
    }
    assert_eq!(seen[0], "starting");
    assert!(seen[2].ends_with(" · no route to host"), "{seen:?}");
    assert_eq!(seen[3], "healthy");
    let told = lab.texts(watched.container());
    assert_eq!(told.len(), 4, "each verdict once: {told:?}");
    assert!(told[2].starts_with("healthcheck: unhealthy ×"), "{told:?}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_removal_from_outside_keeps_the_exit_code() {
    let lab = Lab::new().await;
    let mut watched = lab.running(SLEEP).await;
    until(&mut watched, |state| state.life == Life::Running).await;
    let id = watched.container().to_owned();
    lab.remove(&id).await;
    assert_eq!(soon(watched.ended()).await, exited(137, Some(9)));
    until(&mut watched, |state| state.life == Life::Removed).await;
    let told = lab.texts(&id);
    assert_eq!(told.last().unwrap(), "the container was removed");

    // Never started, and gone before anybody watched.
    let id = lab.create(lab.script(SLEEP)).await;
    lab.remove(&id).await;
    let mut watched = lab.watcher.watch(&id, lab.log(&id));
    assert_eq!(soon(watched.ended()).await.code, None);
    assert_eq!(watched.state().life, Life::Removed);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn what_is_started_again_from_outside_has_died_all_the_same() {
    let lab = Lab::new().await;
    let mut watched = lab.running("trap 'exit 5' TERM; sleep 1000 & wait").await;
    until(&mut watched, |state| state.life == Life::Running).await;
    let id = watched.container().to_owned();
    lab.docker.restart_container(&id, None).await.unwrap();
    assert_eq!(soon(watched.ended()).await, exited(5, None));
    until(&mut watched, |state| state.life == Life::Running).await;
    assert_eq!(
        &*facts(&watched)[fact::CONDITION],
        "exited with status 5, now running"
    );
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn there_is_one_stream_and_only_while_somebody_is_subscribed() {
    let lab = Lab::new().await;
    assert!(!lab.watcher.is_watching());
    let mut first = lab.running(SLEEP).await;
    let mut second = lab.watcher.watch(first.container(), lab.log("second"));
    let third = lab.running(SLEEP).await;
    until(&mut first, |state| state.life == Life::Running).await;
    until(&mut second, |state| state.life == Life::Running).await;
    drop(first);
    drop(third);
    lab.kill(second.container()).await;
    assert_eq!(soon(second.ended()).await, exited(137, Some(9)));
    drop(second);
    assert!(!lab.watcher.is_watching());
    // And again.
    let mut again = lab.running("exit 0").await;
    assert_eq!(soon(again.ended()).await, exited(0, None));
    assert!(lab.watcher.is_watching());
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn many_that_die_together_are_all_seen() {
    let lab = Lab::new().await;
    let mut all = Vec::new();
    for n in 0..12 {
        all.push(lab.running(&format!("sleep 1; exit {n}")).await);
    }
    for (n, watched) in (0..).zip(&mut all) {
        assert_eq!(soon(watched.ended()).await, exited(n, None));
    }
    let told = eventually("nothing", || Some(lab.texts(all[0].container()))).await;
    assert!(told.is_empty(), "{told:?}");
}
