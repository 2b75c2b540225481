//! Sandboxes of a Box runtime that somebody else runs, reached over web sockets.
//!
//! ```text
//! sites (which sandbox?) ── debt (which stay when we are gone?)
//!   └── cell (what one server has there) ── mark (what runs for it?), job (one thing from begin to end)
//! process ── started, attached, seen to, ended ── stderr
//! relay ── stdin and stdout of a process ── pump (from socket to socket) ── reattach (what became of it?), fence
//!   └── ears ── framing (lines), mouth ── outgoing (messages)
//! actions ── what can be asked of a runtime, typed ── trouble (why it was not done)
//! connection ── keeps a socket for actions, one after another ── link (who waits for which reply?)
//! socket ── one web socket: TLS, deadlines, why it could not be opened ── place (URLs, headers, ids)
//! ```
//!
//! Two dialects are spoken: that of 0.4, which knows no tenants and relays whole lines, and that of 0.5 and
//! later, which asks each connection who it is and relays chunks.

pub mod actions;
mod cell;
pub mod connection;
mod debt;
mod ears;
mod fence;
mod framing;
mod job;
mod link;
mod mark;
mod mouth;
mod outgoing;
mod place;
mod process;
mod pump;
mod reattach;
pub mod relay;
mod sites;
mod socket;
mod stderr;
mod trouble;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::connection::{Connection, Dialect};
pub use self::debt::Debt;
pub use self::place::Place;
pub use self::trouble::Trouble;

use self::actions::Session;
use self::cell::Cell;
use self::process::Process;
use self::sites::Sites;
use super::provide::{Ready, provide, source};
use super::{Order, Running, Task, Trace};
use crate::model::{Failure, InstanceId, RunId, Sandbox, SandboxPhase, SandboxRuntime};

/// A server that can be started.
struct Provided {
    cell: Cell,
    /// As the runtime knows the sandbox.
    session: Session,
    ready: Ready,
}

/// Starts servers in sandboxes of Box runtimes.
pub struct Runtimes {
    sites: Arc<Sites>,
    /// For starts that have not begun yet.
    prepared: Mutex<HashMap<InstanceId, Provided>>,
}

impl Runtimes {
    /// `directory` is that of this run; what killed runs left on `known` runtimes can be deleted.
    pub fn new(directory: &Path, known: &[SandboxRuntime]) -> Self {
        Self {
            sites: Arc::new(Sites::new(directory, known)),
            prepared: Mutex::default(),
        }
    }

    async fn provide(
        &self,
        spec: &Sandbox,
        runtime: &SandboxRuntime,
        order: &Order,
    ) -> Result<Provided, Failure> {
        let source = source(spec)?;
        let (site, session) = self.sites.enter(spec, runtime, order).await?;
        // Dropping it ends what runs there.
        let cell = Cell::new(&self.sites, site, order)?;
        let ready = provide(&cell, source, spec, order).await?;
        Ok(Provided {
            cell,
            session,
            ready,
        })
    }

    /// All that must be there before the server can be started.
    pub async fn prepare(
        &self,
        spec: &Sandbox,
        runtime: &SandboxRuntime,
        order: &Order,
    ) -> Result<(), Failure> {
        let provided = self.provide(spec, runtime, order).await?;
        self.prepared
            .lock()
            .insert(order.instance.clone(), provided);
        Ok(())
    }

    pub async fn start(
        &self,
        spec: &Sandbox,
        runtime: &SandboxRuntime,
        order: &Order,
    ) -> Result<Box<dyn Running>, Failure> {
        let prepared = self.prepared.lock().remove(&order.instance);
        let provided = match prepared {
            Some(provided) => provided,
            None => self.provide(spec, runtime, order).await?,
        };
        let dialect = provided.cell.site.connection.dialect().await;
        let dialect = dialect.map_err(|trouble| trouble.during(SandboxPhase::BoxUnavailable))?;
        let process = Process::start(provided, dialect, spec, order).await?;
        Ok(Box::new(process))
    }

    /// As [`super::super::Driver::release`].
    pub fn release(&self, instance: &InstanceId) -> Task<'static, ()> {
        self.prepared.lock().remove(instance);
        Box::pin(self.sites.release(instance))
    }

    /// As [`super::super::Driver::reap`].
    pub async fn reap(&self, run: &RunId) -> Result<usize, Failure> {
        self.sites.reap(run).await
    }

    /// As [`super::super::Driver::traces`].
    pub async fn traces(&self) -> Result<Vec<Trace>, Failure> {
        self.sites.traces().await
    }

    /// As [`super::super::Driver::settle`].
    pub async fn settle(&self) -> Result<(), Failure> {
        self.sites.settle().await
    }
}
