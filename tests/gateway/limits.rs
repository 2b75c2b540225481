//! How much at once, and for how long.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::agent::{Agent, LATEST, STATELESS, at};
use crate::http::{Wire, within};
use crate::rig::{Rig, backend, backends};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_ask_for_so_many_instances() {
    let rig = Rig::with(backends(), |options| options.max_instances = 4).await;
    let mut agent = Agent::join(&rig).await;
    let huge = "123456789012345678901234567890";
    for counts in [vec!["5"], vec!["2", "3"], vec![huge], vec!["1", huge]] {
        let backends: Vec<_> = counts
            .iter()
            .map(|count| {
                let count: serde_json::Value = serde_json::from_str(count).unwrap();
                json!({ "backend_name_ref": "demo", "num_instances": count })
            })
            .collect();
        let refusal = agent
            .refusal("initialize_session", json!({ "backends": backends }))
            .await;
        let is_told = refusal.contains("gateway.max_instances") || refusal.contains("whole number");
        assert!(is_told, "{counts:?}: {refusal}");
    }
    assert_eq!(rig.sessions(), [], "nothing was started");
    // A shared one counts once, however often it is asked for.
    let session = agent.open(&[("demo", 3), ("common", 4)]).await;
    assert_eq!(session.instances.len(), 7);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_may_have_so_many_sessions() {
    let rig = Rig::with(backends(), |options| options.max_sessions = 2).await;
    let mut agent = Agent::join(&rig).await;
    let first = agent.open(&[("demo", 1)]).await;
    agent.open(&[]).await;
    let asks = json!({ "backends": [{ "backend_name_ref": "demo" }] });
    let refusal = agent.refusal("initialize_session", asks).await;
    assert!(refusal.contains("gateway.max_sessions"), "{refusal}");
    agent.close(&first).await;
    agent.open(&[("demo", 1)]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_have_so_many_calls_in_flight() {
    let rig = Rig::with(backends(), |options| options.max_calls = 2).await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 2)]).await;
    let mut others = [Agent::join(&rig).await, Agent::join(&rig).await];
    for other in &mut others {
        let hang = at(&session, "hang", &json!({}));
        other
            .begin(
                "tools/call",
                json!({ "name": "call_backend_tool", "arguments": hang }),
            )
            .await;
    }
    rig.wait_until("both hang", |fleet| {
        fleet
            .calls
            .values()
            .filter(|call| call.is_running())
            .count()
            == 2
    })
    .await;
    let echo = at(&session, "echo", &json!({ "text": "x" }));
    let refusal = agent.refusal("call_backend_tool", echo.clone()).await;
    assert!(refusal.contains("gateway.max_calls"), "{refusal}");
    // Another session is not concerned, and one that has ended makes room.
    let free = agent.open(&[("demo", 1)]).await;
    agent
        .answer(
            "call_backend_tool",
            at(&free, "echo", &json!({ "text": "x" })),
        )
        .await;
    let [first, second] = others;
    drop(first);
    // Its cancellation takes a moment to be noticed.
    let made_room = async {
        while agent.tool("call_backend_tool", echo.clone()).await["isError"] == true {
            tokio::task::yield_now().await;
        }
    };
    within(made_room).await;
    drop(second);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_is_closed_and_a_busy_one_is_not() {
    let rig = Rig::with(backends(), |options| {
        options.session_idle_timeout = Some(Duration::from_secs(2));
    })
    .await;
    let mut agent = Agent::join(&rig).await;
    let idle = agent.open(&[("demo", 1)]).await;
    let busy = agent.open(&[("demo", 1)]).await;
    let slow = at(&busy, "countdown", &json!({ "seconds": 5, "steps": 1 }));
    let began = std::time::Instant::now();
    agent.answer("call_backend_tool", slow).await;
    assert!(began.elapsed() > Duration::from_secs(4));
    let refusal = agent
        .refusal("call_backend_tool", at(&idle, "echo", &json!({})))
        .await;
    assert!(refusal.contains("there is no session"), "{refusal}");
    within(rig.wait_until_empty()).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_leaves_nothing_for_ever() {
    let rig = Rig::with(backends(), |options| {
        options.client_idle_timeout = Duration::from_secs(3);
    })
    .await;
    let mut there = Agent::join(&rig).await;
    let mut stream = Wire::to(rig.address).await;
    let headers = there.headers("", &json!({}));
    stream.request("GET", "/mcp", &headers, b"").await;
    assert_eq!(stream.head().await.status, 200);
    let kept = there.open(&[("demo", 1)]).await;
    for protocol in [LATEST, STATELESS] {
        let mut gone = Agent::speaking(rig.address, protocol).await;
        gone.open(&[("demo", 1)]).await;
    }
    rig.wait_until("one is left beside that of the shared instances", |fleet| {
        fleet.sessions.len() == 2
    })
    .await;
    assert_eq!(rig.sessions()[0].as_str(), kept.id);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_confined_to_their_roots() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("inside")).unwrap();
    fs::create_dir(home.path().join("outside")).unwrap();
    std::os::unix::fs::symlink(home.path().join("outside"), root.join("link")).unwrap();
    let rig = Rig::with(vec![backend("demo")], |options| {
        options.template_roots = vec![root.clone()];
    })
    .await;
    let mut agent = Agent::join(&rig).await;
    let mut why = async |details: serde_json::Value| {
        let asks =
            json!({ "backends": [{ "backend_name_ref": "demo", "template_details": details }] });
        let result = agent.tool("initialize_session", asks).await;
        let backend = &result["structuredContent"]["initialized_backends"][0];
        assert_eq!(backend["instances"], json!([]));
        backend["error_message"].as_str().unwrap().to_owned()
    };
    let outside = home.path().join("outside").display().to_string();
    for path in [
        "/etc",
        "../outside",
        "link",
        "inside/../../outside",
        "missing",
        "/proc/self/root/etc",
        &outside,
    ] {
        let why = why(path.into()).await;
        assert!(why.contains("names no template below"), "{path}: {why}");
        assert!(!why.contains(path), "no path is told: {why}");
    }
    let why_not = why("inside".into()).await;
    assert!(
        why_not.contains("has no template that could be"),
        "{why_not}"
    );
    let odd = why(json!({ "path": "inside" })).await;
    assert!(odd.contains("must be a path, not an object"), "{odd}");
    rig.end().await;
}
