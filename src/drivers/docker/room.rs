//! A container that is there for what is executed in it: it does nothing by itself, and many may share it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::attach::Attached;
use super::create::{Creation, Extras, creation};
use super::engine::{Engine, USUAL};
use super::exec::{Command, Done, Exec, Inside};
use super::image::Wanted;
use super::remover::Footprint;
use super::stats::Stats;
use super::watch::{ContainerState, Watched};
use super::words::Trouble;
use super::{Containers, inspect, labels, shell};
use crate::drivers::{Order, Shell, Usage, WindowSize};
use crate::model::{Exit, Failure, InstanceId, LocalDocker, Stage, Transport};
use crate::stores::logs::LogWriter;

/// For a measurement that somebody waits for.
const MEASURING: Duration = Duration::from_millis(900);

/// A running container. Dropping it removes it in the background.
pub struct Room {
    engine: Engine,
    pub id: Arc<str>,
    /// `None` when it has been removed.
    footprint: Mutex<Option<Footprint>>,
    watched: Watched,
    stats: tokio::sync::Mutex<Stats>,
}

impl Containers {
    /// Makes a room for `order`, in the name of `holder`, which stands for all who will share it. Dropping the
    /// future leaves nothing behind.
    pub async fn room(
        &self,
        spec: &LocalDocker,
        name: String,
        holder: &InstanceId,
        order: &Order,
    ) -> Result<Room, Failure> {
        let wanted = Wanted {
            reference: spec.image.as_str().into(),
            platform: None,
            pull: spec.options.pull,
        };
        self.images.ensure(&wanted, &order.steps).await?;
        order.steps.tell("create sandbox");
        let engine = &self.engine;
        let footprint = Footprint::new(holder.clone(), self.remover.clone());
        let extras = Extras {
            name,
            labels: labels::of_room(order, holder),
            ..Extras::default()
        };
        let Creation { options, body } = creation(spec, Transport::Http, &extras);
        let asking = engine.clone();
        let asked = async move {
            let created = asking.ask("create the sandbox", USUAL, |docker| async move {
                docker.create_container(Some(options), body).await
            });
            Ok(created.await?.id)
        };
        let created = footprint.create(asked).await;
        let (footprint, id) = created.map_err(|trouble| trouble.at(Stage::Create))?;
        let watched = self.watcher(&order.run).watch(&id, order.log.clone());
        let started = engine.ask("start the sandbox", USUAL, |docker| {
            let id = id.clone();
            async move { docker.start_container(&id, None).await }
        });
        started.await.map_err(|trouble| trouble.at(Stage::Create))?;
        Ok(Room {
            engine: engine.clone(),
            id,
            footprint: Mutex::new(Some(footprint)),
            stats: tokio::sync::Mutex::new(Stats::new(engine.clone(), &watched)),
            watched,
        })
    }
}

impl Room {
    /// See [`Exec::serve`].
    pub async fn serve(
        &self,
        command: Command,
        log: &LogWriter,
    ) -> Result<(Exec, Attached), Trouble> {
        Exec::serve(&self.engine, &self.id, command, log).await
    }

    /// See [`Exec::tell`].
    pub async fn tell(&self, command: Command, log: &LogWriter) -> Result<Exit, Trouble> {
        Exec::tell(&self.engine, &self.id, command, log).await
    }

    /// See [`Exec::run`].
    pub async fn run(
        &self,
        command: Command,
        input: Option<mpsc::Receiver<Bytes>>,
    ) -> Result<Done, Trouble> {
        Exec::run(&self.engine, &self.id, command, input).await
    }

    /// A shell as one of those who share it.
    pub async fn shell(&self, inside: Inside, size: WindowSize) -> Result<Shell, Failure> {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        shell::open_as(engine, id, inside, size).await
    }

    pub fn state(&self) -> ContainerState {
        self.watched.state()
    }

    /// Only while it lives.
    pub fn states(&self) -> watch::Receiver<ContainerState> {
        self.watched.states()
    }

    /// What has ended of what is executed in it.
    pub fn ends(&self) -> broadcast::Receiver<Arc<str>> {
        self.watched.ends()
    }

    pub fn excuse(&self) -> Option<&'static str> {
        self.watched.excuse()
    }

    /// Whether something can still be executed in it, as far as is known.
    pub fn is_open(&self) -> bool {
        self.watched.state().exit.is_none() && self.footprint.lock().is_some()
    }

    /// Of all who share it; `None` while nothing can be measured.
    pub async fn usage(&self) -> Option<Usage> {
        let measured = async { self.stats.lock().await.usage().await };
        timeout(MEASURING, measured).await.ok()?.ok()?
    }

    /// All that the engine tells of it; nothing in it is secret.
    pub async fn inspect(&self) -> Result<String, Failure> {
        inspect::inspect(&self.engine, &self.id, &std::collections::BTreeMap::new()).await
    }

    /// Removes it with all that runs in it.
    pub async fn remove(&self) -> Result<(), Failure> {
        let footprint = self.footprint.lock().take();
        match footprint {
            Some(footprint) => footprint.remove().await,
            None => Ok(()),
        }
    }
}
