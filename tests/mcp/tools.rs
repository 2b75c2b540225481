//! The tool list: pages, and tools whose description is odd.

use std::time::Duration;

use envdeck::model::{Cause, Stage};
use serde_json::{Value, json};

use crate::peer::{Peer, connected};

const SOON: Duration = Duration::from_secs(10);

async fn page(peer: &mut Peer, cursor: Value, result: Value) {
    let (id, params) = peer.request("tools/list").await;
    assert_eq!(params["cursor"], cursor);
    peer.reply(&id, result).await;
}

#[tokio::test]
async fn all_pages_are_read_in_order() {
    let (client, mut peer, _desk) = connected().await;
    let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
    let (tools, ()) = tokio::join!(client.list_tools(SOON), async {
        page(
            &mut peer,
            Value::Null,
            json!({ "tools": [tool("a")], "nextCursor": "2" }),
        )
        .await;
        page(
            &mut peer,
            json!("2"),
            json!({ "tools": [], "nextCursor": "3" }),
        )
        .await;
        page(
            &mut peer,
            json!("3"),
            json!({ "tools": [tool("b"), tool("c")] }),
        )
        .await;
    });
    let names: Vec<_> = tools
        .unwrap()
        .iter()
        .map(|tool| tool.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_list_that_starts_again_ends() {
    let (client, mut peer, desk) = connected().await;
    let (tools, ()) = tokio::join!(client.list_tools(SOON), async {
        for cursor in [Value::Null, json!("x")] {
            let tools = json!({ "tools": [{ "name": "t", "inputSchema": {} }], "nextCursor": "x" });
            page(&mut peer, cursor, tools).await;
        }
    });
    assert_eq!(tools.unwrap().len(), 2);
    assert!(desk.remarks().contains("starts again"));
}

#[tokio::test]
async fn no_tool_vanishes_for_its_schema() {
    let (client, mut peer, desk) = connected().await;
    let deep = (0..200).fold(json!({}), |inner, _| json!({ "properties": inner }));
    let tools = json!([
        { "name": "fine", "title": "Fine", "description": "ok", "inputSchema": { "type": "object" },
          "outputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true } },
        { "name": "true", "inputSchema": true },
        { "name": "text", "inputSchema": "object" },
        { "name": "none", "annotations": { "title": "Titled" } },
        { "name": "array", "inputSchema": { "type": "array" } },
        { "name": "deep", "inputSchema": deep },
        { "name": "fine", "inputSchema": {} },
        { "name": "" }, { "name": 7 }, { "title": "nameless" }, "not a tool"
    ]);
    let (listed, ()) = tokio::join!(
        client.list_tools(SOON),
        page(&mut peer, Value::Null, json!({ "tools": tools }))
    );
    let listed = listed.unwrap();
    let problems: Vec<_> = listed
        .iter()
        .map(|tool| (&*tool.name, tool.problem.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        problems[..5],
        [
            ("fine", "-"),
            ("true", "inputSchema is not an object"),
            ("text", "inputSchema is not an object"),
            ("none", "inputSchema is missing"),
            ("array", "inputSchema does not describe an object"),
        ]
    );
    assert!(problems[5].1.contains("recursion limit"), "{problems:?}");
    assert_eq!(problems[6..], [("fine", "another tool has the same name")]);
    assert_eq!(listed[1].input_schema, json!(true));
    assert_eq!(listed[0].annotations, Some(json!({ "readOnlyHint": true })));
    assert_eq!(listed[3].title.as_deref(), Some("Titled"));
    assert_eq!(desk.remarks().matches("left out a tool").count(), 4);
}

#[tokio::test]
async fn a_server_without_tools_has_an_empty_list() {
    let (client, mut peer, _desk) = connected().await;
    let (tools, ()) = tokio::join!(client.list_tools(SOON), async {
        let (id, _) = peer.request("tools/list").await;
        peer.refuse(&id, -32601, "Method not found").await;
    });
    assert!(tools.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_comes_ends_at_the_timeout() {
    let (client, _peer, _desk) = connected().await;
    let failure = client.list_tools(SOON).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Initialize);
    assert!(matches!(failure.cause, Cause::Deadline { ref what, .. } if what == "tools/list"));
}
