//! Who runs on this machine, read from `/proc`: to prove that a program leaves no process behind.

use std::{fs, time::Duration};

use super::eventually;

/// One line of the process table.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// `R` running, `S` sleeping, `T` stopped, `Z` zombie …: proc(5).
    pub state: char,
    pub name: String,
}

/// All processes that can be seen now.
pub fn table() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("these tests need /proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// One process, or `None` if it is gone.
pub fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may itself hold spaces and parentheses.
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Process {
        pid,
        parent: number()?,
        group: number()?,
        session: number()?,
        state,
        name: head.split_once('(')?.1.to_owned(),
    })
}

/// Whether a process still runs; a zombie has ended and only waits for its parent to look.
pub fn alive(pid: i32) -> bool {
    process(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

/// The processes that `pid` started itself and that still run.
pub fn children(pid: i32) -> Vec<i32> {
    let of_parent = |process: &Process| process.parent == pid && process.state != 'Z';
    table()
        .into_iter()
        .filter(of_parent)
        .map(|process| process.pid)
        .collect()
}

/// Children, their children and so on; without `pid` itself.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

/// Running processes that carry `text` in the environment they were started with.
pub fn with_environment(text: &str) -> Vec<i32> {
    let marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|byte| *byte == 0)
                .any(|entry| entry == text.as_bytes())
        })
    };
    table()
        .into_iter()
        .map(|process| process.pid)
        .filter(|pid| alive(*pid))
        .filter(marked)
        .collect()
}

/// Waits until none of `pids` runs.
///
/// # Panics
/// When some still run at the deadline; the message names them.
#[track_caller]
pub fn assert_gone(pids: &[i32], deadline: Duration) {
    let running = || {
        pids.iter()
            .copied()
            .filter(|pid| alive(*pid))
            .collect::<Vec<_>>()
    };
    if !eventually(deadline, || running().is_empty()) {
        let left: Vec<_> = running().into_iter().filter_map(process).collect();
        panic!("still running after {deadline:?}: {left:#?}");
    }
}
