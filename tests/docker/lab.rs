//! An engine for tests, a small image on it, and what must be as before when a test has ended.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use envdeck::drivers::Order;
use envdeck::drivers::docker::{Address, Containers, Engine};
use envdeck::model::{ContainerOptions, InstanceId, LocalDocker, Mode, RunId};
use envdeck::runs;
use envdeck::stores::logs::LogStore;
use futures::TryStreamExt;

use crate::bench::{Bench, order};

pub use crate::bench::until as eventually;

/// A server in awk on busybox, which starts in milliseconds; `tests/images/build` makes it.
pub const IMAGE: &str = "envdeck-tests/tiny";

/// The same with nothing lost in its escapes, and slower.
pub const EXACT_SERVER: &str = r#"
echo "server ready" >&2
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
  *'"method":"initialize"'*) r='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"script","version":"1"}}' ;;
  *'"method":"tools/list"'*) r='{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}' ;;
  *'"name":"echo"'*) text=${line#*'"text":'}; text=${text%%\}*}; r='{"content":[{"type":"text","text":'"$text"'}],"isError":false}' ;;
  *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$r"
done
"#;

/// A shell script as a container.
pub fn script(text: &str) -> LocalDocker {
    LocalDocker {
        image: IMAGE.into(),
        container_port: None,
        command: Some(vec!["sh".into(), "-c".into(), text.into()]),
        template: None,
        commit_delay: None,
        options: ContainerOptions::default(),
    }
}

pub fn mode(spec: LocalDocker) -> Mode {
    Mode::LocalDocker(Box::new(spec))
}

/// The server with the tools `echo`, `hang` and `exit`.
pub fn server() -> Mode {
    let command = None;
    mode(LocalDocker {
        command,
        ..script("")
    })
}

/// An engine with the image, and a run of its own, of which nothing is left when the test ends, however it ends.
pub struct Lab {
    pub docker: Docker,
    pub driver: Arc<Containers>,
    pub run: RunId,
    pub directory: tempfile::TempDir,
    address: Address,
}

/// A client that knows nothing of ours.
pub fn connect(address: &Address) -> Docker {
    let Address::Unix(path) = address else {
        panic!("not a socket: {address}")
    };
    let path = path.to_str().unwrap();
    Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION).expect("an engine")
}

impl Lab {
    /// On the engine that the environment names; an engine that is missing is a failure.
    pub async fn new() -> Self {
        Self::at(Address::of_user().unwrap()).await
    }

    pub async fn at(address: Address) -> Self {
        let docker = connect(&address);
        if docker.inspect_image(IMAGE).await.is_err() {
            copy_image(&docker).await;
        }
        let directory = tempfile::tempdir().unwrap();
        let run = RunId::new(format!("test-{:016x}", rand::random::<u64>()));
        let copies = runs::directory(directory.path(), &run).join("copies");
        Self {
            docker,
            driver: Arc::new(Containers::new(Engine::at(address.clone()), copies)),
            run,
            directory,
            address,
        }
    }

    pub fn order(&self, mode: Mode) -> (Order, LogStore) {
        order(&self.run, mode)
    }

    pub async fn start(&self, mode: Mode) -> Bench {
        let started = Bench::start_by(self.driver.as_ref(), &self.run, mode).await;
        started.unwrap()
    }

    /// The container of an instance, whatever its state.
    pub async fn find(&self, instance: &InstanceId) -> Option<ContainerInspectResponse> {
        let filters = label("envdeck.instance", instance.as_str());
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let found = self.docker.list_containers(Some(options)).await.unwrap();
        let id = found.into_iter().next()?.id?;
        // It may go away between the two.
        self.docker.inspect_container(&id, None).await.ok()
    }

    /// What carries the label: containers and images.
    pub async fn carrying(&self, name: &str, value: &str) -> Vec<String> {
        let filters = label(name, value);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let containers = self.docker.list_containers(Some(options)).await.unwrap();
        let options = ListImagesOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let images = self.docker.list_images(Some(options)).await.unwrap();
        let containers = containers.into_iter().filter_map(|one| one.id);
        containers
            .chain(images.into_iter().map(|one| one.id))
            .collect()
    }

    /// Nothing of this instance exists outside of this process.
    pub async fn is_clean_of(&self, instance: &InstanceId) {
        let left = self.carrying("envdeck.instance", instance.as_str()).await;
        assert!(left.is_empty(), "left of {instance}: {left:?}");
        let copies = runs::directory(self.directory.path(), &self.run).join("copies");
        let copies = std::fs::read_dir(copies).into_iter().flatten().flatten();
        let names: Vec<_> = copies.map(|copy| copy.file_name()).collect();
        assert!(names.is_empty(), "copies are left: {names:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (run, address) = (self.run.to_string(), self.address.clone());
        let clear_up = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let docker = connect(&address);
                let filters = label("envdeck.run", &run);
                let options = ListContainersOptionsBuilder::new()
                    .all(true)
                    .filters(&filters)
                    .build();
                for left in docker.list_containers(Some(options)).await.unwrap() {
                    let force = RemoveContainerOptionsBuilder::new()
                        .force(true)
                        .v(true)
                        .build();
                    let id = left.id.unwrap();
                    let _ = docker.remove_container(&id, Some(force)).await;
                }
            });
        };
        // A runtime cannot be entered from within another one.
        let _ = std::thread::spawn(clear_up).join();
    }
}

/// From the engine of this machine, which has it.
async fn copy_image(to: &Docker) {
    let from = connect(&Address::of_user().unwrap());
    let image = from.inspect_image(IMAGE).await;
    image.expect("the image is there: tests/images/build");
    let parts: Vec<_> = from.export_image(IMAGE).try_collect().await.unwrap();
    let options = ImportImageOptionsBuilder::new().build();
    let body = bollard::body_full(parts.concat().into());
    let imported = to.import_image(options, body, None);
    imported.try_collect::<Vec<_>>().await.unwrap();
}

pub fn label(name: &str, value: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{name}={value}")])])
}
