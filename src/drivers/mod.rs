//! Drivers bring instances into existence, one per `orchestration_mode`.

pub mod docker;
pub mod embedded;
pub mod external;
mod http_endpoint;
mod interruption;
pub mod journal;
pub mod process;
pub mod remote_api;
pub mod sandbox;
mod shell;
mod slot;
mod traces;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub use self::http_endpoint::{Contact, HttpEndpoint, Standing};
pub use self::interruption::Interruption;
pub use self::shell::Shell;
pub use self::slot::{HeldSlot, Slot};
pub use self::traces::{Life, Trace};

use crate::mcp::http::Logins;
pub use crate::model::WindowSize;
use crate::model::{
    Backend, Exit, Failure, InstanceId, Mode, RemoteApi, RunId, SandboxRuntime, SessionId, Stage,
    Traffic,
};
use crate::stores::logs::LogWriter;

/// A boxed future, so that `dyn Driver` and `dyn Running` are possible.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Makes instances of one mode.
pub trait Driver: Send + Sync {
    /// Its `orchestration_mode`.
    fn kind(&self) -> &'static str;

    /// Whether the world it needs (an engine, a remote API) is usable now.
    fn check(&self) -> Task<'_, ()>;

    /// Gets what many starts share and what may take minutes, such as an image: not counted against
    /// `start_timeout`, so the driver bounds it by its own deadline. Dropping the future is safe.
    fn prepare(&self, order: Order) -> Task<'_, ()> {
        drop(order);
        Box::pin(async { Ok(()) })
    }

    /// Creates and starts one instance. Dropping the future must leave nothing behind.
    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>>;

    /// Removes what crashed runs left, never what belongs to a run that lives, `run` among them; returns how
    /// many things that were.
    fn reap(&self, run: &RunId) -> Task<'_, usize>;

    /// This instance will not be started again: what was kept for its next start goes. That begins at once, and
    /// goes on if nobody waits for it.
    fn release(&self, instance: &InstanceId) -> Task<'_, ()> {
        let _ = instance;
        Box::pin(async { Ok(()) })
    }

    /// Everything that runs of envdeck made in its world and that is there now.
    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(async { Ok(vec![]) })
    }

    /// Resolves when all that was dropped instead of stopped is removed, too, or with what of it stays.
    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// What to start, and where its output goes.
#[derive(Clone)]
pub struct Order {
    pub backend: Arc<Backend>,
    pub instance: InstanceId,
    pub session: SessionId,
    pub run: RunId,
    /// Shown to the operator while it starts.
    pub steps: Steps,
    /// Where it stands among other starts.
    pub slot: Slot,
    /// The log of the instance; the driver writes stderr and its own remarks to it from the first byte.
    pub log: LogWriter,
}

/// Says what a start is doing now, in a few words: `pull image 40 %`. Never blocks; the latest counts.
#[derive(Clone)]
pub struct Steps(watch::Sender<Arc<str>>);

impl Steps {
    /// The steps, and where they are read.
    pub fn new() -> (Self, watch::Receiver<Arc<str>>) {
        let (sender, receiver) = watch::channel(Arc::default());
        (Self(sender), receiver)
    }

    pub fn tell(&self, step: impl Into<Arc<str>>) {
        self.0.send_replace(step.into());
    }
}

/// Facts for `inspect` and the death card, by name, in the order they are shown; no secret values.
pub type Facts = Vec<(Arc<str>, Arc<str>)>;

/// A started instance. It must be stopped with [`Running::stop`]; dropping it kills it unseen.
pub trait Running: Send {
    /// Where it speaks MCP. Taken once.
    fn endpoint(&mut self) -> Endpoint;

    /// What is known of it. `command` is how to start the same from a shell, where that is possible.
    fn facts(&self) -> Facts;

    /// Marked as changed whenever the facts have; `None` where they stay as they are.
    fn changes(&self) -> Option<watch::Receiver<()>> {
        None
    }

    /// Why its silence is no sign of death now, in words: somebody has paused it, or its world is out of reach.
    fn excuse(&self) -> Option<&'static str> {
        None
    }

    /// Resolves when it ended. Cancel-safe.
    fn wait(&mut self) -> Task<'_, Exit>;

    /// Its resource use now; `None` where nothing can be measured.
    fn usage(&mut self) -> Task<'_, Option<Usage>>;

    /// Brings its log up to date: called before the last lines become the evidence of a failure. Short, and
    /// does what it can.
    fn flush_log(&mut self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// All that its world tells of it, as JSON text without secret values; `None` where there is nothing more
    /// than the facts.
    fn inspect(&self) -> Task<'static, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    /// An interactive shell inside it, on a terminal of this size.
    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        let _ = size;
        Box::pin(async {
            let text = "there is no shell inside this kind of instance";
            Err(Failure::other(Stage::Run, text))
        })
    }

    /// Freezes all it does, or lets it go on; [`crate::model::fact::STATUS`] then tells of it.
    fn set_paused(&self, paused: bool) -> Task<'static, ()> {
        let _ = paused;
        Box::pin(async {
            let text = "this kind of instance cannot be paused";
            Err(Failure::other(Stage::Run, text))
        })
    }

    /// Asks it to end, waits for `grace`, then kills it with all its descendants. Returns when
    /// nothing of it is left, but for what [`Driver::release`] drops.
    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()>;
}

