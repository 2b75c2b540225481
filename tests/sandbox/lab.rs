//! An engine for tests with images that sandboxes are made of, projects, and what must be as before afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListVolumesOptions, RemoveContainerOptionsBuilder,
};
use envdeck::drivers::docker::{Address, Containers, Engine};
use envdeck::drivers::sandbox::Sandboxes;
use envdeck::drivers::{Driver, Drivers};
use envdeck::model::{
    Backend, Failure, Install, InstanceId, Limits, Mode, Outcome, Phase, RestartPolicy, RunId,
    Sandbox, SandboxProfile, Sharing, Staging,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::deck::{Deck, backend, seconds};

pub use crate::bench::until as eventually;

/// Debian with Python, and the same with Node; `tests/images/build` makes them.
pub const PYTHON: &str = "envdeck-tests/sandbox-python";
pub const NODE: &str = "envdeck-tests/sandbox-node";

/// A server of the standard library alone, whose tools can do whatever a server can.
pub const TINY: &str = include_str!("tiny_mcp.py");

/// Only `box`.
struct Only(Arc<Sandboxes>);

impl Drivers for Only {
    fn driver(&self, _mode: &Mode) -> Arc<dyn Driver> {
        self.0.clone()
    }
}

/// A directory of the host for projects.
pub struct Projects(tempfile::TempDir);

impl Projects {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    pub fn write(&self, path: &str, text: &str) -> String {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A project that is nothing but the tiny server.
    pub fn tiny(&self, name: &str) -> String {
        self.write(&format!("{name}/server.py"), TINY)
    }

    /// `command`, whose project is inferred unless `host_path` is set.
    pub fn sandbox(&self, image: &str, command: &str, args: &[&str]) -> Sandbox {
        Sandbox {
            command: command.to_owned(),
            args: args.iter().map(ToString::to_string).collect(),
            env: BTreeMap::new(),
            enabled: true,
            runtime: None,
            sharing: Sharing::Session,
            profile: SandboxProfile {
                image: image.to_owned(),
                ..SandboxProfile::default()
            },
            staging: Staging {
                roots: vec![self.path("")],
                ..Staging::default()
            },
            install: Install {
                env: crate::index::index(),
                timeout: seconds(240),
            },
            startup_timeout: seconds(60),
        }
    }

    /// The tiny server in a project of its own.
    pub fn tiny_sandbox(&self, name: &str) -> Sandbox {
        self.sandbox(PYTHON, "python", &[&self.tiny(name)])
    }
}

pub fn mode(sandbox: Sandbox) -> Mode {
    Mode::Sandbox(Box::new(sandbox))
}

/// Never started again by itself.
pub fn once(name: &str, sandbox: Sandbox) -> Backend {
    Backend {
        mode: mode(sandbox),
        start_timeout: seconds(60),
        ..backend(name)
    }
}

/// Started again quickly.
pub fn lasting(name: &str, sandbox: Sandbox) -> Backend {
    let restart = RestartPolicy::OnFailure {
        attempts: 3,
        backoff: std::time::Duration::from_millis(100),
        ceiling: seconds(1),
        stable: seconds(60),
    };
    Backend {
        restart,
        ..once(name, sandbox)
    }
}

/// A run of its own on the engine of this machine, of which nothing is left when the test ends, however it ends.
pub struct Lab {
    pub docker: Docker,
    pub driver: Arc<Sandboxes>,
    pub run: RunId,
    pub projects: Projects,
    address: Address,
}

impl Lab {
    /// On the engine that the environment names.
    pub async fn new() -> Self {
        let address = Address::of_user().unwrap();
        let docker = connect(&address);
        for image in [PYTHON, NODE] {
            let found = docker.inspect_image(image).await;
            found.expect("the image is there: tests/images/build");
        }
        Self::at(address)
    }

    pub fn at(address: Address) -> Self {
        let docker = connect(&address);
        let run = RunId::new(format!("test-{:016x}", rand::random::<u64>()));
        let projects = Projects::new();
        let containers = Containers::new(Engine::at(address.clone()), projects.path("copies"));
        let driver = Sandboxes::new(Arc::new(containers), &projects.path("run"), &[]);
        Self {
            docker,
            driver: Arc::new(driver),
            run,
            projects,
            address,
        }
    }

    pub fn deck(&self, backends: Vec<Backend>) -> Deck {
        self.deck_with(64, backends)
    }

    /// So many may start at the same time.
    pub fn deck_with(&self, parallel_starts: usize, backends: Vec<Backend>) -> Deck {
        let limits = Limits {
            parallel_starts,
            ..Limits::default()
        };
        let drivers = Arc::new(Only(self.driver.clone()));
        Deck::on(drivers, self.run.clone(), backends, limits)
    }

    /// The sandboxes of this run.
    pub async fn sandboxes(&self) -> Vec<ContainerInspectResponse> {
        let mut found = Vec::new();
        for id in containers(&self.docker, &self.run).await {
            // It may go away between the two.
            found.extend(self.docker.inspect_container(&id, None).await.ok());
        }
        found
    }

    /// Everything ends, and nothing is left of it.
    pub async fn down(self, deck: Deck) {
        let left = deck
            .orchestrator
            .shutdown(|_| (), std::future::pending())
            .await;
        assert!(left.is_empty(), "{left:?}");
        self.driver.settle().await.unwrap();
        assert_eq!(containers(&self.docker, &self.run).await, [""; 0]);
    }

    /// Anonymous volumes that no container uses.
    pub async fn stray_volumes(&self) -> Vec<String> {
        let filters = HashMap::from([("dangling".to_owned(), vec!["true".to_owned()])]);
        let options = ListVolumesOptions {
            filters: Some(filters),
        };
        let found = self.docker.list_volumes(Some(options)).await.unwrap();
        let volumes = found.volumes.unwrap_or_default();
        volumes.into_iter().map(|volume| volume.name).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (run, address) = (self.run.clone(), self.address.clone());
        let clear_up = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let docker = connect(&address);
                for id in containers(&docker, &run).await {
                    let force = RemoveContainerOptionsBuilder::new()
                        .force(true)
                        .v(true)
                        .build();
                    let _ = docker.remove_container(&id, Some(force)).await;
                }
            });
        };
        // A runtime cannot be entered from within another one.
        let _ = std::thread::spawn(clear_up).join();
    }
}

