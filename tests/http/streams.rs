//! Streams of events: broken and taken up again, split anywhere, with all that the standard allows in them.

use std::time::Duration;

use envdeck::mcp::ToolClient;
use serde_json::json;
use tokio::time::Instant;

use crate::peer::{Desk, RunningCall};
use crate::remote::connect;
use crate::scripted::{Heard, Out, Scripted, behave};

/// The id of the first call: two requests of the handshake come before it.
const CALL: u64 = 3;

async fn with_calls<F, W>(act: F) -> (Scripted, ToolClient, Desk)
where
    F: Fn(Heard, Out) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let server = Scripted::start(act).await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    (server, client, desk)
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_again_after_the_time_the_server_names() {
    let (server, client, _desk) = with_calls(|heard: Heard, mut out: Out| async move {
        match (heard.what(), heard.headers.get("last-event-id").map(String::as_str)) {
            ("tools/call", _) => {
                out.events().await;
                out.raw("id: 1\nretry: 700\ndata:\n\n").await;
            }
            // It may take more than one time.
            ("GET", Some("1")) => {
                out.events().await;
                let token = json!({ "progressToken": CALL, "progress": 1 });
                out.raw("id: 2\n").await;
                out.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": token })).await;
            }
            ("GET", Some("2")) => {
                out.events().await;
                out.event(&json!({ "jsonrpc": "2.0", "id": CALL, "result": { "content": [] } })).await;
            }
            _ => behave(heard, out).await,
        }
    })
    .await;
    let began = Instant::now();
    let mut call = RunningCall::start(&client, "t", "{}");
    assert!((call.progress().await.done - 1.0).abs() < f64::EPSILON);
    assert_eq!(call.answer().await, json!({ "content": [] }));
    assert!(
        began.elapsed() >= Duration::from_millis(1_400),
        "{:?}",
        began.elapsed()
    );
    // The call itself is made once.
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_fails_its_call() {
    let (server, client, _desk) = with_calls(|heard: Heard, mut out: Out| async move {
        if heard.what() == "tools/call" {
            out.events().await;
            return out.raw("id: 1\nretry: 10\ndata:\n\n").await;
        }
        behave(heard, out).await;
    })
    .await;
    let failure = RunningCall::start(&client, "t", "{}").failure().await;
    let text = failure.to_string();
    assert!(
        text.ends_with("connection lost before the end of the answer (the stream ended)"),
        "{text}"
    );
    let resumed = |one: &&Heard| one.headers.contains_key("last-event-id");
    assert_eq!(server.of("GET").iter().filter(resumed).count(), 1);
}

#[tokio::test]
async fn all_that_the_standard_allows_in_a_stream() {
    for ends in ["\n", "\r\n", "\r"] {
        let (_server, client, desk) = with_calls(move |heard: Heard, mut out: Out| async move {
            if heard.what() != "tools/call" {
                return behave(heard, out).await;
            }
            let id = &heard.body["id"];
            let stream = format!(
                "\u{feff}: a comment\n\nevent: message\nid\nunknown: field\ndata: {{\"jsonrpc\":\"2.0\",\ndata\ndata:\"id\":{id},\n\
                 data:  \"result\": {{ \"content\": [] }} }}\n\ndata: never complete"
            );
            out.events().await;
            // Byte by byte, so that every split occurs.
            for byte in stream.replace('\n', ends).into_bytes() {
                out.raw([byte]).await;
            }
            out.hang().await;
        })
        .await;
        let answer = RunningCall::start(&client, "t", "{}").answer().await;
        assert_eq!(answer, json!({ "content": [] }), "{ends:?}");
        assert_eq!(desk.remarks(), "");
    }
}

#[tokio::test]
async fn an_event_that_is_not_json_is_told_and_the_rest_is_heard() {
    let (_server, client, desk) = with_calls(|heard: Heard, mut out: Out| async move {
        if heard.what() != "tools/call" {
            return behave(heard, out).await;
        }
        out.events().await;
        out.raw("data: hello there\n\n").await;
        out.event(&heard.text("done")).await;
    })
    .await;
    RunningCall::start(&client, "t", "{}").answer().await;
    let remarks = desk.remarks();
    assert!(
        remarks.contains("dropped an event that is not JSON-RPC"),
        "{remarks}"
    );
    assert!(remarks.contains("hello there"), "{remarks}");
}
