//! Containers on a real engine: made from our requests they are what the docker command makes from the same options.
#![allow(clippy::unwrap_used)] // tests may

mod alike;
mod essence;
mod lab;

use std::time::Duration;

use envdeck::drivers::docker::create::{Extras, address};
use envdeck::model::Mount;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::lab::Lab;

/// Without hardening, as the command makes it by itself.
const OPEN: &str = r#"{"init": false, "no_new_privileges": false, "drop_capabilities": false}"#;

#[tokio::test]
#[ignore = "needs a Docker engine and command"]
async fn a_port_of_the_loopback_address_leads_to_the_server() {
    let lab = Lab::new().await;
    let keys = json!({
        "mcp_transport": "http",
        "container_port": 8000,
        "container_command": ["nc", "-ll", "-p", "8000", "-e", "echo", "hello"],
    });
    let backend = lab.backend(&keys);
    let id = lab.create(&backend, &lab.extras()).await;
    lab.docker.start_container(&id, None).await.unwrap();
    let ports = lab
        .inspect(&id)
        .await
        .network_settings
        .unwrap()
        .ports
        .unwrap();
    let address = address(&backend.0, &ports).expect("an address");
    assert!(address.ip().is_loopback());
    assert_eq!(ports["8000/tcp"].as_ref().unwrap().len(), 1, "{ports:?}");
    let hello = async {
        loop {
            let mut text = String::new();
            if let Ok(mut stream) = TcpStream::connect(address).await {
                // The engine takes connections before the server does, and closes them.
                let _ = stream.read_to_string(&mut text).await;
            }
            if text == "hello\n" {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(20), hello).await;
    answered.expect("an answer");
}

#[tokio::test]
#[ignore = "needs a Docker engine and command"]
async fn hardening_takes_effect() {
    let lab = Lab::new().await;
    let show = "cat /proc/1/comm; grep -E 'CapEff|NoNewPrivs' /proc/self/status";
    let said = async |keys: Value| {
        let mut keys = keys;
        keys["container_command"] = json!(["sh", "-c", show]);
        let id = lab.create(&lab.backend(&keys), &lab.extras()).await;
        let text = lab.output(&id).await;
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let none = "0000000000000000";
    let hardened = said(json!({"docker_run_args": ["--network=none"]})).await;
    assert_eq!(
        hardened,
        ["docker-init", "CapEff:", none, "NoNewPrivs:", "1"]
    );
    let net_raw = "0000000000002000";
    let with_one = said(
        json!({"docker_run_args": ["--cap-add", "NET_RAW", "--init=false", "--network=none"]}),
    )
    .await;
    assert_eq!(with_one, ["sh", "CapEff:", net_raw, "NoNewPrivs:", "1"]);
    let open: Value = serde_json::from_str(OPEN).unwrap();
    let open = said(json!({"hardening": open, "docker_run_args": ["--network=none"]})).await;
    let usual = "00000000a80425fb";
    assert_eq!(open, ["sh", "CapEff:", usual, "NoNewPrivs:", "0"]);
}

#[tokio::test]
#[ignore = "needs a Docker engine and command"]
async fn root_in_a_container_can_write_to_a_copy_of_somebody_elses() {
    let lab = Lab::new().await;
    let copy = lab.directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(&copy, Some(12_345), Some(12_345)).unwrap();
    }
    let written = async |args: Value| {
        let keys = json!({
            "container_command": ["sh", "-c", "echo hello >/data/new && cat /data/new"],
            "docker_run_args": args,
        });
        let extras = Extras {
            mounts: vec![Mount::of_host(copy.to_str().unwrap(), "/data")],
            ..lab.extras()
        };
        let id = lab.create(&lab.backend(&keys), &extras).await;
        lab.output(&id).await
    };
    assert_eq!(written(json!(["--network=none"])).await, "hello\n");
    std::fs::remove_file(copy.join("new")).unwrap();
    let refused = written(json!(["--network=none", "--cap-drop=ALL"])).await;
    assert!(refused.contains("Permission denied"), "{refused}");
}
