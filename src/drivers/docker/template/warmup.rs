//! A template container at work on its data, until it is ready to be committed.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::HealthStatusEnum;
use bollard::query_parameters::StopContainerOptionsBuilder;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::commit::Commission;
use super::probe;
use crate::drivers::docker::attach::{Pipes, Pump};
use crate::drivers::docker::engine::{Engine, QUICK, USUAL};
use crate::drivers::docker::image::Image;
use crate::drivers::docker::watch::{Watched, Watcher};
use crate::drivers::docker::words::Trouble;
use crate::drivers::{Endpoint, Steps};
use crate::mcp::ToolClient;
use crate::model::{Backend, Cause, Exit, Failure, HealthTest, LocalDocker, Stage, Transport};
use crate::stores::logs::Source;

/// Between two looks at the health of a container.
const LOOK: Duration = Duration::from_millis(200);

/// For a connection to close, and for the end of a container to be seen.
const GOODBYE: Duration = Duration::from_secs(5);

/// When a template container has run long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Warmup {
    until: Until,
    /// Not less than this, from its start.
    at_least: Duration,
    /// The condition must hold within this time.
    within: Duration,
    /// Between asking it to end and killing it.
    grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Until {
    /// Its own health check says so.
    Healthy,
    /// It speaks MCP and the start-up check succeeds.
    Answers,
    /// Only the time counts.
    Elapsed,
}

/// What keeps the input of the server open: many end with it.
#[derive(Default)]
struct Held {
    pipes: Option<Pipes>,
    client: Option<ToolClient>,
}

impl Warmup {
    /// What is configured: a health check, else a start-up check, else a time; `None` where there is none of
    /// these, so that the data is committed as it is.
    pub fn of(backend: &Backend, docker: &LocalDocker, image: &Image) -> Option<Self> {
        let until = if has_health_check(docker, image) {
            Until::Healthy
        } else if backend.startup_check.is_some() {
            Until::Answers
        } else if docker.commit_delay.is_some_and(|delay| !delay.is_zero()) {
            Until::Elapsed
        } else {
            return None;
        };
        Some(Self {
            until,
            at_least: docker.commit_delay.unwrap_or_default(),
            within: backend.start_timeout,
            grace: backend.stop_grace,
        })
    }

    /// Starts the container, waits until it is ready, and stops it, so that all it has written is on disk.
    pub async fn run(
        self,
        engine: &Engine,
        id: &Arc<str>,
        commission: &Commission,
        steps: &Steps,
    ) -> Result<(), Failure> {
        let attached = match commission.backend.transport {
            Transport::Stdio => {
                let attached = Pump::start(engine, id, &commission.log).await;
                Some(attached.map_err(|trouble| preparing(&trouble))?)
            }
            Transport::Http => None,
        };
        let (_pump, pipes) = attached
            .map(|attached| (attached.pump, attached.pipes))
            .unzip();
        let mut watched =
            Watcher::new(engine.clone(), commission.run.clone()).watch(id, commission.log.clone());
        let started = engine.ask("start the template container", USUAL, |docker| async move {
            docker.start_container(id, None).await
        });
        started.await.map_err(|trouble| preparing(&trouble))?;
        let began = Instant::now();
        let held = {
            let ready = timeout_at(
                began + self.within,
                self.ready(engine, id, commission, pipes, steps),
            );
            tokio::select! {
                biased;
                ready = ready => ready.map_err(|_| self.late())??,
                exit = watched.ended() => return Err(Failure::new(Stage::Prepare, Cause::Exited(exit))),
            }
        };
        tokio::select! {
            () = sleep_until(began + self.at_least) => {}
            exit = watched.ended() => return done_early(exit),
        }
        if let Some(client) = held.client {
            client.close(GOODBYE).await;
        }
        drop(held.pipes);
        self.stop(engine, id, &mut watched, commission).await
    }

