//! What is asked of the orchestrator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{BackendName, CallId, Caller, GatewayInfo, InstanceId, SessionId, ToolCall};

/// A number of instances of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub backend: BackendName,
    /// At least 1. A shared backend gives its one instance whatever the number.
    pub count: usize,
    /// Data that pre-seed them, in place of the configured ones.
    pub template: Option<PathBuf>,
    /// `template_details` for a remote API, as JSON text.
    pub details: Option<Arc<str>>,
}

impl Ask {
    /// As configured.
    pub fn new(backend: impl Into<BackendName>, count: usize) -> Self {
        Self {
            backend: backend.into(),
            count,
            template: None,
            details: None,
        }
    }
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    pub columns: u16,
    pub rows: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    OpenSession {
        caller: Caller,
        asks: Vec<Ask>,
    },
    /// Takes down all instances of the session, then forgets it.
    CloseSession(SessionId),
    /// Stops it if it runs, then starts it again with a fresh restart budget.
    Restart(InstanceId),
    Stop(InstanceId),
    Start(InstanceId),
    /// Starts all failed instances of the session again, with fresh restart budgets.
    RetryFailed(SessionId),
    /// Freezes all it does until it is resumed; calls to it wait.
    Pause(InstanceId),
    Resume(InstanceId),
    /// Stops it and forgets it.
    Remove(InstanceId),
    Call(ToolCall),
    Cancel(CallId),
    /// Gives a running call this much more time, beyond the hard maximum if need be.
    Extend(CallId, Duration),
    /// Asks the server for its tools again.
    ListTools(InstanceId),
    /// Opens an interactive shell inside it, on a terminal of this size.
    OpenShell {
        instance: InstanceId,
        size: WindowSize,
    },
    /// Asks its world for all that is known of it.
    Inspect(InstanceId),
    /// Resource use of this instance is on screen (or no longer): sample it often (or rarely).
    Watch(Option<InstanceId>),
    /// Agents can come in, or no longer, or there are more or fewer of them.
    ShowGateway(Option<GatewayInfo>),
}
