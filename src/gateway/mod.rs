//! The gateway: an MCP server on `/mcp` where agents open sessions of environments and call their tools.
//!
//! A request comes in through `accept` (connections and their deadlines), `guard` (who may come in) and
//! `endpoint` (HTTP; `pages` for browsers) to `post` (messages), `era` (which generation of the protocol) and `methods` (MCP); the
//! five `tools` of the contract become commands of the orchestrator. What a backend answers goes back in
//! `pieces`: its bytes are neither parsed nor copied.
//!
//! # Running one
//!
//! ```no_run
//! # async fn run(config: std::sync::Arc<envdeck::config::Config>, handle: envdeck::orchestrator::Handle)
//! # -> Result<(), envdeck::model::Failure> {
//! let listener = envdeck::gateway::bind(&config.gateway).await?;   // refuses unsafe addresses
//! let gateway = envdeck::gateway::start(listener, config, handle)?;
//! // … until told to end; then, before and after the orchestrator shuts down:
//! gateway.drain(std::time::Duration::from_secs(5)).await;
//! gateway.stop().await;
//! # Ok(()) }
//! ```
//!
//! # What the contract leaves open
//!
//! - **A call's answer** is the backend's own `CallToolResult`, twice: as JSON in the first text block, which is all
//!   that existing clients look at, and as `structuredContent`, for clients of revisions that know it. Both hold the
//!   backend's bytes as they came, whatever the type of the content. See `methods::tool_result`.
//! - **`isError`** of a call is the backend's. Where a call never reached a backend, the text says why.
//! - **A client that goes away** before it has its answer cancels what it asked for, in both eras: streams are not
//!   resumed, so nobody could fetch the answer. A session that was still starting is closed; one that was opened
//!   stays until it is cleaned up or idle for too long, for other connections may use it. But where its client has been
//!   forgotten (`client_idle_timeout`), or has no session of the protocol by which to remember it, it is closed when
//!   nobody has used it for as long.
//! - **Batches** of messages, which only the revision 2025-03-26 had, are refused: no client sends them.
//! - **Session ids** are random; whoever knows one may use the session, from any connection.

mod accept;
mod body;
mod clients;
mod endpoint;
mod era;
mod guard;
mod methods;
mod pages;
mod pieces;
mod post;
mod refusal;
mod tools;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clients::Clients;
use self::endpoint::Endpoint;
use self::guard::Guard;
use self::tools::Tools;
use crate::config::Config;
use crate::model::{Command, Failure, GatewayInfo, GatewayOptions, Stage};
use crate::orchestrator::Handle;

/// How often it is looked for what can be forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// The number of clients is shown no more often than this.
const SHOW: Duration = Duration::from_millis(250);
/// For connections to end in order.
const GOODBYE: Duration = Duration::from_secs(1);

/// A running gateway. Dropped, it ends at once.
pub struct Gateway {
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    connections: TaskTracker,
    abandon: CancellationToken,
    handle: Handle,
}

/// Listens where `options` say.
///
/// # Errors
/// If others than this machine could come in without a token, or the address cannot be had.
pub async fn bind(options: &GatewayOptions) -> Result<TcpListener, Failure> {
    let wanted = (options.host.as_str(), options.port);
    let unusable = |error| {
        let (host, port) = wanted;
        let context = format!("cannot listen on {host}:{port}");
        Failure::caused_by(Stage::Check, context, error)
    };
    let addresses: Vec<_> = tokio::net::lookup_host(wanted)
        .await
        .map_err(unusable)?
        .collect();
    for address in &addresses {
        guard::check_address(address, options)?;
    }
    TcpListener::bind(&addresses[..]).await.map_err(unusable)
}

/// Serves on `listener`, inside of a tokio runtime, until the gateway is stopped.
///
/// # Errors
/// If others than this machine could come in without a token.
pub fn start(
    listener: TcpListener,
    config: Arc<Config>,
    handle: Handle,
) -> Result<Gateway, Failure> {
    let context = "the address that is listened on is not known";
    let address = listener
        .local_addr()
        .map_err(|error| Failure::caused_by(Stage::Check, context, error))?;
    guard::check_address(&address, &config.gateway)?;
    let endpoint = Arc::new(Endpoint {
        options: config.gateway.clone(),
        guard: Guard::new(&address, &config.gateway),
        clients: Arc::new(Clients::default()),
        tools: Arc::new(Tools::new(handle.clone(), config)),
        busy: TaskTracker::new(),
        closing: CancellationToken::new(),
    });
    let gateway = Gateway {
        address,
        endpoint: endpoint.clone(),
        connections: TaskTracker::new(),
        abandon: CancellationToken::new(),
        handle: handle.clone(),
    };
    gateway.connections.spawn(accept::accept(
        listener,
        endpoint.clone(),
        gateway.connections.clone(),
        gateway.abandon.clone(),
    ));
    gateway
        .connections
        .spawn(keep_house(endpoint, address, handle));
    Ok(gateway)
}

impl Gateway {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes nothing new, and gives what is under way so long to end, but not what only starts. Returns how many
    /// requests did not.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.endpoint.closing.cancel();
        self.endpoint.busy.close();
        let _ = timeout(limit, self.endpoint.busy.wait()).await;
        self.endpoint.busy.len()
    }

    /// Ends all connections: in order, if that takes no longer than a moment.
    pub async fn stop(self) {
        self.drain(Duration::ZERO).await;
        self.connections.close();
        let _ = timeout(GOODBYE, self.connections.wait()).await;
        self.abandon.cancel();
        self.connections.wait().await;
        // It may be gone already.
        let _ = self.handle.send(Command::ShowGateway(None));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.endpoint.closing.cancel();
        self.abandon.cancel();
    }
}

/// Forgets who is gone, and shows who is there.
async fn keep_house(endpoint: Arc<Endpoint>, address: SocketAddr, handle: Handle) {
    let mut sweep = interval(SWEEP);
    let mut shown = None;
    loop {
        let clients = endpoint.clients.count();
        if shown != Some(clients) {
            let info = GatewayInfo { address, clients };
            // Full means busy: the next round tells it.
            if handle.send(Command::ShowGateway(Some(info))).is_ok() {
                shown = Some(clients);
            }
        }
        let not_before = Instant::now() + SHOW;
        tokio::select! {
            () = endpoint.closing.cancelled() => return,
            () = endpoint.clients.changed() => tokio::time::sleep_until(not_before).await,
            _ = sweep.tick() => {
                endpoint.clients.sweep(endpoint.options.client_idle_timeout);
                endpoint.tools.sweep();
            }
        }
    }
}
