//! An orchestrator of real drivers with a gateway in front, all in this process but the socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envdeck::config::{Config, Origin};
use envdeck::drivers::Installed;
use envdeck::gateway::{self, Gateway};
use envdeck::model::{
    Backend, Fleet, GatewayOptions, HealthPolicy, Limits, LocalProcess, Mode, RestartPolicy, RunId,
    SHARED_SESSION, Scope, SessionId, Transport,
};
use envdeck::orchestrator::{self, Handle, Orchestrator, Setup};
use envdeck::stores::results::ResultStore;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http::{PATIENCE, Response, Wire};

pub struct Rig {
    pub address: SocketAddr,
    pub handle: Handle,
    pub gateway: Gateway,
    orchestrator: Orchestrator,
    _results: tempfile::TempDir,
}

/// The embedded demo, the same for everybody, and one that cannot start.
pub fn backends() -> Vec<Backend> {
    vec![
        backend("demo"),
        Backend {
            scope: Scope::SharedGlobal,
            ..backend("common")
        },
        script("broken", "echo no >&2; exit 7", &[]),
    ]
}

/// The embedded demo under a name of its own.
pub fn backend(name: &str) -> Backend {
    let limit = Duration::from_secs;
    Backend {
        name: name.into(),
        kind: "everything".to_owned(),
        mode: Mode::Embedded,
        scope: Scope::Session,
        transport: Transport::Stdio,
        startup_check: None,
        restart: RestartPolicy::Never,
        health: HealthPolicy::default(),
        start_timeout: limit(60),
        call_timeout: limit(60),
        call_max_timeout: limit(600),
        stop_grace: limit(5),
    }
}

/// A process that runs a shell script.
pub fn script(name: &str, script: &str, args: &[&str]) -> Backend {
    let head = ["-c", script, "sh"].into_iter();
    let process = LocalProcess {
        command: "sh".to_owned(),
        args: head
            .chain(args.iter().copied())
            .map(str::to_owned)
            .collect(),
        env: std::collections::BTreeMap::new(),
        cwd: None,
    };
    Backend {
        mode: Mode::LocalProcess(process),
        ..backend(name)
    }
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(backends(), |_| {}).await
    }

    pub async fn with(backends: Vec<Backend>, change: impl FnOnce(&mut GatewayOptions)) -> Self {
        let mut options = GatewayOptions::default();
        change(&mut options);
        let config = Arc::new(Config {
            origin: Origin::Demo,
            backends: backends.into_iter().map(Arc::new).collect(),
            log_level: "info".to_owned(),
            limits: Limits::default(),
            gateway: options,
        });
        let directory = tempfile::tempdir().unwrap();
        let orchestrator = orchestrator::start(Setup {
            config: config.clone(),
            drivers: Arc::new(Installed::new(&std::env::temp_dir())),
            run: RunId::new("test"),
            results: ResultStore::new(directory.path()),
            history: None,
        });
        let handle = orchestrator.handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = gateway::start(listener, config, handle.clone()).unwrap();
        Self {
            address: gateway.address(),
            handle,
            gateway,
            orchestrator,
            _results: directory,
        }
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, headers: &[&str], body: &[u8]) -> Response {
        self.ask_at("/mcp", method, headers, body).await
    }

    pub async fn ask_at(
        &self,
        path: &str,
        method: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Response {
        let mut wire = Wire::to(self.address).await;
        let headers: Vec<_> = headers.iter().map(|line| (*line).to_owned()).collect();
        wire.request(method, path, &headers, body).await;
        wire.response().await
    }

    pub fn fleet(&self) -> Arc<Fleet> {
        self.handle.fleet().borrow().clone()
    }

    pub async fn wait_until(&self, what: &str, holds: impl Fn(&Fleet) -> bool) -> Arc<Fleet> {
        let mut fleet = self.handle.fleet();
        let found = timeout(PATIENCE, fleet.wait_for(|fleet| holds(fleet))).await;
        let found = found.map(|fleet| fleet.unwrap().clone());
        found.unwrap_or_else(|_| panic!("waited in vain: {what}\n{:#?}", self.fleet()))
    }

    /// The sessions of agents.
    pub fn sessions(&self) -> Vec<SessionId> {
        let fleet = self.fleet();
        let ids = fleet.sessions.keys();
        ids.filter(|id| id.as_str() != SHARED_SESSION)
            .cloned()
            .collect()
    }

    /// Waits until no session of an agent and no running call is left.
    pub async fn wait_until_empty(&self) {
        self.wait_until("nothing is left", |fleet| {
            let others = |id: &&SessionId| id.as_str() != SHARED_SESSION;
            fleet.sessions.keys().filter(others).count() == 0
                && !fleet.calls.values().any(|call| call.is_running())
        })
        .await;
    }

    /// Ends all of it, and checks that nothing is left.
    pub async fn end(self) {
        self.gateway.drain(Duration::from_secs(2)).await;
        let left = self
            .orchestrator
            .shutdown(|_| {}, std::future::pending())
            .await;
        assert!(left.is_empty(), "{left:?}");
        timeout(PATIENCE, self.gateway.stop())
            .await
            .expect("it stops");
        assert!(
            std::net::TcpStream::connect(self.address).is_err(),
            "nobody listens any more"
        );
    }
}
