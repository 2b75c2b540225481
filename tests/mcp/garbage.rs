//! Servers that write what does not belong on stdout, too much of it, or half of it.

use envdeck::mcp::ServerNews;
use envdeck::model::Cause;
use envdeck::stores::logs::{Severity, Source};
use serde_json::json;
use tokio::io::duplex;

use crate::peer::{Desk, MAX_MESSAGE, Peer, RunningCall, connected, eventually};

#[tokio::test]
async fn garbage_goes_to_the_log_and_the_session_goes_on() {
    let (ours, theirs) = duplex(1 << 20);
    let mut desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        peer.raw("Starting server…\n\n").await;
        peer.welcome("2025-06-18").await;
    });
    let client = client.unwrap();
    let call = RunningCall::start(&client, "echo", "{}");
    let (id, _) = peer.request("tools/call").await;
    peer.raw("{\"level\":\"info\",\"method\":\"GET\"}\n[1,2]\n{broken\n42\n")
        .await;
    peer.reply_text(&id, "ok").await;
    peer.raw("bye\n").await;
    assert_eq!(call.answer().await["content"][0]["text"], "ok");
    let mut noise = 0;
    while noise < 6 {
        match desk.news().await {
            ServerNews::StdoutNoise(lines) => noise += lines,
            other @ ServerNews::ToolsChanged => panic!("{other:?}"),
        }
    }
    let lines = [
        "Starting server…",
        "{\"level\":\"info\",\"method\":\"GET\"}",
        "[1,2]",
        "{broken",
        "42",
        "bye",
    ];
    assert_eq!(desk.log(Source::Stdout), lines);
}

#[tokio::test]
async fn a_message_over_the_limit_fails_its_call_and_no_other() {
    for id_last in [false, true] {
        let (client, mut peer, _desk) = connected().await;
        let (large, small) = (
            RunningCall::start(&client, "large", "{}"),
            RunningCall::start(&client, "small", "{}"),
        );
        let requests = [
            peer.request("tools/call").await,
            peer.request("tools/call").await,
        ];
        let id_of = |name| {
            requests
                .iter()
                .find(|(_, params)| params["name"] == name)
                .unwrap()
                .0
                .clone()
        };
        let text = "x".repeat(3 * MAX_MESSAGE);
        let message = if id_last {
            format!(
                "{{\"result\":{{\"text\":\"{text}\"}},\"jsonrpc\":\"2.0\",\"id\":{}}}",
                id_of("large")
            )
        } else {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"text\":\"{text}\"}}}}",
                id_of("large")
            )
        };
        peer.raw(format!("{message}\n")).await;
        let failure = large.failure().await;
        let Cause::TooLarge { size, limit } = failure.cause else {
            panic!("{failure}")
        };
        assert_eq!((size, limit), (message.len() as u64, MAX_MESSAGE as u64));
        assert_eq!(failure.hint.as_deref(), Some("raise limits.max_message"));
        peer.reply_text(&id_of("small"), "fine").await;
        assert_eq!(small.answer().await["content"][0]["text"], "fine");
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_not_taken_for_an_answer() {
    let (client, mut peer, desk) = connected().await;
    let call = RunningCall::start(&client, "one", "{}");
    let (id, _) = peer.request("tools/call").await;
    let text = "x".repeat(2 * MAX_MESSAGE);
    let params = json!({ "text": text });
    peer.send(json!({ "jsonrpc": "2.0", "id": id, "method": "roots/list", "params": params }))
        .await;
    eventually("a remark", || desk.remarks().contains("the limit is")).await;
    peer.reply_text(&id, "still here").await;
    assert_eq!(call.answer().await["content"][0]["text"], "still here");
}

#[tokio::test]
async fn half_a_message_and_the_end_fail_the_call_and_show_the_half() {
    let (client, mut peer, desk) = connected().await;
    let call = RunningCall::start(&client, "crash", "{}");
    peer.request("tools/call").await;
    peer.raw("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"cont")
        .await;
    drop(peer);
    assert!(matches!(call.failure().await.cause, Cause::Closed));
    assert_eq!(
        desk.log(Source::Stdout),
        ["{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"cont"]
    );
}

#[tokio::test]
async fn a_last_message_without_a_line_break_counts() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "bye", "{}");
    let (id, _) = peer.request("tools/call").await;
    peer.raw(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}"
    ))
    .await;
    drop(peer);
    assert_eq!(call.end().await.unwrap().raw, "{}");
}

#[tokio::test]
async fn ids_sent_back_as_text_and_batches_are_understood() {
    let (client, mut peer, _desk) = connected().await;
    let (a, b) = (
        RunningCall::start(&client, "a", "{}"),
        RunningCall::start(&client, "b", "{}"),
    );
    let mut batch = Vec::new();
    for _ in 0..2 {
        let (id, params) = peer.request("tools/call").await;
        let result = json!({ "content": [], "name": params["name"] });
        batch.push(json!({ "jsonrpc": "2.0", "id": id.to_string(), "result": result }));
    }
    peer.send(json!(batch)).await;
    assert_eq!(a.answer().await["name"], "a");
    assert_eq!(b.answer().await["name"], "b");
}

#[tokio::test]
async fn an_answer_that_is_not_utf_8_is_repaired() {
    let (client, mut peer, desk) = connected().await;
    let call = RunningCall::start(&client, "latin", "{}");
    let (id, _) = peer.request("tools/call").await;
    let mut line =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"text\":\"caf").into_bytes();
    line.extend_from_slice(b"\xe9\"}}\n");
    peer.raw(line).await;
    assert_eq!(call.answer().await["text"], "caf\u{fffd}");
    assert!(desk.remarks().contains("not UTF-8"));
}

#[tokio::test]
async fn log_notifications_keep_their_level_and_order_in_a_flood() {
    let (client, mut peer, desk) = connected().await;
    for number in 0..20_000 {
        let params = json!({ "level": "debug", "logger": "db", "data": format!("line {number}") });
        peer.notify("notifications/message", params).await;
    }
    peer.notify(
        "notifications/message",
        json!({ "level": "error", "data": { "code": 7 } }),
    )
    .await;
    let call = RunningCall::start(&client, "after", "{}");
    let (id, _) = peer.request("tools/call").await;
    peer.reply_text(&id, "ok").await;
    call.answer().await;
    assert_eq!(desk.log(Source::Server(Severity::Error)), [r#"{"code":7}"#]);
    let flood = desk.log(Source::Server(Severity::Debug));
    assert_eq!(flood.last().unwrap(), "db: line 19999");
    assert!(flood.is_sorted_by_key(|line| line["db: line ".len()..].parse::<u32>().unwrap()));
}

#[tokio::test]
async fn a_changed_tool_list_is_news() {
    let (_client, mut peer, mut desk) = connected().await;
    peer.notify("notifications/tools/list_changed", json!({}))
        .await;
    assert!(matches!(desk.news().await, ServerNews::ToolsChanged));
}

#[tokio::test]
async fn an_answer_that_is_not_json_fails_its_call_at_once() {
    for line in [
        r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":{"mean":NaN}}}"#,
        r#"{"jsonrpc":"2.0","result":{"content":[Infinity]},"id":ID}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":{"conte"#,
    ] {
        let (client, mut peer, desk) = connected().await;
        let call = RunningCall::start(&client, "statistics", "{}");
        let (id, _) = peer.request("tools/call").await;
        peer.raw(line.replace("ID", &id.to_string()) + "\n").await;
        let failure = call.failure().await.to_string();
        assert!(failure.contains("unreadable answer: "), "{failure}");
        assert_eq!(desk.log(Source::Stdout).len(), 1);
    }
}
