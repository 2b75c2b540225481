//! The core: commands in, events and snapshots out. Knows nothing of any screen.

mod calls;
mod core;
mod deadline;
mod death;
mod desk;
mod errand;
mod events_log;
mod flight;
mod handle;
mod health;
mod hub;
mod instance;
mod journal;
mod lease;
mod lifecycle;
mod mailbox;
mod news;
mod notices;
mod order;
mod router;
mod serve;
mod session;
mod shared;
mod shutdown;
mod start;
mod stop;
mod words;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub use self::handle::{Busy, Handle, OnProgress, Reply};
pub use self::shutdown::Progress;
pub use crate::drivers::Shell;

use self::core::{Core, Tokens};
use self::hub::Hub;
use crate::config::{Config, backend_infos};
use crate::drivers::Drivers;
use crate::model::{Failure, Fleet, InstanceId, RunId};
use crate::stores::history::History;
use crate::stores::logs::{EVENTS_LOG, LogStore};
use crate::stores::results::ResultStore;

/// Commands that may wait; then front ends are told to try again.
const COMMANDS: usize = 64;

/// What an orchestrator is made of.
pub struct Setup {
    pub config: Arc<Config>,
    pub drivers: Arc<dyn Drivers>,
    /// Labels everything that is created.
    pub run: RunId,
    pub results: ResultStore,
    /// Where finished calls are recorded across runs, if anywhere.
    pub history: Option<History>,
}

/// The running core. Dropping it kills what runs; [`Orchestrator::shutdown`] asks first.
pub struct Orchestrator {
    core: Arc<Core>,
    handle: Handle,
    router: Option<JoinHandle<()>>,
}

/// Starts the core on the current tokio runtime and provisions the shared backends.
pub fn start(setup: Setup) -> Orchestrator {
    let Setup {
        config,
        drivers,
        run,
        results,
        history,
    } = setup;
    let backends = backend_infos(&config);
    let logs = LogStore::default();
    let events_log = logs.writer(&InstanceId::new(EVENTS_LOG));
    let (hub, reporter, outlets) = Hub::new(Fleet::new(backends.clone()), events_log);
    tokio::spawn(hub.run());
    let core = Arc::new(Core {
        starts: Arc::new(Semaphore::new(config.limits.parallel_starts.max(1))),
        config,
        backends,
        drivers,
        run,
        logs,
        results,
        history,
        reporter,
        calls: desk::Desk::default(),
        instances: parking_lot::RwLock::default(),
        sessions: parking_lot::Mutex::default(),
        population: watch::Sender::new(0),
        tasks: TaskTracker::new(),
        tokens: Tokens::default(),
    });
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let handle = Handle {
        commands,
        fleet: outlets.fleet,
        notices: outlets.notices,
        events: outlets.events,
        logs: core.logs.clone(),
        results: core.results.clone(),
        history: core.history.clone(),
    };
    let router = Some(tokio::spawn(router::run(core.clone(), inbox)));
    Orchestrator {
        core,
        handle,
        router,
    }
}

impl Orchestrator {
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes everything down in parallel, each instance with its grace. `progress` hears how far it is; when
    /// `insist` resolves (a second signal) what still runs is killed. Returns what may be left.
    pub async fn shutdown(
        mut self,
        progress: impl FnMut(Progress),
        insist: impl Future<Output = ()>,
    ) -> Vec<Failure> {
        let failures = match self.router.take() {
            Some(router) => shutdown::run(&self.core, router, progress, insist).await,
            None => vec![],
        };
        self.core.reporter.flush().await;
        failures
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        self.core.tokens.closing.cancel();
        self.core.tokens.abandon.cancel();
    }
}
