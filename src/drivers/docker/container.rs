//! One running container: its facts, its end, and what can be done with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::StopContainerOptionsBuilder;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::channel::{Changes, Channel};
use super::engine::{Engine, USUAL};
use super::remover::Footprint;
use super::stats::Stats;
use super::watch::{Life, Watched};
use super::words::{self, Trouble};
use super::{inspect, shell};
use crate::drivers::{Endpoint, Facts, HttpEndpoint, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Exit, Failure, Secret, Stage, fact};
use crate::stores::logs::{LogWriter, Source};

/// A server that ends when its stdin closes may do so in peace before it gets a signal.
const GOODBYE: Duration = Duration::from_millis(200);

/// A started container.
pub struct Container {
    pub id: Arc<str>,
    engine: Engine,
    /// What does not change of its facts.
    made_of: Facts,
    channel: Channel,
    changes: Changes,
    watched: Watched,
    stats: Stats,
    secrets: Arc<BTreeMap<String, Secret>>,
    log: LogWriter,
    footprint: Footprint,
}

/// What a container is made of.
pub struct Parts {
    pub engine: Engine,
    pub id: Arc<str>,
    pub facts: Facts,
    pub channel: Channel,
    pub watched: Watched,
    pub secrets: BTreeMap<String, Secret>,
    pub log: LogWriter,
    pub footprint: Footprint,
}

impl From<Parts> for Container {
    fn from(parts: Parts) -> Self {
        Self {
            id: parts.id,
            made_of: parts.facts,
            changes: parts.channel.changes(&parts.watched),
            channel: parts.channel,
            stats: Stats::new(parts.engine.clone(), &parts.watched),
            watched: parts.watched,
            engine: parts.engine,
            secrets: Arc::new(parts.secrets),
            log: parts.log,
            footprint: parts.footprint,
        }
    }
}

impl Container {
    /// It answers at its port.
    pub fn listens(&mut self, at: HttpEndpoint) {
        let (url, place) = (at.server.shown_url(), at.server.place());
        self.made_of.push((fact::ENDPOINT.into(), url.into()));
        if let Some((_, port)) = place.rsplit_once(':') {
            self.made_of.push((fact::PORT.into(), port.into()));
        }
        if let Channel::Http { endpoint, .. } = &mut self.channel {
            *endpoint = Some(at);
        }
    }

    /// An end that was no start at all has a better reason than its status.
    fn explained(&self, exit: Exit) -> Result<Exit, Failure> {
        if matches!(exit.code, Some(126 | 127)) {
            let said = self.log.last_output(1);
            if let Some(failure) = said.last().and_then(|line| words::init_failed(line)) {
                return Err(failure);
            }
        }
        Ok(exit)
    }

    async fn end(mut self, grace: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + grace;
        if self.watched.state().life == Life::Paused {
            // What is frozen cannot end in peace.
            let resumed = set_paused(self.engine.clone(), self.id.clone(), false);
            let _ = timeout_at(deadline, resumed).await;
        }
        let goodbye = if self.channel.close() {
            GOODBYE.min(grace)
        } else {
            Duration::ZERO
        };
        if timeout(goodbye, self.watched.ended()).await.is_err() {
            self.ask_to_end(grace, deadline).await;
        }
        // What we remove ourselves is no news in its log.
        drop(self.watched);
        self.footprint.remove().await
    }

    async fn ask_to_end(&mut self, grace: Duration, deadline: Instant) {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        // The engine counts in whole seconds; whoever is still there at our deadline is killed by its removal.
        let seconds = i32::try_from(grace.as_secs() + 1).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stop = engine.ask("stop the container", grace + USUAL, |docker| async move {
            docker.stop_container(&id, Some(options)).await
        });
        let stopped = async {
            tokio::select! {
                _ = self.watched.ended() => {}
                result = stop => if result.is_err() { self.watched.ended().await; },
            }
        };
        if timeout_at(deadline, stopped).await.is_err() && !grace.is_zero() {
            let text = format!("still there {grace:?} after it was asked to end: killed");
            self.log.line(Source::Envdeck, &text);
        }
    }
}

impl Running for Container {
    fn endpoint(&mut self) -> Endpoint {
        self.channel.endpoint().expect("the endpoint is taken once")
    }

    fn facts(&self) -> Facts {
        let facts = self.made_of.iter().cloned();
        facts
            .chain(self.watched.facts())
            .chain(self.channel.facts())
            .collect()
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.changes.receiver.clone())
    }

    fn excuse(&self) -> Option<&'static str> {
        self.watched.excuse()
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        Box::pin(async move {
            let exit = self.watched.ended().await;
            self.channel.drain().await;
            self.explained(exit)
        })
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(self.stats.usage())
    }

    fn flush_log(&mut self) -> Task<'_, ()> {
        Box::pin(async move {
            self.channel.flush().await;
            Ok(())
        })
    }

    fn inspect(&self) -> Task<'static, Option<String>> {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let secrets = self.secrets.clone();
        Box::pin(async move { inspect::inspect(&engine, &id, &secrets).await.map(Some) })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        Box::pin(shell::open(self.engine.clone(), self.id.clone(), size))
    }

    fn set_paused(&self, paused: bool) -> Task<'static, ()> {
        let done = set_paused(self.engine.clone(), self.id.clone(), paused);
        Box::pin(async { done.await.map_err(|trouble| trouble.at(Stage::Run)) })
    }

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(self.end(grace))
    }
}

async fn set_paused(engine: Engine, id: Arc<str>, paused: bool) -> Result<(), Trouble> {
    if paused {
        let asked = engine.ask("pause the container", USUAL, |docker| async move {
            docker.pause_container(&id).await
        });
        return asked.await;
    }
    let asked = engine.ask("resume the container", USUAL, |docker| async move {
        docker.unpause_container(&id).await
    });
    asked.await
}

/// As the docker command line shows ids.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
