//! Finds out how a server in a sandbox ends, and ends one that fills too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::cell::{Cell, KILLED};
use super::serve::{not_found, unknown};
use crate::drivers::docker::exec::Exec;
use crate::drivers::docker::watch::ContainerState;
use crate::model::{Exit, Failure, Stage};
use crate::stores::logs::{LogWriter, Source};

/// Between two looks whether it still runs, in case its end was missed.
const LOOK: Duration = Duration::from_secs(5);
/// Looks in a row that may fail.
const FAILED_LOOKS: u32 = 3;
/// After its end, for its last words and for what explains it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Between two measurements of what it has filled: while that grows fast, and otherwise.
const MEASURING: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// For the end of what is killed.
const KILLING: Duration = Duration::from_secs(5);

/// How it has ended, once it has.
pub type End = Result<Exit, Failure>;

/// What is told of it.
pub struct Shared {
    pub end: watch::Sender<Option<End>>,
    pub facts: watch::Sender<()>,
    /// Its processes are stopped.
    pub is_paused: AtomicBool,
}

/// Finds out how a process ends.
pub struct Supervision {
    pub exec: Exec,
    pub cell: Cell,
    pub log: LogWriter,
    /// MiB; 0 is none.
    pub quota: u64,
    pub shared: Arc<Shared>,
    /// Processes of the sandbox that the kernel had killed before.
    pub killed_for_memory: u32,
}

impl Supervision {
    pub async fn run(self, pump: AbortOnDropHandle<()>) {
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
        if let Some(failure) = not_found(&exit, &self.log) {
            return Err(failure);
        }
        // By the kernel for want of memory, perhaps.
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
        let [soonest, latest] = MEASURING;
        let (mut pause, mut before) = (soonest, None);
        loop {
            sleep(pause).await;
            pause = latest;
            let began = Instant::now();
            // Whoever is paused fills nothing, and what measures would be paused with it.
            let filled = if self.shared.is_paused.load(Ordering::Relaxed) {
                None
            } else {
                self.cell.measure().await
            };
            let Some(filled) = filled else {
                continue;
            };
            if before.map(|(_, filled)| filled) != Some(filled) {
                self.shared.facts.send_replace(());
            }
            if self.quota > 0 && filled > self.quota {
                let _ = self.cell.kill(KILLING).await;
                let quota = self.quota;
                let text = format!("its workspace holds {filled} MiB, and {quota} MiB are allowed");
                return Failure::other(Stage::Run, text)
                    .hint("it was ended; raise box.workspace_quota_mb if it needs more");
            }
            let now = Instant::now();
            if let Some((at, before)) = before.replace((now, filled)) {
                let left = self.quota.saturating_sub(filled);
                pause = until_next(filled.saturating_sub(before), now - at, left);
            }
            // A large workspace takes a while to measure: most of the time is for others.
            pause = pause.max((now - began) * 10);
        }
    }
}

/// When to measure again what has grown by so many MiB in this time and may grow by so many more: in half the time
/// that it would take.
fn until_next(grown: u64, during: Duration, left: u64) -> Duration {
    let [soonest, latest] = MEASURING;
    #[allow(clippy::cast_precision_loss)] // far fewer than 2^52
    let (grown, left) = (grown as f64, left as f64);
    let half = during.as_secs_f64() * left / grown.max(0.001) / 2.0;
    Duration::try_from_secs_f64(half).map_or(latest, |half| half.clamp(soonest, latest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_full_soon_is_measured_soon() {
        let second = Duration::from_secs(1);
        assert_eq!(until_next(0, second, 100), MEASURING[1]);
        assert_eq!(until_next(0, second, 0), MEASURING[0]);
        assert_eq!(until_next(10, second, 100), 5 * second);
        assert_eq!(until_next(100, second, 100), MEASURING[0]);
        assert_eq!(until_next(1, 10 * second, 1_000_000), MEASURING[1]);
    }
}
