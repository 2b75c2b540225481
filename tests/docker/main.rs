//! What `local_docker` promises, on a real engine.
#![allow(clippy::unwrap_used)] // tests may

#[allow(dead_code)] // tests/drivers uses the rest of it
#[path = "../drivers/bench.rs"]
mod bench;
#[path = "../drivers/contract.rs"]
mod contract;
#[path = "../docker_watch/daemon.rs"]
mod daemon;
#[allow(dead_code)] // tests/scenarios uses the rest of it
#[path = "../common/deck.rs"]
mod deck;
mod ends;
#[allow(dead_code)]
#[path = "../common/fake.rs"]
mod fake;
mod fleet;
mod inside;
mod kills;
mod lab;
mod orders;
mod outages;
#[allow(dead_code)]
#[path = "../common/server.rs"]
mod server;
mod servers;
mod starts;
#[path = "../drivers/wire.rs"]
mod wire;

use crate::lab::{EXACT_SERVER, Lab, mode, script};

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_container_keeps_the_contract() {
    let lab = Lab::new().await;
    let server = mode(script(EXACT_SERVER));
    contract::keeps_the_contract(lab.driver.as_ref(), &lab.run, server).await;
}
