//! How containers end, and what is left of them: nothing.

use std::time::{Duration, Instant};

use bollard::query_parameters::KillContainerOptionsBuilder;
use envdeck::stores::logs::Source;
use serde_json::json;

use crate::bench::{GRACE, log_of};
use crate::lab::{Lab, mode, script, server};
use crate::wire::Wire;

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn after_a_stop_nothing_is_left_and_the_log_stays() {
    let lab = Lab::new().await;
    let mut bench = lab.start(server()).await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    wire.call("echo", json!({ "text": "x" })).await;
    drop(wire);
    let (id, logs) = (bench.id.clone(), bench.logs.clone());
    assert!(lab.find(&id).await.is_some());
    bench.stop().await.unwrap();
    lab.is_clean_of(&id).await;
    assert_eq!(log_of(&logs, &id), ["tiny server is ready"]);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_kill_from_outside_is_seen_at_once() {
    let lab = Lab::new().await;
    let mut bench = lab.start(server()).await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    wire.request("tools/call", json!({ "name": "hang", "arguments": {} }))
        .await;
    let container = lab.find(&bench.id).await.unwrap().id.unwrap();
    let options = KillContainerOptionsBuilder::new().signal("KILL").build();
    let killed = Instant::now();
    lab.docker
        .kill_container(&container, Some(options))
        .await
        .unwrap();
    let exit = bench.wait().await;
    assert!(
        killed.elapsed() < Duration::from_secs(1),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(exit.to_string(), "killed by SIGKILL");
    assert_eq!(wire.next().await, None);
    let id = bench.id.clone();
    bench.stop().await.unwrap();
    lab.is_clean_of(&id).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn whoever_exits_at_once_leaves_code_and_output() {
    let lab = Lab::new().await;
    let mut bench = lab
        .start(mode(script("echo one >&2; printf unfinished >&2; exit 7")))
        .await;
    assert_eq!(bench.wait().await.code, Some(7));
    assert_eq!(bench.log(), ["one", "unfinished"]);
    let id = bench.id.clone();
    bench.stop().await.unwrap();
    lab.is_clean_of(&id).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn whoever_ignores_the_request_is_killed_after_the_grace() {
    let lab = Lab::new().await;
    let bench = lab
        .start(mode(script(
            "trap '' TERM; echo up >&2; while :; do sleep 0.05; done",
        )))
        .await;
    bench.logged("up").await;
    let (logs, id) = (bench.logs.clone(), bench.id.clone());
    let asked = Instant::now();
    bench
        .running
        .stop(Duration::from_millis(1500))
        .await
        .unwrap();
    assert!(
        asked.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        asked.elapsed()
    );
    assert!(
        asked.elapsed() < GRACE + Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    lab.is_clean_of(&id).await;
    let lines = logs.tail(&id, usize::MAX).lines;
    let ours = lines.iter().filter(|line| line.source == Source::Envdeck);
    assert!(
        ours.into_iter()
            .any(|line| line.line.text.contains("killed")),
        "{:?}",
        log_of(&logs, &id)
    );
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn whoever_ends_with_its_input_gets_no_signal() {
    let lab = Lab::new().await;
    let text = "trap 'echo terminated >&2; exit 1' TERM; echo up >&2; read line; echo eof >&2";
    let bench = lab.start(mode(script(text))).await;
    bench.logged("up").await;
    let (logs, id) = (bench.logs.clone(), bench.id.clone());
    bench.stop().await.unwrap();
    assert_eq!(log_of(&logs, &id), ["up", "eof"]);
    lab.is_clean_of(&id).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn what_is_dropped_is_removed_before_all_has_settled() {
    use envdeck::drivers::Driver;
    let lab = Lab::new().await;
    let bench = lab
        .start(mode(script("trap '' TERM; while :; do sleep 1; done")))
        .await;
    let id = bench.id.clone();
    drop(bench);
    lab.driver.settle().await.unwrap();
    lab.is_clean_of(&id).await;
}
