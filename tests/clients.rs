//! The gateway of the real program, used by clients that nobody here wrote: the official SDKs for Python (a current one
//! and one of the predecessor's days) and TypeScript, the MCP Inspector, and the conformance suite.
//!
//! `tests/clients/install` installs them, `tests/servers/install` the servers behind. A missing one is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // tests may

mod common;

#[path = "clients/conformance.rs"]
mod conformance;
#[path = "clients/crowd.rs"]
mod crowd;
#[path = "clients/serve.rs"]
mod serve;

use std::fs;

use common::servers::RealServers;
use serve::{Serve, client, demo, process};

/// What the predecessor's scenario begins with.
fn template(directory: &std::path::Path) {
    fs::create_dir_all(directory.join("source_dir")).unwrap();
    fs::create_dir(directory.join("target_dir")).unwrap();
    fs::write(
        directory.join("source_dir/file_to_move.txt"),
        "Hello from source\n",
    )
    .unwrap();
}

/// A filesystem server on a copy of the template for each instance.
fn filesystem(home: &std::path::Path) -> String {
    let servers = RealServers::prepare();
    let command = &servers.get("filesystem").command;
    template(&home.join("template"));
    fs::create_dir(home.join("copies")).unwrap();
    let script = r#"copy=$(mktemp -d "$1/copies/XXXXXX"); cp -R "$1/template/." "$copy"; exec "$2" "$3" "$copy""#;
    let home = home.to_str().unwrap();
    process(
        "filesystem_test",
        "sh",
        &["-ec", script, "sh", home, &command[0], &command[1]],
    )
}

#[test]
#[ignore = "needs tests/clients/install and tests/servers/install"]
fn the_predecessors_scenario_passes_with_the_python_sdk_of_its_days_and_of_today() {
    let home = tempfile::tempdir().unwrap();
    let serve = Serve::start(&filesystem(home.path()));
    for python in ["python-then", "python-now"] {
        let mut scenario = client(&format!("{python}/bin/python"));
        scenario
            .arg("tests/clients/scenario.py")
            .args([&serve.url, "filesystem_test"]);
        serve::passes(scenario);
    }
    serve.end();
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_typescript_clients_go_through_a_whole_session() {
    let serve = Serve::start(&demo());
    for version in ["v1", "v2"] {
        let mut flow = client("node/node_modules/node/bin/node");
        flow.arg("tests/clients/flow.mjs")
            .args([&serve.url, version]);
        flow.arg(serve::clients().join("node/node_modules"));
        serve::passes(flow);
    }
    serve.end();
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_inspector_lists_and_calls_our_tools() {
    let serve = Serve::start(&demo());
    let inspect = |arguments: &[&str]| {
        let mut inspector = client("node/node_modules/node/bin/node");
        let script = serve::clients().join("node/node_modules/.bin/mcp-inspector");
        inspector
            .arg(script)
            .args(["--cli", &serve.url])
            .args(arguments);
        let said = serve::said(inspector);
        serde_json::from_str::<serde_json::Value>(&said)
            .unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let list = inspect(&["--method", "tools/list", "--strict"]);
    assert_eq!(list["tools"].as_array().unwrap().len(), 5);
    let call = |tool: &str, arguments: &[&str]| {
        let mut all = vec!["--method", "tools/call", "--tool-name", tool];
        for argument in arguments {
            all.extend(["--tool-arg", argument]);
        }
        inspect(&all)["structuredContent"].clone()
    };
    assert_eq!(call("ping", &[])["reply"], "pong");
    let opened = call(
        "initialize_session",
        &[r#"backends=[{"backend_name_ref":"demo"}]"#],
    );
    let session = format!(
        "rk_session_id={}",
        opened["rk_session_id"].as_str().unwrap()
    );
    let instance = &opened["initialized_backends"][0]["instances"][0]["instance_id"];
    let instance = format!("instance_id={}", instance.as_str().unwrap());
    let echo = [
        &session,
        &instance,
        "backend_name_ref=demo",
        "tool_name=echo",
        r#"tool_args={"text":"hi"}"#,
    ];
    assert_eq!(call("call_backend_tool", &echo)["content"][0]["text"], "hi");
    assert_eq!(call("cleanup_session", &[&session])["status"], "cleaned");
    serve.end();
}
