//! One run of its own on the engine, the docker command line to look with, and what must be gone in the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::docker::Engine;
use envdeck::drivers::docker::image::{Image, Images, Logins, Wanted};
use envdeck::drivers::docker::template::{Applied, Templates};
use envdeck::drivers::{Order, Slot, Steps};
use envdeck::model::{
    Backend, ContainerOptions, Failure, HealthPolicy, InstanceId, LocalDocker, Mode, Pull,
    RestartPolicy, RunId, Scope, SessionId, Template, TemplateWay, Transport,
};
use envdeck::stores::logs::LogStore;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

/// Far more than anything here takes, far less than a hang.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Made by `tests/images/build`: busybox, and a server in awk.
pub const TINY: &str = "envdeck-tests/tiny";

pub const TARGET: &str = "/srv/data";

pub struct Lab {
    pub run: RunId,
    pub images: Images,
    pub templates: Templates,
    /// Holds `template` and `run-…/copies`.
    pub folder: TempDir,
    pub logs: LogStore,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Logins::at("/nonexistent", ""), Duration::from_secs(60))
    }

    /// With these logins, and this patience with a pull.
    pub fn with(logins: Logins, stall: Duration) -> Self {
        let run = RunId::new(format!("test-{:016x}", rand::random::<u64>()));
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::of_user();
        let copies = folder.path().join(format!("run-{run}/copies"));
        fs::create_dir(folder.path().join("template")).unwrap();
        Self {
            images: Images::with(engine.clone(), logins, stall),
            templates: Templates::new(engine, copies),
            run,
            folder,
            logs: LogStore::default(),
        }
    }

    /// The directory that serves as template, empty at first.
    pub fn template(&self) -> PathBuf {
        self.folder.path().join("template")
    }

    pub fn copies(&self) -> Vec<PathBuf> {
        let copies = self.folder.path().join(format!("run-{}/copies", self.run));
        let entries = fs::read_dir(copies).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub async fn tiny(&self) -> Image {
        self.image(TINY).await
    }

    pub async fn image(&self, reference: &str) -> Image {
        let wanted = wanted(reference, Pull::Never);
        self.images
            .ensure(&wanted, &Steps::new().0)
            .await
            .expect("tests/images/build makes it")
    }

    pub fn order(&self, docker: &LocalDocker) -> (Order, watch::Receiver<Arc<str>>) {
        self.order_of(backend(docker.clone()))
    }

    pub fn order_of(&self, backend: Backend) -> (Order, watch::Receiver<Arc<str>>) {
        let instance = InstanceId::new(format!("test-{:016x}", rand::random::<u64>()));
        let (steps, told) = Steps::new();
        let order = Order {
            backend: Arc::new(backend),
            session: SessionId::new("test-session"),
            run: self.run.clone(),
            steps,
            slot: Slot::default(),
            log: self.logs.writer(&instance),
            instance,
        };
        (order, told)
    }

    /// Gives one more instance the template.
    pub async fn apply(&self, docker: &LocalDocker) -> Result<Applied, Failure> {
        self.apply_of(backend(docker.clone())).await
    }

    pub async fn apply_of(&self, backend: Backend) -> Result<Applied, Failure> {
        let Mode::LocalDocker(docker) = &backend.mode else {
            panic!("not docker")
        };
        let docker = docker.clone();
        let image = self.image(&docker.image).await;
        let (order, _told) = self.order_of(backend);
        let template = docker.template.as_ref().unwrap();
        let applied = self.templates.apply(template, &docker, &image, &order);
        timeout(PATIENCE, applied).await.expect("it ends")
    }

    /// What this run has on the engine and on the disk.
    pub fn left(&self) -> Vec<String> {
        let filter = format!("label=envdeck.run={}", self.run);
        let containers = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let images = docker(&["image", "ls", "--all", "--quiet", "--filter", &filter]);
        let copies = self.copies();
        let copies = copies.iter().map(|path| path.display().to_string());
        let told = containers.lines().chain(images.lines()).map(str::to_owned);
        told.chain(copies).collect()
    }

    /// Nothing may be left once all that was dropped is removed; an engine that others keep busy may need some time.
    pub async fn is_clean(&self) {
        let gone = async {
            self.images.settle().await;
            while let Err(failure) = self.templates.settle().await {
                assert!(failure.to_string().contains("slow"), "{failure}");
            }
        };
        timeout(PATIENCE, gone).await.expect("it ends");
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

impl Drop for Lab {
    /// For tests that fail.
    fn drop(&mut self) {
        let filter = format!("label=envdeck.run={}", self.run);
        for id in docker(&["ps", "--all", "--quiet", "--filter", &filter]).lines() {
            run("docker", &["rm", "--force", "--volumes", id]);
        }
        for id in docker(&["image", "ls", "--quiet", "--filter", &filter]).lines() {
            run("docker", &["rmi", "--force", id]);
        }
    }
}

pub fn wanted(reference: &str, pull: Pull) -> Wanted {
    Wanted {
        reference: reference.into(),
        platform: None,
        pull,
    }
}

/// A container of the tiny image with the template of the lab.
pub fn tiny_with(lab: &Lab, way: TemplateWay) -> LocalDocker {
    LocalDocker {
        image: TINY.into(),
        container_port: None,
        command: None,
        template: Some(Template {
            source: lab.template(),
            target: TARGET.into(),
            way,
        }),
        commit_delay: None,
        options: ContainerOptions::default(),
    }
}

pub fn backend(docker: LocalDocker) -> Backend {
    Backend {
        name: "test".into(),
        kind: "test".into(),
        mode: Mode::LocalDocker(Box::new(docker)),
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

/// Runs a program and fails with what it says.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What `docker` prints; it must succeed.
pub fn docker(arguments: &[&str]) -> String {
    let output = run("docker", arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {}: {errors}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a shell line prints in a new container that gets what was applied, and nothing else of this host.
pub fn inside(lab: &Lab, applied: &Applied, line: &str) -> String {
    let image = applied.image().map_or(TINY, |committed| committed.id());
    let label = format!("envdeck.run={}", lab.run);
    let mut arguments = vec!["run", "--rm", "--network", "none", "--label", &label];
    let mount = applied.mount().map(|mount| {
        let source = lab
            .copies()
            .into_iter()
            .find(|copy| format!("{mount:?}").contains(copy.to_str().unwrap()));
        format!("{}:{}", source.unwrap().display(), mount.target)
    });
    if let Some(mount) = &mount {
        arguments.extend(["--volume", mount]);
    }
    arguments.extend([image, "sh", "-c", line]);
    docker(&arguments)
}

/// Looks until there is something.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("no {what}"))
}

/// Fills a directory with files in directories.
pub fn fill(folder: &Path, files: usize) {
    for number in 0..files {
        let path = folder.join(format!("d{}/f{number}", number % 50));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("content of {number}")).unwrap();
    }
}
