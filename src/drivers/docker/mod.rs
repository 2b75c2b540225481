//! `local_docker`: containers on a Docker engine. The only folder that names bollard.

mod address;
mod attach;
pub mod command_line;
mod container;
pub mod create;
mod engine;
mod hijack;
pub mod image;
mod inspect;
mod joint;
pub mod labels;
pub mod logs;
mod reap;
mod remover;
mod shell;
mod start;
pub mod stats;
pub mod template;
pub mod watch;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use self::address::{Address, NoAddress};
pub use self::engine::Engine;

use self::engine::QUICK;
use self::remover::Remover;
use self::start::Start;
use self::watch::Watcher;
use self::words::Trouble;
use super::{Driver, Order, Running, Task, Trace};
use crate::model::{Failure, Mode, RunId, Stage};

/// Makes containers.
pub struct Containers {
    engine: Engine,
    remover: Remover,
    watchers: Mutex<HashMap<RunId, Watcher>>,
    /// The engine was away when it should have been cleared.
    owes_reaping: Arc<AtomicBool>,
    /// Where copies of templates are made.
    #[expect(dead_code, reason = "templates come next")]
    copies: PathBuf,
}

impl Containers {
    pub fn new(engine: Engine, copies: impl Into<PathBuf>) -> Self {
        Self {
            remover: Remover::new(engine.clone()),
            engine,
            watchers: Mutex::default(),
            owes_reaping: Arc::default(),
            copies: copies.into(),
        }
    }

    /// One stream of events serves all containers of a run.
    fn watcher(&self, run: &RunId) -> Watcher {
        let mut watchers = self.watchers.lock();
        let watcher = watchers.entry(run.clone());
        let new = || Watcher::new(self.engine.clone(), run.clone());
        watcher.or_insert_with(new).clone()
    }

    async fn begin(&self, order: Order) -> Result<Box<dyn Running>, Failure> {
        let backend = order.backend.clone();
        let Mode::LocalDocker(spec) = &backend.mode else {
            let text = format!("{} is not a local_docker", backend.mode.name());
            return Err(Failure::other(Stage::Create, text));
        };
        let ping = self.ping().await;
        ping.map_err(|trouble| trouble.at(Stage::Check))?;
        self.make_up_for_reaping(&order.run);
        let start = Start {
            engine: &self.engine,
            remover: &self.remover,
            watcher: self.watcher(&order.run),
            spec,
            order: &order,
        };
        Ok(Box::new(start.run().await?))
    }

    fn make_up_for_reaping(&self, run: &RunId) {
        if self.owes_reaping.swap(false, Ordering::Relaxed) {
            let (engine, run) = (self.engine.clone(), run.clone());
            tokio::spawn(async move {
                match reap::reap(&engine, &run).await {
                    Ok(count) => {
                        tracing::info!("local_docker: removed {count} left by killed runs");
                    }
                    Err(failure) => tracing::warn!("local_docker: leftovers stay: {failure}"),
                }
            });
        }
    }

    async fn ping(&self) -> Result<(), Trouble> {
        self.engine
            .ask("ping the engine", QUICK, |docker| async move {
                docker.ping().await
            })
            .await
            .map(drop)
    }
}

impl Driver for Containers {
    fn kind(&self) -> &'static str {
        "local_docker"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async {
            self.ping()
                .await
                .map_err(|trouble| trouble.at(Stage::Check))
        })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(self.begin(order))
    }

    fn reap(&self, run: &RunId) -> Task<'_, usize> {
        let run = run.clone();
        Box::pin(async move {
            let reaped = reap::reap(&self.engine, &run).await;
            self.owes_reaping.store(reaped.is_err(), Ordering::Relaxed);
            reaped
        })
    }

    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(async {
            let traces = reap::traces(&self.engine).await;
            traces.map_err(|trouble| trouble.at(Stage::Check))
        })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(self.remover.settle())
    }
}
