//! The MCP client: connect, list, call with deadline, progress and cancel, close. The only folder,
//! with the gateway and the embedded demo, that names rmcp.
//!
//! rmcp's own client builds a typed tree of every answer, drops lines it cannot read and loses a
//! whole tool list for one odd schema. An inspector must show what a server sends as it sends it, so
//! messages are read here only as far as their envelope, and payloads are handed on as they came.
//!
//! ```text
//! pipes ── stdio (lines) ──┬── dispatch (who is it for?) ── link (who waits?) ── calls, tools
//! HTTP ─── http (bodies) ──┘      └─ questions (what servers ask of us), the log
//! ```

mod calls;
mod connection;
mod cut;
mod dispatch;
mod handshake;
mod hints;
pub mod http;
mod link;
mod proxied;
mod questions;
mod stdio;
mod tools;
mod wire;

pub(crate) use hints::of_reach;
pub(crate) use wire::excerpt;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use crate::drivers::{CallTools, Endpoint};
use crate::model::{Cause, Era, Failure, Obedience, Progress, ServerInfo, Stage, ToolSpec};
use crate::stores::logs::LogWriter;

/// What a server tells by itself.
#[derive(Clone, Debug)]
pub enum ServerNews {
    /// `notifications/tools/list_changed`.
    ToolsChanged,
    /// Lines on stdout that are not JSON-RPC (already in the log).
    StdoutNoise(u64),
}

/// How to connect.
pub struct Connect {
    /// Gets the server's log notifications, stdout noise and our remarks.
    pub log: LogWriter,
    /// Largest message accepted, bytes.
    pub max_message: usize,
    /// For the handshake.
    pub timeout: Duration,
    /// Asks with `server/discover` and never says `initialize`: for a server that ends when it hears that.
    pub discover_first: bool,
    /// Gets the server's news; never blocks.
    pub news: Box<dyn Fn(ServerNews) + Send + Sync>,
}

/// How one call is watched and steered while it runs.
pub struct CallControl {
    /// Cancelling it tells the server, then waits briefly for what the server does.
    pub cancel: CancellationToken,
    /// The moment it ends for lack of an answer; may be moved while it runs.
    pub deadline: watch::Receiver<Instant>,
    /// Gets each progress notification; never blocks.
    pub progress: Box<dyn Fn(Progress) + Send + Sync>,
}

/// A tool's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The JSON text of the `CallToolResult`, exactly as sent.
    pub raw: Bytes,
    pub is_error: bool,
}

/// How a call ended without an answer.
#[derive(Debug)]
pub enum NoAnswer {
    Cancelled(Obedience),
    Failed(Failure),
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// An open MCP connection. Cheap to clone; calls run concurrently.
#[derive(Clone)]
pub struct ToolClient {
    connection: Arc<Connection>,
    server: Arc<ServerInfo>,
    /// Where tools are called, if not over the connection.
    calls: Option<Arc<dyn CallTools>>,
}

impl ToolClient {
    /// Connects and shakes hands.
    pub async fn connect(endpoint: Endpoint, how: Connect) -> Result<Self, Failure> {
        let (timeout, discover_first) = (how.timeout, how.discover_first);
        let calls = match &endpoint {
            Endpoint::Proxied { calls, .. } => Some(calls.clone()),
            Endpoint::Stdio { .. } | Endpoint::Http(_) => None,
        };
        let connection = Connection::open(endpoint, how)?;
        let server = handshake::shake_hands(&connection.link, timeout, discover_first).await?;
        if server.era == Era::Stateless && server.capabilities.iter().any(|name| **name == *"tools")
        {
            connection.listen().await;
        }
        Ok(Self {
            connection: Arc::new(connection),
            server: Arc::new(server),
            calls,
        })
    }

    pub fn server(&self) -> &Arc<ServerInfo> {
        &self.server
    }

    /// All pages of `tools/list`; a tool with a strange schema is listed with its problem.
    pub async fn list_tools(&self, timeout: Duration) -> Result<Vec<Arc<ToolSpec>>, Failure> {
        within(timeout, "tools/list", tools::list(&self.connection.link))
            .await
            .map_err(|cause| self.connection.link.failure(Stage::Initialize, cause))
    }

    /// Calls a tool with the text of a JSON object as arguments.
    ///
    /// Dropping the future cancels the call.
    pub async fn call(
        &self,
        tool: &str,
        arguments: &str,
        control: CallControl,
    ) -> Result<Answer, NoAnswer> {
        match &self.calls {
            None => calls::call(&self.connection.link, tool, arguments, control).await,
            Some(calls) => {
                let limit = self.connection.link.limit;
                proxied::call(&**calls, limit, tool, arguments, control).await
            }
        }
    }

    /// What [`Self::ping`] asks; `None` where the revision has no `ping`, and pipes tell of a server's end.
    pub fn probe(&self) -> Option<&'static str> {
        match self.server.era {
            Era::Sessions => Some("ping"),
            Era::Stateless if self.connection.link.is_http => Some("server/discover"),
            Era::Stateless => None,
        }
    }

    /// Round trip of a question that every server can answer at once; `None` where there is no such.
    pub async fn ping(&self, timeout: Duration) -> Option<Result<Duration, Failure>> {
        let probe = self.probe()?;
        let sent = Instant::now();
        let nothing = serde_json::json!({});
        let ping = self.connection.link.exchange(probe, &nothing);
        Some(match within(timeout, probe, ping).await {
            // An error is an answer, too: there are servers that do not know `ping`.
            Ok(_) | Err(Cause::Rpc { .. }) => Ok(sent.elapsed()),
            Err(cause) => Err(self.connection.link.failure(Stage::Run, cause)),
        })
    }

    /// Resolves with the reason when the connection is gone. Cancel-safe.
    pub async fn closed(&self) -> Failure {
        let link = &self.connection.link;
        link.failure(Stage::Run, link.closed().await)
    }

    /// Ends the connection within `timeout`; calls in flight fail with `Closed`.
    pub async fn close(&self, timeout: Duration) {
        self.connection.close(timeout).await;
    }
}

async fn within<T>(
    timeout: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    let late = |_| {
        Err(Cause::Deadline {
            what: what.into(),
            after: timeout,
        })
    };
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(late)
}
