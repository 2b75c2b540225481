//! Our own gateway: as the remote that `--url` speaks to, and in front of instances of an API.

use std::io::{BufRead, BufReader};

use envdeck::model::{Backend, HttpServer, Mode, Outcome};
use serde_json::{Value, json};

use crate::bench::{Service, block};
use crate::deck::{self, Deck};
use crate::kills::configure;
use crate::service::Orders;
use crate::shell::{Run, Shell};

/// `envdeck serve` with its URL; it ends when it is dropped.
struct Gateway {
    url: String,
    run: Option<Run>,
}

impl Gateway {
    fn start(shell: &Shell, args: &[&str]) -> Self {
        let mut command = shell.command(&[&["serve", "--port", "0"], args].concat());
        let mut child = command.env("TOKEN", "hush").spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("serving on ")
                .map(|(_, url)| url.to_owned())
        });
        // Whoever writes to a closed pipe may end by it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            url: line.expect("it serves"),
            run: Some(Run::of(child)),
        }
    }

    fn end(mut self) {
        let run = self.run.take().unwrap();
        run.signal(nix::sys::signal::Signal::SIGTERM);
        run.end().code(0);
    }

    /// Calls a tool of the gateway; returns the structured result.
    fn call(&self, shell: &Shell, tool: &str, arguments: &Value) -> Value {
        let arguments = arguments.to_string();
        let args = ["call", "--url", &self.url, tool, "--json", &arguments];
        let said = shell.run(&args);
        said.code(0);
        serde_json::from_str::<Value>(&said.stdout).unwrap()["structuredContent"].clone()
    }
}

#[test]
fn our_own_gateway_is_listed_called_and_heard_by_url() {
    let shell = Shell::new();
    let gateway = Gateway::start(&shell, &[]);
    let said = shell.run(&["tools", "--json", "--url", &gateway.url]);
    let tools: Value = serde_json::from_str(&said.stdout).unwrap();
    let names = tools["tools"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"initialize_session"), "{names:?}");

    let asked = json!({ "backends": [{ "backend_name_ref": "demo" }] });
    let opened = gateway.call(&shell, "initialize_session", &asked);
    let instance = &opened["initialized_backends"][0]["instances"][0];
    let mut call = json!({
        "rk_session_id": opened["rk_session_id"],
        "backend_name_ref": "demo",
        "instance_id": instance["instance_id"],
        "tool_name": "add",
        "tool_args": { "a": 2, "b": 3 },
    });
    let sum = gateway.call(&shell, "call_backend_tool", &call);
    assert!(sum.to_string().contains('5'), "{sum}");
    call["tool_name"] = "countdown".into();
    call["tool_args"] = json!({ "steps": 3, "seconds": 1 });
    progress_comes_across(&gateway, &call);
    gateway.end();
    shell.assert_clean();
}

/// As another envdeck hears it that has the gateway as its server.
fn progress_comes_across(gateway: &Gateway, call: &Value) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = HttpServer::at(&gateway.url);
        let deck = Deck::real(vec![Backend {
            mode: Mode::External(Box::new(server)),
            ..deck::backend("gateway")
        }]);
        let id = deck.open_one("gateway").await;
        let call = deck
            .begin(&id, "call_backend_tool", &call.to_string())
            .await;
        deck.wait_until("there is progress", |fleet| {
            fleet.calls[&call].progress.is_some()
        })
        .await;
        let ended = deck.end_of(call).await;
        assert!(
            matches!(ended.outcome(), Some(Outcome::Done(_))),
            "{ended:?}"
        );
    });
}

#[test]
fn an_agent_has_instances_made_by_an_api() {
    let (shell, service) = (Shell::new(), Service::start());
    block(service.tell(Orders {
        authorization: Some("Bearer hush".to_owned()),
        ..Orders::default()
    }));
    let file = configure(&shell, &service);
    let gateway = Gateway::start(&shell, &["--config", &file]);
    let asked = json!({ "backends": [{
        "backend_name_ref": "remote", "num_instances": 2, "template_details": { "seed": 7 },
    }] });
    let opened = gateway.call(&shell, "initialize_session", &asked);
    let instances = opened["initialized_backends"][0]["instances"]
        .as_array()
        .unwrap();
    assert_eq!(instances.len(), 2, "{opened}");
    let creates = block(service.creates());
    assert_eq!(creates.len(), 1);
    assert_eq!(creates[0].body["template_details"], json!({ "seed": 7 }));
    assert_eq!(creates[0].body["session_id"], opened["rk_session_id"]);
    let remote = &instances[0]["internal_instance_details"]["remote_instance_id"];
    assert_eq!(instances[0]["orchestration_mode"], "remote_http_api");
    let called = gateway.call(
        &shell,
        "call_backend_tool",
        &json!({
            "rk_session_id": opened["rk_session_id"],
            "backend_name_ref": "remote",
            "instance_id": instances[0]["instance_id"],
            "tool_name": "echo",
        }),
    );
    assert!(
        called.to_string().contains(remote.as_str().unwrap()),
        "{called}"
    );
    let session = json!({ "rk_session_id": opened["rk_session_id"] });
    gateway.call(&shell, "cleanup_session", &session);
    assert!(service.is_empty());
    gateway.end();
    shell.assert_clean();
}
