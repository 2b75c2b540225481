//! The same core over the real drivers: the embedded demo and processes of this host, in real time.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use envdeck::model::{
    Backend, Cause, Command, Era, HealthPolicy, Instance, InstanceId, LocalProcess, Mode, Outcome,
    Phase, RestartPolicy, Stage,
};

use crate::deck::{Deck, backend, seconds};

/// Answers the handshake and a listing, then ends as its argument says.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) answer "$id" '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) answer "$id" '{"tools":[{"name":"die","inputSchema":{"type":"object"}}]}' ;;
    *'"ping"'*) answer "$id" '{}' ;;
    *'"tools/call"'*) echo "the disk is full" >&2; kill -s "$1" $$ ;;
  esac
done
"#;

fn shell(name: &str, args: &[&str]) -> Backend {
    let process = LocalProcess {
        command: "sh".to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: std::collections::BTreeMap::new(),
        cwd: None,
    };
    Backend {
        mode: Mode::LocalProcess(process),
        stop_grace: seconds(1),
        ..backend(name)
    }
}

fn pid(instance: &Instance) -> u32 {
    let fact = instance.facts.iter().find(|(name, _)| &**name == "process");
    fact.expect("a process has a pid").1.parse().unwrap()
}

fn is_there(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn only(deck: &Deck, name: &str) -> InstanceId {
    let fleet = deck.fleet();
    let found = fleet.instances().find(|one| &*one.backend.name == name);
    found.unwrap().id.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_serves_calls_crashes_and_comes_back() {
    let restart = RestartPolicy::OnFailure {
        attempts: 1,
        backoff: std::time::Duration::from_millis(20),
        ceiling: seconds(1),
        stable: seconds(60),
    };
    let deck = Deck::real(vec![Backend {
        restart,
        ..backend("demo")
    }]);
    deck.open(&[("demo", 4)]).await;
    let id = only(&deck, "demo");
    assert_eq!(deck.call(&id, "add", r#"{"a":2,"b":3}"#).await.word(), "ok");
    let crashed = deck.call(&id, "crash", r#"{"status":7}"#).await;
    let Outcome::Failed(failure) = crashed else {
        panic!("{crashed:?}")
    };
    assert!(
        failure.to_string().contains("exited with status 7"),
        "{failure}"
    );
    deck.wait_for(&id, "it is back", |one| {
        one.phase == Phase::Ready && one.restarts == 1
    })
    .await;
    let failures = deck.orchestrator.shutdown(|_| {}, pending()).await;
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_exits_at_once_is_told_with_status_and_last_words() {
    let exits = shell("exits", &["-c", "echo no licence found >&2; exit 3"]);
    let missing = LocalProcess {
        command: "no-such-program-here".to_owned(),
        args: vec![],
        env: std::collections::BTreeMap::new(),
        cwd: None,
    };
    let missing = Backend {
        mode: Mode::LocalProcess(missing),
        ..backend("missing")
    };
    let deck = Deck::real(vec![exits, missing]);
    deck.open(&[("exits", 1), ("missing", 1)]).await;
    let card = |name| deck.instance(&only(&deck, name)).death.clone().unwrap();
    let failure = &card("exits").failure;
    assert_eq!(failure.stage, Stage::Start);
    assert!(
        failure.to_string().contains("exited with status 3"),
        "{failure}"
    );
    assert_eq!(&*failure.output[0], "no licence found");
    let failure = &card("missing").failure;
    assert!(
        matches!(failure.cause, Cause::CommandNotFound(_)),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_during_a_call_names_the_signal_and_leaves_nothing() {
    let deck = Deck::real(vec![shell("dies", &["-c", SERVER, "server", "KILL"])]);
    let session = deck.open(&[("dies", 1)]).await;
    let id = only(&deck, "dies");
    let pid = pid(&deck.instance(&id));
    assert!(is_there(pid));
    let outcome = deck.call(&id, "die", "{}").await;
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        failure.to_string().contains("killed by SIGKILL"),
        "{failure}"
    );
    let failed = deck.wait_for_phase(&id, Phase::Failed).await;
    let card = failed.death.as_ref().unwrap();
    assert_eq!(&*card.failure.output[0], "the disk is full");
    assert_eq!(&*card.in_flight[0].tool, "die");
    assert!(!is_there(pid));
    assert!(deck.close(session).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ignores_everything_is_gone_after_the_grace() {
    let stubborn = format!("trap '' TERM; {SERVER} while :; do sleep 1; done");
    let deck = Deck::real(vec![shell(
        "stubborn",
        &["-c", &stubborn, "server", "KILL"],
    )]);
    let session = deck.open(&[("stubborn", 2)]).await;
    let pids: Vec<_> = deck.fleet().instances().map(|one| pid(one)).collect();
    assert!(pids.iter().all(|pid| is_there(*pid)));
    let failures = deck.close(session).await;
    assert!(failures.is_empty(), "{failures:?}");
    assert!(!pids.iter().any(|pid| is_there(*pid)));
}

/// Ends when it hears `initialize`, as a server may that knows the revision without it only.
const MODERN: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"too old","data":{"supported":["%s"]}}}\n' "$id" "$1"; exit 1 ;;
    *'"server/discover"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["%s"],"capabilities":{"tools":{}}}}\n' "$id" "$1" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"new","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
  esac
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_when_it_hears_initialize_is_reached_all_the_same() {
    let modern = shell("modern", &["-c", MODERN, "server", "2026-07-28"]);
    let deck = Deck::real(vec![modern]);
    let session = deck.open(&[("modern", 1)]).await;
    let instance = deck.instance(&only(&deck, "modern"));
    assert_eq!(instance.phase, Phase::Ready, "{:?}", instance.death);
    assert_eq!(instance.restarts, 0);
    assert_eq!(instance.server.as_ref().unwrap().era, Era::Stateless);
    assert_eq!(&*instance.tools.as_ref().unwrap()[0].name, "new");
    let pid = pid(&instance);
    assert!(deck.close(session).await.is_empty());
    assert!(!is_there(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_and_ends_twice_fails_with_its_reason() {
    let older = shell("older", &["-c", MODERN, "server", "1999-01-01"]);
    let deck = Deck::real(vec![older]);
    deck.open(&[("older", 1)]).await;
    let card = deck.instance(&only(&deck, "older")).death.clone().unwrap();
    let text = card.failure.to_string();
    assert!(text.contains("MCP 1999-01-01, envdeck speaks"), "{text}");
}

/// Answers whatever it is asked.
const ANSWERS: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"any","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
    *'"id"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id" ;;
  esac
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_process_is_shown_as_such_is_not_dead_for_its_silence_and_answers_later() {
    let health = HealthPolicy {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(20),
        failures: 3,
    };
    let deck = Deck::real(vec![Backend {
        health,
        ..shell("quiet", &["-c", ANSWERS])
    }]);
    let session = deck.open(&[("quiet", 1)]).await;
    let id = only(&deck, "quiet");
    deck.request(Command::Pause(id.clone())).await.unwrap();
    let is_paused = |one: &Instance| one.fact("status") == Some("paused");
    deck.wait_for(&id, "it is paused", is_paused).await;
    deck.wait_for(&id, "its silence is seen", |one| {
        one.health.consecutive_failures > 5
    })
    .await;
    let call = deck.begin(&id, "any", "{}").await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    deck.request(Command::Resume(id.clone())).await.unwrap();
    let answered = deck.end_of(call).await;
    assert_eq!(answered.outcome().unwrap().word(), "ok");
    deck.wait_for(&id, "it goes on", |one| one.fact("status").is_none())
        .await;
    assert!(deck.close(session).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_paused_says_so() {
    let deck = Deck::real(vec![backend("demo")]);
    let id = deck.open_one("demo").await;
    let why = deck.refusal(Command::Pause(id)).await;
    assert!(why.contains("cannot be paused"), "{why}");
}
