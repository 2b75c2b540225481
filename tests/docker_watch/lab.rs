//! Containers for tests on a real engine, from an image made on the spot; nothing of them is left behind.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use envdeck::drivers::docker::Address;
use envdeck::drivers::docker::Engine;
use envdeck::drivers::docker::labels;
use envdeck::drivers::docker::watch::{ContainerState, Watched, Watcher};
use envdeck::model::{InstanceId, RunId};
use envdeck::stores::logs::{LogLine, LogStore, LogWriter};
use futures::StreamExt;
use tokio::time::timeout;

/// For what takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The programs in the image: all one static busybox.
const PROGRAMS: [&str; 9] = [
    "sh", "sleep", "yes", "head", "cat", "echo", "tail", "test", "nc",
];

/// One test's run on an engine: its containers carry its label, and go with it.
pub struct Lab {
    pub docker: Docker,
    pub engine: Engine,
    pub run: RunId,
    pub watcher: Watcher,
    pub logs: LogStore,
    image: String,
    address: Address,
}

impl Lab {
    /// On the engine of this machine.
    pub async fn new() -> Self {
        Self::at(Address::of_user().expect("an engine's address")).await
    }

    pub async fn at(address: Address) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let run = RunId::new(format!("watch-test-{}-{number}", std::process::id()));
        let docker = connect(&address);
        let image = format!("envdeck-{run}:latest");
        import(&docker, &image).await;
        let engine = Engine::at(address.clone());
        Self {
            docker,
            watcher: Watcher::new(engine.clone(), run.clone()),
            engine,
            run,
            logs: LogStore::default(),
            image,
            address,
        }
    }

    /// What a container that runs this script is made of.
    pub fn script(&self, script: &str) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(vec!["sh".into(), "-c".into(), script.into()]),
            labels: Some(labels::of_run(&self.run)),
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Creates a container; returns its id.
    pub async fn create(&self, body: ContainerCreateBody) -> String {
        let options = CreateContainerOptionsBuilder::default().build();
        let created = self.docker.create_container(Some(options), body).await;
        created.unwrap().id
    }

    pub async fn start(&self, container: &str) {
        self.docker.start_container(container, None).await.unwrap();
    }

    /// Creates, watches and starts a container that runs this script.
    pub async fn running(&self, script: &str) -> Watched {
        self.launch(self.script(script)).await
    }

    pub async fn launch(&self, body: ContainerCreateBody) -> Watched {
        let container = self.create(body).await;
        let watched = self.watcher.watch(&container, self.log(&container));
        self.start(&container).await;
        watched
    }

    pub async fn kill(&self, container: &str) {
        let options = KillContainerOptionsBuilder::default().build();
        self.docker
            .kill_container(container, Some(options))
            .await
            .unwrap();
    }

    pub async fn remove(&self, container: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.docker
            .remove_container(container, Some(options))
            .await
            .unwrap();
    }

    /// Each container logs as the instance of its id.
    pub fn log(&self, container: &str) -> LogWriter {
        self.logs.writer(&InstanceId::new(container))
    }

    pub fn lines(&self, container: &str) -> Vec<LogLine> {
        let all = self.logs.tail(&InstanceId::new(container), usize::MAX);
        all.lines
    }

    pub fn texts(&self, container: &str) -> Vec<String> {
        let lines = self.lines(container);
        lines
            .iter()
            .map(|line| line.line.text.to_string())
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (address, image, run) = (self.address.clone(), self.image.clone(), self.run.clone());
        // A runtime of its own: this one may be the one that just panicked.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(clean_up(&connect(&address), &image, &run));
        });
        let has_failed = cleaner.join().is_err();
        assert!(
            !has_failed || std::thread::panicking(),
            "the clean-up failed"
        );
    }
}

async fn clean_up(docker: &Docker, image: &str, run: &RunId) {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&labels::by_run(run))
        .build();
    // The engine may be gone, with all that it had.
    let Ok(left) = docker.list_containers(Some(options)).await else {
        return;
    };
    for container in left.iter().filter_map(|one| one.id.as_deref()) {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        // Somebody may have removed it meanwhile.
        let _ = docker.remove_container(container, Some(options)).await;
    }
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    docker
        .remove_image(image, Some(options), None)
        .await
        .expect("the image goes");
}

pub fn connect(address: &Address) -> Docker {
    let docker = match address {
        Address::Unix(path) => Docker::connect_with_unix(
            &path.to_string_lossy(),
            120,
            // Of engine 20.10.
            &bollard::ClientVersion {
                major_version: 1,
                minor_version: 41,
            },
        ),
        Address::Tcp(host) => Docker::connect_with_http(host, 120, bollard::API_DEFAULT_VERSION),
    };
    docker.unwrap()
}

async fn import(docker: &Docker, image: &str) {
    let (name, tag) = image.split_once(':').expect("name:tag");
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(name)
        .tag(tag)
        .changes(vec!["ENV PATH=/bin".to_owned()])
        .build();
    let body = bollard::body_full(root_fs().into());
    let mut steps = docker.create_image(Some(options), Some(body), None);
    while let Some(step) = steps.next().await {
        step.unwrap();
    }
}

/// A root directory as a tar archive.
fn root_fs() -> Vec<u8> {
    let busybox = std::fs::read(busybox()).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    archive
        .append_data(&mut header, "bin/busybox", &busybox[..])
        .unwrap();
    for program in PROGRAMS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, format!("bin/{program}"), "busybox")
            .unwrap();
    }
    archive.into_inner().unwrap()
}

fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("busybox"))
        .find(|file| file.is_file());
    found.expect("a static busybox on PATH: the Debian package busybox-static")
}

/// Waits for a state of which `is` holds.
pub async fn until(watched: &mut Watched, is: impl Fn(&ContainerState) -> bool) -> ContainerState {
    let found = timeout(PATIENCE, async {
        let mut state = watched.state();
        while !is(&state) {
            state = watched.changed().await;
        }
        state
    });
    let found = found.await;
    found.unwrap_or_else(|_| panic!("it stays {:#?}", watched.state()))
}

/// Waits for something that happens soon, and looks often.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Waits, but not for ever.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// The facts by name.
pub fn facts(watched: &Watched) -> HashMap<Arc<str>, Arc<str>> {
    watched.facts().into_iter().collect()
}
