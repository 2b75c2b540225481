//! One server in a sandbox: a process that is executed there, seen to until it has ended, and ended for sure.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::cell::Cell;
use super::house::{House, Lot};
use super::provide::Provided;
use super::usage::Meter;
use crate::drivers::docker::attach::{Attached, Pipes};
use crate::drivers::docker::exec::Exec;
use crate::drivers::docker::watch::{ContainerState, Life};
use crate::drivers::{Endpoint, Facts, Order, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Cause, Exit, Failure, Sandbox, SandboxPhase, Stage, fact};
use crate::quote;
use crate::stores::logs::{LogWriter, Source};

pub(super) const SERVE: &str = include_str!("scripts/serve.sh");
/// What that says, with the command behind it.
pub(super) const NOT_FOUND: &str = "envdeck: command not found: ";

/// Between two looks whether it still runs, in case its end was missed.
const LOOK: Duration = Duration::from_secs(5);
/// Looks in a row that may fail.
const FAILED_LOOKS: u32 = 3;
/// After its end, for its last words and for what explains it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Between two measurements of what it has filled.
const MEASURING: Duration = Duration::from_secs(10);
/// A server that ends when its input does may do so in peace before it gets a signal.
const GOODBYE: Duration = Duration::from_millis(200);
/// For the end of what is killed.
const KILLING: Duration = Duration::from_secs(5);
/// What SIGKILL leaves, also that of the kernel for want of memory.
const KILLED: i32 = 137;

/// How it has ended, once it has.
type End = Result<Exit, Failure>;

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
    _supervision: AbortOnDropHandle<()>,
    /// Nothing of it is left.
    is_gone: bool,
}

/// What its supervision tells.
struct Shared {
    end: watch::Sender<Option<End>>,
    facts: watch::Sender<()>,
    /// MiB.
    filled: Mutex<Option<u64>>,
}

