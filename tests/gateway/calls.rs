//! Calls across the gateway: contents of every kind, progress, cancellation, size.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use envdeck::model::{CallState, Command, Outcome};
use serde_json::{Value, json};

use crate::agent::{Agent, LATEST, STATELESS, at};
use crate::rig::{Rig, backends, script};

/// Answers each call with the file that its argument names, exactly as it is.
const VERBATIM: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) answer "$id" '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) answer "$id" '{"tools":[{"name":"say","icons":[{"src":"data:,"}],"inputSchema":{"type":"object"},"_meta":{"a":1.0}}]}' ;;
    *'"ping"'*) answer "$id" '{}' ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":' "$id"; cat "$1"; printf '}\n' ;;
  esac
done
"#;

/// Every type of content, odd spellings included: escapes, fractions and white space that a parser would not keep.
const EVERYTHING: &str = r#"{ "content": [{"type":"text","text":"a\u0022b\/c\ud83d\ude00","annotations":{"priority":1.0}},	{"type":"image","data":"iVBORw0KGgo=","mimeType":"image\/png"},{"type":"audio","data":"UklGRg+/==","mimeType":"audio/wav"},{"type":"resource","resource":{"uri":"file:///a","mimeType":"application/octet-stream","blob":"AAEC\u0041w=="}},{"type":"resource_link","uri":"file:///b","name":"b"},{"type":"something new","x":[1E+2]}],"structuredContent":{"n":1.10,"deep":{"a":[null,{}]}},"isError":false,"_meta":{"io.example/k":0.10000000000000000000001} }"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_content_comes_through_untouched() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), EVERYTHING).unwrap();
    let path = file.path().to_str().unwrap();
    let rig = Rig::with(vec![script("verbatim", VERBATIM, &[path])], |_| {}).await;
    for protocol in [LATEST, STATELESS, "2025-03-26"] {
        let mut agent = Agent::speaking(rig.address, protocol).await;
        let session = agent.tool(
            "initialize_session",
            json!({ "backends": [{ "backend_name_ref": "verbatim" }] }),
        );
        let text = session.await["content"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        let session = crate::agent::opened(&serde_json::from_str(&text).unwrap());
        let params =
            json!({ "name": "call_backend_tool", "arguments": at(&session, "say", &json!({})) });
        let response = agent.request("tools/call", params).await;
        let body = response.text();
        let message: Value = response.json();
        assert_eq!(
            message["result"]["content"][0]["text"], EVERYTHING,
            "{protocol}"
        );
        let is_structured = protocol != "2025-03-26";
        let verbatim = format!("\"structuredContent\":{EVERYTHING},\"isError\":false");
        assert_eq!(
            body.contains(&verbatim),
            is_structured,
            "{protocol}: {body}"
        );
    }
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("verbatim", 1)]).await;
    let (backend, instance) = &session.instances[0];
    let list = json!({
        "rk_session_id": session.id, "backend_name_ref": backend, "instance_id": instance,
    });
    let list = agent.tool("list_backend_tools", list).await;
    let text = list["content"][0]["text"].as_str().unwrap();
    let whole = r#"{"tools":[{"name":"say","icons":[{"src":"data:,"}],"inputSchema":{"type":"object"},"_meta":{"a":1.0}}]}"#;
    assert_eq!(text, whole, "a tool keeps what nobody here knows");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_line_breaks_fits_into_an_event() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"content":[],"x":"a\nb"}"#).unwrap();
    let path = file.path().to_str().unwrap();
    let rig = Rig::with(vec![script("verbatim", VERBATIM, &[path])], |_| {}).await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("verbatim", 1)]).await;
    let mut params =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "say", &json!({})) });
    params["_meta"]["progressToken"] = 1.into();
    agent.begin_stream("tools/call", params).await;
    let message = agent.event().await.unwrap();
    assert_eq!(message["result"]["structuredContent"]["x"], "a\nb");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_tool_is_one_of_the_call() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let fail = at(&session, "fail", &json!({ "reason": "out of cheese" }));
    let result = agent.tool("call_backend_tool", fail).await;
    assert_eq!(result["isError"], true);
    let inner = &result["structuredContent"];
    assert_eq!(inner["isError"], true);
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, *inner);
    // A JSON-RPC error of the backend has no result: it is told in words.
    let refused = agent
        .refusal("call_backend_tool", at(&session, "refuse", &json!({})))
        .await;
    assert!(refused.contains("JSON-RPC"), "{refused}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_comes_across_before_the_answer() {
    let rig = Rig::new().await;
    for protocol in [LATEST, STATELESS] {
        let mut agent = Agent::speaking(rig.address, protocol).await;
        let session = agent.open(&[("demo", 1)]).await;
        let count = json!({ "seconds": 0.5, "steps": 5 });
        let mut params =
            json!({ "name": "call_backend_tool", "arguments": at(&session, "countdown", &count) });
        params["_meta"]["progressToken"] = "my token".into();
        agent.begin_stream("tools/call", params).await;
        for step in 1..=5 {
            let news = agent.event().await.unwrap();
            assert_eq!(news["method"], "notifications/progress");
            let message = format!("step {step} of 5");
            let expected = json!({
                "progressToken": "my token", "progress": step, "total": 5, "message": message,
            });
            assert_eq!(news["params"], expected);
        }
        let answer = agent.event().await.unwrap();
        assert!(answer["result"]["isError"] == false, "{answer}");
        assert_eq!(agent.event().await, None, "the answer ends the stream");
        agent.close(&session).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_tells_its_progress_too() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let asks = json!({ "backends": [{ "backend_name_ref": "demo", "num_instances": 3 }] });
    let mut params = json!({ "name": "initialize_session", "arguments": asks });
    params["_meta"]["progressToken"] = 7.into();
    agent.begin_stream("tools/call", params).await;
    let mut last = -1.0;
    let answer = loop {
        let message = agent.event().await.unwrap();
        if message["method"] != "notifications/progress" {
            break message;
        }
        let done = message["params"]["progress"].as_f64().unwrap();
        assert!(done > last && done <= 3.0, "{message}");
        assert_eq!(message["params"]["total"], 3);
        last = done;
    };
    assert_eq!(answer["result"]["isError"], false);
    rig.end().await;
}

async fn hang(rig: &Rig, agent: &mut Agent) -> u64 {
    let session = agent.open(&[("demo", 1)]).await;
    let params =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "hang", &json!({})) });
    let id = agent.begin("tools/call", params).await;
    rig.wait_until("it hangs", |fleet| {
        fleet.calls.values().any(|call| call.is_running())
    })
    .await;
    id
}

