//! The immutable picture of everything, and the only function that changes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    BackendName, Call, CallId, CallState, Caller, Event, Failure, GatewayInfo, Happening,
    InstanceId, Phase, Scope, SessionId, ToolSpec, Transport,
};

/// The session that owns the shared instances; it lives as long as the orchestrator.
pub const SHARED_SESSION: &str = "shared";

/// Ended calls kept in the picture; the history file has them all.
const CALLS_KEPT: usize = 1_000;
/// Percent of a core, bytes of memory, bytes of traffic: smaller changes are noise.
const NOISE_CPU: f32 = 2.0;
const NOISE_MEMORY: u64 = 512 << 10;
const NOISE_TRAFFIC: u64 = 4 << 10;
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
    /// `ping`, `server/discover`, or `process` where the protocol has neither.
    pub how: &'static str,
}

/// Bytes that went in and out since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received, or read.
    pub inward: u64,
    /// Sent, or written.
    pub outward: u64,
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
    /// Of its network interfaces; `None` where it has none of its own.
    pub network: Option<Traffic>,
    /// Of block devices; `None` where that is not counted.
    pub disk: Option<Traffic>,
}

impl Sample {
    /// Whether it differs from the one before by no more than noise.
    fn is_noise_after(&self, last: &Self) -> bool {
        let near = |a: u64, b: u64, most: u64| a.abs_diff(b) <= most;
        let traffic = |a: Option<Traffic>, b: Option<Traffic>| match (a, b) {
            (Some(a), Some(b)) => {
                near(a.inward, b.inward, NOISE_TRAFFIC) && near(a.outward, b.outward, NOISE_TRAFFIC)
            }
            (a, b) => a == b,
        };
        (self.cpu - last.cpu).abs() < NOISE_CPU
            && near(
                self.memory,
                last.memory,
                NOISE_MEMORY.max(last.memory / 100),
            )
            && (self.memory_limit, self.processes) == (last.memory_limit, last.processes)
            && traffic(self.network, last.network)
            && traffic(self.disk, last.disk)
    }
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

    /// What is known of it by this name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let found = self.facts.iter().find(|(known, _)| **known == *name);
        found.map(|(_, text)| &**text)
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
    /// Of `calls`, those that ended, the first to end first.
    ended_calls: VecDeque<CallId>,
    /// Where agents come in, if they can.
    pub gateway: Option<GatewayInfo>,
    /// Where each instance is. Shared between snapshots: most changes leave it alone.
    homes: Arc<BTreeMap<InstanceId, SessionId>>,
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

    /// The only way state changes. An event about something that is gone or already over, or that asks
    /// for an illegal move, changes nothing: a late report of a removed instance is no error. Returns
    /// whether anything changed.
    pub fn apply(&mut self, event: &Event) -> bool {
        let changed = self.reduce(event);
        self.revision += u64::from(changed);
        changed
    }

