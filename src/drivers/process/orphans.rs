//! Processes whose envdeck was killed: found by the variables they were started with, and ended.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::OWNER;
use super::family::{blocking, send};
use super::table::{Entry, Environment, Identity, Table};

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

enum Belongs {
    Nobody,
    Living,
    Dead,
}

/// Processes of a dead owner, and those in their groups that belong to nobody.
fn find() -> Vec<Identity> {
    let snapshot = Table::default().since(Instant::now());
    let spared = lineage(&snapshot.entries);
    let known: Vec<(&Entry, Belongs)> = snapshot
        .entries
        .iter()
        .filter(|entry| !spared.contains(&entry.id.pid) && !spared.contains(&entry.group))
        .map(|entry| (entry, belongs(entry.id.pid)))
        .collect();
    let groups: HashSet<i32> = known
        .iter()
        .filter(|(_, belongs)| matches!(belongs, Belongs::Dead))
        .map(|(entry, _)| entry.group)
        .collect();
    known
        .iter()
        .filter(|(entry, belongs)| match belongs {
            Belongs::Dead => true,
            Belongs::Nobody => groups.contains(&entry.group),
            Belongs::Living => false,
        })
        .map(|(entry, _)| entry.id)
        .collect()
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

fn belongs(pid: i32) -> Belongs {
    let Some(environment) = Environment::of(pid) else {
        return Belongs::Nobody;
    };
    match environment.get(OWNER).and_then(parse) {
        None => Belongs::Nobody,
        // The owner's process id means nothing to us if it was given in another container.
        Some(_) if namespace(pid) != namespace(std::process::id()) => Belongs::Living,
        Some(owner) if owner.is_alive() => Belongs::Living,
        Some(_) => Belongs::Dead,
    }
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
