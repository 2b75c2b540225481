//! The tools of the demo server.

use envdeck::model::Mode;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::wire::Wire;

#[tokio::test]
async fn a_crash_gives_no_answer_but_a_status_and_last_words() {
    let mut bench = Bench::start(Mode::Embedded).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    wire.request("tools/call", json!({ "name": "hang", "arguments": {} }))
        .await;
    wire.request(
        "tools/call",
        json!({ "name": "crash", "arguments": { "status": 42 } }),
    )
    .await;
    assert_eq!(wire.next().await, None, "neither call is answered");
    assert_eq!(bench.wait().await.code, Some(42));
    assert!(
        bench.log().iter().any(|line| line.contains("Traceback")),
        "{:?}",
        bench.log()
    );
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_countdown_reports_progress_and_falls_silent_when_cancelled() {
    let mut bench = Bench::start(Mode::Embedded).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    let call = |seconds: f64, token: &str| {
        json!({
            "name": "countdown",
            "arguments": { "seconds": seconds, "steps": 4 },
            "_meta": { "progressToken": token },
        })
    };
    let id = wire.request("tools/call", call(0.1, "short")).await;
    let (answer, progress) = wire.answer(id).await;
    assert_eq!(answer["result"]["isError"], false);
    let done: Vec<_> = progress
        .iter()
        .map(|one| one["params"]["progress"].as_f64())
        .collect();
    assert_eq!(done, [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
    assert_eq!(progress[0]["params"]["total"].as_f64(), Some(4.0));
    assert_eq!(progress[0]["params"]["message"], "step 1 of 4");

    let id = wire.request("tools/call", call(3600.0, "long")).await;
    let cancelled = json!({ "requestId": id, "reason": "enough" });
    let notice =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled });
    wire.send(&notice).await;
    let next = wire.request("ping", json!({})).await;
    assert_eq!(
        wire.next().await.unwrap()["id"],
        next,
        "nothing of the cancelled call"
    );
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn the_demo_tools_show_each_kind_of_answer() {
    let mut bench = Bench::start(Mode::Embedded).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;

    assert_eq!(
        wire.call("add", json!({ "a": 1, "b": 2.5 })).await["result"]["structuredContent"]["sum"],
        3.5
    );
    let order = json!({ "customer": "Ada", "items": [{ "sku": "x" }], "coupon": null });
    assert_eq!(
        wire.call("order", order.clone()).await["result"]["structuredContent"],
        order
    );
    let failed = wire.call("fail", json!({ "message": "no" })).await;
    assert_eq!(
        (
            &failed["result"]["isError"],
            &failed["result"]["content"][0]["text"]
        ),
        (&json!(true), &json!("no"))
    );
    let refused = wire.call("refuse", json!({})).await;
    assert_eq!(
        (
            &refused["error"]["code"],
            &refused["error"]["data"]["limit"]
        ),
        (&json!(429), &json!(100))
    );
    let bad = wire.call("add", json!({ "a": "one" })).await;
    assert_eq!(bad["error"]["code"], -32602, "{bad}");
    assert!(
        bad["error"]["message"]
            .as_str()
            .unwrap()
            .contains("\"one\""),
        "{bad}"
    );
    assert_eq!(
        wire.call("nothing", json!({})).await["error"]["code"],
        -32602
    );
    let picture = wire.call("picture", json!({})).await;
    assert_eq!(picture["result"]["content"][1]["mimeType"], "image/png");
    let rows = wire.call("table", json!({ "rows": 1000 })).await;
    assert_eq!(
        rows["result"]["structuredContent"]["rows"]
            .as_array()
            .unwrap()
            .len(),
        1000
    );
    let blob = wire.call("blob", json!({ "megabytes": 2 })).await;
    let blob = blob["result"]["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(blob.len() >= 2_000_000 && serde_json::from_str::<Value>(&blob).is_ok());
    let hostile = wire.call("ansi", json!({})).await;
    assert!(
        hostile["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("\u{1b}[2J")
    );
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn chatter_comes_at_its_rate_on_both_channels_and_respects_the_level() {
    let mut bench = Bench::start(Mode::Embedded).await.unwrap();
    let mut wire = Wire::shake_hands(&mut bench.running).await;
    let call = json!({ "name": "chatter", "arguments": { "rate": 1000, "seconds": 0.2 } });
    let id = wire.request("tools/call", call.clone()).await;
    let (answer, said) = wire.answer(id).await;
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({ "notifications": 200, "stderr_lines": 40 })
    );
    assert_eq!(said.len(), 200);
    assert_eq!(
        bench
            .log()
            .iter()
            .filter(|line| line.starts_with("chatter:"))
            .count(),
        40
    );

    wire.ask("logging/setLevel", json!({ "level": "error" }))
        .await;
    let id = wire.request("tools/call", call).await;
    let (_, said) = wire.answer(id).await;
    assert_eq!(said.len(), 100, "half of the eight levels");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn the_demo_speaks_without_a_handshake_too() {
    let mut bench = Bench::start(Mode::Embedded).await.unwrap();
    let mut wire = Wire::open(&mut bench.running);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = wire.ask("server/discover", json!({ "_meta": meta })).await;
    let versions = found["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{found}");

    let mut call = json!({
        "name": "chatter",
        "arguments": { "rate": 1000, "seconds": 0.08 },
        "_meta": meta,
    });
    let id = wire.request("tools/call", call.clone()).await;
    assert_eq!(
        wire.answer(id).await.1.len(),
        0,
        "silent unless asked to log"
    );
    call["_meta"]["io.modelcontextprotocol/logLevel"] = json!("critical");
    let id = wire.request("tools/call", call).await;
    assert_eq!(
        wire.answer(id).await.1.len(),
        30,
        "three of the eight levels"
    );
    bench.stop().await.unwrap();
}