async fn was_cancelled(rig: &Rig) {
    let fleet = rig
        .wait_until("the call has ended", |fleet| {
            !fleet.calls.values().any(|call| call.is_running())
        })
        .await;
    let call = fleet.calls.values().last().unwrap();
    assert!(
        matches!(
            &call.state,
            CallState::Ended {
                outcome: Outcome::Cancelled(_),
                ..
            }
        ),
        "{call:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_cancels_a_call() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let id = hang(&rig, &mut agent).await;
    let mut other = Agent::join(&rig).await;
    let cancel = json!({ "requestId": id, "reason": "changed my mind" });
    // The same id in another session is another request.
    other
        .notify("notifications/cancelled", cancel.clone())
        .await;
    other.session.clone_from(&agent.session);
    let told = other.notify("notifications/cancelled", cancel).await;
    assert_eq!(told.head.status, 202);
    let response = agent.wire.response().await;
    assert_eq!(
        (response.head.status, response.body.len()),
        (202, 0),
        "no answer is wanted"
    );
    was_cancelled(&rig).await;
    assert_eq!(agent.answer("ping", json!({})).await["reply"], "pong");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_cancels_its_calls() {
    let rig = Rig::new().await;
    for protocol in [LATEST, STATELESS] {
        let mut agent = Agent::speaking(rig.address, protocol).await;
        hang(&rig, &mut agent).await;
        drop(agent);
        was_cancelled(&rig).await;
    }
    // Also one that was reading a stream.
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let count = json!({ "seconds": 600, "steps": 6000 });
    let mut params =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "countdown", &count) });
    params["_meta"]["progressToken"] = 1.into();
    agent.begin_stream("tools/call", params).await;
    assert!(agent.event().await.is_some());
    drop(agent);
    was_cancelled(&rig).await;
    // Their sessions stay: other connections may use them.
    assert_eq!(rig.sessions().len(), 3);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_waits_for_is_closed() {
    let stuck = script("stuck", "sleep 1000", &[]);
    let rig = Rig::with(vec![stuck], |_| {}).await;
    let mut agent = Agent::join(&rig).await;
    let asks = json!({ "backends": [{ "backend_name_ref": "stuck" }] });
    let params = json!({ "name": "initialize_session", "arguments": asks });
    agent.begin("tools/call", params).await;
    rig.wait_until("it is starting", |fleet| fleet.instances().count() == 1)
        .await;
    drop(agent);
    rig.wait_until_empty().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_can_cancel_a_call_of_an_agent() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    hang(&rig, &mut agent).await;
    let call = *rig.fleet().calls.keys().last().unwrap();
    rig.handle.request(Command::Cancel(call)).await.unwrap();
    let message = agent.wire.response().await.messages().pop().unwrap();
    assert_eq!(message["result"]["isError"], true);
    let text = message["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("the operator cancelled the call"), "{text}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_comes_on_a_stream_that_says_it_is_alive() {
    let soon = Duration::from_millis(200);
    let rig = Rig::with(backends(), |options| options.stream_after = soon).await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let slow = json!({ "seconds": 3, "steps": 1 });
    let params =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "countdown", &slow) });
    let began = Instant::now();
    agent.begin_stream("tools/call", params).await;
    assert!(
        began.elapsed() < Duration::from_millis(2_900),
        "it came before the answer"
    );
    let answer = agent.event().await.unwrap();
    assert_eq!(answer["result"]["isError"], false);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_one_instance_run_at_the_same_time() {
    let rig = Rig::new().await;
    let mut first = Agent::join(&rig).await;
    let session = first.open(&[("demo", 1)]).await;
    let hang =
        json!({ "name": "call_backend_tool", "arguments": at(&session, "hang", &json!({})) });
    first.begin("tools/call", hang).await;
    let mut second = Agent::join(&rig).await;
    let echo = at(&session, "echo", &json!({ "text": "x" }));
    second.answer("call_backend_tool", echo).await;
    // Clean-up of one session delays nobody in another.
    let mut third = Agent::join(&rig).await;
    let other = third.open(&[("demo", 1)]).await;
    third.close(&other).await;
    drop(first);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_comes_whole() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    for size in [60 << 10, 70 << 10, 5 << 20] {
        let mut text = String::new();
        while text.len() < size {
            writeln!(text, "line \"{}\" \\ \t ü", text.len()).unwrap();
        }
        let call = at(&session, "echo", &json!({ "text": text }));
        let result = agent.answer("call_backend_tool", call.clone()).await;
        assert!(result["content"][0]["text"] == *text);
        let mut params = json!({ "name": "call_backend_tool", "arguments": call });
        params["_meta"]["progressToken"] = 1.into();
        let response = agent.request("tools/call", params).await;
        let message = response.messages().pop().unwrap();
        assert!(message["result"]["structuredContent"] == result);
    }
    rig.end().await;
}
