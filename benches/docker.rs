//! What envdeck adds to the cost of containers: the same ones made by the engine's client with nothing else, in
//! the same run, turn by turn. `cargo bench --bench docker` prints a table; numbers vary with the machine and
//! with what else it does, so compare the two columns of one row. `-- provision` and `-- kills` do one part.
//!
//! Needs a Docker engine and the image `mcp/filesystem`, which `tests/images/build` makes.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench may, and prints its table

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::container::AttachContainerResults;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use envdeck::config::{Config, Origin};
use envdeck::drivers::docker::create::{Creation, Extras, creation};
use envdeck::drivers::docker::labels;
use envdeck::drivers::docker::{Address, Containers, Engine};
use envdeck::drivers::{Driver, Drivers};
use envdeck::model::{
    Ask, Backend, Caller, Command, ContainerOptions, GatewayOptions, HealthPolicy, InstanceId,
    Limits, LocalDocker, Mode, Phase, RestartPolicy, RunId, Scope, SessionId, Transport,
};
use envdeck::orchestrator::{Handle, Orchestrator, Reply, Setup, start};
use envdeck::stores::results::ResultStore;
use futures::StreamExt;
use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const IMAGE: &str = "mcp/filesystem";
/// Containers at once, and how often each of both makes them.
const ROUNDS: [(usize, usize); 3] = [(1, 7), (8, 5), (32, 5)];
const KILLS: usize = 10;
/// For everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","#,
    r#""capabilities":{},"clientInfo":{"name":"floor","version":"1"}}}"#,
    "\n"
);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(bench());
}

async fn bench() {
    let bench = match Bench::new().await {
        Ok(bench) => bench,
        Err(why) => return println!("docker: skipped, because {why}"),
    };
    println!(
        "{:<34} {:>9} {:>9} {:>7}",
        "medians", "floor", "envdeck", "ratio"
    );
    let part = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let is_wanted = |name| part.as_deref().is_none_or(|part| part == name);
    for (count, rounds) in ROUNDS {
        if is_wanted("provision") {
            bench.compare(count, rounds).await;
        }
    }
    if is_wanted("kills") {
        bench.time_kills().await;
    }
    let left = bench.orchestrator.shutdown(|_| (), std::future::pending());
    assert!(left.await.is_empty(), "something is left");
    bench.driver.settle().await.unwrap();
}

struct Bench {
    docker: Docker,
    driver: Arc<Containers>,
    run: RunId,
    orchestrator: Orchestrator,
    handle: Handle,
    _directory: tempfile::TempDir,
}

struct Only(Arc<Containers>);

impl Drivers for Only {
    fn driver(&self, _mode: &Mode) -> Arc<dyn Driver> {
        self.0.clone()
    }
}

fn spec() -> LocalDocker {
    LocalDocker {
        image: IMAGE.into(),
        container_port: None,
        command: None,
        template: None,
        commit_delay: None,
        options: ContainerOptions::default(),
    }
}

fn backend() -> Backend {
    Backend {
        name: "filesystem".into(),
        kind: "filesystem".into(),
        mode: Mode::LocalDocker(Box::new(spec())),
        scope: Scope::Session,
        transport: Transport::Stdio,
        startup_check: None,
        restart: RestartPolicy::Never,
        health: HealthPolicy::default(),
        start_timeout: PATIENCE,
        call_timeout: PATIENCE,
        call_max_timeout: PATIENCE,
        stop_grace: Duration::from_secs(5),
    }
}

impl Bench {
    async fn new() -> Result<Self, String> {
        let address = Address::of_user().map_err(|none| none.problem)?;
        let driver = Containers::new(Engine::at(address.clone()), "copies");
        let checked = driver.check().await;
        checked.map_err(|failure| failure.to_string())?;
        let docker = connect(&address).map_err(|error| error.to_string())?;
        let found = docker.inspect_image(IMAGE).await;
        found
            .map_err(|_| format!("the image {IMAGE} is not there: tests/images/build makes it"))?;
        let (driver, directory) = (Arc::new(driver), tempfile::tempdir().unwrap());
        let run = RunId::new(format!("bench-{}", std::process::id()));
        let config = Config {
            origin: Origin::Demo,
            backends: vec![Arc::new(backend())],
            log_level: "info".to_owned(),
            limits: Limits::default(),
            gateway: GatewayOptions::default(),
        };
        let orchestrator = start(Setup {
            config: Arc::new(config),
            drivers: Arc::new(Only(driver.clone())),
            run: run.clone(),
            results: ResultStore::new(directory.path()),
            history: None,
        });
        Ok(Self {
            docker,
            driver,
            run,
            handle: orchestrator.handle(),
            orchestrator,
            _directory: directory,
        })
    }

    /// Each goes first as often as the other, so that neither finds the machine warmer.
    async fn compare(&self, count: usize, rounds: usize) {
        let (mut floor, mut ours) = (Times::default(), Times::default());
        for round in 0..=rounds {
            let turns = if round % 2 == 0 {
                [true, false]
            } else {
                [false, true]
            };
            for is_floor in turns {
                let (up, down) = if is_floor {
                    self.floor(count, round).await
                } else {
                    self.ours(count).await
                };
                // The first round is to warm up.
                if round > 0 {
                    let times = if is_floor { &mut floor } else { &mut ours };
                    times.up.push(up);
                    times.down.push(down);
                }
            }
        }
        row(&format!("provision {count}"), &floor.up, &ours.up);
        row(&format!("clean up {count}"), &floor.down, &ours.down);
    }

