//! HTTP from people who mean no good, or cannot do better: a clean error each, and the gateway stays up.

use std::time::{Duration, Instant};

use envdeck::model::Secret;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::agent::Agent;
use crate::http::{Wire, within};
use crate::rig::{Rig, backends};

const HOST: &str = "host: localhost";
const JSON: &str = "content-type: application/json";
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

async fn is_up(rig: &Rig) {
    let mut agent = Agent::join(rig).await;
    assert_eq!(agent.answer("ping", json!({})).await["reply"], "pong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_message_are_refused() {
    let rig = Rig::new().await;
    let deep = "[".repeat(100_000);
    let deep_params = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{deep}"#);
    for (body, code) in [
        (&b"{"[..], -32700),
        (b"nonsense", -32700),
        (b"\xff\xfe", -32700),
        (b"{}", -32600),
        (b"[]", -32600),
        (deep.as_bytes(), -32600),
        (deep_params.as_bytes(), -32700),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"ping"} trailing"#,
            -32700,
        ),
    ] {
        let response = rig.ask("POST", &[HOST, JSON], body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(
            (response.head.status, response.error().0),
            (400, code),
            "{shown}"
        );
    }
    let empty = rig
        .ask("POST", &[HOST, JSON, "content-length: 0"], b"")
        .await;
    assert_eq!((empty.head.status, empty.error().0), (400, -32700));
    for kind in [
        "content-type: text/plain",
        "content-type: application/jsonp",
        "x: y",
    ] {
        let response = rig.ask("POST", &[HOST, kind], PING).await;
        assert_eq!(response.head.status, 415, "{kind}");
    }
    let response = rig
        .ask("POST", &[HOST, JSON, "accept: text/html"], PING)
        .await;
    assert_eq!(response.head.status, 406);
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_body_is_refused_before_it_is_sent() {
    let rig = Rig::with(backends(), |options| options.max_body = 64 << 10).await;
    let mut wire = Wire::to(rig.address).await;
    let head = format!(
        "POST /mcp HTTP/1.1\r\n{HOST}\r\n{JSON}\r\ncontent-length: {}\r\n\r\n",
        1 << 30
    );
    wire.send(head.as_bytes()).await;
    let response = wire.response().await;
    assert_eq!(response.head.status, 413);
    assert!(
        response.error().1.contains("gateway.max_body"),
        "{}",
        response.text()
    );
    within(wire.closed()).await;

    // Without a length it is refused at the limit, and a client that goes on sending still hears of it.
    let mut wire = Wire::to(rig.address).await;
    let head =
        format!("POST /mcp HTTP/1.1\r\n{HOST}\r\n{JSON}\r\ntransfer-encoding: chunked\r\n\r\n");
    wire.send(head.as_bytes()).await;
    let chunk = [&b"8000\r\n"[..], &vec![b' '; 0x8000], b"\r\n"].concat();
    for _ in 0..64 {
        wire.send(&chunk).await;
    }
    assert_eq!(wire.response().await.head.status, 413);
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dawdles_is_shown_out() {
    let rig = Rig::with(backends(), |options| {
        options.read_timeout = Duration::from_millis(300);
    })
    .await;
    // One byte of a head now and then.
    let mut slow_head = Wire::to(rig.address).await;
    let began = Instant::now();
    let dribble = async {
        for byte in b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx: yyyyyyyyyyyyyyyyyyyyyy" {
            let sent = slow_head.stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if sent.is_err() {
                break;
            }
        }
    };
    within(dribble).await;
    within(slow_head.closed()).await;
    assert!(began.elapsed() < Duration::from_secs(30));
    // A body that never ends.
    let mut slow_body = Wire::to(rig.address).await;
    let head = format!("POST /mcp HTTP/1.1\r\n{HOST}\r\n{JSON}\r\ncontent-length: 100\r\n\r\n{{");
    slow_body.send(head.as_bytes()).await;
    let response = slow_body.response().await;
    assert_eq!(response.head.status, 408);
    assert!(
        response.error().1.contains("gateway.read_timeout"),
        "{}",
        response.text()
    );
    // A connection that says nothing at all.
    within(Wire::to(rig.address).await.closed()).await;
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_wait_for_room() {
    let rig = Rig::with(backends(), |options| {
        options.max_connections = 4;
        options.read_timeout = Duration::from_millis(500);
    })
    .await;
    let mut silent = vec![];
    for _ in 0..32 {
        silent.push(Wire::to(rig.address).await);
    }
    // Those in front are shown out one after the other.
    is_up(&rig).await;
    drop(silent);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_no_room_is_told_so() {
    let rig = Rig::with(backends(), |options| options.max_connections = 2).await;
    let there = [Agent::join(&rig).await, Agent::join(&rig).await];
    let mut late = Wire::to(rig.address).await;
    late.request("POST", "/mcp", &[HOST.to_owned(), JSON.to_owned()], PING)
        .await;
    let response = late.response().await;
    assert_eq!(response.head.status, 503);
    assert!(
        response.error().1.contains("gateway.max_connections"),
        "{}",
        response.text()
    );
    drop(there);
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_no_heads_are_refused() {
    let rig = Rig::new().await;
    let long = format!("POST /mcp HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("POST /mcp HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(500));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    for head in [
        &long,
        &many,
        &path,
        "nonsense\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET http://[ HTTP/1.1\r\n\r\n",
    ] {
        let mut wire = Wire::to(rig.address).await;
        wire.send(head.as_bytes()).await;
        if let Some(answer) = wire.try_head().await {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
        within(wire.closed()).await;
    }
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_others_cannot_come_in() {
    let rig = Rig::new().await;
    let cases: [(&[&str], u16); 6] = [
        (&["host: localhost"], 400),
        (
            &["host: 127.0.0.1:8001", "origin: http://localhost:3000"],
            400,
        ),
        (&["host: evil.example"], 403),
        (&["host: localhost", "origin: http://evil.example"], 403),
        (&["host: localhost", "origin: null"], 403),
        (&["x: y"], 403),
    ];
    for (headers, status) in cases {
        let headers = [headers, &[JSON]].concat();
        let response = rig.ask("POST", &headers, PING).await;
        assert_eq!(response.head.status, status, "{headers:?}");
    }
    // An absolute path names the host, too.
    let url = "http://evil.example/mcp";
    let response = rig.ask_at(url, "POST", &[HOST, JSON], PING).await;
    assert_eq!(response.head.status, 403);
    is_up(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_lets_pages_in_that_are_allowed_and_no_others() {
    let rig = Rig::with(backends(), |options| {
        options.allowed_origins = vec!["https://deck.example".to_owned()];
        options.token = Some(Secret::new("s3cret"));
    })
    .await;
    let ask = async |origin: &str, path: &str| {
        let origin = format!("origin: {origin}");
        let wants = [
            "access-control-request-method: POST",
            "access-control-request-headers: authorization, content-type, mcp-session-id",
        ];
        let headers = [HOST, &origin, wants[0], wants[1]];
        rig.ask_at(path, "OPTIONS", &headers, b"").await.head
    };
    for origin in ["https://deck.example", "http://localhost:5173"] {
        let head = ask(origin, "/mcp").await;
        assert_eq!(head.status, 204, "{origin}");
        for (name, value) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", "GET, POST, DELETE"),
            (
                "access-control-allow-headers",
                "authorization, content-type, mcp-session-id",
            ),
        ] {
            assert_eq!(head.header(name), Some(value), "{origin}");
        }
        // It reads whatever comes back, also that it has forgotten the token.
        let origin_line = format!("origin: {origin}");
        let response = rig.ask("POST", &[HOST, JSON, &origin_line], PING).await;
        assert_eq!(response.head.status, 401);
        let shown = response.head.header("access-control-allow-origin");
        assert_eq!(shown, Some(origin));
        let readable = response.head.header("access-control-expose-headers");
        assert!(readable.is_some_and(|names| names.contains("mcp-session-id")));
    }
    for (origin, path, status) in [
        ("https://evil.example", "/mcp", 403),
        ("https://deck.example", "/other", 404),
    ] {
        assert_eq!(ask(origin, path).await.status, status);
    }
    let evil = ask("https://evil.example", "/mcp").await;
    assert_eq!(evil.header("access-control-allow-origin"), None);
    // Without an origin it is no browser that asks.
    let response = rig.ask("OPTIONS", &[HOST], b"").await;
    assert_eq!(response.head.status, 401);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_nobody_comes_in() {
    let rig = Rig::with(backends(), |options| {
        options.token = Some(Secret::new("s3cret"));
    })
    .await;
    for (method, header) in [
        ("POST", "x: y"),
        ("POST", "authorization: Bearer wrong"),
        ("GET", "authorization: Basic s3cret"),
        ("DELETE", "x: y"),
    ] {
        let response = rig.ask(method, &[HOST, JSON, header], b"").await;
        assert_eq!(response.head.status, 401, "{method} {header}");
        assert_eq!(response.head.header("www-authenticate"), Some("Bearer"));
    }
    let response = rig
        .ask("POST", &[HOST, JSON, "authorization: Bearer s3cret"], PING)
        .await;
    assert_eq!(response.head.status, 400, "it came in, and has no session");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_holds_up_nobody() {
    let rig = Rig::new().await;
    let mut greedy = Agent::join(&rig).await;
    let session = greedy.open(&[("demo", 1)]).await;
    let blob = crate::agent::at(&session, "blob", &json!({ "megabytes": 20 }));
    let params = json!({ "name": "call_backend_tool", "arguments": blob });
    greedy.begin("tools/call", params).await;
    // It never reads. Others go on, also on the same instance, and its call is over.
    let mut other = Agent::join(&rig).await;
    let echo = crate::agent::at(&session, "echo", &json!({ "text": "x" }));
    other.answer("call_backend_tool", echo).await;
    rig.wait_until("the call is over", |fleet| {
        !fleet.calls.values().any(|call| call.is_running())
    })
    .await;
    drop(greedy);
    other.close(&session).await;
    rig.end().await;
}
