//! An engine, and what is made there for a test.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptions};
use envdeck::config;
use envdeck::drivers::docker::create::{Creation, Extras, creation};
use envdeck::model::{LocalDocker, Mode, Transport};
use futures::StreamExt;
use serde_json::{Value, json};

/// `tests/images/build` makes it: busybox and a server in awk.
pub const IMAGE: &str = "envdeck-tests/tiny";
pub const LABEL: &str = "envdeck-tests.create";

/// The named volume of [`ALIKE`].
pub const VOLUME: &str = "envdeck-create-test";

/// An engine, and a label for all that a test makes there, which is removed when it ends, however it ends.
pub struct Lab {
    pub docker: Docker,
    pub run: String,
    pub directory: tempfile::TempDir,
}

impl Lab {
    pub async fn new() -> Self {
        let docker = Docker::connect_with_defaults().expect("an engine");
        let docker = docker.negotiate_version().await.expect("an engine");
        let image = docker.inspect_image(IMAGE).await;
        image.expect("the image is there: tests/images/build");
        Self {
            docker,
            run: format!("{:016x}", rand::random::<u64>()),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A backend with these keys, read from a file in the directory of the test.
    pub fn backend(&self, keys: &Value) -> (LocalDocker, Transport) {
        let mut backend = json!({
            "backend_name_ref": "one",
            "backend_type": "filesystem",
            "orchestration_mode": "local_docker",
            "mcp_transport": "stdio",
            "docker_image": IMAGE,
        });
        let keys = keys.as_object().unwrap().clone();
        backend.as_object_mut().unwrap().extend(keys);
        let file = self.directory.path().join("mcp.yaml");
        std::fs::write(&file, json!({"backends": [backend]}).to_string()).unwrap();
        let config = config::load(&file, &|_| None).unwrap_or_else(|invalid| panic!("{invalid}"));
        let backend = &config.backends[0];
        let Mode::LocalDocker(docker) = &backend.mode else {
            panic!("{:?}", backend.mode)
        };
        ((**docker).clone(), backend.transport)
    }

    pub fn extras(&self) -> Extras {
        Extras {
            name: format!("envdeck-create-{:016x}", rand::random::<u64>()),
            labels: HashMap::from([(LABEL.to_owned(), self.run.clone())]),
            ..Extras::default()
        }
    }

    pub async fn create(&self, backend: &(LocalDocker, Transport), extras: &Extras) -> String {
        let Creation { options, body } = creation(&backend.0, backend.1, extras);
        let created = self.docker.create_container(Some(options), body).await;
        created.unwrap().id
    }

    /// By the docker command, from a line for the shell.
    pub fn create_by_command(&self, line: &str, variables: &[(&str, &str)]) -> String {
        let label = format!("docker create --label {LABEL}={} ", self.run);
        let line = line.replacen("docker run ", &label, 1);
        let output = Command::new("sh")
            .arg("-c")
            .arg(&line)
            .current_dir(self.directory.path())
            .envs(variables.iter().copied())
            .output()
            .expect("the docker command");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub async fn inspect(&self, id: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(id, None).await.unwrap()
    }

    /// Runs it to its end and gives what it said.
    pub async fn output(&self, id: &str) -> String {
        self.docker.start_container(id, None).await.unwrap();
        let mut end = self.docker.wait_container(id, None::<WaitContainerOptions>);
        let ended = tokio::time::timeout(Duration::from_secs(30), end.next());
        // An exit code that is not 0 comes as an error; what counts is what was said.
        let _ = ended.await.expect("it ends");
        let all = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let logs = self.docker.logs(id, Some(all));
        let text = logs.map(|chunk| chunk.unwrap().to_string());
        text.collect::<Vec<_>>().await.concat()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let label = format!("label={LABEL}={}", self.run);
        let list = ["ps", "-aq", "--no-trunc", "--filter", &label];
        let found = Command::new("docker").args(list).output().unwrap();
        for id in String::from_utf8_lossy(&found.stdout).lines() {
            let _ = Command::new("docker").args(["rm", "-fv", id]).output();
        }
        // It stays where another test uses it still.
        let _ = Command::new("docker")
            .args(["volume", "rm", VOLUME])
            .output();
    }
}

/// A network of a test.
pub struct Network {
    pub name: String,
}

impl Network {
    pub fn new(lab: &Lab) -> Self {
        let name = format!("envdeck-create-{}", lab.run);
        let create = ["network", "create", "--subnet=10.213.77.0/24", &name];
        let output = Command::new("docker").args(create).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        Self { name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let remove = ["network", "rm", &self.name];
        let _ = Command::new("docker").args(remove).output();
    }
}
