//! Both eras of the protocol: sessions that `initialize` begins, and requests that stand for themselves.

use serde_json::{Value, json};

use crate::agent::{Agent, LATEST, STATELESS, at};
use crate::http::Wire;
use crate::rig::Rig;

const JSON: &str = "content-type: application/json";
const HOST: &str = "host: localhost";

fn message(method: &str) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} })
        .to_string()
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_revision_with_sessions_is_spoken() {
    let rig = Rig::new().await;
    for protocol in [LATEST, "2025-06-18", "2025-03-26", "2024-11-05"] {
        let mut agent = Agent::speaking(rig.address, protocol).await;
        let ping = agent.request("ping", json!({})).await.json();
        assert_eq!(ping["result"], json!({}));
        let list = agent.request("tools/list", json!({})).await.json();
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 5);
        let result = agent.tool("ping", json!({})).await;
        let is_structured = result.get("structuredContent").is_some();
        assert_eq!(is_structured, protocol >= "2025-06-18", "{protocol}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_session_is_told_what_to_do() {
    let rig = Rig::new().await;
    let response = rig.ask("POST", &[HOST, JSON], &message("tools/list")).await;
    assert_eq!(response.head.status, 400);
    assert!(
        response.error().1.contains("Mcp-Session-Id"),
        "{}",
        response.text()
    );
    assert_eq!(response.json()["id"], 1);
    for method in ["POST", "GET", "DELETE"] {
        let headers = [
            HOST,
            JSON,
            "accept: application/json, text/event-stream",
            "mcp-session-id: abc",
        ];
        let body = if method == "POST" {
            message("tools/list")
        } else {
            vec![]
        };
        let response = rig.ask(method, &headers, &body).await;
        assert_eq!(response.head.status, 404, "{method}");
        assert!(
            response.error().1.contains("initialize again"),
            "{}",
            response.text()
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_ends_its_session_with_what_it_waits_for() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let mut stream = Wire::to(rig.address).await;
    let headers = agent.headers("", &Value::Null);
    stream.request("GET", "/mcp", &headers, b"").await;
    let head = stream.head().await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let hang =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "hang", &json!({})) });
    agent.begin("tools/call", hang).await;
    rig.wait_until("it hangs", |fleet| {
        fleet.calls.values().any(|call| call.is_running())
    })
    .await;

    let mut other = Wire::to(rig.address).await;
    other.request("DELETE", "/mcp", &headers, b"").await;
    assert_eq!(other.response().await.head.status, 204);
    assert_eq!(stream.chunk().await, None, "the stream ends");
    assert_eq!(agent.wire.response().await.head.status, 202);
    rig.wait_until("the call is over", |fleet| {
        !fleet.calls.values().any(|call| call.is_running())
    })
    .await;
    let gone = agent.request("ping", json!({})).await;
    assert_eq!(gone.head.status, 404);
    // The environments are another matter: whoever knows their session goes on.
    let mut next = Agent::join(&rig).await;
    next.answer(
        "call_backend_tool",
        at(&session, "echo", &json!({ "text": "x" })),
    )
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_contained_request_needs_no_session() {
    let rig = Rig::new().await;
    let mut agent = Agent::speaking(rig.address, STATELESS).await;
    let found = agent.request("server/discover", json!({})).await.json();
    let found = &found["result"];
    assert_eq!(found["resultType"], "complete");
    assert_eq!(found["supportedVersions"][0], STATELESS);
    assert!(found["capabilities"]["tools"].is_object());
    assert_eq!(
        found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "envdeck"
    );
    let list = agent.request("tools/list", json!({})).await.json();
    assert_eq!(list["result"]["cacheScope"], "public");
    assert!(list["result"]["ttlMs"].is_u64());
    let result = agent.tool("ping", json!({})).await;
    assert_eq!(result["resultType"], "complete");
    assert_eq!(
        result["structuredContent"]["session_id"],
        "unknown_session_for_ping"
    );

    let session = agent.open(&[("demo", 1)]).await;
    let mut other = Agent::speaking(rig.address, STATELESS).await;
    let call = at(&session, "echo", &json!({ "text": "x" }));
    other.answer("call_backend_tool", call).await;
    other.close(&session).await;
    let fleet = rig.fleet();
    assert_eq!(
        fleet.calls.values().last().unwrap().caller.to_string(),
        "tester"
    );
    rig.wait_until("both are counted", |fleet| {
        fleet.gateway.is_some_and(|gateway| gateway.clients == 2)
    })
    .await;
    drop((agent, other));
    rig.wait_until("nobody is", |fleet| {
        fleet.gateway.is_some_and(|gateway| gateway.clients == 0)
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_era_does_not_know_is_not_found_in_it() {
    let rig = Rig::new().await;
    let mut modern = Agent::speaking(rig.address, STATELESS).await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/list",
        "subscriptions/listen",
    ] {
        let response = modern.request(method, json!({})).await;
        assert_eq!(
            (response.head.status, response.error().0),
            (404, -32601),
            "{method}"
        );
        assert!(response.json()["id"].is_u64());
    }
    let mut legacy = Agent::join(&rig).await;
    for method in ["server/discover", "resources/list", "logging/setLevel"] {
        let response = legacy.request(method, json!({})).await;
        assert_eq!(
            (response.head.status, response.error().0),
            (200, -32601),
            "{method}"
        );
    }
    for agent in [&mut modern, &mut legacy] {
        let unknown = json!({ "name": "echo", "arguments": {} });
        let response = agent.request("tools/call", unknown).await;
        let (code, text) = response.error();
        assert_eq!((response.head.status, code), (200, -32602));
        assert!(text.contains("call_backend_tool"), "{text}");
    }
    let get = rig.ask(
        "GET",
        &[
            HOST,
            "accept: text/event-stream",
            "mcp-protocol-version: 2026-07-28",
        ],
        b"",
    );
    assert_eq!(get.await.head.status, 405);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_revision_is_refused_with_those_that_are_known() {
    let rig = Rig::new().await;
    let headers = [HOST, JSON, "mcp-protocol-version: 1999-01-01"];
    let response = rig.ask("POST", &headers, &message("tools/list")).await;
    assert_eq!((response.head.status, response.error().0), (400, -32022));
    let data = response.json()["error"]["data"].clone();
    assert_eq!(data["requested"], "1999-01-01");
    assert_eq!(data["supported"].as_array().unwrap().len(), 5);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_spellings_of_the_path_are_the_endpoint() {
    let rig = Rig::new().await;
    for (path, status) in [
        ("/mcp", 400),
        ("/mcp/", 400),
        ("/", 404),
        ("/mcp/x", 404),
        ("/MCP", 404),
    ] {
        let response = rig
            .ask_at(path, "POST", &[HOST, JSON], &message("ping"))
            .await;
        assert_eq!(response.head.status, status, "{path}");
    }
    let options = rig.ask("OPTIONS", &[HOST], b"").await;
    assert_eq!(
        (options.head.status, options.head.header("allow")),
        (405, Some("GET, POST, DELETE"))
    );
    rig.end().await;
}
