//! One instance under test, and how to wait for what it does.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envdeck::drivers::{Driver, Drivers, Installed, Order, Running, Slot, Steps};
use envdeck::model::{
    Backend, Exit, Failure, HealthPolicy, InstanceId, LocalProcess, Mode, RestartPolicy, RunId,
    Scope, SessionId, Transport,
};
use envdeck::stores::logs::LogStore;
use tokio::time::{sleep, timeout};

/// Far more than anything here takes, far less than a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const GRACE: Duration = Duration::from_secs(5);

pub fn backend(mode: Mode) -> Backend {
    Backend {
        name: "test".into(),
        kind: "test".into(),
        mode,
        scope: Scope::Session,
        transport: Transport::Stdio,
        startup_check: None,
        restart: RestartPolicy::Never,
        health: HealthPolicy::default(),
        start_timeout: PATIENCE,
        call_timeout: PATIENCE,
        call_max_timeout: PATIENCE,
        stop_grace: GRACE,
    }
}

pub fn program(command: &str, args: &[&str]) -> LocalProcess {
    LocalProcess {
        command: command.into(),
        args: args.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
        cwd: None,
    }
}

pub fn shell(script: &str) -> Mode {
    Mode::LocalProcess(program("sh", &["-c", script]))
}

pub fn python(script: &str) -> Mode {
    Mode::LocalProcess(program("python3", &["-u", "-c", script]))
}

/// One started instance with its log.
pub struct Bench {
    pub logs: LogStore,
    pub id: InstanceId,
    pub running: Box<dyn Running>,
}

/// An order for one instance, and where its log can be read.
pub fn order(run: &RunId, mode: Mode) -> (Order, LogStore) {
    let logs = LogStore::default();
    let instance = InstanceId::new(format!("test-{:016x}", rand::random::<u64>()));
    logs.watch(Some(&instance));
    let order = Order {
        backend: Arc::new(backend(mode)),
        session: SessionId::new("test-session"),
        run: run.clone(),
        steps: Steps::new().0,
        slot: Slot::default(),
        log: logs.writer(&instance),
        instance,
    };
    (order, logs)
}

impl Bench {
    pub async fn start(mode: Mode) -> Result<Self, Failure> {
        let driver = Installed::new(&std::env::temp_dir()).driver(&mode);
        Self::start_by(driver.as_ref(), &RunId::new("test-run"), mode).await
    }

    pub async fn start_by(driver: &dyn Driver, run: &RunId, mode: Mode) -> Result<Self, Failure> {
        let (order, logs) = order(run, mode);
        let id = order.instance.clone();
        let running = driver.start(order).await?;
        Ok(Self { logs, id, running })
    }

    pub async fn wait(&mut self) -> Exit {
        timeout(PATIENCE, self.running.wait())
            .await
            .expect("it ends")
            .unwrap()
    }

    pub fn log(&self) -> Vec<String> {
        log_of(&self.logs, &self.id)
    }

    /// The first line that starts with `word`, without it.
    pub async fn logged(&self, word: &str) -> String {
        let find = || {
            let rest = |line: &String| line.strip_prefix(word).map(|rest| rest.trim().to_owned());
            self.log().iter().find_map(rest)
        };
        until(&format!("{word:?} in the log"), find).await
    }

    pub async fn logged_pid(&self, word: &str) -> i32 {
        self.logged(word).await.parse().unwrap()
    }

    pub fn fact(&self, name: &str) -> Arc<str> {
        self.running
            .facts()
            .into_iter()
            .find(|(key, _)| &**key == name)
            .unwrap()
            .1
    }

    pub fn pid(&self) -> i32 {
        self.fact("process").parse().unwrap()
    }

    pub async fn stop(self) -> Result<(), Failure> {
        timeout(PATIENCE, self.running.stop(GRACE))
            .await
            .expect("stop returns")
    }
}

pub fn log_of(logs: &LogStore, id: &InstanceId) -> Vec<String> {
    let lines = logs.tail(id, usize::MAX).lines;
    lines
        .iter()
        .map(|line| line.line.text.to_string())
        .collect()
}

/// Looks until there is something.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process runs; one that only waits for its parent to notice does not.
pub fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .unwrap()
            .1
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}
