//! What every front end that runs something stands on: the orchestrator with all it needs, and its end.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;
use tracing_appender::non_blocking::WorkerGuard;

use super::exit;
use super::progress::Progress;
use super::register;
use crate::config::Config;
use crate::drivers::{Elsewhere, Installed};
use crate::gateway::{self, Gateway};
use crate::mcp::http::{Browser, Logins};
use crate::model::{Cause, Failure, InstanceId, Level, Notice, RunId, Stage};
use crate::orchestrator::{self, Handle, Orchestrator};
use crate::paths::{Paths, private_directory};
use crate::runs::RunDirectory;
use crate::signals::Ends;
use crate::stores::history::History;
use crate::stores::lines::clean;
use crate::stores::logs::EVENTS_LOG;
use crate::stores::results::ResultStore;
use crate::telemetry::{self, Format};

/// For drivers to remove what was dropped instead of stopped.
const SETTLE: Duration = Duration::from_secs(30);
/// For calls of agents that are under way, before what they run on is taken down.
const DRAIN: Duration = Duration::from_secs(5);
/// For blocking work that nobody waits for any more.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// What the core runs for.
#[derive(Clone, Copy)]
pub enum FrontEnd<'a> {
    Console,
    /// Agents alone; tells on stderr what happens, in this format.
    Serve(Format),
    /// One subcommand's work: its name.
    Errand(&'a str),
}

impl<'a> FrontEnd<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Console => "console",
            Self::Serve(_) => "serve",
            Self::Errand(name) => name,
        }
    }

    fn told(self) -> Option<Format> {
        match self {
            Self::Serve(format) => Some(format),
            Self::Console | Self::Errand(_) => None,
        }
    }

    /// Only at a console somebody looks at results again.
    fn results(self, directory: &RunDirectory) -> ResultStore {
        match self {
            Self::Console => ResultStore::new(directory.path()),
            Self::Serve(_) | Self::Errand(_) => ResultStore::forgetful(),
        }
    }

    /// Calls are kept across runs where that is possible; a run without is better than none.
    fn history(self, paths: &Paths) -> Option<History> {
        let opened = private_directory(&paths.state).and_then(|()| match self {
            Self::Console => History::open(paths.history()),
            Self::Serve(_) | Self::Errand(_) => History::open_to_add(paths.history()),
        });
        opened
            .map_err(|error| {
                let path = paths.history();
                Progress::new().line(&format!(
                    "envdeck: calls are not kept: {}: {error}",
                    path.display()
                ));
            })
            .ok()
    }
}

/// A running core. Dropped without [`Host::end`] it kills what runs.
pub struct Host {
    orchestrator: Orchestrator,
    drivers: Arc<Installed>,
    config: Arc<Config>,
    /// Hears signals from before anything existed that a signal could leave behind.
    ends: Ends,
    log_path: PathBuf,
    _log: Vec<WorkerGuard>,
    /// How this front end tells on stderr what happens; the console and errands do not.
    told: Option<Format>,
    runtime: Runtime,
    /// Where agents come in, if they can.
    gateway: Option<Gateway>,
    _directory: RunDirectory,
}

impl Host {
    /// Starts the core for a front end, and in the background the removal of what killed runs left. `filter` is for
    /// the log file.
    pub fn start(
        front_end: FrontEnd<'_>,
        paths: &Paths,
        config: Config,
        filter: Option<&str>,
    ) -> anyhow::Result<Self> {
        let runtime = core_runtime()?;
        let inside = runtime.enter();
        let ends = Ends::listen()?;
        let run = RunId::new(format!("{:016x}", rand::random::<u64>()));
        let directory = RunDirectory::create(&paths.cache, &run)
            .with_context(|| format!("{} can't be used", paths.cache.display()))?;
        let config = Arc::new(config);
        let elsewhere = Elsewhere {
            apis: config.remote_apis(),
            runtimes: config.sandbox_runtimes(),
        };
        let drivers = Installed::knowing(directory.path(), elsewhere, Some(logins(paths)));
        let drivers = Arc::new(drivers);
        let orchestrator = orchestrator::start(orchestrator::Setup {
            config: config.clone(),
            drivers: drivers.clone(),
            run: run.clone(),
            results: front_end.results(&directory),
            history: front_end.history(paths),
        });
        let handle = orchestrator.handle();
        let filter = filter.unwrap_or(&config.log_level);
        let events = handle.logs().writer(&InstanceId::new(EVENTS_LOG));
        let log_path = paths.log();
        let told = front_end.told();
        let log = telemetry::start(&log_path, filter, events, told)
            .with_context(|| format!("{} can't be written", log_path.display()))?;
        clear_up(&drivers, &run);
        let about = register::about(front_end.name(), &config);
        tokio::spawn(register::keep(directory.about(), about, handle.fleet()));
        if told.is_some() {
            tokio::spawn(tell_notices(handle.notices()));
        }
        drop(inside);
        Ok(Self {
            orchestrator,
            drivers,
            config,
            ends,
            log_path,
            _log: log,
            told,
            runtime,
            gateway: None,
            _directory: directory,
        })
    }

