//! The immutable picture of everything, and the only function that changes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    BackendName, Call, CallId, CallState, Caller, Event, Failure, Happening, InstanceId, Phase,
    Scope, SessionId, ToolSpec, Transport,
};

/// The session that owns the shared instances; it lives as long as the orchestrator.
pub const SHARED_SESSION: &str = "shared";

/// Ended calls kept in the picture; the history file has them all.
const CALLS_KEPT: usize = 1_000;
/// Resource samples and probes kept for the sparklines of an instance.
const SAMPLES_KEPT: usize = 120;

/// What a front end needs to know of a configured backend.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendInfo {
    pub name: BackendName,
    /// `backend_type`.
    pub kind: Arc<str>,
    /// [`super::Mode::short`].
    pub mode: &'static str,
    pub transport: Transport,
    pub scope: Scope,
    /// Whether instances of it can be made by this version.
    pub available: bool,
    /// What it runs, without any secret: `npx server-filesystem /data`.
    pub summary: Arc<str>,
}

/// Which generation of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, a session, server-to-client requests (2024-11-05 … 2025-11-25).
    Sessions,
    /// `server/discover`, self-contained requests (2026-07-28).
    Stateless,
}

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerInfo {
    pub name: Arc<str>,
    pub version: Arc<str>,
    pub protocol: Arc<str>,
    pub era: Era,
    pub instructions: Option<Arc<str>>,
    /// Names of the announced capabilities: `tools`, `logging`, …
    pub capabilities: Arc<[Arc<str>]>,
}

/// One health probe.
#[derive(Clone, Debug)]
pub struct Probe {
    pub at: Timestamp,
    pub result: Result<Duration, Arc<Failure>>,
    /// `ping`, or `process` where the protocol has no ping.
    pub how: &'static str,
}

/// One measurement of an instance's resource use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub at: Timestamp,
    /// Percent of one core.
    pub cpu: f32,
    /// Resident bytes.
    pub memory: u64,
    pub memory_limit: Option<u64>,
    pub processes: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Health {
    pub probes: VecDeque<Probe>,
    pub samples: VecDeque<Sample>,
    pub consecutive_failures: u32,
}

/// The frozen evidence of a death or a failed start.
#[derive(Clone, Debug)]
pub struct DeathCard {
    pub at: Timestamp,
    pub failure: Failure,
    /// How long it had been ready; `None` if it never was.
    pub uptime: Option<Duration>,
    pub restarts: u32,
    /// Command line, working directory, names (never values) of the environment, process id, …
    pub facts: Arc<[(Arc<str>, Arc<str>)]>,
    /// Calls that were waiting for an answer.
    pub in_flight: Vec<Arc<Call>>,
    pub last_good: Option<Arc<Call>>,
    /// Memory of the last minute, bytes.
    pub memory: Vec<u64>,
}

/// One running (or failed, or stopped) environment.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub session: SessionId,
    pub backend: Arc<BackendInfo>,
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Timestamp,
    /// What a starting or stopping instance is doing now.
    pub step: Option<Arc<str>>,
    /// By when the step must be done.
    pub step_deadline: Option<Timestamp>,
    /// Attempt, of how many, and when, while it waits for its next start.
    pub retry: Option<(u32, u32, Timestamp)>,
    pub restarts: u32,
    pub server: Option<Arc<ServerInfo>>,
    /// `None` until listed; kept when the instance dies.
    pub tools: Option<Arc<[Arc<ToolSpec>]>>,
    pub facts: Arc<[(Arc<str>, Arc<str>)]>,
    pub health: Arc<Health>,
    /// The latest death, kept across restarts.
    pub death: Option<Arc<DeathCard>>,
    pub calls: u64,
    pub errors: u64,
    pub in_flight: u32,
    /// Durations of the last calls that were answered, newest last.
    pub latencies: VecDeque<Duration>,
    pub last_tool: Option<Arc<str>>,
    /// Lines on stdout that were not JSON-RPC.
    pub stdout_noise: u64,
}

