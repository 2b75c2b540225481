//! `local_docker`: containers on a Docker engine. The only folder that names bollard.

mod address;
mod attach;
mod container;
mod create;
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
pub mod stats;
pub mod watch;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::address::{Address, NoAddress};
pub use self::engine::Engine;

use self::attach::Pump;
use self::container::{Container, short};
use self::create::{Creation, Extras, creation};
use self::engine::{QUICK, USUAL};
use self::remover::{Footprint, Remover};
use self::watch::Watcher;
use self::words::Trouble;
use super::{Driver, Order, Running, Task};
use crate::model::{Failure, LocalDocker, Mode, RunId, Stage};

/// Makes containers.
pub struct Containers {
    engine: Engine,
    remover: Remover,
    watchers: Mutex<HashMap<RunId, Watcher>>,
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
        self.ping()
            .await
            .map_err(|trouble| trouble.at(Stage::Check))?;
        // An earlier start of the same instance may still be on its way out, under the same name.
        order.steps.tell("wait for removal");
        self.remover.cleared(&order.instance).await;
        order.steps.tell("create container");
        let name: Arc<str> = name(&order).into();
        let (footprint, id) = self
            .create(spec, &order, &name)
            .await
            .map_err(|trouble| trouble.at(Stage::Create))?;
        let started = self.start_created(spec, &order, name, footprint, id).await;
        let running = started.map_err(|trouble| trouble.at(Stage::Start))?;
        Ok(Box::new(running))
    }

    async fn create(
        &self,
        spec: &LocalDocker,
        order: &Order,
        name: &str,
    ) -> Result<(Footprint, Arc<str>), Trouble> {
        let extras = Extras {
            name: name.to_owned(),
            labels: labels::of_instance(order),
            ..Extras::default()
        };
        let Creation { options, body } = creation(spec, order.backend.transport, &extras);
        let engine = self.engine.clone();
        let asked = async move {
            let created = engine.ask("create the container", USUAL, |docker| async move {
                docker.create_container(Some(options), body).await
            });
            Ok(created.await?.id)
        };
        let footprint = Footprint::new(order.instance.clone(), self.remover.clone());
        footprint.create(asked).await
    }

    async fn start_created(
        &self,
        spec: &LocalDocker,
        order: &Order,
        name: Arc<str>,
        footprint: Footprint,
        id: Arc<str>,
    ) -> Result<Container, Trouble> {
        order.steps.tell(format!("start container {}", short(&id)));
        let attached = Pump::start(&self.engine, &id, &order.log).await?;
        let watched = self.watcher(&order.run).watch(&id, order.log.clone());
        let started = self.engine.ask("start the container", USUAL, |docker| {
            let id = id.clone();
            async move { docker.start_container(&id, None).await }
        });
        started.await?;
        Ok(Container {
            engine: self.engine.clone(),
            id,
            name,
            image: spec.image.as_str().into(),
            pipes: Some(attached.pipes),
            pump: Some(attached.pump),
            drain_until: None,
            watched,
            secrets: Arc::new(spec.options.environment.clone()),
            log: order.log.clone(),
            footprint,
        })
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
        Box::pin(async move { reap::reap(&self.engine, &run).await })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(self.remover.settle())
    }
}

/// `envdeck-filesystem-1a2b3c4d`: names of containers are letters, digits and `_.-`.
fn name(order: &Order) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() || "_.-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let backend: String = order.backend.name.chars().map(letter).collect();
    format!("envdeck-{backend}-{}", order.instance)
}
