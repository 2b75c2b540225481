//! What every driver promises, checked on real instances; and what only processes can do wrong.
#![allow(clippy::unwrap_used)] // tests may

mod bench;
mod contract;
mod demo;
mod ends;
mod orphans;
mod starts;
mod streams;
mod wire;

use envdeck::drivers::{Drivers, Installed};
use envdeck::model::{Cause, Mode, RemoteApi, RemoteAuth, RemoteHttpApi, RunId, Stage};

use crate::bench::{PATIENCE, python};
use crate::contract::keeps_the_contract;

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

async fn keep_the_contract(mode: Mode) {
    let driver = Installed::new(&std::env::temp_dir()).driver(&mode).unwrap();
    keeps_the_contract(driver.as_ref(), &RunId::new("test-run"), mode).await;
}

#[tokio::test]
async fn the_embedded_demo_keeps_the_contract() {
    keep_the_contract(Mode::Embedded).await;
}

#[tokio::test]
async fn a_local_process_keeps_the_contract() {
    keep_the_contract(python(SERVER)).await;
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
    let failure = Installed::new(&std::env::temp_dir())
        .driver(&mode)
        .err()
        .unwrap();
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
