//! The core and the console with servers nobody here wrote, as local processes: `tests/servers/install` has them.
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

use std::time::Duration;

use common::operator::Operator;
use common::processes::{assert_gone, descendants};
use common::servers::{RealServer, RealServers};
use common::{DEADLINE, eventually};
use deck::{Deck, backend};
use envdeck::model::{Backend, Instance, LocalProcess, Mode, Phase, Secret};
use tokio::time::timeout;

/// For all seven at once on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn configured(server: &RealServer) -> Backend {
    let (command, args) = server.command.split_first().unwrap();
    let env = server
        .env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(value)));
    let process = LocalProcess {
        command: command.clone(),
        args: args.to_vec(),
        env: env.collect(),
        cwd: None,
    };
    Backend {
        mode: Mode::LocalProcess(process),
        start_timeout: PATIENCE,
        ..backend(server.name)
    }
}

fn pid(instance: &Instance) -> i32 {
    let fact = instance.facts.iter().find(|(name, _)| &**name == "process");
    fact.expect("a process has a pid").1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the installed MCP servers: tests/servers/install"]
async fn the_core_starts_lists_calls_logs_and_stops_each_server() {
    let real = RealServers::prepare();
    let deck = Deck::real(real.servers.iter().map(configured).collect());
    let asks: Vec<_> = real.servers.iter().map(|one| (one.name, 1)).collect();
    let session = timeout(PATIENCE, deck.open(&asks)).await.unwrap();
    let fleet = deck.fleet();
    let mut processes = Vec::new();
    for instance in fleet.sessions[&session].instances.values() {
        let server = real.get(&instance.backend.name);
        assert_eq!(instance.phase, Phase::Ready, "{:?}", instance.death);
        let tools = instance.tools.as_ref().unwrap();
        // Some offer more to a client that can be asked questions.
        assert!(tools.len() >= server.tools, "{}: {tools:?}", server.name);
        assert!(tools.iter().all(|tool| tool.problem.is_none()));

        let arguments = server.arguments.to_string();
        let call = deck.call(&instance.id, server.tool, &arguments);
        let outcome = timeout(DEADLINE, call).await.unwrap();
        assert_eq!(outcome.word(), "ok", "{}: {outcome:?}", server.name);
        let answer = deck.result(outcome.result().unwrap()).await;
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert!(answer.contains(server.expect), "{}: {answer}", server.name);

        let logged = || deck.log(&instance.id).contains(server.stderr);
        assert!(eventually(DEADLINE, logged), "{}", deck.log(&instance.id));
        processes.push(pid(instance));
        processes.extend(descendants(pid(instance)));
    }
    assert_eq!(fleet.instances().count(), 7);
    let failures = timeout(PATIENCE, deck.close(session)).await.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    assert_gone(&processes, Duration::ZERO);
}

/// An operator's round: a call by raw JSON, one by form, a look at the log, and out.
fn operate(name: &str) {
    let real = RealServers::prepare();
    let server = real.get(name);
    let command: Vec<_> = server.command.iter().map(String::as_str).collect();
    let env: Vec<_> = server
        .env
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let console = Operator::open(&command, &env);

    console.choose(server.tool);
    console.fill_raw(&server.arguments.to_string());
    console.send(server.tool, "ok");
    console.read(server.expect);

    console.choose(server.form.tool);
    console.fill(&server.form.fields);
    console.send(server.form.tool, "ok");
    console.read(server.form.expect);

    if !server.stderr.is_empty() {
        console.pty.key("L");
        console.pty.key("z");
        let logged = regex::escape(server.stderr).replace(' ', r"\s+");
        console
            .pty
            .wait_for(common::pty::regex(&format!("stderr .*{logged}")), DEADLINE);
    }
    console.quit();
}

macro_rules! operated {
    ($($name:ident),*) => {
        $(
            #[test]
            #[ignore = "needs the installed MCP servers: tests/servers/install"]
            fn $name() {
                operate(stringify!($name));
            }
        )*
    };
}

/// The right result of each server is on the screen, its stderr in the logs pane, and it is gone at the end.
mod the_console_operates {
    use super::operate;

    operated!(everything, filesystem, memory, time, git, fetch, motherduck);
}
