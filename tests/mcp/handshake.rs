//! Finding out which revision a server speaks.

use std::time::Duration;

use envdeck::model::{Cause, Era, Stage};
use serde_json::{Value, json};
use tokio::io::duplex;

use crate::peer::{Desk, MAX_MESSAGE, Peer, connected, initialized};

#[tokio::test]
async fn initialize_comes_first_and_tells_who_we_are() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, params) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, params) = peer.request("initialize").await;
        peer.reply(&id, initialized("2025-03-26")).await;
        peer.request("notifications/initialized").await;
        params
    });
    assert_eq!(params["protocolVersion"], "2025-11-25");
    assert_eq!(params["clientInfo"]["name"], "envdeck");
    assert!(params["capabilities"]["sampling"].is_null());
    let client = client.unwrap();
    let server = client.server();
    assert_eq!(
        (&*server.name, &*server.version, &*server.protocol),
        ("scripted", "1.0", "2025-03-26")
    );
    assert_eq!(server.era, Era::Sessions);
    assert_eq!(server.instructions.as_deref(), Some("none"));
    let mut capabilities: Vec<_> = server.capabilities.iter().map(|name| &**name).collect();
    capabilities.sort_unstable();
    assert_eq!(capabilities, ["logging", "tools"]);
}

#[tokio::test]
async fn an_unknown_version_fails_and_names_both_sides() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        peer.reply(&id, initialized("2031-01-01")).await;
    });
    let failure = client.err().unwrap();
    assert_eq!(failure.stage, Stage::Initialize);
    assert!(matches!(&failure.cause, Cause::Version { server, .. } if server == "2031-01-01"));
    assert!(failure.to_string().contains("2025-11-25"), "{failure}");
}

#[tokio::test]
async fn a_refused_version_is_tried_again_with_one_the_server_names() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        let data = json!({ "supported": ["2024-11-05"], "requested": "2025-11-25" });
        let error =
            json!({ "code": -32602, "message": "Unsupported protocol version", "data": data });
        peer.send(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
            .await;
        let (id, params) = peer.request("initialize").await;
        assert_eq!(params["protocolVersion"], "2024-11-05");
        peer.reply(&id, initialized("2024-11-05")).await;
        peer.request("notifications/initialized").await;
    });
    assert_eq!(&*client.unwrap().server().protocol, "2024-11-05");
}

fn discovered() -> Value {
    json!({
        "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
        "capabilities": { "tools": {} }, "cacheScope": "private",
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "modern", "version": "2" } }
    })
}

#[tokio::test]
async fn discovering_first_never_says_initialize() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect_as(ours, MAX_MESSAGE, true), async {
        let (id, _) = peer.request("server/discover").await;
        peer.reply(&id, discovered()).await;
    });
    assert_eq!(client.unwrap().server().era, Era::Stateless);
}

#[tokio::test]
async fn a_server_that_refuses_initialize_and_ends_fails_with_its_refusal() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        let data = json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" });
        let error = json!({ "code": -32022, "message": "unsupported", "data": data });
        peer.send(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
            .await;
        drop(peer);
    });
    let failure = client.err().unwrap();
    assert!(
        matches!(failure.cause, Cause::Rpc { code: -32022, .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn a_server_that_refuses_initialize_is_asked_to_be_discovered() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        peer.refuse(&id, -32601, "Method not found").await;
        let (id, params) = peer.request("server/discover").await;
        assert_eq!(
            params["_meta"]["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        peer.reply(&id, discovered()).await;
        let (_, params) = peer.request("subscriptions/listen").await;
        assert_eq!(params["notifications"]["toolsListChanged"], true);
    });
    let client = client.unwrap();
    assert_eq!(client.server().era, Era::Stateless);
    assert_eq!(&*client.server().name, "modern");
    assert!(client.ping(Duration::from_secs(1)).await.is_none());
}

#[tokio::test]
async fn a_server_that_refuses_both_fails_with_its_first_reason() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        peer.refuse(&id, -32000, "no licence key").await;
        let (id, _) = peer.request("server/discover").await;
        peer.refuse(&id, -32601, "Method not found").await;
    });
    assert_eq!(
        client.err().unwrap().to_string(),
        "initialize: no licence key (JSON-RPC -32000)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_fails_at_the_deadline() {
    let (ours, _theirs) = duplex(4096);
    let desk = Desk::new();
    let failure = desk.connect(ours, MAX_MESSAGE).await.err().unwrap();
    assert_eq!(failure.stage, Stage::Initialize);
    let Cause::Deadline { what, after } = failure.cause else {
        panic!("{failure}")
    };
    assert_eq!((&*what, after), ("initialize", Duration::from_secs(10)));
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_its_first_message_is_seen_at_once() {
    let (ours, theirs) = duplex(4096);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        peer.request("initialize").await;
        peer.raw(r#"{"jsonrpc":"2.0","id":1,"res"#).await;
        drop(peer);
    });
    let failure = client.err().unwrap();
    assert!(matches!(failure.cause, Cause::Closed), "{failure}");
    assert_eq!(failure.hint.as_deref(), Some("see the last output lines"));
    let noise = desk.log(envdeck::stores::logs::Source::Stdout);
    assert_eq!(noise, [r#"{"jsonrpc":"2.0","id":1,"res"#]);
    assert!(desk.remarks().contains("in the middle"));
}

#[tokio::test]
async fn a_ping_is_timed_and_an_error_is_an_answer() {
    let (client, mut peer, _desk) = connected().await;
    let (ping, ()) = tokio::join!(client.ping(Duration::from_secs(5)), async {
        let (id, _) = peer.request("ping").await;
        peer.refuse(&id, -32601, "Method not found").await;
    });
    assert!(ping.unwrap().unwrap() < Duration::from_secs(5));
}

#[tokio::test]
async fn closing_fails_calls_and_ends_the_servers_input() {
    let (client, mut peer, _desk) = connected().await;
    let call = crate::peer::RunningCall::start(&client, "slow", "{}");
    peer.request("tools/call").await;
    let other = client.clone();
    let closed = tokio::spawn(async move { other.closed().await });
    let started = tokio::time::Instant::now();
    client.close(Duration::from_millis(100)).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(call.failure().await.cause, Cause::Closed));
    assert!(matches!(closed.await.unwrap().cause, Cause::Closed));
    assert!(peer.end_of_input().await);
}
