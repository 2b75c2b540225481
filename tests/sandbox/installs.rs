//! Dependencies of projects: installed once, again when they change, and nobody waits for those of somebody else.

use envdeck::model::{Cause, Command, Fleet, Phase, SandboxPhase};
use serde_json::json;

use crate::deck::{count, open, seconds};
use crate::lab::{Lab, PYTHON, ask, assert_ready, failure_of, inside, once, only, ready_for_the};

/// A server that says which interpreter it runs in.
const SERVER: &str = "python";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine, images and a package index"]
async fn requirements_are_installed_once_and_again_when_they_change() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("project");
    lab.projects
        .write("project/requirements.txt", "idna==3.20\n");
    let sandbox = lab.projects.sandbox(PYTHON, SERVER, &[&script]);
    let deck = lab.deck(vec![once("server", sandbox)]);
    let id = deck.open_one("server").await;
    assert_ready(&deck, "server");
    let version = "python -c 'import idna, sys; print(idna.__version__, sys.prefix)'";
    let prefix = format!("/workspace/.mcp/{id}/workspace/.venv");
    assert_eq!(inside(&deck, &id, version).await, format!("3.20 {prefix}"));
    inside(&deck, &id, "echo mine > .venv/mark; echo mine > mark").await;

    // Refreshed in place: the environment stays, files that the server has made do not.
    deck.request(Command::Restart(id.clone())).await.unwrap();
    ready_for_the(2, &deck, &id).await;
    let log = deck.log(&id);
    assert!(log.contains("dependencies are as they were"), "{log}");
    assert_eq!(
        inside(&deck, &id, "cat .venv/mark; ls mark 2>&1 | tail -c 12")
            .await
            .lines()
            .next(),
        Some("mine")
    );

    lab.projects
        .write("project/requirements.txt", "idna==3.19\n");
    deck.request(Command::Restart(id.clone())).await.unwrap();
    ready_for_the(3, &deck, &id).await;
    assert_eq!(inside(&deck, &id, version).await, format!("3.19 {prefix}"));
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine, images and a package index"]
async fn what_cannot_be_installed_is_told_by_its_last_words() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("project");
    let wanted = "no-such-package-of-envdeck-tests==1.2.3\n";
    lab.projects.write("project/requirements.txt", wanted);
    let sandbox = lab.projects.sandbox(PYTHON, SERVER, &[&script]);
    let deck = lab.deck(vec![once("server", sandbox)]);
    let session = deck.open(&[("server", 1)]).await;
    let failed = |fleet: &envdeck::model::Fleet| count(fleet, &session, Phase::Waiting) == 0;
    deck.wait_until("it gave up", failed).await;
    let failure = failure_of(&deck, "server");
    assert_eq!(failure.phase, Some(SandboxPhase::DepInstall), "{failure}");
    assert!(
        failure.to_string().contains("exited with status 1"),
        "{failure}"
    );
    let output = failure.output.join("\n");
    assert!(
        output.contains("No matching distribution found"),
        "{output}"
    );
    lab.down(deck).await;
}

/// Accepts connections and never says a word.
fn silent_index() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}/simple"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn an_installation_that_hangs_ends_alone() {
    let lab = Lab::new().await;
    let (_listener, index) = silent_index();
    let script = lab.projects.tiny("hanging");
    let requirements = format!("--index-url {index}\nidna\n");
    lab.projects
        .write("hanging/requirements.txt", &requirements);
    let mut hanging = lab.projects.sandbox(PYTHON, SERVER, &[&script]);
    hanging.install.timeout = seconds(30);
    hanging.profile.network = envdeck::model::SandboxNetwork::Named("host".into());
    let mut quick = lab.projects.tiny_sandbox("quick");
    quick.profile = hanging.profile.clone();
    let backends = vec![once("hanging", hanging), once("quick", quick)];
    // Not even the only slot for starts is kept from others.
    let deck = lab.deck_with(1, backends);
    let opening = deck.asking(open(&[("hanging", 1), ("quick", 1)]));
    let of = |fleet: &Fleet, name| {
        fleet
            .instances()
            .find(|one| &*one.backend.name == name)
            .cloned()
    };
    deck.wait_until("the quick one is ready", |fleet| {
        of(fleet, "quick").is_some_and(|one| one.phase == Phase::Ready)
    })
    .await;
    let hanging = of(&deck.fleet(), "hanging").unwrap();
    assert_eq!(hanging.phase, Phase::Starting);
    let quick = only(&deck, "quick");
    let pid = ask(&deck, &quick, "pid", json!({})).await;
    let hangs = || {
        inside(
            &deck,
            &quick,
            "grep -a -l '[p]ip' /proc/[0-9]*/cmdline | wc -l",
        )
    };
    opening.await.unwrap().unwrap();
    let hanging = deck
        .wait_for_phase(&only(&deck, "hanging"), Phase::Failed)
        .await;
    let failure = &hanging.death.as_ref().unwrap().failure;
    assert_eq!(failure.phase, Some(SandboxPhase::DepInstall));
    assert!(matches!(failure.cause, Cause::Deadline { .. }), "{failure}");
    assert_eq!(hangs().await, "0");
    assert_eq!(ask(&deck, &quick, "pid", json!({})).await, pid);
    assert_eq!(lab.sandboxes().await.len(), 1);
    lab.down(deck).await;
}
