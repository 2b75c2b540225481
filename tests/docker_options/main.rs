//! What a configuration says of containers: who wins, what the engine is asked for, and which command does the same.
#![allow(clippy::unwrap_used)] // tests may

mod lines;
mod read;
mod requests;

use std::path::{Path, PathBuf};

use envdeck::config::{self, Config, Invalid};
use envdeck::model::{LocalDocker, Mode};
use serde_json::{Value, json};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/valid/docker.yaml")
}

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "hunter2-token".to_owned())
}

fn docker(config: &Config, name: &str) -> LocalDocker {
    let mut backends = config.backends.iter();
    let backend = backends.find(|backend| &*backend.name == name).unwrap();
    let Mode::LocalDocker(docker) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    (**docker).clone()
}

fn backend(name: &str) -> LocalDocker {
    let config = config::load(&fixture(), &env).unwrap_or_else(|invalid| panic!("{invalid}"));
    docker(&config, name)
}

/// A file beside the fixtures' data, loaded.
fn load(root: &Value) -> Result<Config, Invalid> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.yaml");
    std::fs::write(&file, root.to_string()).unwrap();
    config::load(&file, &env)
}

fn one(keys: &Value) -> Value {
    let mut backend = json!({
        "backend_name_ref": "one",
        "backend_type": "time",
        "orchestration_mode": "local_docker",
        "mcp_transport": "stdio",
        "docker_image": "image",
    });
    let keys = keys.as_object().unwrap().clone();
    backend.as_object_mut().unwrap().extend(keys);
    backend
}

fn with_args(args: &[&str]) -> LocalDocker {
    let root = json!({"backends": [one(&json!({"docker_run_args": args}))]});
    let config = load(&root).unwrap_or_else(|invalid| panic!("{invalid}"));
    docker(&config, "one")
}

fn docker_of(root: &Value) -> LocalDocker {
    docker(&load(root).unwrap(), "one")
}
