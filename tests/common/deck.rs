//! An orchestrator of fakes, and what a front end does with it: ask, and look at the fleet.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envdeck::config::{Config, Origin};
use envdeck::drivers::{Drivers, Installed};
use envdeck::model::{
    Ask, Backend, Call, CallId, Caller, Command, Failure, Fleet, GatewayOptions, HealthPolicy,
    Instance, InstanceId, Limits, Mode, Notice, Outcome, Phase, RestartPolicy, ResultId, RunId,
    Scope, SessionId, ToolCall, Transport,
};
use envdeck::orchestrator::{Handle, Orchestrator, Reply, Setup, start};
use envdeck::stores::history::History;
use envdeck::stores::results::{Opened, ResultStore};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fake::{FakeDrivers, Script, World};

/// Nothing in a scenario takes this long, in paused time, unless it hangs; in real time, a test runner gives up first.
const PATIENCE: Duration = Duration::from_secs(3600);

pub fn backend(name: &str) -> Backend {
    Backend {
        name: name.into(),
        kind: "everything".to_owned(),
        mode: Mode::Embedded,
        scope: Scope::Session,
        transport: Transport::Stdio,
        startup_check: None,
        restart: RestartPolicy::Never,
        health: HealthPolicy::default(),
        start_timeout: Duration::from_secs(30),
        call_timeout: Duration::from_secs(60),
        call_max_timeout: Duration::from_secs(600),
        stop_grace: Duration::from_secs(5),
    }
}

pub struct Deck {
    pub orchestrator: Orchestrator,
    pub handle: Handle,
    pub world: Arc<World>,
    _results: tempfile::TempDir,
}

impl Deck {
    pub fn new(backends: Vec<Backend>, scripts: &[(&str, Script)]) -> Self {
        Self::limited(backends, scripts, Limits::default())
    }

    pub fn limited(backends: Vec<Backend>, scripts: &[(&str, Script)], limits: Limits) -> Self {
        let world = Arc::new(World::default());
        for (backend, script) in scripts {
            world.script(backend, script.clone());
        }
        let drivers = Arc::new(FakeDrivers(world.clone()));
        Self {
            world,
            ..Self::on(drivers, RunId::new("test"), backends, limits)
        }
    }

    /// With the drivers of the real program, in a runtime of several threads.
    pub fn real(backends: Vec<Backend>) -> Self {
        Self::real_limited(backends, Limits::default())
    }

    pub fn real_limited(backends: Vec<Backend>, limits: Limits) -> Self {
        let drivers = Arc::new(Installed::new(&std::env::temp_dir()));
        Self::on(drivers, RunId::new("test"), backends, limits)
    }

    /// With drivers of the test's own.
    pub fn on(
        drivers: Arc<dyn Drivers>,
        run: RunId,
        backends: Vec<Backend>,
        limits: Limits,
    ) -> Self {
        let config = Config {
            origin: Origin::Demo,
            backends: backends.into_iter().map(Arc::new).collect(),
            log_level: "info".to_owned(),
            limits,
            gateway: GatewayOptions::default(),
        };
        let directory = tempfile::tempdir().unwrap();
        let orchestrator = start(Setup {
            config: Arc::new(config),
            drivers,
            run,
            results: ResultStore::new(directory.path()),
            history: Some(History::open(directory.path().join("history.jsonl")).unwrap()),
        });
        let handle = orchestrator.handle();
        Self {
            orchestrator,
            handle,
            world: Arc::default(),
            _results: directory,
        }
    }

    /// Opens a session and waits until all of it has settled.
    pub async fn open(&self, asks: &[(&str, usize)]) -> SessionId {
        match self.request(open(asks)).await {
            Ok(Reply::Opened(id, _)) => id,
            other => panic!("not opened: {other:?}"),
        }
    }

    /// The same with one instance, which is returned.
    pub async fn open_one(&self, backend: &str) -> InstanceId {
        let session = self.open(&[(backend, 1)]).await;
        let fleet = self.fleet();
        let instance = fleet.sessions[&session].instances.keys().next();
        instance.unwrap().clone()
    }

    pub async fn close(&self, session: SessionId) -> Vec<Failure> {
        match self.request(Command::CloseSession(session)).await {
            Ok(Reply::Closed(failures)) => failures,
            other => panic!("not closed: {other:?}"),
        }
    }

    pub async fn request(&self, command: Command) -> Result<Reply, Failure> {
        let reply = timeout(PATIENCE, self.handle.request(command)).await;
        reply.expect("no reply")
    }

