//! One server in a sandbox: a process that is executed there, seen to until it has ended, and ended for sure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Provided;
use super::cell::Cell;
use super::house::{House, Lot};
use super::leash::Leash;
use super::provide::Ready;
use super::serve::{SERVE, unknown};
use super::supervision::{Shared, Supervision};
use super::usage::Meter;
use crate::drivers::docker::attach::{Attached, Pipes};
use crate::drivers::docker::watch::Life;
use crate::drivers::{Endpoint, Facts, Order, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Exit, Failure, Sandbox, SandboxPhase, Stage, fact};
use crate::quote;

/// A server that ends when its input does may do so in peace before it gets a signal.
const GOODBYE: Duration = Duration::from_millis(200);
/// For the end of what is killed.
const KILLING: Duration = Duration::from_secs(5);

pub struct Process {
    house: Arc<House>,
    lot: Arc<Lot>,
    cell: Cell,
    pipes: Option<Pipes>,
    made_of: Facts,
    shared: Arc<Shared>,
    meter: Meter,
    /// MiB; 0 is none.
    quota: u64,
    /// Of the sandbox.
    pids_limit: u64,
    _supervision: AbortOnDropHandle<()>,
    /// Nothing of it is left.
    is_gone: bool,
}

impl Process {
    pub async fn start(
        house: Arc<House>,
        provided: Provided,
        spec: &Sandbox,
        order: &Order,
    ) -> Result<Self, Failure> {
        let Provided { lot, cell, ready } = provided;
        let Ready { command, project } = ready;
        order.steps.tell("process_start");
        let words = ["sh", "-c", SERVE, "envdeck"].into_iter();
        let words = words.chain(command.iter().map(String::as_str));
        let mut executed = cell.inside("workspace").command(words);
        let env = spec.env.iter();
        executed
            .env
            .extend(env.map(|(name, value)| format!("{name}={}", value.expose())));
        // Whoever gives this start up leaves nothing that runs.
        let leash = Leash::new(&house, &cell);
        let served = cell.room.serve(executed, &order.log).await;
        let served =
            served.map_err(|trouble| trouble.at(Stage::Start).at(SandboxPhase::ProcessStart));
        let (exec, Attached { pipes, pump }) = served?;
        leash.loosen();
        let shared = Arc::new(Shared {
            end: watch::Sender::new(None),
            facts: watch::Sender::new(()),
            is_paused: AtomicBool::new(false),
        });
        let supervision = Supervision {
            exec,
            cell: cell.clone(),
            log: order.log.clone(),
            quota: spec.staging.quota_mb,
            shared: shared.clone(),
            killed_for_memory: cell.room.state().out_of_memory,
        };
        let supervision = tokio::spawn(supervision.run(pump));
        let mut made_of: Facts = vec![
            ("command".into(), quote::line(&command).into()),
            (fact::SANDBOX.into(), lot.name.clone()),
            ("container".into(), short(&cell.room.id).into()),
            ("image".into(), spec.profile.image.as_str().into()),
            ("user".into(), cell.user.to_string().into()),
        ];
        if let Some(project) = project {
            made_of.push(("project".into(), project.display().to_string().into()));
        }
        Ok(Self {
            meter: Meter::new(cell.clone()),
            quota: spec.staging.quota_mb,
            pids_limit: spec.profile.pids_limit,
            house,
            lot,
            cell,
            pipes: Some(pipes),
            made_of,
            shared,
            _supervision: AbortOnDropHandle::new(supervision),
            is_gone: false,
        })
    }

    fn is_paused(&self) -> bool {
        self.shared.is_paused.load(Ordering::Relaxed)
    }

    /// Of all in its sandbox.
    fn health(&self) -> Option<String> {
        let health = self.meter.health(self.lot.population(), self.pids_limit)?;
        Some(format!("{}: {health}", self.lot.name))
    }

