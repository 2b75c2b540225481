//! What operators ask of containers: to pause, to stop, twice if they like, and to try again.

use std::time::Duration;

use envdeck::model::{
    Backend, Command, HealthPolicy, Instance, InstanceId, Mount, Outcome, Phase, fact,
};

use crate::deck::{Deck, call, count, seconds};
use crate::fleet::{deck, down, of};
use crate::lab::{EXACT_SERVER, Lab, mode, script, server};

/// Two unanswered probes are its death, and they come fast.
fn impatient() -> Backend {
    let health = HealthPolicy {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(300),
        failures: 2,
    };
    Backend {
        health,
        ..of("tiny", server())
    }
}

async fn status(deck: &Deck, id: &InstanceId, status: &'static str) {
    deck.wait_for(id, status, |one| one.fact(fact::STATUS) == Some(status))
        .await;
}

fn silent_probes(instance: &Instance) -> usize {
    let probes = instance.health.probes.iter();
    probes.filter(|probe| probe.result.is_err()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn a_paused_one_is_not_dead_for_its_silence_and_goes_on() {
    let lab = Lab::new().await;
    let deck = deck(&lab, vec![impatient()]);
    let id = deck.open_one("tiny").await;
    deck.request(Command::Pause(id.clone())).await.unwrap();
    status(&deck, &id, fact::PAUSED).await;
    let waits = deck.asking(call(&id, "echo", r#"{"text":"late"}"#));
    deck.wait_for(&id, "silence", |one| silent_probes(one) > 3)
        .await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    assert!(!waits.is_finished());
    deck.request(Command::Resume(id.clone())).await.unwrap();
    status(&deck, &id, fact::RUNNING).await;
    waits.await.unwrap().unwrap();
    let outcome = deck.call(&id, "echo", r#"{"text":"again"}"#).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let instance = deck.instance(&id);
    assert_eq!((instance.restarts, instance.errors), (0, 0));
    let refused = deck.refusal(Command::Resume(id.clone())).await;
    assert!(refused.contains("is not paused"), "{refused}");
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn one_that_somebody_else_has_paused_is_seen_and_ends_in_peace() {
    let lab = Lab::new().await;
    let polite = script(&format!("{EXACT_SERVER}\necho good bye >&2"));
    let polite = of("polite", mode(polite));
    let deck = deck(&lab, vec![polite]);
    let id = deck.open_one("polite").await;
    let container = lab.find(&id).await.unwrap().id.unwrap();
    lab.docker.pause_container(&container).await.unwrap();
    status(&deck, &id, fact::PAUSED).await;
    deck.request(Command::Stop(id.clone())).await.unwrap();
    deck.wait_for_phase(&id, Phase::Stopped).await;
    let log = deck.log(&id);
    assert!(log.contains("good bye"), "{log}");
    assert!(!log.contains("killed"), "{log}");
    lab.is_clean_of(&id).await;
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn stopping_twice_is_stopping_once() {
    let lab = Lab::new().await;
    let stubborn = script("trap '' TERM; serve; while :; do sleep 0.1; done");
    let stubborn = Backend {
        stop_grace: seconds(1),
        ..of("stubborn", mode(stubborn))
    };
    let deck = deck(&lab, vec![stubborn]);
    let session = deck.open(&[("stubborn", 1)]).await;
    let id = deck.fleet().instances().next().unwrap().id.clone();
    let stop = || deck.asking(Command::Stop(id.clone()));
    let both = [stop(), stop()];
    deck.wait_for_phase(&id, Phase::Stopped).await;
    for asked in both {
        // Accepted or refused, but answered.
        let _ = asked.await.unwrap();
    }
    let refused = deck.refusal(Command::Stop(id.clone())).await;
    assert!(refused.contains("stopped"), "{refused}");
    lab.is_clean_of(&id).await;
    deck.request(Command::Start(id.clone())).await.unwrap();
    deck.wait_for_phase(&id, Phase::Ready).await;
    let closing = [
        deck.asking(Command::CloseSession(session.clone())),
        deck.asking(Command::CloseSession(session)),
    ];
    for asked in closing {
        let _ = asked.await.unwrap();
    }
    lab.is_clean_of(&id).await;
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn what_failed_may_be_tried_again_without_those_that_run() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut picky =
        script("test -e /shared/licence || { echo no licence >&2; exit 4; }; exec serve");
    let shared = folder.path().to_str().unwrap();
    let shared = Mount::of_host(shared, "/shared");
    picky.options.storage.mounts.push(shared);
    let deck = deck(&lab, vec![of("good", server()), of("picky", mode(picky))]);
    let session = deck.open(&[("good", 1), ("picky", 2)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Failed), 2);
    std::fs::write(folder.path().join("licence"), "").unwrap();
    let retry = Command::RetryFailed(session.clone());
    deck.request(retry).await.unwrap();
    deck.wait_until("all are ready", |fleet| {
        count(fleet, &session, Phase::Ready) == 3
    })
    .await;
    down(&lab, deck).await;
}
