//! What containers use.

use std::time::Duration;

use bollard::models::HostConfig;
use envdeck::drivers::Usage;
use envdeck::drivers::docker::stats::Stats;
use envdeck::drivers::docker::watch::Life;
use tokio::time::Instant;

use crate::lab::{Lab, soon, until};

async fn ask(stats: &mut Stats) -> Option<Usage> {
    soon(stats.usage()).await.expect("the engine answers")
}

/// The first that is known.
async fn first(stats: &mut Stats) -> Usage {
    let known = async {
        loop {
            if let Some(usage) = ask(stats).await {
                return usage;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(known).await
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn use_is_measured_soon_and_then_from_a_stream_and_nobody_waits_for_it() {
    let lab = Lab::new().await;
    let mut body = lab.script("while :; do :; done");
    body.host_config = Some(HostConfig {
        memory: Some(64 << 20),
        ..body.host_config.unwrap_or_default()
    });
    let mut watched = lab.launch(body).await;
    until(&mut watched, |state| state.life == Life::Running).await;
    let mut stats = Stats::new(lab.engine.clone(), &watched);
    let began = Instant::now();
    let first = first(&mut stats).await;
    println!("first answer after {:?}: {first:?}", began.elapsed());
    assert!(first.memory > 0 && first.memory < 64 << 20, "{first:?}");
    assert_eq!((first.memory_limit, first.processes), (Some(64 << 20), 1));

    let mut slowest = Duration::ZERO;
    let mut busiest = 0.0_f32;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let usage = ask(&mut stats).await.expect("it runs");
        slowest = slowest.max(began.elapsed());
        busiest = busiest.max(usage.cpu);
    }
    println!("later answers within {slowest:?}, at most {busiest} %");
    assert!(busiest > 10.0 && busiest < 130.0, "one core: {busiest}");

    lab.kill(watched.container()).await;
    soon(watched.ended()).await;
    assert_eq!(ask(&mut stats).await, None);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn traffic_and_processes_are_counted() {
    let lab = Lab::new().await;
    // A network of its own, with nobody to talk to: what it sends to itself is not counted.
    let mut body = lab.script("sleep 1000 & sleep 1000 & wait");
    body.host_config = Some(HostConfig {
        network_mode: Some("bridge".into()),
        ..HostConfig::default()
    });
    let mut watched = lab.launch(body).await;
    until(&mut watched, |state| state.life == Life::Running).await;
    let mut stats = Stats::new(lab.engine.clone(), &watched);
    let usage = first(&mut stats).await;
    assert!(usage.network.is_some(), "{usage:?}");
    assert_eq!(
        usage.memory_limit, None,
        "that of the machine is none of its own"
    );
    let alone = lab.running("sleep 1000").await;
    let mut stats = Stats::new(lab.engine.clone(), &alone);
    let usage = first(&mut stats).await;
    assert_eq!(usage.network, None);
}
