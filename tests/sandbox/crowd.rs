//! Many servers in one sandbox: real ones of all kinds, and what happens to one while the others live.

use std::fs;
use std::path::Path;
use std::process::Command;

use bollard::query_parameters::KillContainerOptionsBuilder;
use envdeck::model::fact::SANDBOX_HEALTH;
use envdeck::model::{Backend, Outcome, Phase, Sandbox, Sharing};
use serde_json::json;

use crate::deck::{Deck, count};
use crate::lab::{
    Lab, NODE, Projects, ask, assert_ready, fact, failure_of, inside, lasting, once, only,
    ready_for_the,
};

/// Unpacks the source of a package into a project, as somebody who has cloned it would have it.
fn source_of(projects: &Projects, package: &str, name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = root.join("target/sandbox-sources");
    fs::create_dir_all(&kept).unwrap();
    let (stem, version) = package.split_once("==").unwrap();
    let file = kept.join(format!("{}-{version}.tar.gz", stem.replace('-', "_")));
    if !file.exists() {
        let python = root.join("target/mcp-servers/python/bin/python");
        let mut download = Command::new(python);
        download.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
        ]);
        let done = download.arg(package).current_dir(&kept).status();
        assert!(done.expect("tests/servers/install").success());
    }
    let archive = flate2::read::GzDecoder::new(fs::File::open(file).unwrap());
    let unpacked = projects.path("unpacked");
    tar::Archive::new(archive).unpack(&unpacked).unwrap();
    let only = fs::read_dir(&unpacked).unwrap().next().unwrap().unwrap();
    fs::rename(only.path(), projects.path(name)).unwrap();
    fs::remove_dir(unpacked).unwrap();
}

fn in_project(projects: &Projects, name: &str, command: &str, args: &[&str]) -> Sandbox {
    let mut sandbox = projects.sandbox(NODE, command, args);
    sandbox.staging.host_path = Some(projects.path(name));
    sandbox
}

/// A requirements.txt, a package from source, a Node project, a bare script, and a command without a project.
fn five(projects: &Projects) -> Vec<Backend> {
    projects.write(
        "requirements/requirements.txt",
        "mcp-server-time==2026.10.19\n",
    );
    source_of(projects, "mcp-server-time==2026.10.19", "package");
    let lock = include_str!("../images/npm/everything/package-lock.json");
    projects.write("node/package-lock.json", lock);
    let package = include_str!("../images/npm/everything/package.json");
    projects.write("node/package.json", package);
    let script = projects.tiny("script");
    let mut without = projects.sandbox(NODE, "sh", &["-c", "exec python3 -c \"$CODE\""]);
    let code = envdeck::model::Secret::new(crate::lab::TINY);
    without.env.insert("CODE".into(), code);
    let time = ["-m", "mcp_server_time", "--local-timezone", "UTC"];
    let tool = projects.path("package/.venv/bin/mcp-server-time");
    let everything = ["stdio"];
    vec![
        lasting(
            "requirements",
            in_project(projects, "requirements", "python", &time),
        ),
        // Its console script, by the path that it has on the host.
        lasting(
            "package",
            in_project(projects, "package", tool.to_str().unwrap(), &time[2..]),
        ),
        lasting(
            "node",
            in_project(projects, "node", "mcp-server-everything", &everything),
        ),
        lasting("script", projects.sandbox(NODE, "python", &[&script])),
        lasting("without", without),
    ]
}

const NAMES: [&str; 5] = ["requirements", "package", "node", "script", "without"];

