//! Ends of servers in sandboxes: nothing of one that is stopped lives on, whatever it does.

use std::time::Instant;

use envdeck::model::{Command, Instance, Phase, fact};
use serde_json::json;

use crate::bench::PATIENCE;
use crate::lab::{
    Lab, PYTHON, ask, assert_ready, fact, inside, lasting, once, only, ready_for_the,
};

/// What runs in the sandbox, but for what belongs to the container.
const PROCESSES: &str = "for one in /proc/[0-9]*; do
    tr '\\0' ' ' <$one/cmdline 2>/dev/null; echo; done | grep -v -e '^$' -e init -e 'sleep 2147483647'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn stubborn_servers_and_all_that_they_started_are_gone() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("stubborn");
    let args = [&script, "--ignore-eof", "--ignore-term"];
    let mut stubborn = once("stubborn", lab.projects.sandbox(PYTHON, "python", &args));
    stubborn.stop_grace = crate::deck::seconds(1);
    let watcher = once("watcher", lab.projects.tiny_sandbox("watcher"));
    let deck = lab.deck(vec![stubborn, watcher]);
    deck.open(&[("stubborn", 1), ("watcher", 1)]).await;
    let (stubborn, watcher) = (only(&deck, "stubborn"), only(&deck, "watcher"));
    // In a session of its own, deaf, and with nothing open.
    let hide = "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 77; done' </dev/null >/dev/null 2>&1 &";
    inside(&deck, &stubborn, hide).await;
    let running = inside(&deck, &watcher, PROCESSES).await;
    assert!(
        running.contains("--ignore-term") && running.contains("sleep 77"),
        "{running}"
    );
    deck.request(Command::Stop(stubborn.clone())).await.unwrap();
    deck.wait_for_phase(&stubborn, Phase::Stopped).await;
    let running = inside(&deck, &watcher, PROCESSES).await;
    assert!(
        !running.contains("--ignore-term") && !running.contains("sleep 77"),
        "{running}"
    );
    assert_ready(&deck, "watcher");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn one_server_is_paused_and_the_others_go_on() {
    let lab = Lab::new().await;
    let paused = once("paused", lab.projects.tiny_sandbox("paused"));
    let other = once("other", lab.projects.tiny_sandbox("other"));
    let deck = lab.deck(vec![paused, other]);
    deck.open(&[("paused", 1), ("other", 1)]).await;
    let (paused, other) = (only(&deck, "paused"), only(&deck, "other"));
    inside(&deck, &paused, "sleep 500 >/dev/null 2>&1 & echo").await;
    let user = fact(&deck, "paused", "user");
    // T is stopped.
    let states = format!(
        "cat /proc/[0-9]*/status 2>/dev/null | grep -e ^State -e ^Uid | grep -B1 '^Uid:.{user}' | \
         sed -n 's/^State:.\\(.\\).*/\\1/p' | sort -u | tr -d '\\n'"
    );
    let is_paused = |one: &Instance| one.fact(fact::STATUS) == Some(fact::PAUSED);
    for _ in 0..2 {
        deck.request(Command::Pause(paused.clone())).await.unwrap();
        deck.wait_for(&paused, "it is paused", is_paused).await;
        // What looked at its files in that moment may have begun a little later.
        let deadline = Instant::now() + PATIENCE;
        while inside(&deck, &other, &states).await != "T" {
            assert!(Instant::now() < deadline, "something of it runs");
        }
        deck.request(Command::Resume(paused.clone())).await.unwrap();
        deck.wait_for(&paused, "it goes on", |one| !is_paused(one))
            .await;
        let echo = ask(&deck, &paused, "echo", json!({"text": "hi"})).await;
        assert_eq!(echo, "echo:hi");
    }
    // Also from there it ends.
    deck.request(Command::Pause(paused.clone())).await.unwrap();
    deck.request(Command::Stop(paused.clone())).await.unwrap();
    deck.wait_for_phase(&paused, Phase::Stopped).await;
    let left = inside(&deck, &other, PROCESSES).await;
    assert!(!left.contains("sleep 500"), "{left}");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn an_end_is_noticed_although_a_child_holds_the_streams() {
    let lab = Lab::new().await;
    let deck = lab.deck(vec![lasting("tiny", lab.projects.tiny_sandbox("tiny"))]);
    let id = deck.open_one("tiny").await;
    let begun = "nohup sleep 600 >&3 3>&1 2>/dev/null & echo";
    let hold = format!("exec 3>/proc/$PPID/fd/1; {begun}");
    inside(&deck, &id, &hold).await;
    let _ = deck.call(&id, "die", r#"{"code": 3}"#).await;
    ready_for_the(2, &deck, &id).await;
    let back = deck.instance(&id);
    let failure = back.death.as_ref().unwrap().failure.to_string();
    assert_eq!(failure, "runtime: exited with status 3");
    let left = inside(&deck, &id, PROCESSES).await;
    assert!(!left.contains("sleep 600"), "{left}");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn what_one_server_forks_leaves_room_to_end_it() {
    let lab = Lab::new().await;
    let mut sandbox = lab.projects.tiny_sandbox("bomb");
    sandbox.profile.pids_limit = 40;
    let deck = lab.deck(vec![once("bomb", sandbox.clone()), once("other", sandbox)]);
    deck.open(&[("bomb", 1), ("other", 1)]).await;
    let (bomb, other) = (only(&deck, "bomb"), only(&deck, "other"));
    let forks = "i=0; while [ $i -lt 100 ]; do sleep 500 >/dev/null 2>&1 & i=$((i+1)); done; echo";
    inside(&deck, &bomb, forks).await;
    deck.request(Command::Stop(bomb.clone())).await.unwrap();
    deck.wait_for_phase(&bomb, Phase::Stopped).await;
    assert_eq!(
        ask(&deck, &other, "echo", json!({"text": "hi"})).await,
        "echo:hi"
    );
    let left = inside(&deck, &other, PROCESSES).await;
    assert!(!left.contains("sleep 500"), "{left}");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn a_crash_loop_ends_after_one_start_and_three_more() {
    let lab = Lab::new().await;
    let count = lab
        .projects
        .write("loop/server.sh", "echo started >&2; exit 9\n");
    let sandbox = lab.projects.sandbox(PYTHON, "sh", &[&count]);
    let deck = lab.deck(vec![lasting("loop", sandbox)]);
    deck.open(&[("loop", 1)]).await;
    let id = only(&deck, "loop");
    deck.wait_for_phase(&id, Phase::Failed).await;
    let log = deck.log(&id);
    let starts = log.lines().filter(|line| *line == "started").count();
    assert_eq!(starts, 4, "{log}");
    let death = deck.instance(&id).death.clone().unwrap();
    let facts = format!("{:?}", death.facts);
    assert!(facts.contains("status 9"), "{facts}");
    lab.down(deck).await;
}