    async fn end(mut self, grace: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + grace;
        self.pipes = None;
        let mut ended = self.shared.end.subscribe();
        let goodbye = GOODBYE.min(grace);
        let has_ended = timeout(goodbye, ended.wait_for(Option::is_some))
            .await
            .is_ok();
        if !has_ended && !grace.is_zero() && self.cell.room.is_open() {
            if self.is_paused() {
                // What is stopped hears of nothing.
                let _ = self.cell.set_paused(false).await;
            }
            let _ = self.cell.ask_to_end().await;
            let _ = timeout_at(deadline, ended.wait_for(Option::is_some)).await;
        }
        // Also what it has started and left behind.
        let killed = self.cell.kill(KILLING).await;
        self.is_gone = true;
        let Err(failure) = killed else {
            return Ok(());
        };
        // It goes with all that share it, but it goes.
        tracing::warn!("{}: {failure}; removing the sandbox", self.lot.name);
        self.lot.condemn(&self.cell.room).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_gone {
            let (cell, lot) = (self.cell.clone(), self.lot.clone());
            self.house.see_to(self.cell.ending(async move {
                if cell.kill(KILLING).await.is_err() {
                    let _ = lot.condemn(&cell.room).await;
                }
            }));
        }
    }
}

impl Running for Process {
    fn endpoint(&mut self) -> Endpoint {
        let Pipes { stdin, stdout } = self.pipes.take().expect("the endpoint is taken once");
        Endpoint::Stdio {
            read: Box::new(stdout),
            write: Box::new(stdin),
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = self.made_of.clone();
        let state = self.cell.room.state();
        let status = match &*self.shared.end.borrow() {
            Some(Ok(exit)) => exit.to_string(),
            Some(Err(failure)) => failure.cause.to_string(),
            None if state.life == Life::Paused || self.is_paused() => fact::PAUSED.to_owned(),
            None => fact::RUNNING.to_owned(),
        };
        facts.push((fact::STATUS.into(), status.into()));
        if let Some(filled) = self.cell.filled() {
            let text = match self.quota {
                0 => format!("{filled} MiB"),
                quota => format!("{filled} of {quota} MiB"),
            };
            facts.push((fact::WORKSPACE.into(), text.into()));
        }
        if let Some(health) = self.health() {
            facts.push((fact::SANDBOX_HEALTH.into(), health.into()));
        }
        let of_container = state.facts().into_iter();
        let told = [fact::OUT_OF_MEMORY, fact::ENGINE, "events"];
        facts.extend(of_container.filter(|(name, _)| told.contains(&&**name)));
        facts
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.shared.facts.subscribe())
    }

    fn excuse(&self) -> Option<&'static str> {
        let paused = self.is_paused().then_some("its processes are stopped");
        self.cell.room.excuse().or(paused)
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        let mut end = self.shared.end.subscribe();
        Box::pin(async move {
            match end.wait_for(Option::is_some).await {
                Ok(end) => end.clone().unwrap_or_else(|| Ok(unknown())),
                // Its supervision can only end with it.
                Err(_) => Ok(unknown()),
            }
        })
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async {
            let before = self.health();
            let usage = self.meter.usage().await;
            if self.health() != before {
                self.shared.facts.send_replace(());
            }
            Ok(usage)
        })
    }

    fn inspect(&self) -> Task<'static, Option<String>> {
        let room = self.cell.room.clone();
        Box::pin(async move { room.inspect().await.map(Some) })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        let cell = self.cell.clone();
        Box::pin(async move { cell.room.shell(cell.inside("workspace"), size).await })
    }

    fn set_paused(&self, paused: bool) -> Task<'static, ()> {
        let (cell, shared) = (self.cell.clone(), self.shared.clone());
        Box::pin(async move {
            cell.set_paused(paused).await?;
            shared.is_paused.store(paused, Ordering::Relaxed);
            shared.facts.send_replace(());
            Ok(())
        })
    }

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(self.end(grace))
    }
}

/// As the docker command line shows ids.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
