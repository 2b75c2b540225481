//! Many clients at once, at random, half of them gone without a word: afterwards nothing is left.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::{Agent, LATEST, STATELESS, at};
use crate::http::within;
use crate::rig::{Rig, backends};

const CLIENTS: u64 = 64;
/// No client that lives pauses for so long, however busy the machine is.
const IDLE: Duration = Duration::from_secs(10);

/// One client's life; `None` for one that was cut off somewhere in it.
async fn live(address: std::net::SocketAddr, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let protocol = if dice.random() { LATEST } else { STATELESS };
    let mut agent = Agent::speaking(address, protocol).await;
    for _ in 0..dice.random_range(1..=3) {
        let count = dice.random_range(1..=2);
        let session = agent.open(&[("demo", count), ("common", 1)]).await;
        for _ in 0..dice.random_range(1..=8) {
            match dice.random_range(0..4) {
                0 => {
                    let pause = json!({ "seconds": 0.05, "steps": 3 });
                    let call = at(&session, "countdown", &pause);
                    let mut params = json!({ "name": "call_backend_tool", "arguments": call });
                    params["_meta"]["progressToken"] = 1.into();
                    let response = agent.request("tools/call", params).await;
                    let answer = response.messages().pop().unwrap();
                    assert_eq!(answer["result"]["isError"], false, "{answer}");
                }
                1 => {
                    let fail = at(&session, "fail", &json!({}));
                    let result = agent.tool("call_backend_tool", fail).await;
                    assert_eq!(result["isError"], true);
                }
                _ => {
                    let text = format!("{seed} {}", dice.random::<u64>());
                    let call = at(&session, "echo", &json!({ "text": text }));
                    let result = agent.answer("call_backend_tool", call).await;
                    assert_eq!(result["content"][0]["text"], *text, "nobody else's answer");
                }
            }
        }
        agent.close(&session).await;
    }
}

/// All that run in this test: of the gateway, the orchestrator and the clients.
fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_crowd() {
    let rig = Rig::with(backends(), |options| {
        options.session_idle_timeout = Some(IDLE);
    })
    .await;
    // What is made once is made now.
    live(rig.address, CLIENTS).await;
    let tasks = tasks();
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    for seed in 0..CLIENTS {
        let address = rig.address;
        crowd.spawn(async move {
            let mut dice = StdRng::seed_from_u64(1_000 + seed);
            if seed % 2 == 0 {
                return live(address, seed).await;
            }
            // Its sockets close wherever it is.
            let limit = Duration::from_millis(dice.random_range(1..1_500));
            let _ = tokio::time::timeout(limit, live(address, seed)).await;
        });
    }
    while let Some(end) = within(crowd.join_next()).await {
        end.unwrap();
    }
    rig.wait_until_empty().await;
    let fleet = rig.fleet();
    assert_eq!(
        fleet.instances().count(),
        1,
        "only the shared one: {:?}",
        began.elapsed()
    );
    assert_eq!(fleet.instances().next().unwrap().in_flight, 0);
    within(async {
        while self::tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    rig.end().await;
}
