//! Runs a program in a real pseudo-terminal, types like a person and reads the screen like one.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use portable_pty::{Child, MasterPty, PtySize, SlavePty, native_pty_system};
use regex::Regex;
use tempfile::TempDir;

use super::{
    DEADLINE,
    emulator::{Emulator, Host},
    eventually,
    keeper::{self, MARK_VARIABLE, Shared},
    keys, processes,
};

/// A program in a terminal of its own. Dropping it kills whatever it left.
pub struct Pty {
    shared: Arc<Shared>,
    input: Option<Sender<Vec<u8>>>,
    master: Box<dyn MasterPty + Send>,
    /// Held so that the terminal, and with it its modes, outlives the program.
    _slave: Box<dyn SlavePty + Send>,
    keeper: Box<dyn Child + Send + Sync>,
    pid: i32,
    mark: String,
    flags: Vec<&'static str>,
    home: TempDir,
}

/// What to wait for: a literal text, or a regular expression over all rows (`^` and `$` are those of a row).
pub enum Pattern {
    Text(String),
    Regex(Regex),
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Self {
        Self::Regex(regex)
    }
}

impl Pattern {
    fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("`{text}`"),
            Self::Regex(regex) => format!("/{regex}/"),
        }
    }

    fn found_in(&self, screen: &str) -> bool {
        match self {
            Self::Text(text) => screen.contains(text),
            Self::Regex(regex) => regex.is_match(screen),
        }
    }
}

/// A [`Regex`] whose `^` and `$` match at each row, as tests over a screen want it.
pub fn regex(pattern: &str) -> Regex {
    regex::RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .unwrap()
}

impl Pty {
    /// Starts `program` in a terminal of `cols` × `rows` cells.
    ///
    /// Its environment is small and the same everywhere: `PATH` of the test, an empty `HOME`, a UTF-8
    /// true-colour terminal, then `env` on top.
    #[track_caller]
    pub fn spawn(
        program: impl AsRef<Path>,
        args: &[&str],
        cols: u16,
        rows: u16,
        env: &[(&str, &str)],
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!(
            "rig-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let home = TempDir::with_prefix("envdeck-home-").unwrap();
        let pair = native_pty_system()
            .openpty(size(cols, rows))
            .expect("a pseudo-terminal");
        let flags = flags(pair.master.as_ref());
        let command = keeper::command(program.as_ref(), args, env, home.path(), &mark);
        let keeper = pair
            .slave
            .spawn_command(command)
            .expect("bash, which holds the terminal");
        let shared = Arc::new(Shared {
            emulator: Mutex::new(Emulator::new(cols, rows, &mark)),
            changed: Condvar::new(),
        });
        let (input, typed) = mpsc::channel();
        let (reader, writer) = (
            pair.master.try_clone_reader().unwrap(),
            pair.master.take_writer().unwrap(),
        );
        thread::spawn(move || keeper::write_input(writer, &typed));
        thread::spawn({
            let (shared, answers) = (shared.clone(), input.clone());
            move || keeper::read_output(reader, &shared, &answers)
        });
        let mut pty = Self {
            shared,
            input: Some(input),
            master: pair.master,
            _slave: pair.slave,
            keeper,
            pid: 0,
            mark,
            flags,
            home,
        };
        pty.pid = pty.wait_until("start of the program", DEADLINE, Emulator::pid);
        pty
    }

    /// The empty home directory the program was given.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Types characters as they are.
    pub fn type_text(&self, text: &str) {
        self.send(text.as_bytes().to_vec());
    }

    /// Presses one key, named as in VHS: `Enter`, `Ctrl+C`, `Alt+x`, `Shift+Tab`, `F2`, `j` …
    #[track_caller]
    pub fn key(&self, name: &str) {
        self.send(keys::bytes(name).unwrap_or_else(|error| panic!("{error}")));
    }

    /// Pastes text as a terminal does: bracketed if the program asked for that.
    pub fn paste(&self, text: &str) {
        let bracketed = self.terminal().screen().bracketed_paste();
        let (before, after) = if bracketed {
            ("\x1b[200~", "\x1b[201~")
        } else {
            ("", "")
        };
        self.send(format!("{before}{text}{after}").into_bytes());
    }

    /// Presses and releases the left mouse button on a cell, counted from 0 (SGR encoding, xterm's 1006).
    pub fn click(&self, row: u16, col: u16) {
        let (x, y) = (col + 1, row + 1);
        self.send(format!("\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m").into_bytes());
    }

    /// Turns the mouse wheel one notch on a cell, counted from 0.
    pub fn wheel(&self, row: u16, col: u16, up: bool) {
        let button = if up { 64 } else { 65 };
        self.send(format!("\x1b[<{button};{};{}M", col + 1, row + 1).into_bytes());
    }

    /// Changes the size; the program gets SIGWINCH.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.terminal().resize(cols, rows);
        self.master
            .resize(size(cols, rows))
            .expect("a terminal can be resized");
    }

