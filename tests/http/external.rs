//! The mode `external` as an operator meets it: the core with a server that somebody else runs.

use std::time::Duration;

use envdeck::model::{
    Backend, HealthPolicy, HttpServer, Instance, InstanceId, Mode, Phase, RestartPolicy, Secret,
    Transport,
};
use tokio::time::{Instant, timeout};

use crate::deck::{Deck, backend};
use crate::peer::PATIENCE;
use crate::remote::{Remote, free_port};
use crate::scripted::{Scripted, behave};

fn configured(server: HttpServer) -> Backend {
    Backend {
        mode: Mode::External(Box::new(server)),
        transport: Transport::Http,
        health: HealthPolicy {
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(5),
            failures: 2,
        },
        ..backend("far")
    }
}

fn fact(instance: &Instance, name: &str) -> String {
    let found = instance.facts.iter().find(|(known, _)| &**known == name);
    found.map_or_else(String::new, |(_, value)| value.to_string())
}

async fn until(deck: &Deck, id: &InstanceId, what: &str, holds: impl Fn(&Instance) -> bool) {
    let found = timeout(PATIENCE, deck.wait_for(id, what, holds)).await;
    found.unwrap_or_else(|_| panic!("never: {what}: {:#?}", deck.instance(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_spoken_to_probed_and_left_as_it_was() {
    let remote = Remote::start(|_| {}).await;
    let mut server = HttpServer::at(format!("{}?key=hush", remote.url));
    server
        .headers
        .push(("X-Key".to_owned(), Secret::new("hush")));
    let deck = Deck::real(vec![configured(server)]);
    let id = deck.open_one("far").await;
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Ready, "{:?}", instance.death);
    assert_eq!(fact(&instance, "url"), format!("{}?key=•••", remote.url));
    assert_eq!(fact(&instance, "headers"), "X-Key");
    until(&deck, &id, "it is probed", |instance| {
        let probe = instance.health.probes.back();
        probe.is_some_and(|probe| {
            probe
                .result
                .as_ref()
                .is_ok_and(|took| *took > Duration::ZERO)
        })
    })
    .await;
    until(&deck, &id, "the facts are complete", |instance| {
        fact(instance, "speaks") == "streamable HTTP"
    })
    .await;
    let outcome = deck.call(&id, "echo", r#"{"a":1}"#).await;
    assert_eq!(outcome.word(), "ok", "{outcome:?}");
    let log = deck.log(&id);
    assert!(!log.contains("hush"), "{log}");
    assert!(
        deck.orchestrator
            .shutdown(|_| {}, std::future::pending())
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_fails_at_once() {
    let server = HttpServer::at(format!("http://127.0.0.1:{}/mcp", free_port()));
    let deck = Deck::real(vec![configured(server)]);
    let began = Instant::now();
    let id = deck.open_one("far").await;
    let instance = deck.instance(&id);
    assert_eq!(instance.phase, Phase::Failed);
    let death = instance.death.as_ref().unwrap().failure.to_string();
    assert!(
        death.ends_with("connection refused — is the server running?"),
        "{death}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_is_missed_and_waited_for() {
    let port = free_port();
    let remote = Remote::start_at(port, |_| {}).await;
    let mut backend = configured(remote.server());
    backend.restart = RestartPolicy::OnFailure {
        attempts: 1,
        backoff: Duration::from_millis(10),
        ceiling: Duration::from_millis(10),
        stable: Duration::from_secs(60),
    };
    let deck = Deck::real(vec![backend]);
    let id = deck.open_one("far").await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    drop(remote);
    let waits = format!("wait for 127.0.0.1:{port}");
    until(&deck, &id, "its restart waits for it", |instance| {
        instance.phase == Phase::Starting && instance.step.as_deref() == Some(&waits)
    })
    .await;
    let death = deck
        .instance(&id)
        .death
        .as_ref()
        .unwrap()
        .failure
        .to_string();
    assert!(
        death.starts_with(&format!("run: 127.0.0.1:{port}: ")),
        "{death}"
    );
    assert!(
        death.ends_with("— 2 pings in a row were not answered"),
        "{death}"
    );
    let _back = Remote::start_at(port, |_| {}).await;
    until(&deck, &id, "it is back", |instance| {
        instance.phase == Phase::Ready
    })
    .await;
    assert_eq!(deck.call(&id, "echo", "{}").await.word(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_counted_and_shown() {
    let server = Scripted::start(|heard, mut out| async move {
        match heard.what() {
            "tools/call" => out.answer("502 Bad Gateway", "", "upstream is down").await,
            _ => behave(heard, out).await,
        }
    })
    .await;
    let mut backend = configured(server.server());
    backend.health.interval = Duration::from_secs(3600);
    let deck = Deck::real(vec![backend]);
    let id = deck.open_one("far").await;
    let began = Instant::now();
    for _ in 0..3 {
        let outcome = timeout(PATIENCE, deck.call(&id, "t", "{}")).await.unwrap();
        assert_eq!(outcome.word(), "failed");
    }
    // Nothing of it ends, so nothing is waited for.
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    until(&deck, &id, "the failures are counted", |instance| {
        fact(instance, "failures in a row") == "3"
    })
    .await;
    let error = fact(&deck.instance(&id), "last error");
    assert!(error.starts_with("http status: 127.0.0.1:"), "{error}");
    assert!(
        error.ends_with("answered 502 Bad Gateway: upstream is down"),
        "{error}"
    );
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
}
