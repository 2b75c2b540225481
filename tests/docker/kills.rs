//! `kill -9` of the program itself: what it leaves goes with the next start or with `envdeck gc`, and what belongs
//! to one that lives stays.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use tokio::time::sleep;

use crate::bench::PATIENCE;
use crate::lab::{IMAGE, Lab, label};

const COUNT: usize = 8;

/// Backends that are there from the start, one instance each, with a template of its own kind in two of them.
fn config(folder: &Path, mark: &str) -> String {
    let backend = |number: usize| {
        let template = if number < 2 {
            "    template_data_path_host: data\n"
        } else {
            ""
        };
        format!(
            "  - backend_name_ref: {mark}-{number}\n    backend_type: filesystem\n    \
             orchestration_mode: local_docker\n    instance_scoping: shared_global\n    \
             mcp_transport: stdio\n    docker_image: {IMAGE}\n{template}"
        )
    };
    let backends: String = (0..COUNT).map(backend).collect();
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("data/file"), "data").unwrap();
    let path = folder.join("config.yaml");
    std::fs::write(&path, format!("backends:\n{backends}")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn envdeck(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envdeck"));
    command
        .env("HOME", home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A program that is killed when the test is over.
struct Deck {
    child: Child,
    mark: String,
}

impl Deck {
    /// Serves, with all its instances running.
    async fn serve(lab: &Lab, home: &Path) -> Self {
        let mark = format!("kill-{:08x}", rand::random::<u32>());
        let folder = home.join(&mark);
        std::fs::create_dir_all(&folder).unwrap();
        let config = config(&folder, &mark);
        let arguments = ["serve", "--port", "0", "--config", &config];
        let child = envdeck(home).args(arguments).spawn().unwrap();
        let deck = Self { child, mark };
        deck.wait_for(lab, COUNT).await;
        deck
    }

    /// Ends it as no program can prevent.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.mark.clone()
    }

    async fn wait_for(&self, lab: &Lab, count: usize) {
        let began = std::time::Instant::now();
        while running(lab, &self.mark).await != count {
            assert!(
                began.elapsed() < PATIENCE,
                "{} of {count}",
                running(lab, &self.mark).await
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Deck {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// How many containers there are of backends with this mark, running or not.
async fn there(lab: &Lab, mark: &str, only_running: bool) -> usize {
    let filters = label("envdeck.managed", "true");
    let options = ListContainersOptionsBuilder::new()
        .all(!only_running)
        .filters(&filters)
        .build();
    let found = lab.docker.list_containers(Some(options)).await.unwrap();
    let is_ours = |labels: &std::collections::HashMap<String, String>| {
        labels
            .get("envdeck.backend")
            .is_some_and(|backend| backend.starts_with(mark))
    };
    found
        .iter()
        .filter_map(|one| one.labels.as_ref())
        .filter(|labels| is_ours(labels))
        .count()
}

async fn running(lab: &Lab, mark: &str) -> usize {
    there(lab, mark, true).await
}

fn gc(home: &Path) -> Output {
    let mut command = envdeck(home);
    let output = command
        .arg("gc")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// Directories of runs with copies of templates in them.
fn copies(home: &Path) -> usize {
    let runs = std::fs::read_dir(home.join(".cache/envdeck"))
        .into_iter()
        .flatten()
        .flatten();
    let copies = runs.map(|run| run.path().join("copies"));
    copies.flat_map(std::fs::read_dir).flatten().count()
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn gc_removes_what_a_killed_one_left_and_nothing_of_one_that_lives() {
    let lab = Lab::new().await;
    let home = tempfile::tempdir().unwrap();
    let living = Deck::serve(&lab, home.path()).await;
    let killed = Deck::serve(&lab, home.path()).await;
    assert_eq!(copies(home.path()), 4);
    let mark = killed.kill();
    assert_eq!(
        there(&lab, &mark, false).await,
        COUNT,
        "nobody removed them"
    );
    let told = gc(home.path());
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(told.contains("container"), "{told}");
    assert_eq!(there(&lab, &mark, false).await, 0);
    assert_eq!(running(&lab, &living.mark).await, COUNT);
    assert_eq!(copies(home.path()), 2);
    gc(home.path());
    assert_eq!(running(&lab, &living.mark).await, COUNT);
    let mark = living.mark.clone();
    drop(living);
    assert_eq!(there(&lab, &mark, false).await, 0, "ended politely");
    assert_eq!(copies(home.path()), 0);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn the_next_start_removes_what_a_killed_one_left() {
    let lab = Lab::new().await;
    let home = tempfile::tempdir().unwrap();
    let mark = Deck::serve(&lab, home.path()).await.kill();
    assert_eq!(there(&lab, &mark, false).await, COUNT);
    let next = Deck::serve(&lab, home.path()).await;
    let began = std::time::Instant::now();
    while there(&lab, &mark, false).await > 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running(&lab, &next.mark).await, COUNT);
    assert_eq!(copies(home.path()), 2);
}