/// A client that knows nothing of ours.
pub fn connect(address: &Address) -> Docker {
    let Address::Unix(path) = address else {
        panic!("not a socket: {address}")
    };
    let path = path.to_str().unwrap();
    Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION).expect("an engine")
}

async fn containers(docker: &Docker, run: &RunId) -> Vec<String> {
    let label = format!("envdeck.run={run}");
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let found = docker.list_containers(Some(options)).await.unwrap();
    found.into_iter().filter_map(|one| one.id).collect()
}

/// What a tool answers, as text.
pub async fn ask(deck: &Deck, instance: &InstanceId, tool: &str, arguments: Value) -> String {
    let outcome = deck.call(instance, tool, &arguments.to_string()).await;
    let Outcome::Done(result) = outcome else {
        panic!("{tool}: {outcome:?}\n{}", deck.log(instance))
    };
    let raw = deck.result(result).await;
    let value: Value = serde_json::from_slice(&raw).unwrap();
    value["content"][0]["text"].as_str().unwrap().to_owned()
}

/// Runs a shell script as the server would.
pub async fn inside(deck: &Deck, instance: &InstanceId, script: &str) -> String {
    let said = ask(deck, instance, "sh", json!({ "script": script })).await;
    said.trim().to_owned()
}

/// The only instance of a backend.
pub fn only(deck: &Deck, backend: &str) -> InstanceId {
    let fleet = deck.fleet();
    let mut of = fleet
        .instances()
        .filter(|one| &*one.backend.name == backend);
    let found = of.next().unwrap().id.clone();
    assert!(of.next().is_none(), "{backend} has several instances");
    found
}

pub fn failure_of(deck: &Deck, backend: &str) -> Failure {
    let instance = deck.instance(&only(deck, backend));
    let death = instance.death.as_ref();
    let death = death.unwrap_or_else(|| panic!("{backend} is {}", instance.phase));
    death.failure.clone()
}

pub fn assert_ready(deck: &Deck, backend: &str) {
    let id = only(deck, backend);
    let phase = deck.instance(&id).phase;
    assert_eq!(phase, Phase::Ready, "{backend}:\n{}", deck.log(&id));
}

pub fn fact(deck: &Deck, backend: &str, name: &str) -> String {
    let instance = deck.instance(&only(deck, backend));
    let found = instance.facts.iter().find(|(key, _)| &**key == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {:?}", instance.facts));
    found.1.to_string()
}

/// Whether the words stand in the command line of any process of this machine.
pub fn is_in_a_command_line(words: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| memchr::memmem::find(&line, words.as_bytes()).is_some())
}

/// All files below, by path, with what is in them.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() && !path.is_symlink() {
            let children = fs::read_dir(&path).unwrap();
            open.extend(children.map(|child| child.unwrap().path()));
            found.insert(path, vec![]);
        } else {
            let content = fs::read(&path).unwrap_or_default();
            found.insert(path, content);
        }
    }
    found
}

/// Waits until it has become ready for the `times`-th time.
pub async fn ready_for_the(times: usize, deck: &Deck, instance: &InstanceId) {
    let deadline = Instant::now() + seconds(120);
    loop {
        let log = deck.log(instance);
        let ready = log.lines().filter(|line| line.starts_with("ready after"));
        if ready.count() >= times && deck.instance(instance).phase == Phase::Ready {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "never ready {times} times:\n{log}"
        );
        sleep(std::time::Duration::from_millis(20)).await;
    }
}
