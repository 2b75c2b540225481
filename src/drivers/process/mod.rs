//! `local_process`: a child in its own process group that speaks MCP on stdin and stdout.

mod diagnose;
mod family;
mod orphans;
mod pause;
mod running;
mod shell;
mod table;
mod usage;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;

use tokio::process::{Child, Command};

use self::family::Family;
use self::running::{Child as RunningChild, Pipes};
pub(super) use self::table::Identity;
use self::table::Table;
use super::{Driver, Order, Running, Task, Trace};
use crate::model::{Failure, LocalProcess, Mode, RunId, Stage};

/// The environment variables that tell whose a process is, also after its parents are gone.
const RUN: &str = "ENVDECK_RUN";
/// Process id and start time of the envdeck that started it: `PID:TICKS`.
const OWNER: &str = "ENVDECK_OWNER";
const INSTANCE: &str = "ENVDECK_INSTANCE";

/// What keeps well-known programs from asking for passwords on the terminal behind our back: they fail instead, and
/// say so. Only where the user has not decided otherwise; a graphical askpass still asks.
const QUIET: [(&str, &str); 3] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("SSH_ASKPASS_REQUIRE", "force"),
    ("SSH_ASKPASS", "false"),
];

/// Makes child processes.
#[derive(Default)]
pub struct Processes {
    table: Arc<Table>,
    dropped: Dropped,
}

/// Families that were dropped, and so killed, but not seen to end.
type Dropped = Arc<Mutex<Vec<Family>>>;

impl Driver for Processes {
    fn kind(&self) -> &'static str {
        "local_process"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(async move {
            let backend = order.backend.clone();
            let Mode::LocalProcess(spec) = &backend.mode else {
                let text = format!("{} is not a local_process", backend.mode.name());
                return Err(Failure::other(Stage::Start, text));
            };
            let mut child = spawn(spec, &order, self.table.owner())?;
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
            let (Some(pid), Some(pipes)) = (pid, Pipes::take(&mut child)) else {
                return Err(Failure::other(Stage::Start, "the process has no pipes"));
            };
            let family = Family::new(self.table.clone(), pid, &order.instance);
            let running: Box<dyn Running> = Box::new(RunningChild::new(
                child,
                pipes,
                family,
                self.dropped.clone(),
                spec,
                order.log,
            ));
            Ok(running)
        })
    }

    fn reap(&self, _run: &RunId) -> Task<'_, usize> {
        Box::pin(async { Ok(orphans::end().await) })
    }

    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(async { Ok(family::blocking(orphans::traces).await) })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async {
            let dropped = self.dropped.lock().clone();
            let ends = join_all(dropped.iter().map(|family| family.end(Duration::ZERO))).await;
            let left: Vec<_> = ends.into_iter().flat_map(|ending| ending.left).collect();
            // Others may have been dropped meanwhile; what cannot be killed is waited for once.
            self.dropped
                .lock()
                .retain(|family| !dropped.iter().any(|seen| seen.pid() == family.pid()));
            if left.is_empty() {
                Ok(())
            } else {
                Err(running::survivors(&left))
            }
        })
    }
}

/// Starts it in its own group, so that our terminal's Ctrl-C does not reach it.
fn spawn(spec: &LocalProcess, order: &Order, owner: &str) -> Result<Child, Failure> {
    diagnose::directory(spec)?;
    let mut command = Command::new(&spec.command);
    let is_undecided = |name: &str| std::env::var_os(name).is_none();
    command
        .args(&spec.args)
        .envs(QUIET.into_iter().filter(|(name, _)| is_undecided(name)))
        .envs(spec.env.iter().map(|(name, value)| (name, value.expose())))
        .env(RUN, order.run.as_str())
        .env(OWNER, owner)
        .env(INSTANCE, order.instance.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &spec.cwd {
        command.current_dir(directory);
    }
    command
        .spawn()
        .map_err(|error| diagnose::failure(spec, error))
}
