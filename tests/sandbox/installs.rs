//! Dependencies of projects: installed once, again when they change, and nobody waits for those of somebody else.

use std::time::Instant;

use envdeck::model::{
    Cause, Command, InstanceId, Phase, Sandbox, SandboxNetwork, SandboxPhase, Sharing,
};

use crate::bench::PATIENCE;
use crate::deck::{Deck, count, open, seconds};
use crate::lab::{Lab, PYTHON, assert_ready, failure_of, inside, once, only, ready_for_the};

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

/// A project whose installation waits for ever, and one without any, for the same sandbox.
fn hanging_and_quick(lab: &Lab, index: &str) -> (Sandbox, Sandbox) {
    let script = lab.projects.tiny("hanging");
    let requirements = format!("--index-url {index}\nidna\n");
    lab.projects
        .write("hanging/requirements.txt", &requirements);
    let mut hanging = lab.projects.sandbox(PYTHON, SERVER, &[&script]);
    hanging.profile.network = SandboxNetwork::Named("host".into());
    let mut quick = lab.projects.tiny_sandbox("quick");
    quick.profile = hanging.profile.clone();
    (hanging, quick)
}

/// Waits until so many installations run in the sandbox of this instance.
async fn are_installed(deck: &Deck, seen_by: &InstanceId, count: u32) {
    let script = "grep -a -l '[p]ip.install' /proc/[0-9]*/cmdline | wc -l";
    let deadline = Instant::now() + PATIENCE;
    while inside(deck, seen_by, script).await != count.to_string() {
        assert!(
            Instant::now() < deadline,
            "there are not {count} installations"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn an_installation_that_hangs_ends_alone() {
    let lab = Lab::new().await;
    let (_listener, index) = silent_index();
    let (mut hanging, quick) = hanging_and_quick(&lab, &index);
    hanging.install.timeout = seconds(12);
    let deck = lab.deck(vec![once("hanging", hanging), once("quick", quick)]);
    deck.open(&[("hanging", 1), ("quick", 1)]).await;
    let (hanging, quick) = (only(&deck, "hanging"), only(&deck, "quick"));
    let hanging = deck.wait_for_phase(&hanging, Phase::Failed).await;
    let failure = &hanging.death.as_ref().unwrap().failure;
    assert_eq!(failure.phase, Some(SandboxPhase::DepInstall));
    assert!(matches!(failure.cause, Cause::Deadline { .. }), "{failure}");
    are_installed(&deck, &quick, 0).await;
    assert_ready(&deck, "quick");
    assert_eq!(lab.sandboxes().await.len(), 1);
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn nobody_waits_for_the_installation_of_somebody_else_and_it_ends_when_it_is_given_up() {
    let lab = Lab::new().await;
    let (_listener, index) = silent_index();
    let (mut hanging, mut quick) = hanging_and_quick(&lab, &index);
    (hanging.sharing, quick.sharing) = (Sharing::Shared, Sharing::Shared);
    // Not even the only slot for starts is kept from others.
    let deck = lab.deck_with(1, vec![once("hanging", hanging), once("quick", quick)]);
    let opening = deck.asking(open(&[("hanging", 1)]));
    deck.wait_until("the slot is taken", |fleet| {
        fleet.instances().any(|one| one.phase == Phase::Starting)
    })
    .await;
    deck.open(&[("quick", 1)]).await;
    let (hanging, quick) = (only(&deck, "hanging"), only(&deck, "quick"));
    assert_ready(&deck, "quick");
    assert_eq!(deck.instance(&hanging).phase, Phase::Starting);
    let manifest = lab.projects.path("hanging/requirements.txt");
    let text = std::fs::read_to_string(&manifest).unwrap();

    // What is left of it is no trouble to the next start, nor to what clears up.
    are_installed(&deck, &quick, 1).await;
    std::fs::remove_file(&manifest).unwrap();
    deck.request(Command::Stop(hanging.clone())).await.unwrap();
    deck.wait_for_phase(&hanging, Phase::Stopped).await;
    opening.await.unwrap().unwrap();
    deck.request(Command::Start(hanging.clone())).await.unwrap();
    ready_for_the(1, &deck, &hanging).await;
    are_installed(&deck, &quick, 0).await;
    std::fs::write(&manifest, text).unwrap();
    deck.request(Command::Restart(hanging.clone()))
        .await
        .unwrap();
    are_installed(&deck, &quick, 1).await;
    deck.request(Command::Remove(hanging)).await.unwrap();
    are_installed(&deck, &quick, 0).await;
    let deadline = Instant::now() + PATIENCE;
    while inside(&deck, &quick, "ls /workspace/.mcp").await != quick.as_str() {
        assert!(Instant::now() < deadline, "its place is still there");
    }
    assert_ready(&deck, "quick");
    lab.down(deck).await;
}