impl Instance {
    /// The median of the last calls.
    pub fn p50(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    pub fn latest_sample(&self) -> Option<&Sample> {
        self.health.samples.back()
    }
}

/// One caller's set of instances.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub caller: Caller,
    pub opened: Timestamp,
    pub closing: bool,
    pub instances: BTreeMap<InstanceId, Arc<Instance>>,
}

/// Everything. A change copies one session's map and one instance, not the fleet.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// Grows with every change.
    pub revision: u64,
    /// In the order of the configuration.
    pub backends: Arc<[Arc<BackendInfo>]>,
    pub sessions: BTreeMap<SessionId, Arc<Session>>,
    /// Running calls and the last ended ones, by id, so oldest first.
    pub calls: BTreeMap<CallId, Arc<Call>>,
    /// Where each instance is.
    homes: BTreeMap<InstanceId, SessionId>,
}

impl Fleet {
    pub fn new(backends: Arc<[Arc<BackendInfo>]>) -> Self {
        Self {
            backends,
            ..Self::default()
        }
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        self.sessions.get(self.homes.get(id)?)?.instances.get(id)
    }

    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.sessions
            .values()
            .flat_map(|session| session.instances.values())
    }

    /// Sessions in the order they were opened.
    pub fn sessions_by_age(&self) -> Vec<&Arc<Session>> {
        let mut all: Vec<_> = self.sessions.values().collect();
        all.sort_by(|a, b| a.opened.cmp(&b.opened).then_with(|| a.id.cmp(&b.id)));
        all
    }

    pub fn backend(&self, name: &str) -> Option<&Arc<BackendInfo>> {
        self.backends.iter().find(|backend| &*backend.name == name)
    }

    /// The only way state changes. Events about things that are gone change nothing: a late report
    /// of a removed instance is no error.
    pub fn apply(&mut self, event: &Event) {
        self.revision += 1;
        let at = event.at;
        match &event.what {
            Happening::SessionOpened { session, caller } => {
                let opened = Session {
                    id: session.clone(),
                    caller: caller.clone(),
                    opened: at,
                    closing: false,
                    instances: BTreeMap::new(),
                };
                self.sessions.insert(session.clone(), Arc::new(opened));
            }
            Happening::SessionClosing { session } => {
                if let Some(session) = self.sessions.get_mut(session) {
                    Arc::make_mut(session).closing = true;
                }
            }
            Happening::SessionClosed { session } => {
                self.sessions.remove(session);
                self.homes.retain(|_, home| home != session);
            }
            Happening::InstanceAdded {
                session,
                instance,
                backend,
            } => {
                self.add_instance(at, session, instance, backend);
            }
            Happening::InstanceRemoved { instance } => {
                if let Some(home) = self.homes.remove(instance)
                    && let Some(session) = self.sessions.get_mut(&home)
                {
                    Arc::make_mut(session).instances.remove(instance);
                }
            }
            Happening::CallStarted { call } => self.start_call(call),
            Happening::CallProgressed {
                call,
                progress,
                deadline,
            } => {
                self.change_call(*call, |call| {
                    call.progress = Some(progress.clone());
                    call.deadline = *deadline;
                });
            }
            Happening::CallExtended { call, deadline } => {
                self.change_call(*call, |call| call.deadline = *deadline);
            }
            Happening::CallCancelling { call } => {
                self.change_call(*call, |call| {
                    if call.is_running() {
                        call.state = CallState::Cancelling { since: at };
                    }
                });
            }
            Happening::CallEnded { call, state } => self.end_call(*call, state),
            Happening::PhaseChanged { instance, .. }
            | Happening::Step { instance, .. }
            | Happening::RetryAt { instance, .. }
            | Happening::Initialized { instance, .. }
            | Happening::Described { instance, .. }
            | Happening::ToolsListed { instance, .. }
            | Happening::Probed { instance, .. }
            | Happening::Sampled { instance, .. }
            | Happening::Died { instance, .. }
            | Happening::StdoutNoise { instance, .. } => {
                self.change_instance(instance, |instance| instance.apply(event));
            }
        }
    }

    fn add_instance(
        &mut self,
        at: Timestamp,
        session: &SessionId,
        id: &InstanceId,
        backend: &Arc<BackendInfo>,
    ) {
        let Some(home) = self.sessions.get_mut(session) else {
            return;
        };
        let instance = Instance {
            id: id.clone(),
            session: session.clone(),
            backend: backend.clone(),
            phase: Phase::Pending,
            since: at,
            step: None,
            step_deadline: None,
            retry: None,
            restarts: 0,
            server: None,
            tools: None,
            facts: Arc::default(),
            health: Arc::default(),
            death: None,
            calls: 0,
            errors: 0,
            in_flight: 0,
            latencies: VecDeque::new(),
            last_tool: None,
            stdout_noise: 0,
        };
        Arc::make_mut(home)
            .instances
            .insert(id.clone(), Arc::new(instance));
        self.homes.insert(id.clone(), session.clone());
    }

    fn change_instance(&mut self, id: &InstanceId, change: impl FnOnce(&mut Instance)) {
        if let Some(home) = self.homes.get(id)
            && let Some(session) = self.sessions.get_mut(home)
            && let Some(instance) = Arc::make_mut(session).instances.get_mut(id)
        {
            change(Arc::make_mut(instance));
        }
    }

    fn change_call(&mut self, id: CallId, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.calls.get_mut(&id) {
            change(Arc::make_mut(call));
        }
    }

    fn start_call(&mut self, call: &Arc<Call>) {
        self.change_instance(&call.instance, |instance| {
            instance.calls += 1;
            instance.in_flight += 1;
            instance.last_tool = Some(call.tool.clone());
        });
        self.calls.insert(call.id, call.clone());
        let ended = self
            .calls
            .values()
            .filter(|call| !call.is_running())
            .count();
        for _ in CALLS_KEPT..ended {
            let oldest = self
                .calls
                .values()
                .find(|call| !call.is_running())
                .map(|call| call.id);
            oldest.and_then(|id| self.calls.remove(&id));
        }
    }

    fn end_call(&mut self, id: CallId, state: &CallState) {
        let Some(call) = self
            .calls
            .get(&id)
            .filter(|call| call.is_running())
            .cloned()
        else {
            return;
        };
        self.change_call(id, |call| call.state = state.clone());
        self.change_instance(&call.instance, |instance| {
            instance.in_flight = instance.in_flight.saturating_sub(1);
            let CallState::Ended { outcome, took, .. } = state else {
                return;
            };
            if outcome.result().is_some() {
                push_bounded(&mut instance.latencies, *took, SAMPLES_KEPT);
            }
            instance.errors += u64::from(outcome.word() != "ok");
        });
    }
}

