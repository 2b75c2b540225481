//! What a family of processes uses.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::table::Identity;
use crate::drivers::Usage;

/// The system counts processor time in steps of 10 ms; over less than this a percentage is noise.
const SHORTEST: Duration = Duration::from_millis(200);

/// How old the list of family members may be.
pub const MEMBERS_AGE: Duration = Duration::from_millis(500);

/// Turns processor times into percentages between two questions.
pub struct Meter {
    at: Instant,
    /// Processor milliseconds of each member so far.
    spent: HashMap<Identity, u64>,
    last: Option<Usage>,
}

impl Meter {
    /// For processes that start now.
    pub fn new() -> Self {
        Self {
            at: Instant::now(),
            spent: HashMap::new(),
            last: None,
        }
    }

    /// The last answer, if it is too young for a new one.
    pub fn fresh(&self) -> Option<Usage> {
        self.last.filter(|_| self.at.elapsed() < SHORTEST)
    }

    /// `None` when nobody lives.
    pub fn update(&mut self, read: Vec<Reading>) -> Option<Usage> {
        let elapsed = self.at.elapsed().max(SHORTEST);
        let spent: u64 = read
            .iter()
            .map(|one| {
                one.spent
                    .saturating_sub(self.spent.get(&one.id).copied().unwrap_or(0))
            })
            .sum();
        self.at = Instant::now();
        self.last = (!read.is_empty()).then(|| Usage {
            cpu: percent(Duration::from_millis(spent), elapsed),
            memory: read.iter().map(|one| one.memory).sum(),
            memory_limit: None,
            processes: u32::try_from(read.len()).unwrap_or(u32::MAX),
            network: None,
            disk: None,
        });
        self.spent = read.into_iter().map(|one| (one.id, one.spent)).collect();
        self.last
    }
}

fn percent(part: Duration, of: Duration) -> f32 {
    part.as_secs_f32() / of.as_secs_f32() * 100.0
}

/// What one process has used.
pub struct Reading {
    id: Identity,
    /// Processor milliseconds since its start.
    spent: u64,
    /// Resident bytes.
    memory: u64,
}

/// Reads only these processes. Blocks for well under a millisecond each.
pub fn read(members: &[Identity]) -> Vec<Reading> {
    let pid = |member: &Identity| u32::try_from(member.pid).ok().map(Pid::from_u32);
    let pids: Vec<Pid> = members.iter().filter_map(pid).collect();
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing()
        .with_cpu()
        .with_memory()
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
    members
        .iter()
        .filter_map(|member| {
            let process = system.process(pid(member)?)?;
            Some(Reading {
                id: *member,
                spent: process.accumulated_cpu_time(),
                memory: process.memory(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(pid: i32, spent: u64) -> Reading {
        Reading {
            id: Identity { pid, started: 1 },
            spent,
            memory: 1000,
        }
    }

    #[test]
    fn a_member_that_ends_does_not_make_the_time_run_backwards() {
        let mut meter = Meter::new();
        meter.update(vec![reading(1, 100), reading(2, 5000)]);
        meter.at -= Duration::from_secs(1);
        let usage = meter
            .update(vec![reading(1, 600), reading(3, 100)])
            .expect("two live");
        assert!((usage.cpu - 60.0).abs() < 1.0, "{usage:?}");
        assert_eq!((usage.memory, usage.processes), (2000, 2));
        assert!(meter.update(Vec::new()).is_none());
    }
}
