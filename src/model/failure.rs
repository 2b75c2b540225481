//! Why something ended badly: at which stage, from which cause, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SandboxPhase;
use super::reach::{self, Reach};

/// What was being done when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Stage {
    /// Reading the configuration.
    Config,
    /// Finding out whether the driver's world (engine, host) is usable.
    Check,
    /// Creating the environment.
    Create,
    /// Starting its process.
    Start,
    /// Staging files, installing dependencies, applying a template, the start-up check.
    Prepare,
    /// Reaching its MCP endpoint.
    Connect,
    /// The MCP handshake.
    Initialize,
    /// It was ready and died, or stopped answering.
    Run,
    /// One tool call.
    Call,
    /// Taking it down.
    Stop,
    /// Removing what it left.
    Remove,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Killed by the kernel or engine for its memory use, where that is known.
    pub out_of_memory: bool,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            _ if self.out_of_memory => write!(f, "out of memory"),
            (_, Some(signal)) => match nix::sys::signal::Signal::try_from(signal) {
                Ok(known) => write!(f, "killed by {known}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            (Some(code), None) => write!(f, "exited with status {code}"),
            (None, None) => write!(f, "ended"),
        }
    }
}

/// The reason behind a [`Failure`], typed where a reader or a test tells reasons apart.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Cause {
    #[error("{0}")]
    Exited(Exit),
    #[error("command not found: {0}")]
    CommandNotFound(String),
    #[error("no answer to {what} within {after:?}")]
    Deadline {
        what: Cow<'static, str>,
        after: Duration,
    },
    #[error("the server speaks MCP {server}, envdeck speaks {ours}")]
    Version { server: String, ours: String },
    #[error("message of {size} bytes is over the limit of {limit}")]
    TooLarge { size: u64, limit: u64 },
    /// A JSON-RPC error answer.
    #[error("{message} (JSON-RPC {code})")]
    Rpc {
        code: i64,
        message: String,
        data: Option<Arc<str>>,
    },
    #[error("the connection closed")]
    Closed,
    /// No answer came because of what lies between us and the server.
    #[error("{server}: {reach}{}", reach::in_brackets(detail))]
    Unreachable {
        /// `host:port`.
        server: String,
        reach: Reach,
        /// What the system said; may be empty.
        detail: String,
    },
    /// An HTTP answer that is no answer to what was asked.
    #[error("{server} answered {}{}", reach::status_line(*status), reach::after_colon(said))]
    Http {
        /// `host:port`.
        server: String,
        status: u16,
        /// The beginning of its text, on one line; may be empty.
        said: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A server answers nobody who has not logged in.
    #[error("{server} asks for a login")]
    LoginWanted {
        /// `host:port`.
        server: String,
    },
    /// A login came to nothing.
    #[error("{0}")]
    Login(String),
    /// It answered, but not as its protocol asks.
    #[error("{0}")]
    Protocol(String),
    #[error("{0}")]
    Config(String),
    #[error("internal error: {0}; please report it")]
    Panic(String),
    #[error("{0}")]
    Other(String),
    #[error("{context}: {source}")]
    Source {
        context: String,
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Cause {
    /// What kind of reason it is, in a word or two, where operators tell kinds apart: `dns`, `tls`, `auth`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Unreachable { reach, .. } => reach.kind(),
            Cause::Http {
                status: 401 | 403 | 407,
                ..
            }
            | Cause::LoginWanted { .. }
            | Cause::Login(_) => "auth",
            Cause::Http { .. } => "http status",
            Cause::Rpc { .. } | Cause::Protocol(_) | Cause::Version { .. } => "protocol",
            Cause::Deadline { .. } => "deadline",
            Cause::TooLarge { .. } => "size",
            Cause::Closed => "closed",
            Cause::Exited(_) | Cause::CommandNotFound(_) => "process",
            Cause::Config(_) => "configuration",
            Cause::Panic(_) | Cause::Other(_) | Cause::Source { .. } => "other",
        }
    }
}

/// "start: exited with status 137 — raise the memory limit".
#[derive(Clone, Debug)]
pub struct Failure {
    pub stage: Stage,
    /// Of a sandboxed server: the stage as operators of sandboxes know it.
    pub phase: Option<SandboxPhase>,
    pub cause: Cause,
    pub hint: Option<Cow<'static, str>>,
    /// The last output lines of the instance, oldest first, already cleaned for display.
    pub output: Arc<[Box<str>]>,
}

impl Failure {
    pub fn new(stage: Stage, cause: Cause) -> Self {
        Self {
            stage,
            phase: None,
            cause,
            hint: None,
            output: Arc::default(),
        }
    }

    pub fn other(stage: Stage, text: impl Into<String>) -> Self {
        Self::new(stage, Cause::Other(text.into()))
    }

    /// Keeps `source` so that the details pane can show the chain.
    pub fn caused_by(
        stage: Stage,
        context: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::new(
            stage,
            Cause::Source {
                context: context.into(),
                source: Arc::new(source),
            },
        )
    }

    /// Gives the stage the name that it has for sandboxed servers.
    #[must_use]
    pub fn at(mut self, phase: SandboxPhase) -> Self {
        self.phase = Some(phase);
        self
    }

    /// Like [`Self::at`], unless it has such a name already.
    #[must_use]
    pub fn or_at(mut self, phase: SandboxPhase) -> Self {
        self.phase.get_or_insert(phase);
        self
    }

    /// What was being done, for people: the phase of a sandboxed server, else the stage.
    pub fn doing(&self) -> String {
        match self.phase {
            Some(phase) => phase.to_string(),
            None => self.stage.to_string(),
        }
    }

    /// Whether it would be the same if it were tried again.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self.cause,
            Cause::Config(_) | Cause::CommandNotFound(_) | Cause::Version { .. }
        )
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn output(mut self, lines: impl Into<Arc<[Box<str>]>>) -> Self {
        self.output = lines.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing(), self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, " — {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
