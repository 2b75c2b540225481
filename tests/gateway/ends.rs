//! How a gateway ends: what is under way comes to its end, or is told that it does not.

use std::time::Duration;

use envdeck::model::Backend;
use serde_json::json;

use crate::agent::{Agent, at};
use crate::http::{Wire, within};
use crate::rig::{Rig, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_are_answered_and_new_ones_refused() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let mut other = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let slow = at(&session, "countdown", &json!({ "seconds": 1, "steps": 1 }));
    agent
        .begin(
            "tools/call",
            json!({ "name": "call_backend_tool", "arguments": slow }),
        )
        .await;
    rig.wait_until("it runs", |fleet| {
        fleet.calls.values().any(|call| call.is_running())
    })
    .await;
    let draining = rig.gateway.drain(Duration::from_secs(30));
    let late = async {
        other.begin("ping", json!({})).await;
        // Its connection was idle, so it may be closed already.
        other.wire.try_head().await.map(|head| head.status)
    };
    let (unfinished, late) = tokio::join!(draining, late);
    assert_eq!(unfinished, 0);
    assert!(late.is_none() || late == Some(503), "{late:?}");
    let answer = agent.wire.response().await.json();
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_told_why_it_ends() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let hang = at(&session, "hang", &json!({}));
    agent
        .begin(
            "tools/call",
            json!({ "name": "call_backend_tool", "arguments": hang }),
        )
        .await;
    rig.wait_until("it hangs", |fleet| {
        fleet.calls.values().any(|call| call.is_running())
    })
    .await;
    assert_eq!(rig.gateway.drain(Duration::from_millis(100)).await, 1);
    let ending = async {
        let message = agent.wire.response().await.messages().pop().unwrap();
        let text = message["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(text.contains("stopped"), "{text}");
    };
    tokio::join!(rig.end(), ending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_starts_is_not_waited_for() {
    let minutes = Duration::from_secs(600);
    let slow = Backend {
        start_timeout: minutes,
        ..script("slow", "exec sleep 600", &[])
    };
    let rig = Rig::with(vec![slow], |_| {}).await;
    let mut agent = Agent::join(&rig).await;
    let open = json!({ "backends": [{ "backend_name_ref": "slow" }] });
    let open = json!({ "name": "initialize_session", "arguments": open });
    agent.begin("tools/call", open).await;
    rig.wait_until("it starts", |fleet| fleet.instances().count() == 1)
        .await;
    assert_eq!(within(rig.gateway.drain(minutes)).await, 0);
    let ending = async {
        let message = agent.wire.response().await.messages().pop().unwrap();
        let text = message["result"]["content"][0]["text"].to_string();
        assert!(text.contains("closed while it was starting"), "{text}");
    };
    tokio::join!(rig.end(), ending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_and_silent_connections_do_not_hold_it_up() {
    let rig = Rig::new().await;
    let agent = Agent::join(&rig).await;
    let mut stream = Wire::to(rig.address).await;
    let headers = agent.headers("", &json!({}));
    stream.request("GET", "/mcp", &headers, b"").await;
    assert_eq!(stream.head().await.status, 200);
    let _silent = Wire::to(rig.address).await;
    let mut half = Wire::to(rig.address).await;
    half.send(b"POST /mcp HTTP/1.1\r\nhost: local").await;
    rig.end().await;
    assert_eq!(stream.chunk().await, None);
}
