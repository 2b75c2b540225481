//! What every driver promises.

use std::time::Duration;

use envdeck::drivers::Driver;
use envdeck::model::{Exit, Mode, RunId};
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Bench, until};
use crate::wire::Wire;

/// Checked on a server that says "ready" on stderr and has the tool `echo`.
pub async fn keeps_the_contract(driver: &dyn Driver, run: &RunId, mode: Mode) {
    assert_eq!(driver.kind(), mode.name());
    driver.check().await.unwrap();
    let start = async || Bench::start_by(driver, run, mode.clone()).await.unwrap();

    let mut bench = start().await;
    assert!(!bench.running.facts().is_empty());
    until("first line", || {
        let lines = bench.log();
        lines.into_iter().find(|line| line.ends_with("ready"))
    })
    .await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    let tools = wire.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{tools:?}");
    let text = "übung \u{1b}[31m";
    let answer = wire.call("echo", json!({ "text": text })).await;
    assert_eq!(answer["result"]["content"][0]["text"], text);

    // Waiting is given up and taken up again, and it is not over.
    let soon = timeout(Duration::from_millis(50), bench.running.wait());
    assert!(soon.await.is_err());
    bench.running.usage().await.unwrap();
    bench.stop().await.unwrap();
    let end = wire.next().await;
    assert_eq!(end, None, "the endpoint is closed after a stop");

    // The end of its input is the end of a server; stopping it afterwards is no error.
    let mut bench = start().await;
    drop(Wire::shake_hands(&mut bench.running).await);
    let exit = Exit {
        code: Some(0),
        signal: None,
        out_of_memory: false,
    };
    assert_eq!(bench.wait().await, exit);
    assert_eq!(bench.wait().await, exit, "asked twice");
    bench.stop().await.unwrap();

    // Dropped without a stop, it still goes away.
    let mut bench = start().await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    drop(bench);
    assert_eq!(wire.next().await, None);
    driver.settle().await.unwrap();
}
