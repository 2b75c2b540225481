//! The MCP client: connect, list, call with deadline, progress and cancel, close. The only folder,
//! with the gateway and the embedded demo, that names rmcp.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::drivers::Endpoint;
use crate::model::{Failure, Obedience, Progress, ServerInfo, ToolSpec};
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
    /// Gets the server's news; never blocks.
    pub news: Box<dyn Fn(ServerNews) + Send + Sync>,
}

/// How one call is watched and steered while it runs.
pub struct CallControl {
    /// Cancelling it tells the server, then waits briefly for what the server does.
    pub cancel: CancellationToken,
    /// The moment it ends for lack of an answer; may be moved while it runs.
    pub deadline: watch::Receiver<tokio::time::Instant>,
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

/// An open MCP connection. Cheap to clone; calls run concurrently.
#[derive(Clone)]
pub struct ToolClient {}

impl ToolClient {
    /// Connects and shakes hands.
    pub async fn connect(endpoint: Endpoint, how: Connect) -> Result<Self, Failure> {
        let _ = (endpoint, how);
        unimplemented!()
    }

    pub fn server(&self) -> &Arc<ServerInfo> {
        unimplemented!()
    }

    /// All pages of `tools/list`; a tool with a strange schema is listed with its problem.
    pub async fn list_tools(&self, timeout: Duration) -> Result<Vec<Arc<ToolSpec>>, Failure> {
        let _ = timeout;
        unimplemented!()
    }

    /// Calls a tool with the text of a JSON object as arguments.
    pub async fn call(
        &self,
        tool: &str,
        arguments: &str,
        control: CallControl,
    ) -> Result<Answer, NoAnswer> {
        let _ = (tool, arguments, control);
        unimplemented!()
    }

    /// Round trip of a `ping`; `None` where the protocol revision has none.
    pub async fn ping(&self, timeout: Duration) -> Option<Result<Duration, Failure>> {
        let _ = timeout;
        unimplemented!()
    }

    /// Resolves with the reason when the connection is gone. Cancel-safe.
    pub async fn closed(&self) -> Failure {
        unimplemented!()
    }

    /// Ends the connection within `timeout`; calls in flight fail with `Closed`.
    pub async fn close(&self, timeout: Duration) {
        let _ = timeout;
    }
}