    async fn ready(
        self,
        engine: &Engine,
        id: &str,
        commission: &Commission,
        pipes: Option<Pipes>,
        steps: &Steps,
    ) -> Result<Held, Failure> {
        let mut held = Held::default();
        match (self.until, pipes) {
            (Until::Elapsed, pipes) => {
                steps.tell(format!("run template for {:?}", self.at_least));
                held.pipes = pipes;
            }
            (Until::Healthy, pipes) => {
                steps.tell("run template until healthy");
                healthy(engine, id).await?;
                held.pipes = pipes;
            }
            (Until::Answers, Some(Pipes { stdin, stdout })) => {
                steps.tell("run template until it answers");
                let endpoint = Endpoint::Stdio {
                    read: Box::new(stdout),
                    write: Box::new(stdin),
                };
                let answers =
                    probe::answers(endpoint, &commission.backend, &commission.log, self.within);
                held.client = Some(answers.await?);
            }
            (Until::Answers, None) => {}
        }
        Ok(held)
    }

    async fn stop(
        self,
        engine: &Engine,
        id: &str,
        watched: &mut Watched,
        commission: &Commission,
    ) -> Result<(), Failure> {
        let seconds = i32::try_from(self.grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stopped = engine.ask(
            "stop the template container",
            self.grace + USUAL,
            |docker| async move { docker.stop_container(id, Some(options)).await },
        );
        stopped.await.map_err(|trouble| preparing(&trouble))?;
        if let Ok(exit) = timeout(GOODBYE, watched.ended()).await
            && exit.signal == Some(Signal::SIGKILL as i32)
        {
            let text = format!(
                "the template container had to be killed after {:?}",
                self.grace
            );
            commission.log.line(Source::Envdeck, &text);
        }
        Ok(())
    }

    fn late(self) -> Failure {
        let what = match self.until {
            Until::Healthy => "be healthy",
            Until::Answers => "answer",
            Until::Elapsed => "start",
        };
        let cause = Cause::Deadline {
            what: format!("the template container that was to {what}").into(),
            after: self.within,
        };
        Failure::new(Stage::Prepare, cause).hint("see its log, or raise start_timeout")
    }
}

/// It may have done what it had to do.
fn done_early(exit: Exit) -> Result<(), Failure> {
    match exit.code {
        Some(0) => Ok(()),
        _ => Err(Failure::new(Stage::Prepare, Cause::Exited(exit))),
    }
}

fn has_health_check(docker: &LocalDocker, image: &Image) -> bool {
    let of_image = image
        .config
        .healthcheck
        .as_ref()
        .and_then(|check| check.test.as_ref());
    let of_image = of_image.is_some_and(|test| test.first().is_some_and(|kind| kind != "NONE"));
    let configured = &docker.options.health;
    !configured.disabled
        && match &configured.test {
            Some(HealthTest::Command(command)) => !command.is_empty(),
            Some(HealthTest::Shell(_)) => true,
            None => of_image,
        }
}

async fn healthy(engine: &Engine, id: &str) -> Result<(), Failure> {
    loop {
        let found = engine.ask(
            "look at the template container",
            QUICK,
            |docker| async move { docker.inspect_container(id, None).await },
        );
        let found = found.await.map_err(|trouble| preparing(&trouble))?;
        let health = found
            .state
            .and_then(|state| state.health)
            .unwrap_or_default();
        match health.status {
            Some(HealthStatusEnum::HEALTHY) => return Ok(()),
            Some(HealthStatusEnum::UNHEALTHY) => {
                let probes = health.log.unwrap_or_default();
                let said = probes
                    .last()
                    .and_then(|probe| probe.output.as_deref())
                    .unwrap_or_default();
                let text = format!("the template container is unhealthy: {}", said.trim());
                return Err(Failure::other(Stage::Prepare, text));
            }
            _ => sleep(LOOK).await,
        }
    }
}

fn preparing(trouble: &Trouble) -> Failure {
    trouble.at(Stage::Prepare)
}