impl Process {
    pub async fn start(
        house: Arc<House>,
        provided: Provided,
        spec: &Sandbox,
        order: &Order,
    ) -> Result<Self, Failure> {
        let Provided {
            lot,
            cell,
            command,
            project,
        } = provided;
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
            filled: Mutex::default(),
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

    async fn end(mut self, grace: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + grace;
        self.pipes = None;
        let mut ended = self.shared.end.subscribe();
        let goodbye = GOODBYE.min(grace);
        let has_ended = timeout(goodbye, ended.wait_for(Option::is_some))
            .await
            .is_ok();
        if !has_ended && !grace.is_zero() && self.cell.room.is_open() {
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
            self.house.see_to(async move {
                if cell.kill(KILLING).await.is_err() {
                    let _ = lot.condemn(&cell.room).await;
                }
            });
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
            None if state.life == Life::Paused => fact::PAUSED.to_owned(),
            None => fact::RUNNING.to_owned(),
        };
        facts.push((fact::STATUS.into(), status.into()));
        if let Some(filled) = *self.shared.filled.lock() {
            let text = match self.quota {
                0 => format!("{filled} MiB"),
                quota => format!("{filled} of {quota} MiB"),
            };
            facts.push((fact::WORKSPACE.into(), text.into()));
        }
        if let Some(health) = self.meter.health(self.lot.population()) {
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
        self.cell.room.excuse()
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
            let population = self.lot.population();
            let before = self.meter.health(population);
            let usage = self.meter.usage().await;
            if self.meter.health(population) != before {
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

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(self.end(grace))
    }
}

/// Kills what was started and not taken.
struct Leash {
    house: Arc<House>,
    cell: Option<Cell>,
}

impl Leash {
    fn new(house: &Arc<House>, cell: &Cell) -> Self {
        Self {
            house: house.clone(),
            cell: Some(cell.clone()),
        }
    }

    fn loosen(mut self) {
        self.cell = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            self.house.see_to(async move {
                let _ = cell.kill(KILLING).await;
            });
        }
    }
}

/// Finds out how a process ends.
struct Supervision {
    exec: Exec,
    cell: Cell,
    log: LogWriter,
    /// MiB; 0 is none.
    quota: u64,
    shared: Arc<Shared>,
    /// Processes of the sandbox that the kernel had killed before.
    killed_for_memory: u32,
}

impl Supervision {
    async fn run(self, pump: AbortOnDropHandle<()>) {
        let end = tokio::select! {
            end = self.ended(pump) => end,
            failure = self.overfilled() => Err(failure),
        };
        self.shared.end.send_replace(Some(end));
        self.shared.facts.send_replace(());
    }

    async fn ended(&self, mut pump: AbortOnDropHandle<()>) -> End {
        let mut states = self.cell.room.states();
        let mut ends = self.cell.room.ends();
        let mut look = Instant::now() + LOOK;
        let mut failed_looks = 0;
        loop {
            let closed = async {
                let state = states.wait_for(|state| state.exit.is_some()).await;
                state.ok().and_then(|state| state.exit.clone())
            };
            tokio::select! {
                _ = &mut pump => break,
                exit = closed => return Err(broken(exit)),
                () = self.exec.heard_of(&mut ends) => {}
                () = sleep_until(look) => {}
            }
            look = Instant::now() + LOOK;
            match self.exec.exit().await {
                // A child of its own holds the streams open.
                Ok(Some(exit)) => {
                    let _ = timeout(LAST_WORDS, &mut pump).await;
                    return self.explained(exit).await;
                }
                Ok(None) => failed_looks = 0,
                Err(trouble) if trouble.is_outage() => {}
                Err(trouble) => {
                    failed_looks += 1;
                    if failed_looks == FAILED_LOOKS {
                        return Err(trouble.at(Stage::Run));
                    }
                }
            }
        }
        self.explained(self.status().await).await
    }

    /// After the end of its streams. What runs without them is of no use to anybody.
    async fn status(&self) -> Exit {
        let deadline = Instant::now() + LOOK;
        let mut pause = Duration::from_millis(5);
        let mut is_away = false;
        while Instant::now() < deadline {
            match self.exec.exit().await {
                Ok(Some(exit)) => return exit,
                Ok(None) => is_away = false,
                // Its streams ended with the engine's.
                Err(trouble) => is_away = trouble.is_outage(),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_WORDS);
        }
        if is_away {
            return unknown();
        }
        self.log
            .line(Source::Envdeck, "it closed its streams and runs on: killed");
        let _ = self.cell.kill(KILLING).await;
        self.exec
            .exit()
            .await
            .ok()
            .flatten()
            .unwrap_or_else(unknown)
    }

    async fn explained(&self, mut exit: Exit) -> End {
        if exit.code == Some(127)
            && let Some(line) = self.log.last_output(1).last()
            && let Some(command) = line.strip_prefix(NOT_FOUND)
        {
            let cause = Cause::CommandNotFound(command.to_owned());
            return Err(SandboxPhase::ProcessStart
                .failed(cause)
                .hint("it must be in the image, or be installed by the project"));
        }
        if exit.code == Some(KILLED) {
            match self.why_killed().await {
                Some(Why::Broken(failure)) => return Err(failure),
                Some(Why::Memory) => exit.out_of_memory = true,
                None => {}
            }
        }
        Ok(exit)
    }

    /// What is behind the end of a process that was killed; the engine may tell of it a little later.
    async fn why_killed(&self) -> Option<Why> {
        let mut states = self.cell.room.states();
        let before = self.killed_for_memory;
        let tells = |state: &ContainerState| state.exit.is_some() || state.out_of_memory > before;
        let told = timeout(LAST_WORDS, states.wait_for(tells)).await;
        let state = told.ok()?.ok()?;
        Some(match state.exit.clone() {
            Some(exit) => Why::Broken(broken(Some(exit))),
            None => Why::Memory,
        })
    }

    /// Resolves when it has filled more than it may, and has been killed for that.
    async fn overfilled(&self) -> Failure {
        loop {
            sleep(MEASURING).await;
            let Some(filled) = self.cell.filled().await else {
                continue;
            };
            if self.shared.filled.lock().replace(filled) != Some(filled) {
                self.shared.facts.send_replace(());
            }
            if self.quota > 0 && filled > self.quota {
                let _ = self.cell.kill(KILLING).await;
                let quota = self.quota;
                let text = format!("its workspace holds {filled} MiB, and {quota} MiB are allowed");
                return Failure::other(Stage::Run, text)
                    .hint("it was ended; raise box.workspace_quota_mb if it needs more");
            }
        }
    }
}

/// Why a process was killed.
enum Why {
    Broken(Failure),
    /// The kernel did it for want of memory.
    Memory,
}

/// The sandbox has ended, and all in it.
fn broken(exit: Option<Exit>) -> Failure {
    let exit = exit.unwrap_or_else(unknown);
    let text = format!("its sandbox {exit}");
    Failure::other(Stage::Run, text).hint("all servers in it ended; it is made again")
}

pub(super) fn unknown() -> Exit {
    Exit {
        code: None,
        signal: None,
        out_of_memory: false,
    }
}

/// As the docker command line shows ids.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