    /// The rows of the screen without trailing blanks.
    pub fn screen(&self) -> String {
        self.terminal().text()
    }

    /// The row that the cursor is on.
    pub fn cursor_line(&self) -> String {
        self.terminal().cursor_line()
    }

    /// Row and column, from 0, where `text` begins on the screen.
    pub fn find(&self, text: &str) -> Option<(u16, u16)> {
        self.terminal().find(text)
    }

    /// A cell with its character, colours and attributes.
    pub fn cell(&self, row: u16, col: u16) -> Option<vt100::Cell> {
        self.terminal().screen().cell(row, col).cloned()
    }

    /// The first cell of `text` on the screen, to ask how it is styled.
    #[track_caller]
    pub fn cell_of(&self, text: &str) -> vt100::Cell {
        let emulator = self.terminal();
        let Some((row, col)) = emulator.find(text) else {
            panic!("`{text}` is not on the screen:\n{}", framed(&emulator))
        };
        emulator.screen().cell(row, col).unwrap().clone()
    }

    /// Looks at titles, clipboard and bells.
    pub fn host<T>(&self, look: impl FnOnce(&Host) -> T) -> T {
        look(self.terminal().host())
    }

    /// Everything the program has written so far, byte by byte.
    pub fn raw_bytes(&self) -> Vec<u8> {
        self.terminal().raw().to_vec()
    }

    /// Waits until the screen shows a text (`&str`) or matches a [`Regex`]; returns the screen.
    ///
    /// # Panics
    /// At the deadline, or when the program ends without having shown it; the message holds the screen.
    #[track_caller]
    pub fn wait_for(&self, pattern: impl Into<Pattern>, deadline: Duration) -> String {
        let pattern = pattern.into();
        self.wait_until(&pattern.describe(), deadline, |emulator| {
            Some(emulator.text()).filter(|text| pattern.found_in(text))
        })
    }

    /// Waits until the screen no longer shows a text or matches a [`Regex`].
    #[track_caller]
    pub fn wait_gone(&self, pattern: impl Into<Pattern>, deadline: Duration) {
        let pattern = pattern.into();
        let what = format!("{} to go away", pattern.describe());
        self.wait_until(&what, deadline, |emulator| {
            (!pattern.found_in(&emulator.text())).then_some(())
        });
    }

    /// Waits until the program has written nothing for `quiet`: only then is it worth asserting an absence.
    #[track_caller]
    pub fn wait_quiet(&self, quiet: Duration, deadline: Duration) {
        let end = Instant::now() + deadline;
        let mut emulator = self.terminal();
        while !self
            .shared
            .changed
            .wait_for(&mut emulator, quiet)
            .timed_out()
        {
            assert!(
                Instant::now() < end,
                "the screen was never quiet for {quiet:?} in {deadline:?}:\n{}",
                framed(&emulator)
            );
        }
    }

