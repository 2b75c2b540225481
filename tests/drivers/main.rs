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
use envdeck::model::{Mode, RunId};

use crate::bench::python;
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
    let driver = Installed::new(&std::env::temp_dir()).driver(&mode);
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