impl Instance {
    fn apply(&mut self, event: &Event) {
        match &event.what {
            Happening::PhaseChanged { phase, .. } => {
                debug_assert!(self.phase.may_become(*phase), "{} -> {phase}", self.phase);
                if *phase == Phase::Pending {
                    self.restarts += 1;
                }
                if *phase != Phase::Waiting {
                    self.retry = None;
                }
                self.phase = *phase;
                self.since = event.at;
                self.step = None;
                self.step_deadline = None;
            }
            Happening::Step { step, deadline, .. } => {
                self.step = Some(step.clone());
                self.step_deadline = *deadline;
            }
            Happening::RetryAt {
                attempt, of, at, ..
            } => self.retry = Some((*attempt, *of, *at)),
            Happening::Initialized { server, .. } => self.server = Some(server.clone()),
            Happening::Described { facts, .. } => self.facts = facts.clone(),
            Happening::ToolsListed { tools, .. } => self.tools = Some(tools.clone()),
            Happening::Probed { probe, .. } => {
                let health = Arc::make_mut(&mut self.health);
                health.consecutive_failures = match probe.result {
                    Ok(_) => 0,
                    Err(_) => health.consecutive_failures + 1,
                };
                push_bounded(&mut health.probes, probe.clone(), SAMPLES_KEPT);
            }
            Happening::Sampled { sample, .. } => {
                push_bounded(
                    &mut Arc::make_mut(&mut self.health).samples,
                    *sample,
                    SAMPLES_KEPT,
                );
            }
            Happening::Died { card, .. } => self.death = Some(card.clone()),
            Happening::StdoutNoise { lines, .. } => self.stdout_noise += lines,
            _ => {}
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
