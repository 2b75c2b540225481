//! Processes whose envdeck was killed: found by the variables they were started with, and ended.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::family::{blocking, send};
use super::table::{Entry, Environment, Identity, Table};
use super::{INSTANCE, OWNER, RUN};
use crate::drivers::{Life, Trace};
use crate::model::{InstanceId, RunId};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// Ends them all and returns how many there were. Always 0 where the system does not show
/// environments (all but Linux).
pub async fn end() -> usize {
    let orphans = blocking(find).await;
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
        for orphan in &orphans {
            send(*orphan, signal);
        }
        let deadline = Instant::now() + patience;
        while orphans.iter().any(|orphan| orphan.is_alive()) && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }
    orphans.iter().filter(|orphan| !orphan.is_alive()).count()
}

/// Whose a process says it is.
struct Owned {
    life: Life,
    run: Option<RunId>,
    instance: Option<InstanceId>,
}

impl Owned {
    fn is_orphan(&self) -> bool {
        self.life == Life::Dead
    }
}

/// Processes of a dead owner, and those in their groups that belong to nobody.
fn find() -> Vec<Identity> {
    let snapshot = Table::default().since(Instant::now());
    let spared = lineage(&snapshot.entries);
    let known: Vec<(&Entry, Option<Owned>)> = snapshot
        .entries
        .iter()
        .filter(|entry| !spared.contains(&entry.id.pid) && !spared.contains(&entry.group))
        .map(|entry| (entry, owned(entry.id.pid)))
        .collect();
    let groups: HashSet<i32> = known
        .iter()
        .filter(|(_, owned)| owned.as_ref().is_some_and(Owned::is_orphan))
        .map(|(entry, _)| entry.group)
        .collect();
    known
        .iter()
        .filter(|(entry, owned)| match owned {
            Some(owned) => owned.is_orphan(),
            None => groups.contains(&entry.group),
        })
        .map(|(entry, _)| entry.id)
        .collect()
}

/// All processes that say whose they are, but ourselves and our ancestors. None where the system does not show
/// environments.
pub fn traces() -> Vec<Trace> {
    let snapshot = Table::default().since(Instant::now());
    let spared = lineage(&snapshot.entries);
    let trace = |pid: i32| {
        let owned = owned(pid)?;
        Some(Trace {
            kind: "process",
            id: pid.to_string(),
            what: command_line(pid),
            run: owned.run,
            instance: owned.instance,
            life: owned.life,
        })
    };
    let others = snapshot.entries.iter().map(|entry| entry.id.pid);
    others
        .filter(|pid| !spared.contains(pid))
        .filter_map(trace)
        .collect()
}

fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = words.strip_suffix(b"\0").unwrap_or(&words);
    String::from_utf8_lossy(words).replace('\0', " ")
}

/// Ourselves, our group and our ancestors: one of those may have been started by an envdeck, too.
fn lineage(entries: &[Entry]) -> HashSet<i32> {
    let mut spared = HashSet::new();
    let mut pid = nix::unistd::getpid().as_raw();
    while spared.insert(pid)
        && let Some(entry) = entries.iter().find(|entry| entry.id.pid == pid)
    {
        pid = entry.parent;
    }
    spared.insert(nix::unistd::getpgrp().as_raw());
    spared
}

fn owned(pid: i32) -> Option<Owned> {
    let environment = Environment::of(pid)?;
    let owner = environment.get(OWNER).and_then(parse)?;
    let life = if namespace(pid) != namespace(std::process::id()) {
        // The owner's process id means nothing to us if it was given in another container.
        Life::Unknown
    } else if owner.is_alive() {
        Life::Lives
    } else {
        Life::Dead
    };
    Some(Owned {
        life,
        run: environment.get(RUN).map(RunId::new),
        instance: environment.get(INSTANCE).map(InstanceId::new),
    })
}

fn parse(owner: &str) -> Option<Identity> {
    let (pid, started) = owner.split_once(':')?;
    Some(Identity {
        pid: pid.parse().ok()?,
        started: started.parse().ok()?,
    })
}

fn namespace(pid: impl std::fmt::Display) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}
