//! A child with all its descendants, also those that left its group or outlived it; and their end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::time::sleep;

use super::table::{Entry, Identity, Table};
use crate::model::InstanceId;

/// Between two looks at dying processes.
const LOOK: Duration = Duration::from_millis(20);

/// After SIGKILL; only a process stuck inside the kernel takes longer.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Family {
    table: Arc<Table>,
    leader: Identity,
    instance: InstanceId,
}

impl Family {
    /// The family of a child that has just been started and not been waited for.
    pub fn new(table: Arc<Table>, pid: i32, instance: &InstanceId) -> Self {
        // It may have died already; then its start lies between these two moments anyway.
        let leader = Identity::of(pid).unwrap_or(Identity { pid, started: 0 });
        Self {
            table,
            leader,
            instance: instance.clone(),
        }
    }

    pub fn pid(&self) -> i32 {
        self.leader.pid
    }

    pub fn leader(&self) -> Identity {
        self.leader
    }

    /// Who lives, in a snapshot not older than `since`. Blocks for some milliseconds.
    pub fn members(&self, since: Instant) -> Vec<Identity> {
        let snapshot = self.table.since(since);
        members(&snapshot.entries, self.leader, self.instance.as_str())
            .map(|entry| entry.id)
            .collect()
    }

    /// Sends a signal to everyone who lives, and returns them. Blocks for some milliseconds.
    pub fn signal(&self, signal: Signal) -> Vec<Identity> {
        let snapshot = self.table.since(Instant::now());
        let members: Vec<&Entry> =
            members(&snapshot.entries, self.leader, self.instance.as_str()).collect();
        if members.iter().any(|entry| entry.group == self.leader.pid) {
            // The group at once: nobody can fork away in between.
            let _ = killpg(Pid::from_raw(self.leader.pid), signal);
        }
        for entry in members
            .iter()
            .filter(|entry| entry.group != self.leader.pid)
        {
            send(entry.id, signal);
        }
        members.iter().map(|entry| entry.id).collect()
    }

    /// SIGTERM, up to `grace`, then SIGKILL.
    pub async fn end(&self, grace: Duration) -> Ending {
        let deadline = Instant::now() + grace;
        let mut left = self.signal_soon(Signal::SIGTERM).await;
        while !left.is_empty() && Instant::now() < deadline {
            sleep(LOOK).await;
            if !left.iter().any(|member| member.is_alive()) {
                // Some may have been born meanwhile.
                left = self.members_soon().await;
            }
        }
        let killed = left.iter().filter(|member| member.is_alive()).count();
        let deadline = Instant::now() + KILL_PATIENCE;
        while !left.is_empty() && Instant::now() < deadline {
            left = self.signal_soon(Signal::SIGKILL).await;
            sleep(LOOK).await;
        }
        Ending { killed, left }
    }

    async fn members_soon(&self) -> Vec<Identity> {
        let family = self.clone();
        blocking(move || family.members(Instant::now())).await
    }

    pub async fn signal_soon(&self, signal: Signal) -> Vec<Identity> {
        let family = self.clone();
        blocking(move || family.signal(signal)).await
    }
}

/// How a family ended.
#[derive(Debug)]
pub struct Ending {
    /// How many had to be killed after the grace.
    pub killed: usize,
    /// Who is still there.
    pub left: Vec<Identity>,
}

/// Sends a signal unless the process id belongs to another process by now.
pub fn send(member: Identity, signal: Signal) {
    if member.is_alive() {
        // It may end in this moment; whoever may not be signalled is reported as left.
        let _ = kill(Pid::from_raw(member.pid), signal);
    }
}

/// Runs something that blocks for a moment; gives nothing when the runtime shuts down.
pub async fn blocking<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

/// The leader, its group, and whoever descends from them by parent, group, session or the variable
/// that names its instance. None of these alone finds a process that went away from all others.
fn members<'a>(
    entries: &'a [Entry],
    leader: Identity,
    instance: &'a str,
) -> impl Iterator<Item = &'a Entry> {
    let is_reused = entries
        .iter()
        .any(|entry| entry.id.pid == leader.pid && entry.id != leader);
    let mut heads: HashSet<i32> = HashSet::new();
    if !is_reused {
        heads.insert(leader.pid);
    }
    let belongs = move |entry: &Entry, heads: &HashSet<i32>| {
        entry.instance.as_deref() == Some(instance)
            || [entry.id.pid, entry.parent, entry.group, entry.session]
                .iter()
                .any(|id| heads.contains(id))
    };
    loop {
        let known = heads.len();
        let found: Vec<i32> = entries
            .iter()
            .filter(|entry| belongs(entry, &heads))
            .map(|entry| entry.id.pid)
            .collect();
        heads.extend(found);
        if heads.len() == known {
            break;
        }
    }
    entries.iter().filter(move |entry| belongs(entry, &heads))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Identity = Identity {
        pid: 10,
        started: 100,
    };

    fn entry(pid: i32, parent: i32, group: i32, session: i32) -> Entry {
        let id = Identity {
            pid,
            started: 90 + u64::try_from(pid).expect("positive"),
        };
        Entry {
            id,
            parent,
            group,
            session,
            instance: None,
        }
    }

    fn pids(entries: &[Entry]) -> Vec<i32> {
        members(entries, LEADER, "one")
            .map(|entry| entry.id.pid)
            .collect()
    }

    #[test]
    fn descendants_in_other_groups_and_sessions_belong() {
        let entries = [
            entry(1, 0, 1, 1),
            entry(10, 5, 10, 5),
            entry(11, 10, 10, 5),
            entry(12, 11, 12, 12),
            entry(13, 1, 13, 12),
            entry(20, 5, 20, 5),
        ];
        assert_eq!(pids(&entries), [10, 11, 12, 13]);
    }

    #[test]
    fn those_who_lost_all_ties_are_known_by_their_instance() {
        let mut lost = entry(30, 1, 30, 30);
        lost.instance = Some("one".into());
        let mut other = entry(31, 1, 31, 31);
        other.instance = Some("two".into());
        assert_eq!(
            pids(&[entry(1, 0, 1, 1), lost, other, entry(32, 30, 32, 32)]),
            [30, 32]
        );
    }

    #[test]
    fn a_reused_process_id_makes_nobody_a_member() {
        let mut stranger = entry(10, 1, 10, 10);
        stranger.id.started += 1000;
        assert!(pids(&[stranger, entry(11, 10, 10, 10)]).is_empty());
    }
}
