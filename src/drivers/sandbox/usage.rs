//! What one server uses, and what all in its sandbox use together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::cell::Cell;
use crate::drivers::Usage;
use crate::drivers::docker::exec::Command;

/// A measurement takes some hundredths of a second of the engine's time.
const MEASURING: Duration = Duration::from_millis(900);
/// The kernel counts processor time for programs in hundredths of a second, everywhere.
const TICK: Duration = Duration::from_millis(10);
/// Both are readable for everybody, whosever process it is.
const LIST: &str = "cat /proc/[0-9]*/stat /proc/[0-9]*/status 2>/dev/null";

/// Who has a place in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    pub servers: usize,
    /// MiB that their places hold, as last measured.
    pub filled: u64,
}

pub struct Meter {
    cell: Cell,
    last: Option<(Instant, Duration)>,
    /// Of the whole sandbox.
    whole: Mutex<Option<Usage>>,
}

/// Of the processes of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    processes: u32,
    /// Bytes.
    resident: u64,
    spent: Duration,
}

impl Meter {
    pub fn new(cell: Cell) -> Self {
        Self {
            cell,
            last: None,
            whole: Mutex::default(),
        }
    }

    /// Since the last question; `None` while nothing can be measured.
    pub async fn usage(&mut self) -> Option<Usage> {
        let room = self.cell.room.clone();
        let list = room.run(Command::new(["sh", "-c", LIST]), None);
        let both = async { tokio::join!(list, room.usage()) };
        let (list, whole) = timeout(MEASURING, both).await.ok()?;
        *self.whole.lock() = whole;
        let text = String::from_utf8_lossy(&list.ok()?.stdout).into_owned();
        let sum = sum(&text, self.cell.user);
        let now = Instant::now();
        let before = self.last.replace((now, sum.spent));
        let cpu = before.map_or(0.0, |(at, spent)| {
            let spent = sum.spent.saturating_sub(spent).as_secs_f32();
            spent / now.duration_since(at).as_secs_f32().max(0.001) * 100.0
        });
        Some(Usage {
            cpu,
            memory: sum.resident,
            memory_limit: whole.and_then(|whole| whole.memory_limit),
            processes: sum.processes,
            network: None,
            disk: None,
        })
    }

    /// Of the sandbox, as last measured: `3 servers · cpu 2 % · memory 80 of 512 MiB · 14 of 128 processes ·
    /// 35 MiB of files`.
    pub fn health(&self, population: Population, pids_limit: u64) -> Option<String> {
        let Population { servers, filled } = population;
        let whole = (*self.whole.lock())?;
        let mib = |bytes: u64| bytes >> 20;
        let limit = whole
            .memory_limit
            .map(|limit| format!(" of {}", mib(limit)))
            .unwrap_or_default();
        let plural = if servers == 1 { "" } else { "s" };
        Some(format!(
            "{servers} server{plural} · cpu {:.0} % · memory {}{limit} MiB · {} of {pids_limit} processes · {filled} MiB of files",
            whole.cpu,
            mib(whole.memory),
            whole.processes
        ))
    }
}

/// Adds up what the processes of this user have.
fn sum(list: &str, user: u32) -> Sum {
    let mut spent: HashMap<&str, Duration> = HashMap::new();
    let (mut pid, mut is_ours) = ("", false);
    let mut sum = Sum::default();
    for line in list.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            spent.extend(spent_by(line));
        } else if let Some(rest) = line.strip_prefix("Pid:") {
            pid = rest.trim();
        } else if let Some(rest) = line.strip_prefix("Uid:") {
            let real = rest.split_whitespace().next();
            is_ours = real.and_then(|real| real.parse().ok()) == Some(user);
            if is_ours {
                sum.processes += 1;
                sum.spent += spent.get(pid).copied().unwrap_or_default();
            }
        } else if let Some(rest) = line.strip_prefix("VmRSS:").filter(|_| is_ours) {
            let kib = rest.split_whitespace().next();
            let kib: u64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or_default();
            sum.resident += kib << 10;
        }
    }
    sum
}

/// The id and the processor time of a line of `/proc/PID/stat`; see proc(5).
fn spent_by(line: &str) -> Option<(&str, Duration)> {
    let (pid, rest) = line.split_once(' ')?;
    // The name may hold anything, also brackets and spaces.
    let fields = rest.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((pid, TICK * (ticks()? + ticks()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_the_user_count() {
        let list = "\
1 (tini) S 0 1 1 0 -1 4194560 1 2 3 4 7 5 0 0 20 0 1 0 100 1 1
17 (a) b (c)) S 1 17 17 0 -1 4194560 1 2 3 4 100 50 0 0 20 0 1 0 100 1 1
18 (node) R 17 17 17 0 -1 4194560 1 2 3 4 10 0 0 0 20 0 1 0 100 1 1
Name:\ttini
Pid:\t1
Uid:\t0\t0\t0\t0
VmRSS:\t     900 kB
Name:\ta) b (c)
Pid:\t17
PPid:\t1
Uid:\t23456\t23456\t23456\t23456
VmRSS:\t    2048 kB
Name:\tnode
Pid:\t18
Uid:\t23456\t23456\t23456\t23456
Name:\tother
Pid:\t19
Uid:\t23457\t23457\t23457\t23457
VmRSS:\t    2048 kB
";
        let expected = Sum {
            processes: 2,
            resident: 2 << 20,
            spent: Duration::from_millis(1_600),
        };
        assert_eq!(sum(list, 23_456), expected);
        assert_eq!(sum("", 1), Sum::default());
    }
}
