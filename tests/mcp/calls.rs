//! Tool calls: answers as they were sent, deadlines, cancellation, progress.

use std::time::Duration;

use envdeck::mcp::NoAnswer;
use envdeck::model::{Cause, Obedience, Stage};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::peer::{RunningCall, connected, connected_with};

#[tokio::test]
async fn digits_and_unknown_fields_pass_unchanged_both_ways() {
    let (client, mut peer, _desk) = connected().await;
    let arguments = "{\n \"big\": 9007199254740993,\r\n \"exact\": 0.1000000000000000055}";
    let call = RunningCall::start(&client, "echo", arguments);
    let line = peer.line().await;
    assert!(line.contains(r#""big": 9007199254740993,"#), "{line}");
    assert!(
        line.contains(r#""exact": 0.1000000000000000055}"#),
        "{line}"
    );
    let request: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(request["params"]["name"], "echo");
    let result = r#"{"z":1, "content":[],"n":9007199254740993,"x":0.1000000000000000055,"a":null}"#;
    peer.raw(format!(
        "{{\"result\":{result},\"jsonrpc\":\"2.0\",\"id\":{}}}\n",
        request["id"]
    ))
    .await;
    let answer = call.end().await.unwrap();
    assert_eq!(answer.raw, result);
    assert!(!answer.is_error);
}

#[tokio::test]
async fn a_deeply_nested_answer_comes_back_as_it_was_sent() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "deep", "{}");
    let (id, _) = peer.request("tools/call").await;
    let deep = format!(
        "{{\"content\":{}1{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    peer.raw(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{deep}}}\n"
    ))
    .await;
    assert_eq!(call.end().await.unwrap().raw, deep);
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let (client, mut peer, _desk) = connected_with(64 << 20).await;
    let call = RunningCall::start(&client, "big", "{}");
    let (id, _) = peer.request("tools/call").await;
    let text = "x".repeat(20_000_000);
    let writer = tokio::spawn(async move {
        peer.reply_text(&id, &text).await;
        peer
    });
    let answer = call.end().await.unwrap();
    assert!(answer.raw.len() > 20_000_000);
    assert!(answer.raw.ends_with(br#"xxx"}]}"#) || answer.raw.ends_with(br#""type":"text"}]}"#));
    writer.await.unwrap();
}

#[tokio::test]
async fn a_tool_that_says_is_error_has_answered() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "fail", "{}");
    let (id, _) = peer.request("tools/call").await;
    peer.reply(&id, json!({ "content": [], "isError": true }))
        .await;
    assert!(call.end().await.unwrap().is_error);
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (client, mut peer, _desk) = connected().await;
    let (first, second) = (
        RunningCall::start(&client, "a", "{}"),
        RunningCall::start(&client, "b", "{}"),
    );
    let mut requests = [
        peer.request("tools/call").await,
        peer.request("tools/call").await,
    ];
    requests.reverse();
    for (id, params) in requests {
        peer.reply_text(&id, params["name"].as_str().unwrap()).await;
    }
    assert_eq!(first.answer().await["content"][0]["text"], "a");
    assert_eq!(second.answer().await["content"][0]["text"], "b");
}

