//! What every driver promises.

use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::{Driver, Drivers, Installed};
use envdeck::model::{Exit, Mode};
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Bench, until};
use crate::wire::Wire;

/// What every driver promises, on a server that says "ready" on stderr and has the tool `echo`.
pub async fn keeps_the_contract(mode: Mode) {
    let driver: Arc<dyn Driver> = Installed::new(&std::env::temp_dir()).driver(&mode).unwrap();
    assert_eq!(driver.kind(), mode.name());
    assert!(Installed::available(&mode));
    driver.check().await.unwrap();

    let mut bench = Bench::start(mode.clone()).await.unwrap();
    assert!(!bench.running.facts().is_empty());
    until("first line", || {
        bench
            .log()
            .iter()
            .find(|line| line.ends_with("ready"))
            .cloned()
    })
    .await;
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    let tools = wire.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{tools:?}");
    let answer = wire
        .call("echo", json!({ "text": "übung \u{1b}[31m" }))
        .await;
    assert_eq!(answer["result"]["content"][0]["text"], "übung \u{1b}[31m");

    // Waiting is given up and taken up again, and it is not over.
    assert!(
        timeout(Duration::from_millis(50), bench.running.wait())
            .await
            .is_err()
    );
    bench.running.usage().await.unwrap();
    bench.stop().await.unwrap();
    assert_eq!(
        wire.next().await,
        None,
        "the endpoint is closed after a stop"
    );

    // The end of its input is the end of a server; stopping it afterwards is no error.
    let mut bench = Bench::start(mode.clone()).await.unwrap();
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
    let mut bench = Bench::start(mode).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    drop(bench);
    assert_eq!(wire.next().await, None);
}
