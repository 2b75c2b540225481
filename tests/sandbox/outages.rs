//! An engine that is started again under its sandboxes: on an engine of the test's own.

use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::ImportImageOptionsBuilder;
use envdeck::drivers::docker::Address;
use envdeck::model::{Instance, Phase, SandboxNetwork, fact};
use futures::TryStreamExt;
use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout};

use crate::daemon::Daemon;
use crate::lab::{Lab, ask, connect, lasting};

/// For all servers to be as they were, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);
/// Busybox, with a server in awk; `tests/images/build` makes it.
const TINY: &str = "envdeck-tests/tiny";

/// Three servers in one sandbox lose their engine by this signal; with `live_restore` the sandbox outlives it.
async fn lost_and_back(signal: Signal, live_restore: bool) {
    let mut daemon = Daemon::new(live_restore).await;
    copy_image(&daemon.address()).await;
    let lab = Lab::at(daemon.address());
    let mut sandbox = lab.projects.sandbox(TINY, "serve", &[]);
    // That engine has no bridge.
    sandbox.profile.network = SandboxNetwork::Off;
    let deck = lab.deck(vec![lasting("tiny", sandbox)]);
    let session = deck.open(&[("tiny", 3)]).await;
    let fleet = deck.fleet();
    assert!(fleet.instances().all(|one| one.phase == Phase::Ready));
    assert_eq!(lab.sandboxes().await.len(), 1);

    daemon.end(signal).await;
    let told = deck.wait_until("word of the outage", |fleet| {
        let is_told =
            |one: &Arc<Instance>| one.phase != Phase::Ready || one.fact(fact::ENGINE).is_some();
        fleet.instances().all(is_told)
    });
    timeout(PATIENCE, told).await.expect("word of the outage");
    // Long enough for all attempts, if an engine that is away were counted as one.
    sleep(Duration::from_secs(8)).await;
    let fleet = deck.fleet();
    assert!(
        fleet.instances().all(|one| one.phase != Phase::Failed),
        "{fleet:?}"
    );
    daemon.start().await;
    let back = deck.wait_until("their return", |fleet| {
        let is_back = |one: &Arc<Instance>| one.phase == Phase::Ready && one.restarts > 0;
        fleet.instances().all(is_back)
    });
    timeout(PATIENCE, back).await.expect("their return");
    for one in deck.fleet().instances() {
        let echo = ask(&deck, &one.id, "echo", serde_json::json!({"text": "hi"})).await;
        assert!(echo.contains("hi"), "{echo}");
    }
    // What was lost is removed when it is found.
    let one_is_left = async {
        while lab.sandboxes().await.len() != 1 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let left = timeout(PATIENCE, one_is_left).await;
    left.expect("one sandbox");
    let [sandbox] = &lab.sandboxes().await[..] else {
        panic!("one sandbox")
    };
    let running = servers_in(&lab, sandbox.id.as_deref().unwrap()).await;
    assert_eq!(running, 3, "none of the former lives on");
    assert!(deck.close(session).await.is_empty());
    lab.down(deck).await;
}

/// How many servers run in a sandbox.
async fn servers_in(lab: &Lab, sandbox: &str) -> usize {
    let top = lab.docker.top_processes(sandbox, None).await.unwrap();
    let processes = top.processes.unwrap_or_default();
    let is_server = |line: &Vec<String>| line.iter().any(|column| column.contains("serve"));
    processes.iter().filter(|line| is_server(line)).count()
}

async fn copy_image(to: &Address) {
    let from = connect(&Address::of_user().unwrap());
    let parts: Vec<_> = from.export_image(TINY).try_collect().await.unwrap();
    let options = ImportImageOptionsBuilder::new().build();
    let body = bollard::body_full(parts.concat().into());
    let to = connect(to);
    let imported = to.import_image(options, body, None);
    imported.try_collect::<Vec<_>>().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn servers_come_back_when_their_engine_is_started_again() {
    lost_and_back(Signal::SIGTERM, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and dockerd"]
async fn servers_are_not_doubled_where_the_sandbox_outlives_its_engine() {
    lost_and_back(Signal::SIGKILL, true).await;
}
