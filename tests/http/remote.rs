//! What the tests over HTTP share: an endpoint to connect to, and a real server of rmcp behind it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use envdeck::drivers::{Contact, Endpoint, HttpEndpoint};
use envdeck::mcp::ToolClient;
use envdeck::model::{Failure, HttpServer};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities,
    ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::peer::{Desk, MAX_MESSAGE};

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A client that reports to `desk`, and what is known of its contact.
pub async fn connect(desk: &Desk, server: HttpServer) -> (Result<ToolClient, Failure>, Contact) {
    let endpoint = HttpEndpoint::from(server);
    let contact = endpoint.contact.clone();
    let how = desk.how(MAX_MESSAGE, false);
    let client = ToolClient::connect(Endpoint::Http(endpoint), how).await;
    (client, contact)
}

/// An rmcp server on a port of its own; dropping it ends it.
pub struct Remote {
    pub url: String,
    /// Calls of `slow` that were cancelled.
    pub cancelled: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Remote {
    pub async fn start(tune: impl FnOnce(&mut StreamableHttpServerConfig)) -> Self {
        let stop = CancellationToken::new();
        let mut config = StreamableHttpServerConfig::default();
        config.cancellation_token = stop.clone();
        tune(&mut config);
        let cancelled = Arc::new(AtomicUsize::new(0));
        let handler = Handler(cancelled.clone());
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(move || Ok(handler.clone()), sessions, config);
        let router = Router::new().route_service("/mcp", service);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router).into_future() => served.unwrap(),
                () = stopped => {}
            }
        });
        Self {
            url,
            cancelled,
            _stop: stop.drop_guard(),
        }
    }

    pub fn server(&self) -> HttpServer {
        HttpServer::at(&self.url)
    }
}

#[derive(Clone)]
struct Handler(Arc<AtomicUsize>);

impl ServerHandler for Handler {
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
            self.0.fetch_add(1, Ordering::SeqCst);
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
