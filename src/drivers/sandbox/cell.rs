//! What one server has in a sandbox: a user of its own, a directory that is that user's, and nothing else.
//!
//! Servers that share a sandbox cannot read one another's files, memory or environment, nor signal one another,
//! because no two of them are the same user and none is root. For the same reason all that a server has started
//! is found again when it is to end: it is what belongs to its user. All work on its files is done inside of the
//! sandbox by that user, so that no link in them leads anywhere that the server could not go itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::provide::{CLEAR, Home, INSTALL, PLACE, UNPACK, ended_well};
use crate::drivers::docker::exec::{Command, Done, Inside};
use crate::drivers::docker::room::Room;
use crate::model::{Cause, Exit, Failure, Install, InstanceId, SandboxPhase, Stage};
use crate::stores::logs::LogWriter;

/// Where the sandbox has the places of all servers.
pub const PLACES: &str = "/workspace/.mcp";
/// Beyond the time that something may take inside, for the engine.
const MARGIN: Duration = Duration::from_secs(15);
/// For what only looks or makes a directory.
const SHORT: Duration = Duration::from_secs(30);
/// What a shell says of a process that was ended by SIGKILL.
pub(super) const KILLED: i32 = 137;
/// Attempts to kill: two at the same time kill one another.
const KILLS: u32 = 3;
const CLEARING: Duration = Duration::from_secs(60);
/// For the end of an installation.
const QUITTING: Duration = Duration::from_secs(10);

const END: &str = include_str!("scripts/end.sh");

/// Cheap to clone.
#[derive(Clone)]
pub struct Cell {
    pub room: Arc<Room>,
    pub user: u32,
    /// Its directory.
    pub place: Arc<str>,
    /// MiB in it, as last measured.
    filled: Arc<Mutex<Option<u64>>>,
    /// Ends of what was given up, which would take along whatever begins meanwhile.
    ends: TaskTracker,
}

impl Cell {
    /// `instance` becomes the name of a directory.
    pub fn new(room: Arc<Room>, user: u32, instance: &InstanceId) -> Result<Self, Failure> {
        let name = instance.as_str();
        if !is_name(name) {
            let text = format!("{name:?} cannot be the name of a directory");
            return Err(SandboxPhase::Staging.refused(text));
        }
        let place = format!("{PLACES}/{name}").into();
        let ends = TaskTracker::new();
        ends.close();
        Ok(Self {
            ends,
            room,
            user,
            place,
            filled: Arc::default(),
        })
    }

    /// As its user, in the directory below its place.
    pub fn inside(&self, below: &str) -> Inside {
        let place = &self.place;
        Inside {
            user: Some(format!("{0}:{0}", self.user)),
            directory: Some(match below {
                "" => "/".to_owned(),
                below => format!("{place}/{below}"),
            }),
            env: self
                .variables()
                .map(|(name, value)| format!("{name}={value}"))
                .into(),
        }
    }

    /// Asks all of its processes to end. Those that do not are no failure.
    pub async fn ask_to_end(&self) -> Result<(), Failure> {
        let command = self.script(END, &["TERM", "0"]);
        self.run(command, SHORT).await.map(drop)
    }

    /// Kills all of its processes; returns when none is left, or fails.
    pub async fn kill(&self, within: Duration) -> Result<(), Failure> {
        if !self.room.is_open() {
            return Ok(());
        }
        let tenths = within.as_millis() / 100;
        for _ in 0..KILLS {
            let command = self.script(END, &["KILL", &tenths.to_string()]);
            let done = match self.run(command, within + MARGIN).await {
                // With the sandbox all that was in it is gone.
                Err(_) if !self.room.is_open() => return Ok(()),
                done => done?,
            };
            match done.exit.code {
                Some(0) => return Ok(()),
                // By another one, for it is a process of this user as well.
                Some(KILLED) => {}
                _ => break,
            }
        }
        let text = format!("processes of user {} cannot be killed", self.user);
        Err(Failure::other(Stage::Stop, text))
    }

