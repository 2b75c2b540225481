//! `local_docker`: containers on a Docker engine. The only folder that names bollard.

mod address;
pub mod attach;
mod channel;
pub mod command_line;
mod container;
pub mod create;
mod engine;
pub mod exec;
mod hijack;
pub mod image;
mod inspect;
mod joint;
pub mod labels;
pub mod logs;
mod reap;
mod remover;
pub mod room;
mod shell;
mod start;
pub mod stats;
pub mod template;
pub mod watch;
mod words;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

pub use self::address::{Address, NoAddress};
pub use self::engine::Engine;

use self::engine::QUICK;
use self::image::{Images, Wanted};
use self::remover::Remover;
use self::start::Start;
use self::template::{Applied, Templates};
use self::watch::Watcher;
use self::words::Trouble;
use super::{Driver, Order, Running, Task, Trace};
use crate::model::{Failure, InstanceId, LocalDocker, Mode, RunId, Stage};

/// Instances that are remembered to have run.
const REMEMBERED: usize = 1_024;
/// How long an engine that is restarted or updated may be away.
const ABSENCE: Duration = Duration::from_secs(300);
/// Between two looks whether it is back.
const LOOK: Duration = Duration::from_millis(500);

/// Makes containers.
pub struct Containers {
    engine: Engine,
    images: Images,
    templates: Templates,
    remover: Remover,
    watchers: Mutex<HashMap<RunId, Watcher>>,
    /// What starts that have not begun yet were given.
    prepared: Mutex<HashMap<InstanceId, Option<Applied>>>,
    /// Instances whose containers have been started, the latest last.
    have_run: Mutex<VecDeque<InstanceId>>,
    /// The engine was away when it should have been cleared.
    owes_reaping: AtomicBool,
}

impl Containers {
    /// Copies of templates are made in `copies`, which belongs to this run alone.
    pub fn new(engine: Engine, copies: impl Into<PathBuf>) -> Self {
        Self {
            images: Images::new(engine.clone()),
            templates: Templates::new(engine.clone(), copies.into()),
            remover: Remover::new(engine.clone()),
            engine,
            watchers: Mutex::default(),
            prepared: Mutex::default(),
            have_run: Mutex::default(),
            owes_reaping: AtomicBool::default(),
        }
    }

    /// Where there has never been an engine, nothing is left on one.
    fn unless_nowhere<T>(&self, failure: Failure, nothing: T) -> Result<T, Failure> {
        if self.engine.is_nowhere() {
            Ok(nothing)
        } else {
            Err(failure)
        }
    }

    /// One stream of events serves all containers of a run.
    fn watcher(&self, run: &RunId) -> Watcher {
        let mut watchers = self.watchers.lock();
        let watcher = watchers.entry(run.clone());
        let new = || Watcher::new(self.engine.clone(), run.clone());
        watcher.or_insert_with(new).clone()
    }

    /// The image is there, and the template is where the instance will find it.
    async fn provide(&self, order: &Order) -> Result<Option<Applied>, Failure> {
        let spec = spec(order)?;
        self.await_engine(order).await?;
        self.make_up_for_reaping(&order.run);
        let wanted = Wanted {
            reference: spec.image.as_str().into(),
            platform: spec.options.platform.as_deref().map(Into::into),
            pull: spec.options.pull,
        };
        let image = self.images.ensure(&wanted, &order.steps).await?;
        let Some(template) = &spec.template else {
            return Ok(None);
        };
        let applied = self.templates.apply(template, spec, &image, order);
        applied.await.map(Some)
    }

    async fn begin(&self, order: Order) -> Result<Box<dyn Running>, Failure> {
        let prepared = self.prepared.lock().remove(&order.instance);
        let template = match prepared {
            Some(template) => template,
            None => self.provide(&order).await?,
        };
        let start = Start {
            engine: &self.engine,
            remover: &self.remover,
            watcher: self.watcher(&order.run),
            spec: spec(&order)?,
            order: &order,
        };
        let container = start.run(template).await?;
        self.remember(&order.instance);
        Ok(Box::new(container))
    }

    fn make_up_for_reaping(&self, run: &RunId) {
        if self.owes_reaping.swap(false, Ordering::Relaxed) {
            let (engine, templates, run) =
                (self.engine.clone(), self.templates.clone(), run.clone());
            tokio::spawn(async move {
                match reap::reap(&engine, &templates, &run).await {
                    Ok(count) => {
                        tracing::info!("local_docker: removed {count} left by killed runs");
                    }
                    Err(failure) => tracing::warn!("local_docker: leftovers stay: {failure}"),
                }
            });
        }
    }

    /// The first time it must be there, so that a wrong address is told at once. For an instance that has run
    /// before it is waited for: what stopped the engine stopped the instance, too, and both come back.
    async fn await_engine(&self, order: &Order) -> Result<(), Failure> {
        let has_run = self.have_run.lock().contains(&order.instance);
        let patience = if has_run { ABSENCE } else { Duration::ZERO };
        self.reach_engine(patience, order).await
    }

    /// Returns when the engine answers, or why it does not within that time.
    pub async fn reach_engine(&self, patience: Duration, order: &Order) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let Err(trouble) = self.ping().await else {
                return Ok(());
            };
            if !trouble.is_outage() || Instant::now() + LOOK > deadline {
                return Err(trouble.at(Stage::Check));
            }
            let address = self.engine.address();
            order
                .steps
                .tell(format!("wait for the engine at {address}"));
            sleep(LOOK).await;
        }
    }

    fn remember(&self, instance: &InstanceId) {
        let mut have_run = self.have_run.lock();
        if !have_run.contains(instance) {
            have_run.push_back(instance.clone());
        }
        if have_run.len() > REMEMBERED {
            have_run.pop_front();
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

    fn prepare(&self, order: Order) -> Task<'_, ()> {
        Box::pin(async move {
            let template = self.provide(&order).await?;
            self.prepared.lock().insert(order.instance, template);
            Ok(())
        })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(self.begin(order))
    }

    fn reap(&self, run: &RunId) -> Task<'_, usize> {
        let run = run.clone();
        Box::pin(async move {
            let reaped = reap::reap(&self.engine, &self.templates, &run).await;
            self.owes_reaping.store(reaped.is_err(), Ordering::Relaxed);
            reaped.or_else(|failure| self.unless_nowhere(failure, 0))
        })
    }

    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(async {
            let traces = reap::traces(&self.engine).await;
            traces.or_else(|trouble| self.unless_nowhere(trouble.at(Stage::Check), vec![]))
        })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async {
            self.prepared.lock().clear();
            self.images.settle().await;
            // In this order: templates go when their containers are gone.
            let containers = self.remover.settle().await;
            let templates = self.templates.settle().await;
            containers.and(templates)
        })
    }
}

fn spec(order: &Order) -> Result<&LocalDocker, Failure> {
    match &order.backend.mode {
        Mode::LocalDocker(spec) => Ok(spec),
        other => {
            let text = format!("{} is not a local_docker", other.name());
            Err(Failure::other(Stage::Create, text))
        }
    }
}