    /// The same containers and no more: created, attached, started, initialized; then removed by force.
    async fn floor(&self, count: usize, round: usize) -> (Duration, Duration) {
        let began = Instant::now();
        let made = (0..count).map(|number| self.bare(format!("{count}-{round}-{number}")));
        let all = join_all(made).await;
        let up = began.elapsed();
        let began = Instant::now();
        let removed = all.iter().map(|(id, _)| self.remove(id));
        join_all(removed).await;
        (up, began.elapsed())
    }

    /// With what it is attached by: many servers end with their input.
    async fn bare(&self, name: String) -> (String, AttachContainerResults) {
        let extras = Extras {
            name: format!("envdeck-{}-{name}", self.run),
            labels: labels::of_run(&self.run),
            ..Extras::default()
        };
        let Creation { options, body } = creation(&spec(), Transport::Stdio, &extras);
        let created = self.docker.create_container(Some(options), body).await;
        let id = created.unwrap().id;
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attached = self.docker.attach_container(&id, Some(options)).await;
        let mut attached = attached.unwrap();
        self.docker.start_container(&id, None).await.unwrap();
        let sent = attached.input.write_all(INITIALIZE.as_bytes());
        sent.await.unwrap();
        let answered = async {
            let mut said = Vec::new();
            while !String::from_utf8_lossy(&said).contains(r#""result""#) {
                said.extend(attached.output.next().await.unwrap().unwrap().into_bytes());
            }
        };
        timeout(PATIENCE, answered).await.expect("an answer");
        (id, attached)
    }

    async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        let removed = self.docker.remove_container(id, Some(options.build()));
        removed.await.unwrap();
    }

    async fn ours(&self, count: usize) -> (Duration, Duration) {
        let began = Instant::now();
        let session = self.open(count).await;
        let up = began.elapsed();
        let began = Instant::now();
        self.ask(Command::CloseSession(session)).await;
        (up, began.elapsed())
    }

    async fn open(&self, count: usize) -> SessionId {
        let asked = self.ask(Command::OpenSession {
            caller: Caller::Operator,
            asks: vec![Ask::new("filesystem", count)],
        });
        let Reply::Opened(session, _) = asked.await else {
            panic!("not opened")
        };
        let fleet = self.handle.fleet().borrow().clone();
        let instances = fleet.sessions[&session].instances.values();
        let ready = instances.filter(|one| one.phase == Phase::Ready).count();
        assert_eq!(ready, count, "some are not ready");
        session
    }

    async fn ask(&self, command: Command) -> Reply {
        let reply = timeout(PATIENCE, self.handle.request(command)).await;
        reply.expect("a reply").unwrap()
    }

    /// From before the request to kill a container to the snapshot that shows its end.
    async fn time_kills(&self) {
        let (mut seen, mut killed) = (vec![], vec![]);
        for _ in 0..KILLS {
            let session = self.open(1).await;
            let fleet = self.handle.fleet().borrow().clone();
            let instance = fleet.sessions[&session]
                .instances
                .keys()
                .next()
                .unwrap()
                .clone();
            let container = self.container(&instance).await;
            let mut fleet = self.handle.fleet();
            let began = Instant::now();
            let options = KillContainerOptionsBuilder::new().signal("KILL").build();
            let kill = async {
                let asked = self.docker.kill_container(&container, Some(options));
                asked.await.unwrap();
                began.elapsed()
            };
            let shown = async {
                let dead = |fleet: &Arc<envdeck::model::Fleet>| {
                    let one = fleet.instance(&instance);
                    one.is_some_and(|one| one.phase != Phase::Ready)
                };
                let waited = timeout(PATIENCE, fleet.wait_for(dead)).await;
                waited.expect("it is seen").unwrap();
                began.elapsed()
            };
            let (was_killed, was_seen) = tokio::join!(kill, shown);
            killed.push(was_killed);
            seen.push(was_seen);
            self.ask(Command::CloseSession(session)).await;
        }
        row("kill until answered, until shown", &killed, &seen);
        let slowest = seen.iter().max().unwrap().as_millis();
        println!("{:<34} {:>9} {slowest:>6} ms", "  the slowest of them", "");
    }

    async fn container(&self, instance: &InstanceId) -> String {
        let filters = labels::by_instance(instance);
        let options = ListContainersOptionsBuilder::new()
            .filters(&filters)
            .build();
        let found = self.docker.list_containers(Some(options)).await.unwrap();
        found.into_iter().next().unwrap().id.unwrap()
    }
}

fn connect(address: &Address) -> Result<Docker, bollard::errors::Error> {
    let seconds = PATIENCE.as_secs();
    match address {
        Address::Unix(path) => {
            let path = path.to_string_lossy();
            Docker::connect_with_unix(&path, seconds, API_DEFAULT_VERSION)
        }
        Address::Tcp(host) => Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION),
    }
}

#[derive(Default)]
struct Times {
    up: Vec<Duration>,
    down: Vec<Duration>,
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn row(what: &str, floor: &[Duration], ours: &[Duration]) {
    let (floor, ours) = (median(floor) * 1e3, median(ours) * 1e3);
    let ratio = ours / floor;
    println!("{what:<34} {floor:>6.0} ms {ours:>6.0} ms {ratio:>6.2}×");
}
