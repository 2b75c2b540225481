//! Containers under the orchestrator, as the console has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::query_parameters::KillContainerOptionsBuilder;
use envdeck::drivers::docker::Containers;
use envdeck::drivers::{Driver, Drivers};
use envdeck::model::{
    Backend, InstanceId, Limits, LocalDocker, Mode, Outcome, Phase, RestartPolicy, Stage,
};
use futures::future::join_all;

use crate::deck::{Deck, backend, count, open, seconds};
use crate::lab::{Lab, mode, script, server};

/// Only `local_docker`.
struct Only(Arc<Containers>);

impl Drivers for Only {
    fn driver(&self, _mode: &Mode) -> Arc<dyn Driver> {
        self.0.clone()
    }
}

pub fn of(name: &str, mode: Mode) -> Backend {
    let start_timeout = seconds(60);
    Backend {
        mode,
        start_timeout,
        ..backend(name)
    }
}

pub fn deck(lab: &Lab, backends: Vec<Backend>) -> Deck {
    let limits = Limits {
        parallel_starts: 64,
        ..Limits::default()
    };
    Deck::on(
        Arc::new(Only(lab.driver.clone())),
        lab.run.clone(),
        backends,
        limits,
    )
}

/// Everything ends, and nothing is left of it.
pub async fn down(lab: &Lab, deck: Deck) {
    let left = deck
        .orchestrator
        .shutdown(|_| (), std::future::pending())
        .await;
    assert!(left.is_empty(), "{left:?}");
    lab.driver.settle().await.unwrap();
    let left = lab.carrying("envdeck.run", lab.run.as_str()).await;
    assert!(left.is_empty(), "{left:?}");
}

async fn kill(lab: &Lab, instance: &InstanceId) {
    let id = lab.find(instance).await.unwrap().id.unwrap();
    let options = KillContainerOptionsBuilder::new().signal("KILL").build();
    lab.docker.kill_container(&id, Some(options)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn thirty_two_at_once_answer_and_leave_nothing() {
    let lab = Lab::new().await;
    let deck = deck(&lab, vec![of("tiny", server())]);
    let session = deck.open(&[("tiny", 32)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 32);
    let ids: Vec<_> = fleet.sessions[&session].instances.keys().cloned().collect();
    let calls = ids
        .iter()
        .map(|id| deck.call(id, "echo", r#"{"text":"hi"}"#));
    for outcome in join_all(calls).await {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    assert!(deck.close(session).await.is_empty());
    for id in &ids {
        lab.is_clean_of(id).await;
    }
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn one_that_fails_does_not_take_down_the_others() {
    let lab = Lab::new().await;
    let bad = script("echo the disk is full >&2; exit 3");
    let deck = deck(&lab, vec![of("good", server()), of("bad", mode(bad))]);
    let session = deck.open(&[("good", 3), ("bad", 1)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 3);
    let failed = fleet
        .instances()
        .find(|one| one.phase == Phase::Failed)
        .unwrap();
    let failure = &failed.death.as_ref().unwrap().failure;
    assert_eq!(failure.to_string(), "start: exited with status 3");
    assert_eq!(*failure.output, ["the disk is full".into()]);
    lab.is_clean_of(&failed.id).await;
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn a_kill_from_outside_ends_calls_at_once_and_the_policy_brings_it_back() {
    let lab = Lab::new().await;
    let restart = RestartPolicy::OnFailure {
        attempts: 1,
        backoff: Duration::from_millis(20),
        ceiling: Duration::from_millis(20),
        stable: seconds(600),
    };
    let deck = deck(
        &lab,
        vec![Backend {
            restart,
            ..of("tiny", server())
        }],
    );
    let id = deck.open_one("tiny").await;
    let call = deck.begin(&id, "hang", "{}").await;
    let before = lab.find(&id).await.unwrap().id;
    let killed = Instant::now();
    kill(&lab, &id).await;
    let ended = deck.end_of(call).await;
    assert!(killed.elapsed() < seconds(5), "{:?}", killed.elapsed());
    match ended.outcome() {
        Some(Outcome::Failed(failure)) => assert!(
            failure.to_string().contains("killed by SIGKILL"),
            "{failure}"
        ),
        other => panic!("{other:?}"),
    }
    deck.wait_for(&id, "its restart", |one| {
        one.phase == Phase::Ready && one.restarts == 1
    })
    .await;
    assert_ne!(lab.find(&id).await.unwrap().id, before);
    let outcome = deck.call(&id, "echo", r#"{"text":"back"}"#).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn a_server_that_never_answers_fails_in_time() {
    let lab = Lab::new().await;
    let silent = Backend {
        start_timeout: seconds(3),
        ..of("silent", mode(script("sleep 600")))
    };
    let deck = deck(&lab, vec![silent]);
    let id = deck.open_one("silent").await;
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Failed);
    assert_eq!(
        instance.death.as_ref().unwrap().failure.stage,
        Stage::Initialize
    );
    lab.is_clean_of(&id).await;
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn garbage_on_stdout_is_counted_and_harms_nothing() {
    let lab = Lab::new().await;
    let noisy = script("echo 'Starting up...'; printf '\\001\\002\\377 bytes\\n'; exec serve");
    let deck = deck(&lab, vec![of("noisy", mode(noisy))]);
    let id = deck.open_one("noisy").await;
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Ready, "{:?}", instance.death);
    assert!(
        deck.log(&id).contains("Starting up..."),
        "{}",
        deck.log(&id)
    );
    let outcome = deck.call(&id, "echo", r#"{"text":"hi"}"#).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn a_session_closed_while_it_starts_leaves_nothing() {
    let lab = Lab::new().await;
    for wait in [0, 20, 80, 200, 400, 700] {
        let deck = deck(&lab, vec![of("tiny", server())]);
        let opening = deck.asking(open(&[("tiny", 4)]));
        deck.wait_until("some", |fleet| fleet.instances().count() == 4)
            .await;
        // At another place of the start each time; wherever that is, it must hold.
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let session = deck.fleet().sessions.keys().next().unwrap().clone();
        assert!(deck.close(session).await.is_empty());
        let _ = opening.await.unwrap();
        down(&lab, deck).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn out_of_memory_is_told_apart_from_a_kill() {
    let lab = Lab::new().await;
    let mut greedy: LocalDocker =
        script("head -c 200000000 /dev/zero | tail > /dev/null; exit 137");
    greedy.options.resources.memory = Some(16 << 20);
    let mut bench = lab.start(mode(greedy)).await;
    let exit = bench.wait().await;
    assert!(exit.out_of_memory, "{exit:?}");
    let id = bench.id.clone();
    bench.stop().await.unwrap();
    lab.is_clean_of(&id).await;
}
