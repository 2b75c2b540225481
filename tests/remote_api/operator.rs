//! The console, in a real terminal: a remote instance from its start to its end, and what is read when it fails.

use std::fs;

use crate::bench::{Service, block};
use crate::common::DEADLINE;
use crate::common::operator::Operator;
use crate::service::{Manner, Orders};

fn configure(service: &Service) -> String {
    let file = service.home().join("deck.yaml");
    fs::write(service.home().join("token"), "hush\n").unwrap();
    let text = format!(
        "backends:
  - backend_name_ref: remote
    backend_type: everything
    orchestration_mode: remote_http_api
    remote_resource_type_identifier: everything-v1
    remote_api_config_inline:
      base_url: {}
      auth_type: custom_header
      auth_details: {{ header_name: Authorization, header_value: {{ file: token }} }}
",
        service.url
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// A console with a new session.
fn open(service: &Service) -> Operator {
    let operator = Operator::run(&["--config", &configure(service)], &[]);
    operator.pty.wait_for("no sessions yet", DEADLINE);
    operator.pty.key("n");
    operator.pty.wait_for("New session", DEADLINE);
    operator.pty.key("Enter");
    operator
}

fn orders() -> Orders {
    Orders {
        authorization: Some("hush".to_owned()),
        ..Orders::default()
    }
}

#[test]
fn an_operator_has_an_instance_made_calls_it_and_gives_it_back() {
    let service = Service::start();
    block(service.tell(orders()));
    let operator = open(&service);
    operator.pty.wait_for("● ready", DEADLINE);
    operator.choose("echo");
    operator.send("echo", "ok");
    operator.read("i/1 ü: ");
    for key in ["Escape", "2", "i"] {
        operator.pty.key(key);
    }
    let screen = operator.pty.wait_for("remote id", DEADLINE);
    assert!(screen.contains("everything-v1"), "{screen}");
    assert!(!screen.contains("hush"), "{screen}");
    operator.pty.key("q");
    operator.quit();
    assert!(service.is_empty());
}

#[test]
fn an_operator_reads_what_is_wrong_and_tries_again() {
    let service = Service::start();
    let create = [Manner::Status(403)].into();
    block(service.tell(Orders { create, ..orders() }));
    let operator = open(&service);
    operator.pty.wait_for("403 Forbidden", DEADLINE);
    operator.pty.wait_for("auth_details", DEADLINE);
    for key in ["Escape", "2", "R"] {
        operator.pty.key(key);
    }
    operator.pty.wait_for("● ready", DEADLINE);
    operator.quit();
    assert!(service.is_empty());
}
