//! The stateless revision on the wire: what headers repeat, and what is not sent any more.

use envdeck::model::Era;
use serde_json::{Value, json};

use crate::peer::{Desk, PATIENCE, RunningCall};
use crate::remote::connect;
use crate::scripted::{Heard, JSON, Out, Scripted, behave};

/// A server of only that revision; `region` is repeated under the name that `header` gives.
async fn modern(heard: Heard, mut out: Out, header: &str) {
    let discovered = json!({
        "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {} },
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "modern", "version": "1" } },
    });
    match heard.what() {
        "initialize" => {
            let error = heard.error(-32020, "Header mismatch: MCP-Protocol-Version is missing");
            out.answer("400 Bad Request", JSON, error.to_string()).await;
        }
        "server/discover" => out.json(&heard.result(discovered)).await,
        "tools/list" => {
            let tools = json!({ "tools": tools(header) });
            out.json(&heard.result(tools)).await;
        }
        "tools/call" => {
            let field = format!("mcp-param-{}", header.to_lowercase());
            let region = &heard.body["params"]["arguments"]["region"];
            let is_where = heard.body["params"]["name"] == "where";
            if is_where && region.is_string() && !heard.headers.contains_key(&field) {
                let error = heard.error(-32020, "Header mismatch");
                return out.answer("400 Bad Request", JSON, error.to_string()).await;
            }
            out.json(&heard.text("done")).await;
        }
        "subscriptions/listen" => {
            out.events().await;
            out.hang().await;
        }
        _ => behave(heard, out).await,
    }
}

fn tools(header: &str) -> Value {
    let with = |name: &str, property: Value| json!({ "name": name, "inputSchema": { "type": "object", "properties": { "region": property } } });
    json!([
        with("where", json!({ "type": "string", "x-mcp-header": header })),
        with(
            "odd",
            json!({ "type": "array", "items": { "type": "string", "x-mcp-header": "Odd" } })
        ),
        with("größe", json!({ "type": "string" })),
    ])
}

#[tokio::test]
async fn headers_repeat_what_the_revision_wants_repeated() {
    let server = Scripted::start(|heard, out| modern(heard, out, "Region")).await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    assert_eq!(client.server().era, Era::Stateless);
    let tools = client.list_tools(PATIENCE).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["where", "größe"]);
    assert!(
        desk.remarks()
            .contains("left out the tool odd: x-mcp-header"),
        "{}",
        desk.remarks()
    );

    RunningCall::start(&client, "where", r#"{"region": "東京"}"#)
        .answer()
        .await;
    RunningCall::start(&client, "größe", r#"{"region": "eu"}"#)
        .answer()
        .await;
    let calls = server.of("tools/call");
    let field = |n: usize, name: &str| calls[n].headers.get(name).map(String::as_str);
    assert_eq!(field(0, "mcp-name"), Some("where"));
    assert_eq!(field(0, "mcp-param-region"), Some("=?base64?5p2x5Lqs?="));
    assert_eq!(field(1, "mcp-name"), Some("=?base64?Z3LDtsOfZQ==?="));
    assert_eq!(field(1, "mcp-param-region"), None);
    for one in server
        .heard()
        .iter()
        .filter(|one| one.what() != "initialize")
    {
        assert_eq!(
            one.method, "POST",
            "no stream to listen to, no session to end: {one:?}"
        );
        assert_eq!(one.headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(one.headers["mcp-method"], one.what());
        assert_eq!(
            one.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        assert!(!one.headers.contains_key("mcp-session-id"));
    }
    // It has no ping, but can be asked who it is.
    assert_eq!(client.probe(), Some("server/discover"));
    assert!(client.ping(PATIENCE).await.unwrap().is_ok());
    client.close(PATIENCE).await;
    assert!(server.of("DELETE").is_empty());
}

#[tokio::test]
async fn a_tool_that_changed_its_mind_is_listed_and_called_again() {
    let server = Scripted::start(|heard, out| async move {
        let lists = heard.what() == "tools/list" && heard.earlier == 0;
        let header = if lists { "Old" } else { "New" };
        modern(heard, out, header).await;
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    client.list_tools(PATIENCE).await.unwrap();
    RunningCall::start(&client, "where", r#"{"region": "eu"}"#)
        .answer()
        .await;
    let calls = server.of("tools/call");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].headers["mcp-param-new"], "eu");
}

#[tokio::test]
async fn a_server_of_no_revision_we_know_is_told_apart() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        let mut error = heard.error(-32022, "Unsupported protocol version");
        error["error"]["data"] = json!({ "supported": ["2031-01-01"], "requested": "x" });
        out.answer("400 Bad Request", JSON, error.to_string()).await;
    })
    .await;
    let desk = Desk::new();
    let failure = connect(&desk, server.server()).await.0.err().unwrap();
    let text = failure.to_string();
    assert!(
        text.contains("the server speaks MCP 2031-01-01, envdeck speaks 2026-07-28, "),
        "{text}"
    );
    // The refusal shows that it is no server of the old transport.
    assert!(server.of("GET").is_empty());
}