    /// Lets agents come in, where the configuration says.
    pub fn listen(&mut self) -> Result<SocketAddr, Failure> {
        let (config, handle) = (self.config.clone(), self.handle());
        let gateway = self.runtime.block_on(async {
            let listener = gateway::bind(&config.gateway).await?;
            gateway::start(listener, config, handle)
        })?;
        let address = gateway.address();
        self.gateway = Some(gateway);
        Ok(address)
    }

    /// Waits until it is told to end.
    pub fn wait(&mut self) {
        self.runtime.block_on(self.ends.next());
    }

    pub fn handle(&self) -> Handle {
        self.orchestrator.handle()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the program's own log is.
    pub fn log_path(&self) -> String {
        self.log_path.display().to_string()
    }

    /// Requests to end. To be taken over once by the front end; later ones are for [`Host::end`].
    pub fn ends(&mut self) -> &mut Ends {
        &mut self.ends
    }

    /// Does `work` on this thread unless a signal asks to end, which drops it.
    pub fn run<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Signal> {
        let ends = &mut self.ends;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                signal = ends.next() => Err(signal),
                done = work => Ok(done),
            }
        })
    }

    /// Takes everything down, with lines of progress if that was asked for, and tells what is left behind; a signal
    /// meanwhile insists. Returns the exit code that this deserves.
    pub fn end(self, is_told: bool) -> u8 {
        let Self {
            orchestrator,
            drivers,
            mut ends,
            runtime,
            gateway,
            told,
            ..
        } = self;
        // What ended us does not insist.
        while ends.heard().is_some() {}
        let mut progress = Progress::of(told);
        let left = runtime.block_on(async {
            let is_hurried = match &gateway {
                Some(gateway) => tokio::select! {
                    biased;
                    () = insisted(&mut ends) => true,
                    _ = gateway.drain(DRAIN) => false,
                },
                None => false,
            };
            let report = |state| tell(&mut progress, state, is_told);
            let insist = async {
                if !is_hurried {
                    insisted(&mut ends).await;
                }
            };
            let mut left = orchestrator.shutdown(report, insist).await;
            left.extend(settle(&drivers, &mut ends).await);
            if let Some(gateway) = gateway {
                gateway.stop().await;
            }
            left
        });
        runtime.shutdown_timeout(RUNTIME_END);
        for failure in &left {
            // What failed may quote a server.
            progress.line(&format!("left behind: {}", clean(&failure.to_string())));
        }
        if left.is_empty() {
            exit::OK
        } else {
            exit::ENVIRONMENT
        }
    }
}

/// Two threads of the core's own: what they do never delays a console.
fn core_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("core")
        .enable_all()
        .build()
}

/// Users can log in at servers where one sits before us.
fn logins(paths: &Paths) -> Logins {
    let has_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
    Logins::new(&paths.logins(), Browser::of_user(has_terminal))
}

/// Ends in the background what killed runs left; what belongs to a run that lives is not touched.
fn clear_up(drivers: &Installed, run: &RunId) {
    for driver in drivers.all() {
        let run = run.clone();
        tokio::spawn(async move {
            match driver.reap(&run).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::warn!("{}: removed {count} left by killed runs", driver.kind());
                }
                Err(failure) => tracing::warn!("{}: leftovers stay: {failure}", driver.kind()),
            }
        });
    }
}

/// What a screen would show for a moment, as lines of the log.
async fn tell_notices(mut notices: broadcast::Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(Notice { level, text, .. }) => match level {
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
            Err(RecvError::Lagged(lost)) => tracing::warn!("{lost} notices were lost"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// A line that is written over on a terminal; elsewhere, where it is asked for, the first and the last one.
fn tell(progress: &mut Progress, state: orchestrator::Progress, is_told: bool) {
    let orchestrator::Progress { gone, of } = state;
    let text = format!("stopped {gone} of {of} instances");
    match (gone, of) {
        (_, 0) => {}
        (gone, of) if gone == of && is_told => progress.line(&text),
        (0, _) if is_told && !progress.is_live() => progress.line(&text),
        _ => progress.step(&text),
    }
}

async fn insisted(ends: &mut Ends) {
    ends.next().await;
}

/// Waits for the drivers; returns what they could not remove.
async fn settle(drivers: &Installed, ends: &mut Ends) -> Vec<Failure> {
    let settled = drivers.all().into_iter().map(|driver| async move {
        let late = || {
            let cause = Cause::Deadline {
                what: format!("{}: clearing up", driver.kind()).into(),
                after: SETTLE,
            };
            Err(Failure::new(Stage::Remove, cause))
        };
        let settled = timeout(SETTLE, driver.settle()).await;
        settled.unwrap_or_else(|_| late()).err()
    });
    tokio::select! {
        biased;
        failures = join_all(settled) => failures.into_iter().flatten().collect(),
        signal = ends.next() => {
            let text = format!("clearing up was cut short by {signal}");
            vec![Failure::other(Stage::Remove, text).hint("run envdeck gc")]
        }
    }
}
