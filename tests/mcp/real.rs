//! A real rmcp server on the other end, in both eras.

use std::time::Duration;

use envdeck::mcp::{ServerNews, ToolClient};
use envdeck::model::{Era, Obedience};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities,
    ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use tokio::io::{AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};

use crate::peer::{Desk, MAX_MESSAGE, Peer, RunningCall};

struct Server;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed();
        ServerConfig::new(tools.build()).with_instructions("Ask for echo.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str| Tool::new(name, "A tool.", JsonObject::new());
        Ok(ListToolsResult::with_all_items(vec![
            tool("echo"),
            tool("slow"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "slow" {
            let token = context.meta.get_progress_token().unwrap();
            let progress = ProgressNotificationParam::new(token, 1.0).with_message("half way");
            context.peer.notify_progress(progress).await.unwrap();
            context.ct.cancelled().await;
        }
        let text = serde_json::to_string(&request.arguments).unwrap();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        context.sink().notify_tool_list_changed().await.unwrap();
        context.cancelled().await;
        Ok(())
    }
}

async fn serve(stream: DuplexStream) {
    Server.serve(stream).await.unwrap().waiting().await.unwrap();
}

/// Refuses `initialize`, as a server does that only knows the stateless revision, then passes on.
async fn serve_without_initialize(stream: DuplexStream) {
    let mut front = Peer::new(stream);
    let (id, _) = front.request("initialize").await;
    front.refuse(&id, -32601, "Method not found").await;
    let (mut inner, server) = duplex(1 << 16);
    tokio::spawn(serve(server));
    let (read, mut stream) = front.into_parts();
    inner.write_all(&read).await.unwrap();
    copy_bidirectional(&mut inner, &mut stream).await.unwrap();
}

async fn tools_can_be_listed_called_and_cancelled(client: &ToolClient) {
    let tools = client.list_tools(Duration::from_secs(10)).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["echo", "slow"]);

    let answer = RunningCall::start(client, "echo", r#"{"word":"hello"}"#)
        .answer()
        .await;
    assert_eq!(answer["content"][0]["text"], r#"{"word":"hello"}"#);

    let mut slow = RunningCall::start(client, "slow", "{}");
    assert_eq!(slow.progress().await.message.as_deref(), Some("half way"));
    slow.cancel.cancel();
    match slow.end().await {
        // It may fall silent or still answer; both are the truth about a server.
        Err(envdeck::mcp::NoAnswer::Cancelled(Obedience::Silent | Obedience::Ignored)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_with_sessions() {
    let (ours, theirs) = duplex(1 << 16);
    let desk = Desk::new();
    tokio::spawn(serve(theirs));
    let client = desk.connect(ours, MAX_MESSAGE).await.unwrap();
    assert_eq!(client.server().era, Era::Sessions);
    assert_eq!(
        client.server().instructions.as_deref(),
        Some("Ask for echo.")
    );
    assert!(client.ping(Duration::from_secs(10)).await.unwrap().is_ok());
    tools_can_be_listed_called_and_cancelled(&client).await;
    client.close(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_sessions() {
    let (ours, theirs) = duplex(1 << 16);
    let mut desk = Desk::new();
    tokio::spawn(serve_without_initialize(theirs));
    let client = desk.connect(ours, MAX_MESSAGE).await.unwrap();
    assert_eq!(client.server().era, Era::Stateless);
    assert_eq!(&*client.server().protocol, "2026-07-28");
    assert_eq!(&*client.server().name, "rmcp");
    tools_can_be_listed_called_and_cancelled(&client).await;
    assert!(matches!(desk.news().await, ServerNews::ToolsChanged));
}
