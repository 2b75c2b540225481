//! One start: create, attach, start; whatever exists of it is removed if it fails or is given up.

use std::sync::Arc;

use super::attach::{Attached, Pump};
use super::container::{Container, short};
use super::create::{Creation, Extras, creation};
use super::engine::{Engine, USUAL};
use super::labels;
use super::remover::{Footprint, Remover};
use super::stats::Stats;
use super::watch::Watcher;
use super::words::Trouble;
use crate::drivers::Order;
use crate::model::{Failure, LocalDocker, Stage};

pub struct Start<'a> {
    pub engine: &'a Engine,
    pub remover: &'a Remover,
    pub watcher: Watcher,
    pub spec: &'a LocalDocker,
    pub order: &'a Order,
}

/// What was created.
struct Created {
    footprint: Footprint,
    id: Arc<str>,
    name: Arc<str>,
}

impl Start<'_> {
    pub async fn run(self) -> Result<Container, Failure> {
        let steps = &self.order.steps;
        // An earlier start of the same instance may still be on its way out.
        self.remover.cleared(&self.order.instance).await;
        steps.tell("create container");
        let created = self.create().await;
        let created = created.map_err(|trouble| trouble.at(Stage::Create))?;
        steps.tell(format!("start container {}", short(&created.id)));
        let started = self.start(created).await;
        started.map_err(|trouble| trouble.at(Stage::Start))
    }

    async fn create(&self) -> Result<Created, Trouble> {
        let name = name(self.order);
        match self.create_as(name.clone()).await {
            // Names are for people: what is not ours keeps its own.
            Err(trouble) if trouble.is_name_taken() => {
                let other = format!("{name}-{:04x}", rand::random::<u16>());
                self.create_as(other).await
            }
            created => created,
        }
    }

    async fn create_as(&self, name: String) -> Result<Created, Trouble> {
        let extras = Extras {
            name: name.clone(),
            labels: labels::of_instance(self.order),
            ..Extras::default()
        };
        let Creation { options, body } = creation(self.spec, self.order.backend.transport, &extras);
        let engine = self.engine.clone();
        let asked = async move {
            let created = engine.ask("create the container", USUAL, |docker| async move {
                docker.create_container(Some(options), body).await
            });
            Ok(created.await?.id)
        };
        let footprint = Footprint::new(self.order.instance.clone(), self.remover.clone());
        let (footprint, id) = footprint.create(asked).await?;
        Ok(Created {
            footprint,
            id,
            name: name.into(),
        })
    }

    async fn start(&self, created: Created) -> Result<Container, Trouble> {
        let Created {
            footprint,
            id,
            name,
        } = created;
        let log = &self.order.log;
        let Attached { pipes, pump } = Pump::start(self.engine, &id, log).await?;
        let watched = self.watcher.watch(&id, log.clone());
        let started = self.engine.ask("start the container", USUAL, |docker| {
            let id = id.clone();
            async move { docker.start_container(&id, None).await }
        });
        started.await?;
        Ok(Container {
            engine: self.engine.clone(),
            id,
            name,
            image: self.spec.image.as_str().into(),
            stats: Stats::new(self.engine.clone(), &watched),
            pipes: Some(pipes),
            pump: Some(pump),
            drain_until: None,
            watched,
            secrets: Arc::new(self.spec.options.secrets()),
            log: log.clone(),
            footprint,
        })
    }
}

/// `envdeck-filesystem-1a2b3c4d`: names of containers are letters, digits and `_.-`.
fn name(order: &Order) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let letter = |c: char| if is_letter(c) { c } else { '-' };
    let backend: String = order.backend.name.chars().map(letter).collect();
    format!("envdeck-{backend}-{}", order.instance)
}