    /// Waits until `check` finds what it looks for in the terminal; it never sees half a frame.
    #[track_caller]
    pub fn wait_until<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut check: impl FnMut(&Emulator) -> Option<T>,
    ) -> T {
        let end = Instant::now() + deadline;
        let mut late = false;
        let mut emulator = self.terminal();
        loop {
            if !emulator.in_frame()
                && let Some(found) = check(&emulator)
            {
                return found;
            }
            if let Some(status) = emulator.exit() {
                panic!(
                    "the program ended with status {status} before {what}; the screen:\n{}",
                    framed(&emulator)
                );
            }
            assert!(
                !late,
                "no {what} within {deadline:?}; the screen:\n{}",
                framed(&emulator)
            );
            late = self
                .shared
                .changed
                .wait_until(&mut emulator, end)
                .timed_out();
        }
    }

    /// The process id of the program.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal to the program alone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal)
            .unwrap_or_else(|error| panic!("{signal}: {error}"));
    }

    /// Sends a signal to the program and all in its process group, as a terminal does.
    #[track_caller]
    pub fn signal_group(&self, signal: Signal) {
        signal::killpg(Pid::from_raw(self.pid()), signal)
            .unwrap_or_else(|error| panic!("{signal}: {error}"));
    }

    /// Waits for the program to end; its exit status, or 128 + the signal that killed it, as a shell counts.
    /// All it wrote has then been read.
    #[track_caller]
    pub fn wait_exit(&self, deadline: Duration) -> i32 {
        self.wait_until("end of the program", deadline, Emulator::exit)
    }

    /// What an ended program did not put back or clean up, in words: terminal modes (both the escape sequences
    /// and the line discipline's ECHO, ICANON …) and processes. Empty is right.
    #[track_caller]
    pub fn leftovers(&self) -> Vec<String> {
        self.wait_exit(DEADLINE);
        let mut left = self.terminal().unrestored();
        let now = flags(self.master.as_ref());
        left.extend(
            self.flags
                .iter()
                .filter(|flag| !now.contains(flag))
                .map(|flag| format!("{flag} is off")),
        );
        left.extend(
            now.iter()
                .filter(|flag| !self.flags.contains(flag))
                .map(|flag| format!("{flag} is on")),
        );
        let running = self.processes().into_iter().filter_map(processes::process);
        left.extend(
            running.map(|process| format!("process {} ({}) still runs", process.pid, process.name)),
        );
        left
    }

    /// Waits for the program to end and asserts its exit status and that it left nothing behind.
    #[track_caller]
    pub fn assert_clean_exit(&self, status: i32) {
        assert_eq!(
            self.wait_exit(DEADLINE),
            status,
            "exit status; the screen:\n{}",
            self.screen()
        );
        // What was killed together with the program may take a moment to be gone.
        eventually(Duration::from_secs(5), || self.processes().is_empty());
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// Running processes of this terminal besides its keeper: by session, or by inherited environment.
    fn processes(&self) -> Vec<i32> {
        let keeper = self.keeper_pid();
        let of_session = |process: &processes::Process| process.session == keeper;
        let mut found: Vec<_> = processes::table()
            .into_iter()
            .filter(of_session)
            .map(|process| process.pid)
            .collect();
        found.extend(processes::with_environment(&format!(
            "{MARK_VARIABLE}={}",
            self.mark
        )));
        found.sort_unstable();
        found.dedup();
        found.retain(|pid| *pid != keeper && processes::alive(*pid));
        found
    }

    fn keeper_pid(&self) -> i32 {
        self.keeper
            .process_id()
            .and_then(|pid| pid.try_into().ok())
            .expect("a started child has a process id")
    }

    fn terminal(&self) -> MutexGuard<'_, Emulator> {
        let guard = self.shared.emulator.try_lock_for(DEADLINE);
        guard.expect("the check of a `wait_until` must use the terminal it is given, not the `Pty`")
    }

    fn send(&self, bytes: Vec<u8>) {
        // Nobody listens any more only once the terminal is gone; the wait that follows will say so.
        let _ = self.input.as_ref().map(|input| input.send(bytes));
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Again and again: what is killed may be started anew by one that is killed after it.
        eventually(Duration::from_secs(5), || {
            let running = self.processes();
            for pid in &running {
                let _ = signal::kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            running.is_empty()
        });
        let _ = signal::kill(Pid::from_raw(self.keeper_pid()), Signal::SIGKILL);
        let _ = self.keeper.wait();
        self.input = None;
    }
}

/// The names of the line discipline's flags that are on: ECHO, ICANON, OPOST …
fn flags(master: &(dyn MasterPty + Send)) -> Vec<&'static str> {
    let modes = master.get_termios().expect("a terminal has modes");
    let mut names: Vec<_> = modes
        .local_flags
        .iter_names()
        .map(|(name, _)| name)
        .collect();
    names.extend(modes.input_flags.iter_names().map(|(name, _)| name));
    names.extend(modes.output_flags.iter_names().map(|(name, _)| name));
    names
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn framed(emulator: &Emulator) -> String {
    let (rows, cols) = emulator.screen().size();
    let line = "─".repeat(cols.into());
    format!("┌{line} {cols}×{rows}\n{}\n└{line}", emulator.text())
}