    /// Kills all of its processes some time, in `work`; what is to live has to wait for that.
    pub fn ending<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.ends.track_future(work)
    }

    /// Removes its directory with all that is in it.
    pub async fn clear(&self) -> Result<(), Failure> {
        self.ends.wait().await;
        let command = self.script(CLEAR, &[&self.place]);
        let done = self.run(command, CLEARING).await?;
        ended_well(&done.exit, &done.last_words(), "remove its directory")
    }

    /// Stops all of its processes, or lets them go on.
    pub async fn set_paused(&self, paused: bool) -> Result<(), Failure> {
        let signal = if paused { "STOP" } else { "CONT" };
        let command = self.script(r#"kill -s "$1" -- -1"#, &[signal]);
        let done = self.run(command, SHORT).await?;
        if done.succeeded() {
            return Ok(());
        }
        let text = format!("its processes cannot get {signal}: {}", done.last_words());
        Err(Failure::other(Stage::Run, text))
    }

    /// MiB that its directory takes, as last measured.
    pub fn filled(&self) -> Option<u64> {
        *self.filled.lock()
    }

    /// The same as it is now; `None` where that cannot be measured.
    pub async fn measure(&self) -> Option<u64> {
        let command = self.script(r#"du -sk "$1" 2>/dev/null"#, &[&self.place]);
        let done = self.run(command, SHORT).await.ok()?;
        let text = String::from_utf8(done.stdout).ok()?;
        let kib: u64 = text.split_whitespace().next()?.parse().ok()?;
        let mib = kib.div_ceil(1024);
        *self.filled.lock() = Some(mib);
        Some(mib)
    }

    fn script(&self, script: &str, args: &[&str]) -> Command {
        let words = ["sh", "-c", script, "envdeck"].into_iter();
        self.inside("").command(words.chain(args.iter().copied()))
    }

    async fn run(&self, command: Command, within: Duration) -> Result<Done, Failure> {
        let done = timeout(within, self.room.run(command, None)).await;
        let Ok(done) = done else {
            let cause = Cause::Deadline {
                what: "a command in the sandbox".into(),
                after: within,
            };
            return Err(Failure::new(Stage::Run, cause));
        };
        done.map_err(|trouble| trouble.at(Stage::Run))
    }
}

impl Home for Cell {
    fn directory(&self) -> &str {
        &self.place
    }

    async fn furnish(&self) -> Result<(), Failure> {
        self.ends.wait().await;
        let command = self.script(PLACE, &[&self.place]);
        let done = self.run(command, SHORT).await?;
        ended_well(&done.exit, &done.last_words(), "make its directory")
    }

    async fn unpack(&self, parts: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
        let command = self.script(UNPACK, &[&self.place]);
        let done = self.room.run(command, Some(parts)).await;
        let done = done.map_err(|trouble| trouble.at(Stage::Prepare).at(SandboxPhase::Staging))?;
        ended_well(&done.exit, &done.last_words(), "unpack the project")
    }

    async fn install(
        &self,
        kind: &str,
        options: &Install,
        log: &LogWriter,
    ) -> Result<Exit, Failure> {
        let mark = format!("{}/installed", self.place);
        let words = ["sh", "-c", INSTALL, "envdeck", kind, &mark];
        let mut command = self.inside("workspace").command(words);
        let more = options.env.iter();
        command
            .env
            .extend(more.map(|(name, value)| format!("{name}={}", value.expose())));
        let told = self.room.tell(command, log).await;
        told.map_err(|trouble| trouble.at(Stage::Prepare).at(SandboxPhase::DepInstall))
    }

    /// Nothing else of this user runs yet.
    async fn quit(&self) {
        let _ = self.kill(QUITTING).await;
    }
}

/// `[A-Za-z0-9._-]{1,64}`, and neither `.` nor `..`.
pub fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !matches!(text, "" | "." | "..") && text.len() <= 64 && text.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_lead_nowhere_else() {
        for good in ["1a2b3c4d", "test-0.1_x", "a", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a b",
            "ü",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
