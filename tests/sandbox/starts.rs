//! Starts in sandboxes: what a server gets, and by which name it is told what went wrong.

use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, RemoveImageOptions,
    UploadToContainerOptionsBuilder,
};
use envdeck::drivers::{Driver, WindowSize};
use envdeck::model::{Backend, Cause, Phase, RestartPolicy, SandboxPhase, Secret, Stage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::deck::{count, seconds};
use crate::lab::{
    Lab, PYTHON, ask, assert_ready, fact, failure_of, inside, lasting, mode, once, only,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn a_script_runs_where_its_copy_is_and_finds_what_it_needs() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("project");
    lab.projects.write("project/data/seed.txt", "seed");
    let mut sandbox = lab.projects.sandbox(
        PYTHON,
        &lab.projects
            .path("project/.venv/bin/python")
            .display()
            .to_string(),
        &[&script, "--banner", "über uns"],
    );
    // As on the host: a link to the interpreter of the system.
    std::fs::create_dir_all(lab.projects.path("project/.venv/bin")).unwrap();
    let python = lab.projects.path("project/.venv/bin/python");
    std::os::unix::fs::symlink("/usr/bin/python3", python).unwrap();
    sandbox.env.insert("TOKEN".into(), Secret::new("hunter2"));
    let volumes = lab.stray_volumes().await;
    let deck = lab.deck(vec![once("tiny", sandbox)]);
    let session = deck.open(&[("tiny", 1)]).await;
    assert_ready(&deck, "tiny");
    let id = only(&deck, "tiny");

    let told: Value = serde_json::from_str(&ask(&deck, &id, "pid", json!({})).await).unwrap();
    let place = format!("/workspace/.mcp/{id}");
    assert_eq!(told["cwd"], format!("{place}/workspace"));
    assert_eq!(told["argv"][0], format!("{place}/workspace/server.py"));
    assert_eq!(inside(&deck, &id, "cat data/seed.txt").await, "seed");
    assert_eq!(
        ask(&deck, &id, "env", json!({"name": "TOKEN"})).await,
        "hunter2"
    );
    assert_eq!(
        inside(&deck, &id, "echo $HOME").await,
        format!("{place}/home")
    );
    let user = inside(&deck, &id, "id -u").await;
    assert_eq!(fact(&deck, "tiny", "user"), user);
    assert!((20_000..60_000).contains(&user.parse().unwrap()), "{user}");
    assert!(deck.log(&id).contains("über uns"), "{}", deck.log(&id));
    // All at once, large, and not ASCII.
    let large = ask(&deck, &id, "big", json!({"bytes": 5_000_000})).await;
    assert_eq!(large.len(), 5_000_000);
    let umlauts = ask(&deck, &id, "big", json!({"bytes": 300_000, "fill": "ü"})).await;
    assert_eq!(umlauts.chars().filter(|c| *c == 'ü').count(), 300_000);
    ask(&deck, &id, "burst", json!({"count": 50, "bytes": 3_000})).await;

    // What the engine was asked for.
    let [container] = &lab.sandboxes().await[..] else {
        panic!("one")
    };
    let host = container.host_config.clone().unwrap();
    assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
    assert_eq!(host.cap_add.unwrap_or_default(), [""; 0]);
    assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
    assert_eq!((host.init, host.privileged), (Some(true), Some(false)));
    assert_eq!(
        (host.memory, host.pids_limit),
        (Some(1_536 << 20), Some(128))
    );
    assert!(host.binds.unwrap_or_default().is_empty());
    let told = format!("{container:?} {:?}", deck.instance(&id).facts);
    assert!(!told.contains("hunter2"), "{told}");

    assert!(deck.close(session).await.is_empty());
    assert!(
        lab.sandboxes().await.is_empty(),
        "it goes with its last user"
    );
    let left: Vec<_> = lab.stray_volumes().await;
    assert!(
        left.iter().all(|volume| volumes.contains(volume)),
        "{left:?}"
    );
    lab.down(deck).await;
}

/// An image whose containers take a while to get to their first command; it must be removed.
async fn sluggish_image(lab: &Lab) -> String {
    let slow = b"#!/bin/sh\nsleep 1\nexec /usr/bin/chmod \"$@\"\n";
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(slow.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    let path = "usr/local/bin/chmod";
    archive.append_data(&mut header, path, &slow[..]).unwrap();
    let archive = bollard::body_full(archive.into_inner().unwrap().into());

    let docker = &lab.docker;
    let body = ContainerCreateBody {
        image: Some(PYTHON.to_owned()),
        ..ContainerCreateBody::default()
    };
    let container = docker.create_container(None::<CreateContainerOptions>, body);
    let container = container.await.unwrap().id;
    let to = UploadToContainerOptionsBuilder::new().path("/").build();
    let uploaded = docker.upload_to_container(&container, Some(to), archive);
    uploaded.await.unwrap();
    let options = CommitContainerOptionsBuilder::new()
        .container(&container)
        .build();
    let committed = docker.commit_container(options, ContainerConfig::default());
    let image = committed.await.unwrap().id;
    docker.remove_container(&container, None).await.unwrap();
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn the_first_server_waits_for_a_sandbox_that_takes_its_time() {
    let lab = Lab::new().await;
    let image = sluggish_image(&lab).await;
    let mut sandbox = lab.projects.tiny_sandbox("tiny");
    sandbox.profile.image.clone_from(&image);
    let deck = lab.deck(vec![once("tiny", sandbox)]);
    let session = deck.open(&[("tiny", 2)]).await;
    let ready = count(&deck.fleet(), &session, Phase::Ready);
    assert!(deck.close(session).await.is_empty());
    lab.docker
        .remove_image(&image, None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert_eq!(ready, 2);
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn failures_have_the_names_of_their_phases_and_only_some_are_tried_again() {
    let lab = Lab::new().await;
    let projects = &lab.projects;
    let nothing = projects.sandbox(PYTHON, "no-such-command", &["-y"]);
    let mut outside = projects.tiny_sandbox("outside");
    outside.staging.roots = vec![projects.path("outside/elsewhere")];
    let crash = projects.sandbox(PYTHON, "sh", &["-c", "echo the disk is full >&2; exit 3"]);
    let mut disabled = projects.tiny_sandbox("disabled");
    disabled.enabled = false;
    let mut image = projects.tiny_sandbox("image");
    image.profile.image = "envdeck-tests/no-such-image".into();
    let silent = projects.sandbox(PYTHON, "sh", &["-c", "echo not JSON; exec sleep 1000"]);
    let mut large = projects.tiny_sandbox("large");
    large.staging.max_entries = 1;
    projects.write("large/more.txt", "");
    let deck = lab.deck(vec![
        lasting("nothing", nothing),
        lasting("outside", outside),
        lasting("crash", crash),
        lasting("disabled", disabled),
        once("image", image),
        Backend {
            start_timeout: seconds(15),
            ..once("silent", silent)
        },
        lasting("large", large),
    ]);
    let names = [
        "nothing", "outside", "crash", "disabled", "image", "silent", "large",
    ];
    let session = deck.open(&names.map(|name| (name, 1))).await;
    deck.wait_until("all have failed", |fleet| {
        count(fleet, &session, Phase::Failed) == names.len()
    })
    .await;

    let expect = |name: &str, phase: SandboxPhase, text: &str, restarts: u32| {
        let failure = failure_of(&deck, name);
        assert_eq!(failure.phase, Some(phase), "{name}: {failure}");
        let told = failure.to_string();
        assert!(told.starts_with(&format!("{phase}: ")), "{told}");
        assert!(told.contains(text), "{name}: {told}");
        let death = deck.instance(&only(&deck, name)).death.clone().unwrap();
        assert_eq!(death.restarts, restarts, "{name}: {told}");
    };
    expect("nothing", SandboxPhase::ProcessStart, "no-such-command", 0);
    assert!(matches!(
        failure_of(&deck, "nothing").cause,
        Cause::CommandNotFound(_)
    ));
    expect(
        "outside",
        SandboxPhase::Staging,
        "outside of the directories",
        0,
    );
    expect("crash", SandboxPhase::ProcessStart, "status 3", 3);
    let output = failure_of(&deck, "crash").output;
    assert_eq!(
        &*output,
        vec!["the disk is full".into(); 4],
        "of each start"
    );
    expect("disabled", SandboxPhase::BoxUnavailable, "switched off", 0);
    expect("image", SandboxPhase::SessionCreate, "no-such-image", 0);
    expect("silent", SandboxPhase::McpInit, "no answer", 0);
    expect("large", SandboxPhase::Staging, "1 files", 0);
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn calls_fail_by_the_name_of_their_phase() {
    let lab = Lab::new().await;
    let deck = lab.deck(vec![once("tiny", lab.projects.tiny_sandbox("tiny"))]);
    let id = deck.open_one("tiny").await;
    let outcome = deck.call(&id, "die", r#"{"code": 7}"#).await;
    let envdeck::model::Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure.phase, Some(SandboxPhase::ToolCall), "{failure}");
    let dead = deck.wait_for_phase(&id, Phase::Failed).await;
    let failure = &dead.death.as_ref().unwrap().failure;
    assert_eq!(failure.phase, Some(SandboxPhase::Runtime));
    assert_eq!(failure.to_string(), "runtime: exited with status 7");
    assert_eq!(failure.stage, Stage::Run);
    assert!(failure.output.contains(&"dying on request".into()));
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn a_slow_start_is_one_long_wait_and_noise_is_no_answer() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("slow");
    let args = [&script, "--cold", "12", "--junk"];
    let sandbox = lab.projects.sandbox(PYTHON, "python", &args);
    let deck = lab.deck(vec![once("slow", sandbox)]);
    let id = deck.open_one("slow").await;
    assert_ready(&deck, "slow");
    assert_eq!(
        ask(&deck, &id, "echo", json!({"text": "hi"})).await,
        "echo:hi"
    );
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn sandboxes_without_network_and_with_a_root_that_cannot_be_written_work() {
    let lab = Lab::new().await;
    let mut sandbox = lab.projects.tiny_sandbox("tiny");
    sandbox.profile.network = envdeck::model::SandboxNetwork::Off;
    sandbox.profile.read_only_rootfs = true;
    let deck = lab.deck(vec![once("tiny", sandbox)]);
    let id = deck.open_one("tiny").await;
    assert_ready(&deck, "tiny");
    let interfaces = inside(&deck, &id, "ls /sys/class/net").await;
    assert_eq!(interfaces, "lo");
    let written = inside(&deck, &id, "echo a > /tmp/a && echo b > b && cat /tmp/a b").await;
    assert_eq!(written, "a\nb");
    let refused = inside(&deck, &id, "echo a > /etc/a; echo a > /workspace/a").await;
    assert_eq!(refused.matches("annot create").count(), 2, "{refused}");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn a_shell_is_that_of_the_server() {
    let lab = Lab::new().await;
    let sandbox = lab.projects.tiny_sandbox("tiny");
    let backend = once("tiny", sandbox);
    let (logs, id) = (
        envdeck::stores::logs::LogStore::default(),
        envdeck::model::InstanceId::new("shell-test"),
    );
    let order = envdeck::drivers::Order {
        backend: std::sync::Arc::new(backend),
        session: envdeck::model::SessionId::new("one"),
        run: lab.run.clone(),
        steps: envdeck::drivers::Steps::new().0,
        slot: envdeck::drivers::Slot::default(),
        log: logs.writer(&id),
        instance: id.clone(),
    };
    let running = lab.driver.start(order).await.unwrap();
    let size = WindowSize {
        columns: 80,
        rows: 24,
    };
    let mut shell = running.shell(size).await.unwrap();
    shell
        .write
        .write_all(b"id -u; pwd; exit 5\n")
        .await
        .unwrap();
    let mut shown = String::new();
    shell.read.read_to_string(&mut shown).await.unwrap();
    assert_eq!(shell.ended.await.unwrap().code, Some(5));
    let user = running
        .facts()
        .into_iter()
        .find(|(name, _)| &**name == "user");
    assert!(shown.contains(&*user.unwrap().1), "{shown}");
    assert!(
        shown.contains("/workspace/.mcp/shell-test/workspace"),
        "{shown}"
    );
    // Dropped without a stop, it still goes away.
    drop(running);
    lab.driver.settle().await.unwrap();
    lab.driver.release(&id).await.unwrap();
    assert!(lab.sandboxes().await.is_empty());
}

#[test]
fn starts_are_repeated_as_documented() {
    let RestartPolicy::OnFailure {
        attempts,
        backoff,
        ceiling,
        stable,
    } = RestartPolicy::of_sandboxes()
    else {
        panic!()
    };
    assert_eq!((attempts, backoff, ceiling), (3, seconds(2), seconds(8)));
    assert_eq!(stable, seconds(60));
    let projects = crate::lab::Projects::new();
    assert!(mode(projects.tiny_sandbox("tiny")).repeats_starts());
}
