//! An engine for tests, a small image on it, and what must be as before when a test has ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
};
use envdeck::drivers::docker::{Containers, Engine};
use envdeck::model::{InstanceId, LocalDocker, Mode};
use futures::TryStreamExt;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::bench::{Bench, PATIENCE};

/// busybox and nothing else; built once and kept, like the images of the real servers.
pub const IMAGE: &str = "envdeck-test/busybox:1";
/// What the engine may run busybox as.
const LINKS: [&str; 14] = [
    "sh", "sleep", "cat", "kill", "head", "yes", "dd", "tail", "stty", "echo", "grep", "ps",
    "touch", "env",
];

/// An MCP server with the tools `echo`, `hang` and `die`.
pub const SERVER: &str = r#"
echo "server ready" >&2
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
  *'"method":"initialize"'*) r='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"script","version":"1"}}' ;;
  *'"method":"tools/list"'*) r='{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"hang","inputSchema":{"type":"object"}}]}' ;;
  *'"method":"ping"'*) r='{}' ;;
  *'"name":"hang"'*) continue ;;
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
        template_data_path_host: None,
        container_template_data_path: None,
        run_args: vec![],
        command: Some(vec!["sh".into(), "-c".into(), text.into()]),
        volumes: BTreeMap::new(),
        environment: Arc::default(),
        commit_delay: Duration::ZERO,
        global_options: Arc::default(),
    }
}

pub fn mode(spec: LocalDocker) -> Mode {
    Mode::LocalDocker(Box::new(spec))
}

pub fn server() -> Mode {
    mode(script(SERVER))
}

/// An engine with the image.
pub struct Lab {
    pub docker: Docker,
    pub driver: Containers,
    pub directory: tempfile::TempDir,
}

impl Lab {
    /// On the engine that the environment names; an engine that is missing is a failure.
    pub async fn new() -> Self {
        static BUILT: OnceCell<()> = OnceCell::const_new();
        let docker = Docker::connect_with_defaults().expect("an engine");
        BUILT.get_or_init(|| build(&docker)).await;
        let directory = tempfile::tempdir().unwrap();
        let driver = Containers::new(Engine::of_user(), directory.path());
        Self {
            docker,
            driver,
            directory,
        }
    }

    pub async fn start(&self, mode: Mode) -> Bench {
        Bench::start_by(&self.driver, mode).await.unwrap()
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
        let copies = std::fs::read_dir(self.directory.path()).unwrap().count();
        assert_eq!(copies, 0, "directories are left");
    }
}

fn label(name: &str, value: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{name}={value}")])])
}

/// Waits for what only asking tells.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Imports the image unless the engine has it.
pub async fn build(docker: &Docker) {
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    tar.append_data(&mut header, "bin/busybox", &*busybox)
        .unwrap();
    for name in LINKS {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, format!("bin/{name}"), "busybox")
            .unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let (name, tag) = IMAGE.split_once(':').unwrap();
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(name)
        .tag(tag)
        .changes(vec!["ENV PATH=/bin".to_owned()])
        .build();
    let body = bollard::body_full(tar.into());
    let imported = docker.create_image(Some(options), Some(body), None);
    imported.try_collect::<Vec<_>>().await.unwrap();
}
