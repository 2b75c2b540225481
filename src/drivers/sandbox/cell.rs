//! What one server has in a sandbox: a user of its own, a directory that is that user's, and nothing else.
//!
//! Servers that share a sandbox cannot read one another's files, memory or environment, nor signal one another,
//! because no two of them are the same user and none is root. For the same reason all that a server has started
//! is found again when it is to end: it is what belongs to its user. All work on its files is done inside of the
//! sandbox by that user, so that no link in them leads anywhere that the server could not go itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::drivers::docker::exec::{Command, Done, Inside};
use crate::drivers::docker::room::Room;
use crate::model::{Cause, Failure, InstanceId, SandboxPhase, Stage};

/// Where the sandbox has the places of all servers.
pub const PLACES: &str = "/workspace/.mcp";
/// Beyond the time that something may take inside, for the engine.
const MARGIN: Duration = Duration::from_secs(15);
/// For what only looks or makes a directory.
const SHORT: Duration = Duration::from_secs(30);

pub(super) const PLACE: &str = include_str!("scripts/place.sh");
pub(super) const UNPACK: &str = include_str!("scripts/unpack.sh");
const END: &str = include_str!("scripts/end.sh");

/// Cheap to clone.
#[derive(Clone)]
pub struct Cell {
    pub room: Arc<Room>,
    pub user: u32,
    /// Its directory.
    pub place: Arc<str>,
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
        Ok(Self { room, user, place })
    }

    /// Where the copy of the project is.
    pub fn workspace(&self) -> String {
        format!("{}/workspace", self.place)
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
            env: vec![
                format!("HOME={place}/home"),
                format!("TMPDIR={place}/tmp"),
                format!("XDG_CACHE_HOME={place}/cache"),
                format!("PIP_CACHE_DIR={place}/cache/pip"),
                format!("npm_config_cache={place}/cache/npm"),
                format!("UV_CACHE_DIR={place}/cache/uv"),
            ],
        }
    }

    /// Makes its directory, unless it has it already.
    pub async fn furnish(&self) -> Result<(), Failure> {
        let command = self.script(PLACE, &[&self.place]);
        let done = self.run(command, None, SHORT).await;
        ended_well(done, "make its directory")
    }

    /// A new copy of the project, from a tar stream; what was installed stays.
    pub async fn unpack(&self, parts: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
        let command = self.script(UNPACK, &[&self.place]);
        let done = self.room.run(command, Some(parts)).await;
        let done = done.map_err(|trouble| trouble.at(Stage::Prepare).at(SandboxPhase::Staging));
        ended_well(done, "unpack the project")
    }

    /// Asks all of its processes to end. Those that do not are no failure.
    pub async fn ask_to_end(&self) -> Result<(), Failure> {
        let command = self.script(END, &["TERM", "0"]);
        self.run(command, None, SHORT).await.map(drop)
    }

    /// Kills all of its processes; returns when none is left, or fails.
    pub async fn kill(&self, within: Duration) -> Result<(), Failure> {
        if !self.room.is_open() {
            return Ok(());
        }
        let tenths = within.as_millis() / 100;
        let command = self.script(END, &["KILL", &tenths.to_string()]);
        let done = self.run(command, None, within + MARGIN).await;
        let done = match done {
            // With the sandbox all that was in it is gone.
            Err(_) if !self.room.is_open() => return Ok(()),
            done => done?,
        };
        if done.succeeded() {
            return Ok(());
        }
        let text = format!("processes of user {} cannot be killed", self.user);
        Err(Failure::other(Stage::Stop, text))
    }

    /// Removes its directory with all that is in it.
    pub async fn clear(&self) -> Result<(), Failure> {
        let command = self.script(
            r#"chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1""#,
            &[&self.place],
        );
        let done = self.run(command, None, Duration::from_secs(60)).await;
        ended_well(done, "remove its directory")
    }

    /// MiB that its directory takes; `None` where that cannot be measured.
    pub async fn filled(&self) -> Option<u64> {
        let command = self.script(r#"du -sk "$1" 2>/dev/null"#, &[&self.place]);
        let done = self.run(command, None, SHORT).await.ok()?;
        let text = String::from_utf8(done.stdout).ok()?;
        let kib: u64 = text.split_whitespace().next()?.parse().ok()?;
        Some(kib.div_ceil(1024))
    }

    fn script(&self, script: &str, args: &[&str]) -> Command {
        let words = ["sh", "-c", script, "envdeck"].into_iter();
        self.inside("").command(words.chain(args.iter().copied()))
    }

    async fn run(
        &self,
        command: Command,
        input: Option<mpsc::Receiver<Bytes>>,
        within: Duration,
    ) -> Result<Done, Failure> {
        let done = timeout(within, self.room.run(command, input)).await;
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

/// `[A-Za-z0-9._-]{1,64}`, and neither `.` nor `..`.
pub fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !matches!(text, "" | "." | "..") && text.len() <= 64 && text.chars().all(is_letter)
}

fn ended_well(done: Result<Done, Failure>, what: &str) -> Result<(), Failure> {
    let done = done?;
    if done.succeeded() {
        return Ok(());
    }
    let said = done.last_words();
    let text = match done.exit.code {
        // What a shell says of a missing program.
        Some(127) => format!("cannot {what}: the image has not all that it takes ({said})"),
        _ if said.is_empty() => format!("cannot {what}: {}", done.exit),
        _ => format!("cannot {what}: {said}"),
    };
    Err(SandboxPhase::Staging.failed(Cause::Other(text)))
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