    /// Asks in the background.
    pub fn asking(&self, command: Command) -> JoinHandle<Result<Reply, Failure>> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.request(command).await })
    }

    /// The reason for which a command is refused.
    pub async fn refusal(&self, command: Command) -> String {
        let reply = self.request(command).await;
        reply.expect_err("not refused").to_string()
    }

    pub fn fleet(&self) -> Arc<Fleet> {
        self.handle.fleet().borrow().clone()
    }

    pub fn instance(&self, id: &InstanceId) -> Arc<Instance> {
        self.fleet().instance(id).expect("it is there").clone()
    }

    pub async fn wait_until(&self, what: &str, holds: impl Fn(&Fleet) -> bool) -> Arc<Fleet> {
        wait_until(&self.handle, what, holds).await
    }

    pub async fn wait_for(
        &self,
        id: &InstanceId,
        what: &str,
        holds: impl Fn(&Instance) -> bool,
    ) -> Arc<Instance> {
        let fleet = self
            .wait_until(what, |fleet| fleet.instance(id).is_some_and(|it| holds(it)))
            .await;
        fleet.instance(id).unwrap().clone()
    }

    pub async fn wait_for_phase(&self, id: &InstanceId, phase: Phase) -> Arc<Instance> {
        let what = format!("{id} is {phase}");
        self.wait_for(id, &what, |instance| instance.phase == phase)
            .await
    }

    /// Makes a call and waits for its end.
    pub async fn call(&self, instance: &InstanceId, tool: &str, arguments: &str) -> Outcome {
        match self.request(call(instance, tool, arguments)).await {
            Ok(Reply::Called(outcome, _)) => outcome,
            other => panic!("not called: {other:?}"),
        }
    }

    /// The text of a result.
    pub async fn result(&self, id: ResultId) -> Bytes {
        let results = self.handle.results();
        loop {
            match results.open(id) {
                Opened::Ready(document) => return document.bytes().clone(),
                Opened::Loading => results.changed().await,
                Opened::Gone(why) => panic!("{why}"),
            }
        }
    }

    /// Makes a call and returns as soon as it runs.
    pub async fn begin(&self, instance: &InstanceId, tool: &str, arguments: &str) -> CallId {
        let newest = |fleet: &Fleet| fleet.calls.last_key_value().map(|(id, _)| *id);
        let before = newest(&self.fleet());
        self.handle.send(call(instance, tool, arguments)).unwrap();
        let fleet = self
            .wait_until("the call runs", |fleet| newest(fleet) > before)
            .await;
        newest(&fleet).unwrap()
    }

    /// The call as the fleet shows it, ended.
    pub async fn end_of(&self, id: CallId) -> Arc<Call> {
        let ended = |fleet: &Fleet| fleet.calls.get(&id).is_some_and(|call| !call.is_running());
        self.wait_until("the call ends", ended).await.calls[&id].clone()
    }

    pub fn log(&self, instance: &InstanceId) -> String {
        let lines = self.handle.logs().tail(instance, 1_000).lines;
        let texts: Vec<_> = lines.iter().map(|line| &*line.line.text).collect();
        texts.join("\n")
    }
}

pub async fn wait_until(handle: &Handle, what: &str, holds: impl Fn(&Fleet) -> bool) -> Arc<Fleet> {
    let mut fleet = handle.fleet();
    let found = timeout(PATIENCE, fleet.wait_for(|fleet| holds(fleet))).await;
    let found = found.map(|fleet| fleet.expect("the orchestrator runs").clone());
    found.unwrap_or_else(|_| panic!("waited in vain: {what}\n{:#?}", handle.fleet().borrow()))
}

/// The next notice that contains `text`.
pub async fn notice(notices: &mut broadcast::Receiver<Notice>, text: &str) -> Notice {
    let found = async {
        loop {
            let notice = notices.recv().await.expect("the orchestrator runs");
            if notice.text.contains(text) {
                return notice;
            }
        }
    };
    let found = timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("no notice says: {text}"))
}

pub fn open(asks: &[(&str, usize)]) -> Command {
    let ask = |(backend, count): &(&str, usize)| Ask::new(*backend, *count);
    Command::OpenSession {
        caller: Caller::Operator,
        asks: asks.iter().map(ask).collect(),
    }
}

pub fn call(instance: &InstanceId, tool: &str, arguments: &str) -> Command {
    Command::Call(ToolCall {
        instance: instance.clone(),
        tool: tool.into(),
        arguments: arguments.into(),
        caller: Caller::Operator,
        timeout: None,
    })
}

/// How many of a session's instances are in this phase.
pub fn count(fleet: &Fleet, session: &SessionId, phase: Phase) -> usize {
    let instances = fleet.sessions[session].instances.values();
    instances.filter(|instance| instance.phase == phase).count()
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