async fn all_answer(deck: &Deck) {
    let zone = json!({"timezone": "UTC"});
    for name in ["requirements", "package"] {
        let told = ask(deck, &only(deck, name), "get_current_time", zone.clone()).await;
        assert!(told.contains("UTC"), "{told}");
    }
    let echo = ask(deck, &only(deck, "node"), "echo", json!({"message": "hi"})).await;
    assert_eq!(echo, "Echo: hi");
    for name in ["script", "without"] {
        let echo = ask(deck, &only(deck, name), "echo", json!({"text": "hi"})).await;
        assert_eq!(echo, "echo:hi");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine, images and installed servers"]
async fn five_real_servers_share_a_sandbox_and_survive_one_another() {
    let lab = Lab::new().await;
    let deck = lab.deck(five(&lab.projects));
    let session = deck.open(&NAMES.map(|name| (name, 1))).await;
    for name in NAMES {
        assert_ready(&deck, name);
    }
    let [first] = &lab.sandboxes().await[..] else {
        panic!("one sandbox")
    };
    all_answer(&deck).await;

    // One is killed: it comes back, without another installation, and nobody else notices.
    let (victim, other) = (only(&deck, "requirements"), only(&deck, "script"));
    let pid = ask(&deck, &other, "pid", json!({})).await;
    let user = fact(&deck, "requirements", "user");
    let root = format!("{user}:{user}");
    kill_as(&lab, first.id.as_ref().unwrap(), &root).await;
    ready_for_the(2, &deck, &victim).await;
    let log = deck.log(&victim);
    assert!(log.contains("dependencies are as they were"), "{log}");
    all_answer(&deck).await;
    assert_eq!(ask(&deck, &other, "pid", json!({})).await, pid);

    // One is stopped by hand.
    let stop = envdeck::model::Command::Stop(only(&deck, "node"));
    deck.request(stop).await.unwrap();
    deck.wait_for_phase(&only(&deck, "node"), Phase::Stopped)
        .await;
    assert_eq!(ask(&deck, &other, "pid", json!({})).await, pid);
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 4);
    let start = envdeck::model::Command::Start(only(&deck, "node"));
    deck.request(start).await.unwrap();
    ready_for_the(2, &deck, &only(&deck, "node")).await;

    assert!(deck.close(session).await.is_empty());
    assert!(lab.sandboxes().await.is_empty());
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn who_was_in_a_sandbox_that_breaks_comes_back_in_another() {
    let lab = Lab::new().await;
    let deck = lab.deck(vec![lasting("tiny", lab.projects.tiny_sandbox("tiny"))]);
    let session = deck.open(&[("tiny", 3)]).await;
    let fleet = deck.fleet();
    let ids: Vec<_> = fleet.sessions[&session].instances.keys().cloned().collect();
    let [first] = &lab.sandboxes().await[..] else {
        panic!("one sandbox")
    };
    let options = KillContainerOptionsBuilder::new().signal("KILL").build();
    let broken = first.id.as_ref().unwrap();
    lab.docker
        .kill_container(broken, Some(options))
        .await
        .unwrap();
    for id in &ids {
        ready_for_the(2, &deck, id).await;
        let echo = ask(&deck, id, "echo", json!({"text": "hi"})).await;
        assert_eq!(echo, "echo:hi");
        let death = deck.instance(id).death.clone().unwrap();
        let told = death.failure.to_string();
        assert!(told.starts_with("runtime: its sandbox"), "{told}");
    }
    let [second] = &lab.sandboxes().await[..] else {
        panic!("one sandbox")
    };
    assert_ne!(first.id, second.id);
    assert!(deck.close(session).await.is_empty());
    lab.down(deck).await;
}

/// Kills all processes of a user.
async fn kill_as(lab: &Lab, container: &str, user: &str) {
    let options = bollard::exec::CreateExecOptions {
        cmd: Some(vec!["sh", "-c", "kill -KILL -1"]),
        user: Some(user),
        ..Default::default()
    };
    let exec = lab.docker.create_exec(container, options).await.unwrap();
    let detached = bollard::exec::StartExecOptions {
        detach: true,
        ..Default::default()
    };
    lab.docker
        .start_exec(&exec.id, Some(detached))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn eight_at_once_and_one_without_memory() {
    let lab = Lab::new().await;
    let mut sandbox = lab.projects.tiny_sandbox("tiny");
    sandbox.profile.memory_mb = 256;
    let deck = lab.deck(vec![once("tiny", sandbox)]);
    let session = deck.open(&[("tiny", 8)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 8);
    assert_eq!(lab.sandboxes().await.len(), 1);
    let ids: Vec<_> = fleet.sessions[&session].instances.keys().cloned().collect();
    let outcome = deck.call(&ids[0], "hoard", r#"{"bytes": 400000000}"#).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let dead = deck.wait_for_phase(&ids[0], Phase::Failed).await;
    let failure = &dead.death.as_ref().unwrap().failure;
    assert_eq!(failure.to_string(), "runtime: out of memory");
    for id in &ids[1..] {
        assert_eq!(
            ask(&deck, id, "echo", json!({"text": "hi"})).await,
            "echo:hi"
        );
    }
    // What each uses is its own, what all use is the sandbox's.
    let told = deck
        .wait_for(&ids[1], "it was measured", |one| {
            let health = one.facts.iter().any(|(name, _)| &**name == SANDBOX_HEALTH);
            health && one.health.samples.back().is_some()
        })
        .await;
    let sample = told.health.samples.back().unwrap();
    assert_eq!(sample.processes, 1, "{sample:?}");
    assert!((1 << 20..256 << 20).contains(&sample.memory), "{sample:?}");
    assert_eq!(sample.memory_limit, Some(256 << 20));
    let together = told.fact(SANDBOX_HEALTH).unwrap();
    for word in [
        "8 servers",
        "of 256 MiB",
        "of 128 processes",
        "MiB of files",
    ] {
        assert!(together.contains(word), "{together}");
    }
    assert!(deck.close(session).await.is_empty());
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn whoever_fills_the_workspace_is_ended_and_nobody_else() {
    let lab = Lab::new().await;
    let mut sandbox = lab.projects.tiny_sandbox("tiny");
    sandbox.staging.quota_mb = 8;
    let deck = lab.deck(vec![
        once("glutton", sandbox.clone()),
        once("modest", sandbox),
    ]);
    deck.open(&[("glutton", 1), ("modest", 1)]).await;
    let (glutton, modest) = (only(&deck, "glutton"), only(&deck, "modest"));
    inside(
        &deck,
        &glutton,
        "dd if=/dev/zero of=big bs=1M count=20 2>&1",
    )
    .await;
    deck.wait_for_phase(&glutton, Phase::Failed).await;
    let failure = failure_of(&deck, "glutton").to_string();
    assert!(failure.contains("8 MiB are allowed"), "{failure}");
    assert_eq!(
        ask(&deck, &modest, "echo", json!({"text": "hi"})).await,
        "echo:hi"
    );
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn who_shares_what_is_decided_by_session_profile_and_wish() {
    let lab = Lab::new().await;
    let own = lab.projects.tiny_sandbox("tiny");
    let mut small = own.clone();
    small.profile.memory_mb = 300;
    let mut shared = own.clone();
    shared.sharing = Sharing::Shared;
    let deck = lab.deck(vec![
        once("own", own),
        once("small", small),
        once("shared", shared),
    ]);
    let asks = [("own", 2), ("small", 1), ("shared", 1)];
    let one = deck.open(&asks).await;
    assert_eq!(lab.sandboxes().await.len(), 3);
    let two = deck.open(&asks).await;
    assert_eq!(lab.sandboxes().await.len(), 5);
    assert!(deck.close(one).await.is_empty());
    assert_eq!(
        lab.sandboxes().await.len(),
        3,
        "the shared one has a user left"
    );
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &two, Phase::Ready), 4);
    assert!(deck.close(two).await.is_empty());
    assert_eq!(lab.sandboxes().await.len(), 0);
    lab.down(deck).await;
}
