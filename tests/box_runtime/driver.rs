//! The mode `box` with an endpoint: from a project on this host to a server in a sandbox of a real runtime, and back
//! to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::{Driver, Installed};
use envdeck::model::{
    Cause, Install, Mode, RunId, Sandbox, SandboxPhase, SandboxProfile, SandboxRuntime, Secret,
    Sharing, Staging,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::bench::{Bench, log_of, order};
use crate::runtime::{IMAGE, PATIENCE, PYTHON, Runtime, VERSIONS, Version};
use crate::wire::Wire;

/// A project with the server of the tests, and what it takes to run it on a runtime.
pub struct Project {
    pub directory: TempDir,
    pub spec: Sandbox,
}

impl Project {
    pub fn on(runtime: &Runtime, args: &[&str]) -> Self {
        let directory = TempDir::with_prefix("envdeck-project-").unwrap();
        let script = directory.path().join("server.mjs");
        std::fs::write(&script, include_str!("server.mjs")).unwrap();
        let first = [script.to_str().unwrap()];
        let place = runtime.place();
        let spec = Sandbox {
            command: "node".to_owned(),
            args: first.iter().chain(args).map(ToString::to_string).collect(),
            env: BTreeMap::from([("PRIVATE".to_owned(), Secret::new("s3cr3t"))]),
            enabled: true,
            runtime: Some(SandboxRuntime {
                endpoint: runtime.endpoint(),
                token: place.token,
                tenant: place.tenant,
                ca_file: None,
                configured_in: "envdeck.yaml".into(),
            }),
            sharing: Sharing::Session,
            profile: SandboxProfile {
                image: IMAGE.to_owned(),
                memory_mb: 512,
                ..SandboxProfile::default()
            },
            staging: Staging {
                host_path: Some(directory.path().to_owned()),
                roots: vec![directory.path().to_owned()],
                ..Staging::default()
            },
            install: Install::default(),
            startup_timeout: Duration::from_secs(20),
        };
        Self { directory, spec }
    }

    pub fn mode(&self) -> Mode {
        Mode::Sandbox(Box::new(self.spec.clone()))
    }
}

fn driver() -> (Arc<dyn Driver>, TempDir, RunId) {
    let directory = TempDir::new().unwrap();
    let run = RunId::new(format!("test-{:08x}", rand::random::<u32>()));
    let installed = Installed::new(&envdeck::runs::directory(directory.path(), &run));
    let all = installed.all();
    let sandboxes = all
        .into_iter()
        .find(|driver| driver.kind() == "box")
        .unwrap();
    (sandboxes, directory, run)
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_project_becomes_a_server_and_nothing_is_left_of_it() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let project = Project::on(&runtime, &["--banner", "server ready", "--stubborn"]);
        // More than one part, with bytes of every kind, and a link that leads out.
        let bytes: Vec<u8> = (0..1_200_000_u32)
            .map(|n| u8::try_from(n * 7 % 251).unwrap())
            .collect();
        std::fs::write(project.directory.path().join("data.bin"), &bytes).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", project.directory.path().join("link")).unwrap();
        let (driver, _directory, run) = driver();
        let start = async || {
            Bench::start_by(driver.as_ref(), &run, project.mode())
                .await
                .unwrap()
        };
        let mut one = start().await;
        let mut two = start().await;
        assert_eq!(one.fact("sandbox"), two.fact("sandbox"), "one for both");
        one.logged("server ready").await;

        let mut wire = Wire::shake_hands(&mut one.running).await;
        let said = wire
            .call("echo", json!({ "text": "übung \u{1b}[31m" }))
            .await;
        assert_eq!(text(&said), "übung \u{1b}[31m");
        let said = wire.call("env", json!({ "name": "PRIVATE" })).await;
        assert_eq!(text(&said), "s3cr3t");
        let said = wire.call("size", json!({ "path": "data.bin" })).await;
        assert_eq!(text(&said), bytes.len().to_string());
        wire.call("stderr", json!({ "text": "later words" })).await;
        // The runtime reads stderr beside stdout: an answer may come before what was written first.
        one.logged("later words").await;
        assert_eq!(
            one.log()
                .iter()
                .filter(|line| *line == "server ready")
                .count(),
            1,
            "{:?}",
            one.log()
        );
        assert!(
            one.running
                .inspect()
                .await
                .unwrap()
                .unwrap()
                .contains("managed_processes")
        );
        assert!(
            !one.running
                .inspect()
                .await
                .unwrap()
                .unwrap()
                .contains("s3cr3t")
        );

        // One is stopped: it ignores all but SIGKILL, and the other goes on.
        let mut other = Wire::shake_hands(&mut two.running).await;
        let (first, second) = (one.id.clone(), two.id.clone());
        let began = Instant::now();
        timeout(PATIENCE, one.running.stop(Duration::from_millis(500)))
            .await
            .expect("a stop")
            .unwrap();
        assert!(began.elapsed() > Duration::from_millis(500), "asked first");
        assert_eq!(
            wire.next().await,
            None,
            "the endpoint is closed after a stop"
        );
        let said = other.call("processes", json!({})).await;
        assert_eq!(text(&said), "1", "only one server runs there");
        driver.release(&first).await.unwrap();
        let said = other.call("echo", json!({ "text": "on" })).await;
        assert_eq!(text(&said), "on");

        // The last one is dropped, not stopped, and takes the sandbox along.
        drop(two);
        driver.release(&second).await.unwrap();
        driver.settle().await.unwrap();
        let connection = runtime.connect();
        assert!(connection.sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime and a package index"]
async fn dependencies_are_installed_once() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let mut project = Project::on(&runtime, &[]);
        let at = |name: &str| project.directory.path().join(name);
        let server = at("server.py");
        std::fs::write(&server, include_str!("../sandbox/tiny_mcp.py")).unwrap();
        std::fs::write(at("requirements.txt"), "idna==3.20\n").unwrap();
        project.spec.command = "python".to_owned();
        project.spec.args = vec![server.to_str().unwrap().to_owned()];
        project.spec.profile.image = PYTHON.to_owned();
        project.spec.install.env = crate::index::index();
        let (driver, _directory, run) = driver();
        let (order, logs) = order(&run, project.mode());
        let log = || log_of(&logs, &order.instance).join("\n");
        for word in ["dep_install: done", "dependencies are as they were"] {
            let prepared = driver.prepare(order.clone()).await;
            prepared.unwrap_or_else(|failure| panic!("{failure}\n{}", log()));
            let mut running = driver.start(order.clone()).await.unwrap();
            let mut wire = Wire::shake_hands(&mut running).await;
            let script = "python -c 'import idna, sys; print(idna.__version__, sys.prefix)'";
            let said = wire.call("sh", json!({ "script": script })).await;
            let directory = format!("/workspace/.mcp/{}/workspace/.venv", order.instance);
            assert_eq!(text(&said).trim(), format!("3.20 {directory}"));
            assert!(log().contains(word), "{}", log());
            running.stop(Duration::from_secs(1)).await.unwrap();
        }
        driver.release(&order.instance).await.unwrap();
        driver.settle().await.unwrap();
        assert!(runtime.connect().sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn each_way_to_fail_has_its_phase_and_its_words() {
    let runtime = Runtime::start(Version::Chunks).await;
    let (driver, _directory, run) = driver();
    let fail = async |project: &Project| {
        let started = Bench::start_by(driver.as_ref(), &run, project.mode()).await;
        match started {
            Err(failure) => failure,
            Ok(mut bench) => {
                let ended = timeout(PATIENCE, bench.running.wait()).await;
                let ended = ended
                    .unwrap_or_else(|_| panic!("{:?}\n{:?}", bench.running.facts(), bench.log()));
                ended.unwrap_err()
            }
        }
    };
    let mut project = Project::on(&runtime, &[]);
    project.spec.command = "no-such-command".into();
    let failure = fail(&project).await;
    assert_eq!(failure.phase, Some(SandboxPhase::ProcessStart), "{failure}");
    assert!(
        matches!(&failure.cause, Cause::CommandNotFound(name) if name == "no-such-command"),
        "{failure}"
    );

    let mut project = Project::on(&runtime, &[]);
    project.spec.profile.image = "no/such-image".to_owned();
    let failure = fail(&project).await;
    assert_eq!(
        failure.phase,
        Some(SandboxPhase::SessionCreate),
        "{failure}"
    );
    assert!(
        failure.to_string().contains("runtime's engine"),
        "{failure}"
    );

    let mut project = Project::on(&runtime, &[]);
    project.spec.profile.network = envdeck::model::SandboxNetwork::Named("backend".to_owned());
    let failure = fail(&project).await;
    assert!(
        failure.is_lasting() && failure.to_string().contains("knows only"),
        "{failure}"
    );

    let mut project = Project::on(&runtime, &[]);
    project.spec.staging.roots = vec!["/srv".into()];
    let failure = fail(&project).await;
    assert_eq!(failure.phase, Some(SandboxPhase::Staging), "{failure}");

    // A package that nobody has, from an index that nobody runs.
    let project = Project::on(&runtime, &[]);
    let manifest =
        r#"{"name": "x", "version": "1.0.0", "dependencies": {"envdeck-no-such-package": "1"}}"#;
    std::fs::write(project.directory.path().join("package.json"), manifest).unwrap();
    let failure = fail(&project).await;
    assert_eq!(failure.phase, Some(SandboxPhase::DepInstall), "{failure}");
    assert!(matches!(failure.cause, Cause::Exited(_)), "{failure}");

    let mut project = Project::on(&runtime, &[]);
    project.spec.runtime.as_mut().unwrap().token = Some(Secret::new("x".repeat(40)));
    let failure = fail(&project).await;
    assert_eq!(
        failure.phase,
        Some(SandboxPhase::BoxUnavailable),
        "{failure}"
    );
    assert!(
        failure.is_lasting() && failure.to_string().contains("401"),
        "{failure}"
    );
    assert!(!failure.to_string().contains("xxxx"), "{failure}");

    let endpoint = runtime.endpoint();
    drop(runtime);
    let mut project = project;
    project.spec.startup_timeout = Duration::from_millis(500);
    let failure = fail(&project).await;
    assert_eq!(
        failure.phase,
        Some(SandboxPhase::BoxUnavailable),
        "{failure}"
    );
    assert!(
        failure.to_string().contains("401") || failure.to_string().contains("refused"),
        "{failure}: {endpoint}"
    );
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_runtime_that_is_started_again_is_told_and_used_again() {
    for version in VERSIONS {
        let mut runtime = Runtime::start(version).await;
        let project = Project::on(&runtime, &[]);
        let (driver, _directory, run) = driver();
        let mut one = Bench::start_by(driver.as_ref(), &run, project.mode())
            .await
            .unwrap();
        drop(Wire::open(&mut one.running));
        let mut two = Bench::start_by(driver.as_ref(), &run, project.mode())
            .await
            .unwrap();
        let _wire = Wire::shake_hands(&mut two.running).await;
        runtime.kill();
        let torn = async {
            while two.running.excuse().is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, torn).await.expect("an excuse");
        assert!(
            two.fact("engine").contains("127.0.0.1"),
            "{:?}",
            two.running.facts()
        );
        let (ended, ()) = tokio::join!(timeout(PATIENCE, two.running.wait()), runtime.restart());
        let failure = ended.expect("an end").unwrap_err();
        assert_eq!(failure.phase, Some(SandboxPhase::Runtime));
        assert!(failure.to_string().contains("made anew"), "{failure}");
        two.stop().await.unwrap();
        // The same instance again: its sandbox is made anew.
        let (mut again, _logs) = order(&run, project.mode());
        again.instance = two_again();
        driver.prepare(again.clone()).await.unwrap();
        let mut three = driver.start(again).await.unwrap();
        Wire::shake_hands(&mut three)
            .await
            .call("echo", json!({ "text": "x" }))
            .await;
        three.stop(Duration::ZERO).await.unwrap();
    }
}

fn two_again() -> envdeck::model::InstanceId {
    envdeck::model::InstanceId::new("two-again")
}
