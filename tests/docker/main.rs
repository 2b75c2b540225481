//! What `local_docker` promises, on a real engine.
#![allow(clippy::unwrap_used)] // tests may

#[allow(dead_code)] // tests/drivers uses the rest of it
#[path = "../drivers/bench.rs"]
mod bench;
#[path = "../drivers/contract.rs"]
mod contract;
mod ends;
mod lab;
mod starts;
#[path = "../drivers/wire.rs"]
mod wire;

use crate::lab::{EXACT_SERVER, Lab, mode, script};

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_container_keeps_the_contract() {
    let lab = Lab::new().await;
    let server = mode(script(EXACT_SERVER));
    contract::keeps_the_contract(&lab.driver, &lab.run, server).await;
}
