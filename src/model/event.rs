//! What happened. The hub is the only one to reduce events into a [`super::Fleet`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    BackendInfo, Call, CallId, CallState, Caller, DeathCard, GatewayInfo, InstanceId, Phase, Probe,
    Progress, Sample, ServerInfo, SessionId, ToolSpec,
};

/// Something that happened, and when.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Timestamp,
    pub what: Happening,
}

/// Its kebab-case name (`phase-changed`) is what the journal and the events pane call it.
#[derive(Clone, Debug, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Happening {
    SessionOpened {
        session: SessionId,
        caller: Caller,
    },
    SessionClosing {
        session: SessionId,
    },
    SessionClosed {
        session: SessionId,
    },
    InstanceAdded {
        session: SessionId,
        instance: InstanceId,
        backend: Arc<BackendInfo>,
    },
    InstanceRemoved {
        instance: InstanceId,
    },
    PhaseChanged {
        instance: InstanceId,
        phase: Phase,
    },
    /// What a starting or stopping instance is doing now, for example `initialize`, and by when it must be done.
    Step {
        instance: InstanceId,
        step: Arc<str>,
        deadline: Option<Timestamp>,
    },
    /// The next automatic start.
    RetryAt {
        instance: InstanceId,
        attempt: u32,
        of: u32,
        at: Timestamp,
    },
    /// The server introduced itself.
    Initialized {
        instance: InstanceId,
        server: Arc<ServerInfo>,
    },
    /// Facts for `inspect`, such as the process id; replaces the earlier ones.
    Described {
        instance: InstanceId,
        facts: Arc<[(Arc<str>, Arc<str>)]>,
    },
    ToolsListed {
        instance: InstanceId,
        tools: Arc<[Arc<ToolSpec>]>,
    },
    Probed {
        instance: InstanceId,
        probe: Probe,
    },
    Sampled {
        instance: InstanceId,
        sample: Sample,
    },
    Died {
        instance: InstanceId,
        card: Arc<DeathCard>,
    },
    CallStarted {
        call: Arc<Call>,
    },
    CallProgressed {
        call: CallId,
        progress: Progress,
        deadline: Timestamp,
    },
    CallExtended {
        call: CallId,
        deadline: Timestamp,
    },
    CallCancelling {
        call: CallId,
    },
    CallEnded {
        call: CallId,
        state: CallState,
    },
    /// A server wrote this many lines to stdout that are not JSON-RPC.
    StdoutNoise {
        instance: InstanceId,
        lines: u64,
    },
    GatewayChanged {
        gateway: Option<GatewayInfo>,
    },
}

impl Happening {
    /// `phase-changed`, `call-ended`, …
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// The instance it is about, where it names one.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Happening::InstanceAdded { instance, .. }
            | Happening::InstanceRemoved { instance }
            | Happening::PhaseChanged { instance, .. }
            | Happening::Step { instance, .. }
            | Happening::RetryAt { instance, .. }
            | Happening::Initialized { instance, .. }
            | Happening::Described { instance, .. }
            | Happening::ToolsListed { instance, .. }
            | Happening::Probed { instance, .. }
            | Happening::Sampled { instance, .. }
            | Happening::Died { instance, .. }
            | Happening::StdoutNoise { instance, .. } => Some(instance),
            Happening::CallStarted { call } => Some(&call.instance),
            Happening::SessionOpened { .. }
            | Happening::SessionClosing { .. }
            | Happening::SessionClosed { .. }
            | Happening::CallProgressed { .. }
            | Happening::CallExtended { .. }
            | Happening::CallCancelling { .. }
            | Happening::CallEnded { .. }
            | Happening::GatewayChanged { .. } => None,
        }
    }

    /// The session it is about, where it names one.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Happening::SessionOpened { session, .. }
            | Happening::SessionClosing { session }
            | Happening::SessionClosed { session }
            | Happening::InstanceAdded { session, .. } => Some(session),
            Happening::CallStarted { call } => Some(&call.session),
            _ => None,
        }
    }

    /// The call it is about, where it names one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Happening::CallStarted { call } => Some(call.id),
            Happening::CallProgressed { call, .. }
            | Happening::CallExtended { call, .. }
            | Happening::CallCancelling { call }
            | Happening::CallEnded { call, .. } => Some(*call),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    Info,
    Warn,
    Error,
}

/// One line worth telling the user, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    pub text: Arc<str>,
    pub instance: Option<InstanceId>,
    /// How long it deserves to stay on screen.
    pub linger: Duration,
}

impl Notice {
    pub fn new(level: Level, text: impl Into<Arc<str>>) -> Self {
        let seconds = if level == Level::Info { 3 } else { 8 };
        Self {
            level,
            text: text.into(),
            instance: None,
            linger: Duration::from_secs(seconds),
        }
    }

    #[must_use]
    pub fn about(mut self, instance: &InstanceId) -> Self {
        self.instance = Some(instance.clone());
        self
    }
}