#[tokio::test]
async fn an_error_answer_keeps_its_code_and_data() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "nope", "{}");
    let (id, _) = peer.request("tools/call").await;
    let error = json!({ "code": -32602, "message": "unknown tool", "data": { "tool": "nope" } });
    peer.send(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
        .await;
    let failure = call.failure().await;
    assert_eq!(failure.stage, Stage::Call);
    let Cause::Rpc {
        code,
        message,
        data,
    } = failure.cause
    else {
        panic!("{failure}")
    };
    assert_eq!(
        (code, &*message, data.as_deref()),
        (-32602, "unknown tool", Some(r#"{"tool":"nope"}"#))
    );
}

#[tokio::test]
async fn arguments_that_are_no_object_never_leave() {
    let (client, mut peer, _desk) = connected().await;
    for (arguments, problem) in [
        ("[1]", "an array is not an object"),
        ("{\"a\":", "EOF"),
        ("", "EOF"),
        ("null", "null is not"),
    ] {
        let failure = RunningCall::start(&client, "echo", arguments)
            .failure()
            .await;
        assert_eq!(failure.stage, Stage::Call);
        assert!(failure.to_string().contains(problem), "{failure}");
    }
    let call = RunningCall::start(&client, "first", "{}");
    assert_eq!(peer.request("tools/call").await.1["name"], "first");
    call.abandon();
}

#[tokio::test]
async fn progress_reaches_only_its_own_call() {
    let (client, mut peer, _desk) = connected().await;
    let mut calls = [
        RunningCall::start(&client, "a", "{}"),
        RunningCall::start(&client, "b", "{}"),
    ];
    let requests = [
        peer.request("tools/call").await,
        peer.request("tools/call").await,
    ];
    for (index, (id, params)) in requests.iter().enumerate() {
        let token = &params["_meta"]["progressToken"];
        let message = format!("of {}", params["name"].as_str().unwrap());
        let progress =
            json!({ "progressToken": token, "progress": index, "total": 9, "message": message });
        peer.notify("notifications/progress", progress).await;
        peer.reply_text(id, "done").await;
    }
    for (call, name) in calls.iter_mut().zip(["a", "b"]) {
        let progress = call.progress().await;
        assert_eq!(progress.message.as_deref(), Some(&*format!("of {name}")));
        assert_eq!(progress.total, Some(9.0));
    }
    for mut call in calls {
        assert!(call.no_more_progress());
        call.answer().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_the_server_is_told() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "hang", "{}");
    let (id, _) = peer.request("tools/call").await;
    let failure = call.failure().await;
    let Cause::Deadline { after, .. } = failure.cause else {
        panic!("{failure}")
    };
    assert_eq!(after, Duration::from_secs(60));
    let (_, params) = peer.request("notifications/cancelled").await;
    assert_eq!(params["requestId"], id);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_be_moved_while_the_call_runs() {
    let (client, mut peer, _desk) = connected().await;
    let start = Instant::now();
    let call = RunningCall::start(&client, "hang", "{}");
    peer.request("tools/call").await;
    advance(Duration::from_secs(50)).await;
    call.deadline
        .send(start + Duration::from_secs(300))
        .unwrap();
    advance(Duration::from_secs(50)).await;
    call.deadline
        .send(start + Duration::from_secs(200))
        .unwrap();
    let failure = call.failure().await;
    assert!(matches!(failure.cause, Cause::Deadline { .. }), "{failure}");
    assert_eq!(start.elapsed().as_secs(), 200);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_dropped_with_a_remark() {
    let (client, mut peer, desk) = connected().await;
    let call = RunningCall::start(&client, "slow", "{}");
    let (id, _) = peer.request("tools/call").await;
    call.deadline.send(Instant::now()).unwrap();
    call.failure().await;
    peer.request("notifications/cancelled").await;
    peer.reply_text(&id, "sorry").await;
    crate::peer::eventually("a remark", || desk.remarks().contains("too late")).await;
}

async fn cancelled() -> (RunningCall, crate::peer::Peer, serde_json::Value) {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "slow", "{}");
    let (id, _) = peer.request("tools/call").await;
    call.cancel.cancel();
    let (_, params) = peer.request("notifications/cancelled").await;
    assert_eq!(params["requestId"], id);
    (call, peer, id)
}

fn obedience(end: Result<envdeck::mcp::Answer, NoAnswer>) -> Obedience {
    match end {
        Err(NoAnswer::Cancelled(obedience)) => obedience,
        other => panic!("not cancelled: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_confirms_a_cancellation_at_once() {
    let (call, mut peer, id) = cancelled().await;
    let start = Instant::now();
    peer.refuse(&id, 0, "Request cancelled").await;
    assert_eq!(obedience(call.end().await), Obedience::Confirmed);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn silence_after_a_cancellation_is_called_silence() {
    let (call, _peer, _) = cancelled().await;
    let start = Instant::now();
    assert_eq!(obedience(call.end().await), Obedience::Silent);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_a_cancellation_shows_that_it_was_ignored() {
    let (call, mut peer, id) = cancelled().await;
    peer.reply_text(&id, "done anyway").await;
    assert_eq!(obedience(call.end().await), Obedience::Ignored);
}

/// Cancels a call whose server makes so many steps more, one a second, and then none.
async fn steps_after_the_cancellation(steps: usize) -> Obedience {
    let (mut call, mut peer, id) = cancelled().await;
    for step in 0..steps {
        tokio::time::sleep(Duration::from_millis(900)).await;
        let progress = json!({ "progressToken": id, "progress": step });
        peer.notify("notifications/progress", progress).await;
    }
    assert!(
        call.no_more_progress(),
        "progress of a cancelled call is shown"
    );
    obedience(call.end().await)
}

#[tokio::test(start_paused = true)]
async fn a_last_step_before_the_silence_is_not_disobedience() {
    assert_eq!(steps_after_the_cancellation(1).await, Obedience::Silent);
    assert_eq!(steps_after_the_cancellation(5).await, Obedience::Ignored);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "slow", "{}");
    let (id, _) = peer.request("tools/call").await;
    call.abandon();
    let (_, params) = peer.request("notifications/cancelled").await;
    assert_eq!(params["requestId"], id);
}

#[tokio::test]
async fn calls_fail_when_the_server_dies() {
    let (client, mut peer, _desk) = connected().await;
    let call = RunningCall::start(&client, "crash", "{}");
    peer.request("tools/call").await;
    drop(peer);
    let failure = call.failure().await;
    assert_eq!(
        (failure.stage, failure.to_string().as_str()),
        (Stage::Call, "call: the connection closed")
    );
    let failure = RunningCall::start(&client, "after", "{}").failure().await;
    assert!(matches!(failure.cause, Cause::Closed), "{failure}");
    assert_eq!(client.closed().await.stage, Stage::Run);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_cannot_hold_a_call_past_its_deadline() {
    let (client, peer, _desk) = connected().await;
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(128 << 10));
    let calls: Vec<_> = (0..80)
        .map(|_| RunningCall::start(&client, "big", &large))
        .collect();
    for call in calls {
        assert!(matches!(call.failure().await.cause, Cause::Deadline { .. }));
    }
    drop(peer);
}
