//! `remote_http_api`: against a real provisioning service in a process of its own that can be told to misbehave.
#![allow(clippy::unwrap_used)] // tests may

mod common;
#[allow(dead_code)] // made for the scenarios, which use all of it
#[path = "common/deck.rs"]
mod deck;
#[allow(dead_code)]
#[path = "common/fake.rs"]
mod fake;
#[allow(dead_code)]
#[path = "common/server.rs"]
mod server;
#[allow(dead_code)] // made for the commands, which use all of it
#[path = "commands/shell.rs"]
mod shell;

#[path = "remote_api/bench.rs"]
mod bench;
#[path = "remote_api/service.rs"]
mod service;
#[path = "remote_api/tls.rs"]
mod tls;

#[path = "remote_api/calls.rs"]
mod calls;
#[path = "remote_api/creates.rs"]
mod creates;
#[path = "remote_api/deletes.rs"]
mod deletes;
#[path = "remote_api/failures.rs"]
mod failures;
#[path = "remote_api/gateway.rs"]
mod gateway;
#[path = "remote_api/kills.rs"]
mod kills;
#[path = "remote_api/operator.rs"]
mod operator;