    fn reduce(&mut self, event: &Event) -> bool {
        let at = event.at;
        match &event.what {
            Happening::SessionOpened { session, caller } => self.open_session(at, session, caller),
            Happening::SessionClosing { session } => self
                .sessions
                .get_mut(session)
                .map(|session| Arc::make_mut(session).closing = true)
                .is_some(),
            Happening::SessionClosed { session } => self.close_session(session),
            Happening::InstanceAdded {
                session,
                instance,
                backend,
            } => self.add_instance(at, session, instance, backend),
            Happening::InstanceRemoved { instance } => self.remove_instance(instance),
            Happening::CallStarted { call } => self.start_call(call),
            Happening::CallProgressed {
                call,
                progress,
                deadline,
            } => self.change_call(*call, |call| {
                call.progress = Some(progress.clone());
                call.deadline = *deadline;
            }),
            Happening::CallExtended { call, deadline } => {
                self.change_call(*call, |call| call.deadline = *deadline)
            }
            Happening::CallCancelling { call } => self.change_call(*call, |call| {
                call.state = CallState::Cancelling { since: at }
            }),
            Happening::CallEnded { call, state } => self.end_call(*call, state),
            Happening::GatewayChanged { gateway } => {
                std::mem::replace(&mut self.gateway, *gateway) != *gateway
            }
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
                self.change_instance(instance, |instance| instance.apply(event))
            }
        }
    }

    fn open_session(&mut self, at: Timestamp, id: &SessionId, caller: &Caller) -> bool {
        if self.sessions.contains_key(id) {
            return false;
        }
        let session = Session {
            id: id.clone(),
            caller: caller.clone(),
            opened: at,
            closing: false,
            instances: BTreeMap::new(),
        };
        self.sessions.insert(id.clone(), Arc::new(session));
        true
    }

    fn close_session(&mut self, id: &SessionId) -> bool {
        let Some(session) = self.sessions.remove(id) else {
            return false;
        };
        if !session.instances.is_empty() {
            Arc::make_mut(&mut self.homes).retain(|_, home| home != id);
        }
        true
    }

    fn add_instance(
        &mut self,
        at: Timestamp,
        session: &SessionId,
        id: &InstanceId,
        backend: &Arc<BackendInfo>,
    ) -> bool {
        let Some(home) = self.sessions.get_mut(session) else {
            return false;
        };
        if self.homes.contains_key(id) {
            return false;
        }
        let instance = Instance::new(at, session.clone(), id.clone(), backend.clone());
        Arc::make_mut(home)
            .instances
            .insert(id.clone(), Arc::new(instance));
        Arc::make_mut(&mut self.homes).insert(id.clone(), session.clone());
        true
    }

    fn remove_instance(&mut self, id: &InstanceId) -> bool {
        if !self.homes.contains_key(id) {
            return false;
        }
        let home = Arc::make_mut(&mut self.homes).remove(id);
        if let Some(session) = home.and_then(|home| self.sessions.get_mut(&home)) {
            Arc::make_mut(session).instances.remove(id);
        }
        true
    }

    fn change_instance(
        &mut self,
        id: &InstanceId,
        change: impl FnOnce(&mut Instance) -> bool,
    ) -> bool {
        if let Some(home) = self.homes.get(id)
            && let Some(session) = self.sessions.get_mut(home)
            && let Some(instance) = Arc::make_mut(session).instances.get_mut(id)
        {
            return change(Arc::make_mut(instance));
        }
        false
    }

    /// Changes a call that is still running.
    fn change_call(&mut self, id: CallId, change: impl FnOnce(&mut Call)) -> bool {
        match self.calls.get_mut(&id).filter(|call| call.is_running()) {
            Some(call) => {
                change(Arc::make_mut(call));
                true
            }
            None => false,
        }
    }

    fn start_call(&mut self, call: &Arc<Call>) -> bool {
        if !call.is_running() || self.calls.contains_key(&call.id) {
            return false;
        }
        let known = self.change_instance(&call.instance, |instance| {
            instance.calls += 1;
            instance.in_flight += 1;
            instance.last_tool = Some(call.tool.clone());
            true
        });
        if known {
            self.calls.insert(call.id, call.clone());
        }
        known
    }

    fn end_call(&mut self, id: CallId, state: &CallState) -> bool {
        let CallState::Ended { outcome, took, .. } = state else {
            return false;
        };
        let Some(call) = self
            .calls
            .get(&id)
            .filter(|call| call.is_running())
            .cloned()
        else {
            return false;
        };
        self.change_call(id, |call| call.state = state.clone());
        self.ended_calls.push_back(id);
        self.change_instance(&call.instance, |instance| {
            instance.in_flight = instance.in_flight.saturating_sub(1);
            if outcome.result().is_some() {
                push_bounded(&mut instance.latencies, *took, SAMPLES_KEPT);
            }
            instance.errors += u64::from(outcome.word() != "ok");
            true
        });
        self.forget_old_calls();
        true
    }

    /// Not by number: a call that took long is news when it ends.
    fn forget_old_calls(&mut self) {
        while self.ended_calls.len() > CALLS_KEPT {
            if let Some(oldest) = self.ended_calls.pop_front() {
                self.calls.remove(&oldest);
            }
        }
    }
}

impl Instance {
    fn new(at: Timestamp, session: SessionId, id: InstanceId, backend: Arc<BackendInfo>) -> Self {
        Self {
            id,
            session,
            backend,
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
        }
    }

    fn apply(&mut self, event: &Event) -> bool {
        match &event.what {
            Happening::PhaseChanged { phase, .. } => return self.enter(*phase, event.at),
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
            Happening::Probed { probe, .. } => self.record_probe(probe),
            Happening::Sampled { sample, .. } => return self.record_sample(sample),
            Happening::Died { card, .. } => self.death = Some(card.clone()),
            Happening::StdoutNoise { lines, .. } => self.stdout_noise += lines,
            _ => return false,
        }
        true
    }

    /// An illegal move changes nothing.
    fn enter(&mut self, phase: Phase, at: Timestamp) -> bool {
        if !self.phase.may_become(phase) {
            return false;
        }
        if phase == Phase::Pending {
            self.restarts += 1;
        }
        if phase == Phase::Ready {
            Arc::make_mut(&mut self.health).consecutive_failures = 0;
        }
        if phase != Phase::Waiting {
            self.retry = None;
        }
        self.phase = phase;
        self.since = at;
        self.step = None;
        self.step_deadline = None;
        true
    }

    /// Noise is recorded, but no change: an idle instance is not drawn anew every second. It shows with the next
    /// change, such as a probe.
    fn record_sample(&mut self, sample: &Sample) -> bool {
        let samples = &mut Arc::make_mut(&mut self.health).samples;
        let is_noise = samples
            .back()
            .is_some_and(|last| sample.is_noise_after(last));
        push_bounded(samples, *sample, SAMPLES_KEPT);
        !is_noise
    }

    fn record_probe(&mut self, probe: &Probe) {
        let busy = self.in_flight > 0;
        let health = Arc::make_mut(&mut self.health);
        match probe.result {
            Ok(_) => health.consecutive_failures = 0,
            // A server that works on a call may leave a ping waiting: busy, not dead.
            Err(_) if busy => {}
            Err(_) => health.consecutive_failures += 1,
        }
        push_bounded(&mut health.probes, probe.clone(), SAMPLES_KEPT);
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