/// Resource use of an instance with all its processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Percent of one core since the last question.
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

/// Where an instance speaks MCP.
pub enum Endpoint {
    /// One JSON-RPC message a line. Reading may fail with an [`Interruption`] and go on.
    Stdio {
        read: Box<dyn AsyncRead + Send + Unpin>,
        write: Box<dyn AsyncWrite + Send + Unpin>,
    },
    /// Streamable HTTP, or what came before it.
    Http(HttpEndpoint),
    /// The same for all but the calls of tools, which go another way.
    Proxied {
        http: HttpEndpoint,
        calls: Arc<dyn CallTools>,
    },
}

/// Calls the tools of an instance elsewhere than at its MCP endpoint.
pub trait CallTools: Send + Sync {
    /// Calls a tool with the text of a JSON object as arguments; returns the body of the answer, at most `limit`
    /// bytes. Dropping the future is all that cancels the call.
    fn call<'a>(&'a self, tool: &'a str, arguments: &'a RawValue, limit: usize) -> Task<'a, Bytes>;
}

/// The driver for each mode.
pub trait Drivers: Send + Sync {
    fn driver(&self, mode: &Mode) -> Arc<dyn Driver>;
}

/// Who is configured to make things for us elsewhere.
#[derive(Default)]
pub struct Elsewhere {
    pub apis: Vec<Arc<RemoteApi>>,
    pub runtimes: Vec<SandboxRuntime>,
}

/// The drivers of this build.
pub struct Installed {
    embedded: Arc<embedded::Embedded>,
    external: Arc<external::External>,
    process: Arc<process::Processes>,
    docker: Arc<docker::Containers>,
    remote_api: Arc<remote_api::RemoteApis>,
    sandbox: Arc<sandbox::Sandboxes>,
}

impl Installed {
    /// `directory` is that of this run, beside those of all other runs; copies of templates go below it.
    pub fn new(directory: &Path) -> Self {
        Self::knowing(directory, Elsewhere::default(), None)
    }

    /// The same; what killed runs left elsewhere can be removed, and users can log in at servers.
    pub fn knowing(directory: &Path, elsewhere: Elsewhere, logins: Option<Logins>) -> Self {
        let Elsewhere { apis, runtimes } = elsewhere;
        let engine = docker::Engine::of_user();
        let docker = Arc::new(docker::Containers::new(engine, directory.join("copies")));
        Self {
            sandbox: Arc::new(sandbox::Sandboxes::new(
                docker.clone(),
                directory,
                &runtimes,
            )),
            docker,
            embedded: Arc::default(),
            external: Arc::new(external::External::new(logins)),
            process: Arc::default(),
            remote_api: Arc::new(remote_api::RemoteApis::new(directory, apis)),
        }
    }

    /// The configurations that name who has something of killed runs.
    pub fn configurations(directory: &Path) -> BTreeSet<PathBuf> {
        let apis = journal::configurations::<remote_api::Debt>(directory);
        let runtimes = journal::configurations::<sandbox::remote::Debt>(directory);
        apis.into_iter().chain(runtimes).collect()
    }

    /// Every driver, for what is done once for all: clearing up after killed runs.
    pub fn all(&self) -> Vec<Arc<dyn Driver>> {
        vec![
            self.embedded.clone(),
            self.external.clone(),
            self.process.clone(),
            // Before the containers that it is made of.
            self.sandbox.clone(),
            self.docker.clone(),
            self.remote_api.clone(),
        ]
    }
}

impl Drivers for Installed {
    fn driver(&self, mode: &Mode) -> Arc<dyn Driver> {
        match mode {
            Mode::Embedded => self.embedded.clone(),
            Mode::External(_) => self.external.clone(),
            Mode::LocalProcess(_) => self.process.clone(),
            Mode::LocalDocker(_) => self.docker.clone(),
            Mode::RemoteHttpApi(_) => self.remote_api.clone(),
            Mode::Sandbox(_) => self.sandbox.clone(),
        }
    }
}
