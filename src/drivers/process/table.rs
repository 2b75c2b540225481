//! The processes of this host: who is whose child, and who is still there.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

/// A process id with its start time: no later process is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks since boot on Linux, seconds since 1970 elsewhere. Only compared.
    pub started: u64,
}

/// A living process; a zombie is none.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: Identity,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Which of our instances it says it belongs to.
    pub instance: Option<Box<str>>,
}

/// All processes at one time.
pub struct Snapshot {
    began: Instant,
    pub entries: Vec<Entry>,
}

/// Gives snapshots, shared by all instances: many of them asking at once cost one or two readings.
pub struct Table {
    /// Our own process id and start time, `PID:TICKS`.
    owner: Box<str>,
    own: Identity,
    last: Mutex<Option<Arc<Snapshot>>>,
}

impl Default for Table {
    fn default() -> Self {
        let own = Identity::own();
        Self {
            owner: format!("{}:{}", own.pid, own.started).into(),
            own,
            last: Mutex::default(),
        }
    }
}

impl Table {
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// A snapshot that began no earlier than `since`. Blocks for some milliseconds.
    pub fn since(&self, since: Instant) -> Arc<Snapshot> {
        let mut last = self.last.lock();
        if let Some(snapshot) = last.as_ref().filter(|snapshot| snapshot.began >= since) {
            return snapshot.clone();
        }
        let began = Instant::now();
        let mut entries = host::processes();
        for entry in &mut entries {
            // What is older than we are is not ours, and need not be read.
            if entry.id.started >= self.own.started && entry.id.pid != self.own.pid {
                entry.instance = self.instance_of(entry.id.pid);
            }
        }
        last.insert(Arc::new(Snapshot { began, entries })).clone()
    }

    fn instance_of(&self, pid: i32) -> Option<Box<str>> {
        let environment = Environment::of(pid)?;
        let is_ours = environment.get(super::OWNER) == Some(&*self.owner);
        environment
            .get(super::INSTANCE)
            .filter(|_| is_ours)
            .map(Into::into)
    }
}

impl Identity {
    /// This process.
    pub fn own() -> Self {
        let pid = nix::unistd::getpid().as_raw();
        // Unknown only where the process table cannot be read: then nothing is told apart by age.
        let started = host::started(pid).unwrap_or_default();
        Self { pid, started }
    }

    /// The process that has this id now.
    pub fn of(pid: i32) -> Option<Self> {
        host::started(pid).map(|started| Self { pid, started })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        host::started(self.pid) == Some(self.started)
    }
}

/// The environment a process was started with, where the system shows it (Linux).
pub struct Environment(Vec<u8>);

impl Environment {
    pub fn of(pid: i32) -> Option<Self> {
        host::environment(pid).map(Self)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self
            .0
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        std::str::from_utf8(value).ok()
    }
}

#[cfg(target_os = "linux")]
mod host {
    use std::fs;

    use super::{Entry, Identity};

    pub fn processes() -> Vec<Entry> {
        let Ok(directory) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        directory
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(stat)
            .collect()
    }

    pub fn started(pid: i32) -> Option<u64> {
        stat(pid).map(|entry| entry.id.started)
    }

    pub fn environment(pid: i32) -> Option<Vec<u8>> {
        fs::read(format!("/proc/{pid}/environ")).ok()
    }

    fn stat(pid: i32) -> Option<Entry> {
        parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// See `proc_pid_stat(5)`. The name before `)` may hold anything, spaces and brackets too.
    pub fn parse(pid: i32, stat: &[u8]) -> Option<Entry> {
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let started = fields.get(22 - 3)?.parse().ok()?;
        Some(Entry {
            id: Identity { pid, started },
            parent: number(4)?,
            group: number(5)?,
            session: number(6)?,
            instance: None,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod host {
    use nix::unistd::{Pid, getpgid, getsid};
    use sysinfo::{Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

    use super::{Entry, Identity};

    pub fn processes() -> Vec<Entry> {
        read(ProcessesToUpdate::All)
    }

    pub fn started(pid: i32) -> Option<u64> {
        let pid = sysinfo::Pid::from_u32(u32::try_from(pid).ok()?);
        read(ProcessesToUpdate::Some(&[pid]))
            .pop()
            .map(|entry| entry.id.started)
    }

    pub fn environment(_pid: i32) -> Option<Vec<u8>> {
        None
    }

    fn read(which: ProcessesToUpdate<'_>) -> Vec<Entry> {
        let mut system = System::new();
        system.refresh_processes_specifics(
            which,
            true,
            ProcessRefreshKind::nothing().without_tasks(),
        );
        system.processes().values().filter_map(entry).collect()
    }

    fn entry(process: &Process) -> Option<Entry> {
        if matches!(
            process.status(),
            ProcessStatus::Zombie | ProcessStatus::Dead
        ) {
            return None;
        }
        let number = |pid: sysinfo::Pid| i32::try_from(pid.as_u32()).ok();
        let pid = number(process.pid())?;
        Some(Entry {
            id: Identity {
                pid,
                started: process.start_time(),
            },
            parent: process.parent().and_then(number).unwrap_or_default(),
            group: getpgid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw),
            session: getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw),
            instance: None,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const STAT: &[u8] =
        b"42 (a ) b (c) S 7 40 39 34816 40 4194304 100 0 0 0 1 2 0 0 20 0 1 0 987654 5 6";

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let entry = host::parse(42, STAT).expect("a valid line");
        assert_eq!(
            entry.id,
            Identity {
                pid: 42,
                started: 987_654
            }
        );
        assert_eq!((entry.parent, entry.group, entry.session), (7, 40, 39));
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let zombie = String::from_utf8_lossy(STAT).replace(" S ", " Z ");
        assert!(host::parse(42, zombie.as_bytes()).is_none());
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = Environment(b"AB=1\0B=2=3\0C\0".to_vec());
        assert_eq!(environment.get("B"), Some("2=3"));
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("C"), None);
    }

    #[test]
    fn a_snapshot_is_shared_until_it_is_too_old() {
        let table = Table::default();
        let first = table.since(Instant::now());
        assert!(Arc::ptr_eq(&first, &table.since(first.began)));
        assert!(!Arc::ptr_eq(&first, &table.since(Instant::now())));
        assert!(first.entries.iter().any(|entry| entry.id == table.own));
    }
}
