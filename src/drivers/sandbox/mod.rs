//! `box`: managed processes in sandboxes that many servers may share.
//!
//! ```text
//! mod ── house (which sandbox?) ── container (what is it?) ── docker::room
//!   │      └── cell: the user and the directory of one server in it
//!   ├── provide: directory, project, dependencies ── workspace (paths, staging), feed
//!   ├── process: started, ended for sure ── supervision (how did it end?), usage, leash
//!   └── remote: all of this in sandboxes of a runtime elsewhere
//! ```
//!
//! Nothing ever runs on the host instead: a server that gets no sandbox is not started.

mod cell;
mod container;
mod feed;
mod house;
mod leash;
mod process;
mod provide;
pub mod remote;
mod serve;
mod supervision;
mod usage;
pub mod workspace;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use self::cell::Cell;
use self::house::{House, Lot};
use self::leash::Leash;
use self::process::Process;
use self::provide::{Ready, provide, source};
use self::remote::Runtimes;
use super::docker::Containers;
use super::{Driver, Order, Running, Task, Trace};
use crate::model::{Failure, InstanceId, Mode, RunId, Sandbox, SandboxPhase, SandboxRuntime};

/// A server that can be started.
struct Provided {
    lot: Arc<Lot>,
    cell: Cell,
    ready: Ready,
}

/// Starts servers in sandboxes.
pub struct Sandboxes {
    docker: Arc<Containers>,
    house: Arc<House>,
    /// For starts that have not begun yet.
    prepared: Mutex<HashMap<InstanceId, Provided>>,
    /// For those with an `endpoint`.
    elsewhere: Runtimes,
}

impl Sandboxes {
    /// Sandboxes are containers of this engine, or of runtimes elsewhere. `directory` is that of this run; what
    /// killed runs left on `known` runtimes can be deleted.
    pub fn new(docker: Arc<Containers>, directory: &Path, known: &[SandboxRuntime]) -> Self {
        Self {
            house: Arc::new(House::new(docker.clone())),
            docker,
            prepared: Mutex::default(),
            elsewhere: Runtimes::new(directory, known),
        }
    }

    async fn provide(&self, spec: &Sandbox, order: &Order) -> Result<Provided, Failure> {
        let reached = self.docker.reach_engine(spec.startup_timeout, order).await;
        reached.map_err(|failure| failure.or_at(SandboxPhase::BoxUnavailable))?;
        let source = source(spec)?;
        let (lot, cell) = self.house.enter(spec, order).await?;
        let leash = Leash::new(&self.house, &cell);
        let ready = provide(&cell, source, spec, order).await?;
        leash.loosen();
        Ok(Provided { lot, cell, ready })
    }

    async fn begin(&self, order: Order) -> Result<Box<dyn Running>, Failure> {
        let spec = spec(&order)?;
        if let Some(runtime) = &spec.runtime {
            return self.elsewhere.start(spec, runtime, &order).await;
        }
        let prepared = self.prepared.lock().remove(&order.instance);
        let provided = match prepared {
            Some(provided) if provided.cell.room.is_open() => provided,
            _ => self.provide(spec, &order).await?,
        };
        let process = Process::start(self.house.clone(), provided, spec, &order).await?;
        Ok(Box::new(process))
    }
}

impl Driver for Sandboxes {
    fn kind(&self) -> &'static str {
        "box"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async {
            let checked = self.docker.check().await;
            checked.map_err(|failure| failure.or_at(SandboxPhase::BoxUnavailable))
        })
    }

    fn prepare(&self, order: Order) -> Task<'_, ()> {
        Box::pin(async move {
            let spec = spec(&order)?;
            if let Some(runtime) = &spec.runtime {
                return self.elsewhere.prepare(spec, runtime, &order).await;
            }
            let provided = self.provide(spec, &order).await?;
            self.prepared.lock().insert(order.instance, provided);
            Ok(())
        })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(self.begin(order))
    }

    /// What killed runs left here are containers, which their driver removes.
    fn reap(&self, run: &RunId) -> Task<'_, usize> {
        let run = run.clone();
        Box::pin(async move { self.elsewhere.reap(&run).await })
    }

    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(self.elsewhere.traces())
    }

    fn release(&self, instance: &InstanceId) -> Task<'_, ()> {
        self.prepared.lock().remove(instance);
        // Whichever of them does not know it has nothing to do.
        let (here, elsewhere) = (
            self.house.release(instance),
            self.elsewhere.release(instance),
        );
        Box::pin(async {
            let (here, elsewhere) = tokio::join!(here, elsewhere);
            here.and(elsewhere)
        })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async {
            let ((), elsewhere) = tokio::join!(self.house.settle(), self.elsewhere.settle());
            self.docker.settle().await.and(elsewhere)
        })
    }
}

fn spec(order: &Order) -> Result<&Sandbox, Failure> {
    match &order.backend.mode {
        Mode::Sandbox(spec) if spec.enabled => Ok(spec),
        Mode::Sandbox(_) => {
            let text = "sandboxes are switched off by the configuration";
            let failure = SandboxPhase::BoxUnavailable.refused(text);
            Err(failure.hint("set global_box_options.enabled to true"))
        }
        other => {
            let text = format!("{} is not a box", other.name());
            Err(SandboxPhase::SessionCreate.refused(text))
        }
    }
}
