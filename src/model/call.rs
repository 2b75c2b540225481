//! Tools and calls to them. Payloads live in the result store; here are only their ids.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{BackendName, CallId, Failure, InstanceId, ResultId, SessionId};

/// A tool as its server describes it. Text is kept as sent: it is cleaned where it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    pub name: Arc<str>,
    pub title: Option<Arc<str>>,
    pub description: Option<Arc<str>>,
    /// JSON Schema of the arguments as sent, whatever its shape: a tool never vanishes for its schema.
    pub input_schema: Value,
    pub output_schema: Option<Value>,
    /// `annotations` as sent (`readOnlyHint`, `destructiveHint`, …).
    pub annotations: Option<Value>,
    /// All of it, exactly as sent.
    pub raw: Arc<str>,
    /// What is wrong with the description, in words, if anything is.
    pub problem: Option<Arc<str>>,
}

/// Who asked for a call or a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    Operator,
    /// A gateway client, by the name it gave.
    Agent(Arc<str>),
    CommandLine,
    /// The orchestrator itself: shared instances, start-up checks.
    Orchestrator,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Operator => f.write_str("operator"),
            Caller::Agent(name) => f.write_str(name),
            Caller::CommandLine => f.write_str("command line"),
            Caller::Orchestrator => f.write_str("envdeck"),
        }
    }
}

/// A wish to call a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub instance: InstanceId,
    pub tool: Arc<str>,
    /// One JSON object, as text: numbers keep the digits that were typed.
    pub arguments: Arc<str>,
    pub caller: Caller,
    /// Time without an answer or progress after which the call ends; the backend's default if absent.
    pub timeout: Option<Duration>,
}

/// The server's latest progress notification for a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub done: f64,
    pub total: Option<f64>,
    pub message: Option<Arc<str>>,
}

/// What a server did after it was told to cancel. A cancel tells the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obedience {
    /// It answered with an error: it stopped.
    Confirmed,
    /// It fell silent, as the protocol asks.
    Silent,
    /// It went on: progress or the full answer came after the cancellation.
    Ignored,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done(ResultId),
    /// The tool itself said `isError: true`: an answer, not a failure of ours.
    ToolError(ResultId),
    /// The operator or the caller cancelled it, and the server was told.
    Cancelled(Obedience),
    Failed(Failure),
}

impl Outcome {
    pub fn result(&self) -> Option<ResultId> {
        match self {
            Outcome::Done(id) | Outcome::ToolError(id) => Some(*id),
            Outcome::Cancelled(_) | Outcome::Failed(_) => None,
        }
    }

    /// One word for lists: `ok`, `error`, `cancelled`, `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "ok",
            Outcome::ToolError(_) => "error",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Failed(_) => "failed",
        }
    }
}

#[derive(Clone, Debug)]
pub enum CallState {
    /// Sent; waiting for the answer.
    Running,
    /// The cancellation was sent at this time; the server has not confirmed it.
    Cancelling { since: Timestamp },
    Ended {
        outcome: Outcome,
        at: Timestamp,
        took: Duration,
        size: u64,
    },
}

/// One call, running or ended.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: CallId,
    pub session: SessionId,
    pub instance: InstanceId,
    pub backend: BackendName,
    pub tool: Arc<str>,
    pub arguments: Arc<str>,
    pub caller: Caller,
    pub started: Timestamp,
    /// When the call ends for lack of an answer; progress and the operator move it.
    pub deadline: Timestamp,
    pub progress: Option<Progress>,
    pub state: CallState,
}

impl Call {
    pub fn is_running(&self) -> bool {
        !matches!(self.state, CallState::Ended { .. })
    }

    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            CallState::Ended { outcome, .. } => Some(outcome),
            _ => None,
        }
    }
}
