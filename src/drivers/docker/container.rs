//! One running container: its streams, its facts, its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::StopContainerOptionsBuilder;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::attach::Pipes;
use super::engine::{Engine, USUAL};
use super::remover::Footprint;
use super::watch::Watched;
use super::{inspect, shell, words};
use crate::drivers::{Endpoint, Facts, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Exit, Failure, Secret, Stage};
use crate::stores::logs::{LogWriter, Source};

/// For the rest of the output after the end.
const DRAIN: Duration = Duration::from_millis(500);
/// A server that ends when its stdin closes may do so in peace before it gets a signal.
const GOODBYE: Duration = Duration::from_millis(200);

/// A started container.
pub struct Container {
    pub engine: Engine,
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub image: Arc<str>,
    pub pipes: Option<Pipes>,
    pub pump: Option<AbortOnDropHandle<()>>,
    pub drain_until: Option<Instant>,
    pub watched: Watched,
    pub secrets: Arc<BTreeMap<String, Secret>>,
    pub log: LogWriter,
    pub footprint: Footprint,
}

impl Container {
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

    /// Waits for the end of its output, but not for long.
    async fn drain(&mut self) {
        let deadline = *self
            .drain_until
            .get_or_insert_with(|| Instant::now() + DRAIN);
        if let Some(pump) = &mut self.pump
            && timeout_at(deadline, pump).await.is_ok()
        {
            self.pump = None;
        }
    }

    async fn end(mut self, grace: Duration) -> Result<(), Failure> {
        // Closes its stdin, unless a client holds it.
        self.pipes = None;
        let deadline = Instant::now() + grace;
        if timeout(GOODBYE.min(grace), self.watched.ended())
            .await
            .is_err()
        {
            self.ask_to_end(grace, deadline).await;
        }
        let removed = self.footprint.remove().await;
        removed.map_err(|trouble| trouble.at(Stage::Remove))
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
        let Pipes { stdin, stdout } = self.pipes.take().expect("the endpoint is taken once");
        Endpoint::Stdio {
            read: Box::new(stdout),
            write: Box::new(stdin),
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = vec![
            ("container".into(), short(&self.id).into()),
            ("name".into(), self.name.clone()),
            ("image".into(), self.image.clone()),
        ];
        facts.extend(self.watched.facts());
        facts
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.watched.facts_changed())
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        Box::pin(async move {
            let exit = self.watched.ended().await;
            self.drain().await;
            self.explained(exit)
        })
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async { Ok(None) })
    }

    fn inspect(&self) -> Task<'static, Option<String>> {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let secrets = self.secrets.clone();
        Box::pin(async move { inspect::inspect(&engine, &id, &secrets).await.map(Some) })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        Box::pin(shell::open(self.engine.clone(), self.id.clone(), size))
    }

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(self.end(grace))
    }
}

/// As the docker command line shows ids.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
