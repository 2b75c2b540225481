//! The demo server's side of MCP: it introduces itself, lists its tools and routes calls to them.
// MCP deprecates logging from 2026-07-28 on; servers still send log notifications, so the demo does.
#![expect(deprecated)]

use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorCode, ErrorData, Implementation, ListToolsResult,
    LoggingLevel, PaginatedRequestParams, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    Tool,
};
use rmcp::service::{RequestContext, RoleServer};

use super::catalog::{Arguments, CATALOG};
use super::lifeline::Life;
use super::{slow, tools};
use crate::stores::logs::LogWriter;

/// The levels of log notifications, most harmless first.
pub const LEVELS: [LoggingLevel; 8] = [
    LoggingLevel::Debug,
    LoggingLevel::Info,
    LoggingLevel::Notice,
    LoggingLevel::Warning,
    LoggingLevel::Error,
    LoggingLevel::Critical,
    LoggingLevel::Alert,
    LoggingLevel::Emergency,
];

const INSTRUCTIONS: &str = "The demo server of envdeck. Each tool shows one thing that MCP servers do: \
    answer, refuse, take their time, send a lot, chatter, hang or crash.";

pub struct DemoServer {
    pub(super) life: Life,
    /// Stands for the stderr of a process.
    pub(super) log: LogWriter,
    /// Index into [`LEVELS`]: what the client wants to hear.
    level: AtomicUsize,
}

impl DemoServer {
    pub fn new(life: Life, log: LogWriter) -> Self {
        Self {
            life,
            log,
            level: AtomicUsize::new(0),
        }
    }

    /// Whether the client wants notifications of this level (an index into [`LEVELS`]) for a request.
    pub(super) fn wants(&self, level: usize, context: &RequestContext<RoleServer>) -> bool {
        let is_stateless = context
            .protocol_version()
            .is_some_and(|version| !version.has_initialize());
        if is_stateless {
            // Each request says for itself; without a word the server must stay silent.
            context
                .meta
                .log_level()
                .is_some_and(|wanted| level >= index(wanted))
        } else {
            level >= self.level.load(Ordering::Relaxed)
        }
    }

    async fn answer(
        &self,
        name: &str,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = match name {
            "echo" => tools::echo(arguments),
            "add" => tools::add(arguments),
            "order" => Ok(tools::order(arguments)),
            "weather" => tools::weather(arguments),
            "table" => tools::table(arguments),
            "picture" => tools::picture(arguments),
            "ansi" => Ok(tools::ansi()),
            "fail" => tools::fail(arguments),
            "refuse" => Err(tools::refuse()),
            "blob" => tools::blob(arguments).await,
            "countdown" => slow::countdown(arguments, context).await,
            "chatter" => slow::chatter(self, arguments, context).await,
            "hang" => slow::hang(context).await,
            "crash" => slow::crash(self, arguments).await,
            _ => {
                let message = format!("there is no tool {name:?}");
                Err(ErrorData::new(ErrorCode::INVALID_PARAMS, message, None))
            }
        };
        result.map(CallToolResponse::from)
    }
}

/// Its place in [`LEVELS`].
fn index(level: LoggingLevel) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap_or(0)
}

impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        let can = ServerCapabilities::builder()
            .enable_logging()
            .enable_tools()
            .build();
        let name = Implementation::new("envdeck-demo", env!("CARGO_PKG_VERSION"))
            .with_title("envdeck demo server");
        ServerConfig::new(can)
            .with_server_info(name)
            .with_instructions(INSTRUCTIONS)
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.level.store(index(request.level), Ordering::Relaxed);
        Ok(())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(CATALOG.clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Arguments::new(request.arguments);
        tokio::select! {
            biased;
            // Never reaches the client: the lifeline is cut. It only ends this task.
            () = self.life.over() => Err(ErrorData::internal_error("the server is gone", None)),
            answer = self.answer(&request.name, arguments, &context) => answer,
        }
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        CATALOG.iter().find(|tool| tool.name == name).cloned()
    }
}
