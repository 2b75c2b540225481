//! Requests of the server to us: each is answered, none holds up a call.

use serde_json::{Value, json};
use tokio::io::duplex;

use crate::peer::{Desk, MAX_MESSAGE, Peer, RunningCall, connected};

async fn asked(peer: &mut Peer, id: &str, method: &str, params: Value) -> Value {
    peer.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
        .await;
    let answer = peer.receive().await;
    assert_eq!(answer["id"], id, "{answer}");
    answer
}

#[tokio::test]
async fn every_question_is_answered_while_a_call_runs() {
    let (client, mut peer, desk) = connected().await;
    let call = RunningCall::start(&client, "curious", "{}");
    let (id, _) = peer.request("tools/call").await;

    let answer = asked(&mut peer, "p", "ping", json!({})).await;
    assert_eq!(answer["result"], json!({}));
    let answer = asked(&mut peer, "r", "roots/list", json!({})).await;
    assert_eq!(answer["result"], json!({ "roots": [] }));
    let question = json!({ "message": "Your name?", "requestedSchema": { "type": "odd" } });
    let answer = asked(&mut peer, "e", "elicitation/create", question).await;
    assert_eq!(answer["result"], json!({ "action": "decline" }));
    let answer = asked(
        &mut peer,
        "s",
        "sampling/createMessage",
        json!({ "messages": [] }),
    )
    .await;
    assert_eq!(answer["error"]["message"], "envdeck has no model");
    let answer = asked(&mut peer, "u", "no/such", json!({})).await;
    assert_eq!(answer["error"]["code"], -32601);

    peer.reply_text(&id, "thanks").await;
    assert_eq!(call.answer().await["content"][0]["text"], "thanks");
    let remarks = desk.remarks();
    for part in ["Your name?", "model", "no/such"] {
        assert!(remarks.contains(part), "{remarks}");
    }
}

async fn stateless() -> (envdeck::mcp::ToolClient, Peer) {
    let (ours, theirs) = duplex(1 << 20);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, MAX_MESSAGE), async {
        let (id, _) = peer.request("initialize").await;
        peer.refuse(&id, -32601, "Method not found").await;
        let (id, _) = peer.request("server/discover").await;
        peer.reply(
            &id,
            json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} }),
        )
        .await;
    });
    (client.unwrap(), peer)
}

#[tokio::test]
async fn a_result_that_asks_is_answered_and_the_call_is_tried_again() {
    let (client, mut peer) = stateless().await;
    let call = RunningCall::start(&client, "ask", "{\"n\":1}");
    let (id, params) = peer.request("tools/call").await;
    assert_eq!(
        params["_meta"]["io.modelcontextprotocol/clientInfo"]["name"],
        "envdeck"
    );
    let requests = json!({
        "who": { "method": "elicitation/create", "params": { "message": "Who?" } },
        "where": { "method": "roots/list" }
    });
    let result =
        json!({ "resultType": "input_required", "inputRequests": requests, "requestState": "s1" });
    peer.reply(&id, result).await;
    let (id, params) = peer.request("tools/call").await;
    assert_eq!(params["arguments"], json!({ "n": 1 }));
    assert_eq!(params["requestState"], "s1");
    let answers = json!({ "who": { "action": "decline" }, "where": { "roots": [] } });
    assert_eq!(params["inputResponses"], answers);
    peer.reply(&id, json!({ "resultType": "complete", "content": [] }))
        .await;
    assert_eq!(call.answer().await["resultType"], "complete");
}

#[tokio::test]
async fn a_server_that_never_stops_asking_fails_the_call() {
    let (client, mut peer) = stateless().await;
    let call = RunningCall::start(&client, "ask", "{}");
    for _ in 0..rmcp::model::DEFAULT_MRTR_MAX_ROUNDS {
        let (id, _) = peer.request("tools/call").await;
        peer.reply(
            &id,
            json!({ "resultType": "input_required", "requestState": "again" }),
        )
        .await;
    }
    let failure = call.failure().await;
    assert!(
        failure.to_string().contains("without an answer"),
        "{failure}"
    );
}
