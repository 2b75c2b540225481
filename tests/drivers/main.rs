//! What every driver promises, checked on real instances; and what only processes can do wrong.
#![allow(clippy::unwrap_used)] // tests may

mod bench;
mod demo;
mod ends;
mod orphans;
mod starts;
mod streams;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::{Driver, Drivers, Installed};
use envdeck::model::{Cause, Exit, Mode, RemoteApi, RemoteAuth, RemoteHttpApi, Stage};
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, python, until};
use crate::wire::Wire;

const SERVER: &str = r#"
import json, sys
print("server ready", file=sys.stderr)
for line in sys.stdin:
    ask = json.loads(line)
    if "id" not in ask:
        continue
    if ask["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "script", "version": "1"}}
    elif ask["method"] == "tools/list":
        result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    else:
        text = ask["params"]["arguments"]["text"]
        result = {"content": [{"type": "text", "text": text}], "isError": False}
    print(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}), flush=True)
"#;

/// What every driver promises, on a server that says "ready" on stderr and has the tool `echo`.
async fn keeps_the_contract(mode: Mode) {
    let driver: Arc<dyn Driver> = Installed::new().driver(&mode).unwrap();
    assert_eq!(driver.kind(), mode.name());
    assert!(Installed::available(&mode));
    driver.check().await.unwrap();

    let mut bench = Bench::start(mode.clone()).await.unwrap();
    assert!(!bench.running.facts().is_empty());
    until("first line", || {
        bench
            .log()
            .iter()
            .find(|line| line.ends_with("ready"))
            .cloned()
    })
    .await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    let tools = wire.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{tools:?}");
    let answer = wire
        .call("echo", json!({ "text": "übung \u{1b}[31m" }))
        .await;
    assert_eq!(answer["result"]["content"][0]["text"], "übung \u{1b}[31m");

    // Waiting is given up and taken up again, and it is not over.
    assert!(
        timeout(Duration::from_millis(50), bench.running.wait())
            .await
            .is_err()
    );
    bench.running.usage().await.unwrap();
    bench.stop().await.unwrap();
    assert_eq!(
        wire.next().await,
        None,
        "the endpoint is closed after a stop"
    );

    // The end of its input is the end of a server; stopping it afterwards is no error.
    let mut bench = Bench::start(mode.clone()).await.unwrap();
    drop(Wire::shake_hands(&mut bench.running).await);
    let exit = Exit {
        code: Some(0),
        signal: None,
        out_of_memory: false,
    };
    assert_eq!(bench.wait().await, exit);
    assert_eq!(bench.wait().await, exit, "asked twice");
    bench.stop().await.unwrap();

    // Dropped without a stop, it still goes away.
    let mut bench = Bench::start(mode).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    drop(bench);
    assert_eq!(wire.next().await, None);
}

#[tokio::test]
async fn the_embedded_demo_keeps_the_contract() {
    keeps_the_contract(Mode::Embedded).await;
}

#[tokio::test]
async fn a_local_process_keeps_the_contract() {
    keeps_the_contract(python(SERVER)).await;
}

#[test]
fn modes_that_are_not_built_say_so() {
    let mode = Mode::RemoteHttpApi(Box::new(RemoteHttpApi {
        api: std::sync::Arc::new(RemoteApi {
            base_url: "https://example.com".into(),
            create_instance_endpoint: String::new(),
            delete_instance_endpoint_template: String::new(),
            call_tool_endpoint_template: None,
            auth: RemoteAuth::None,
            timeout: PATIENCE,
            connect_timeout: PATIENCE,
        }),
        resource_type: "x".into(),
    }));
    assert!(!Installed::available(&mode));
    let failure = Installed::new().driver(&mode).err().unwrap();
    assert_eq!(failure.stage, Stage::Check);
    assert!(
        matches!(
            failure.cause,
            Cause::NotBuilt {
                mode: "remote_http_api"
            }
        ),
        "{failure}"
    );
    assert!(failure.hint.is_some());
}
