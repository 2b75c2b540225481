//! One running child: its pipes, its log, its end.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::{self, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Dropped;
use super::family::{Ending, Family, blocking};
use super::pause::Pause;
use super::shell;
use super::table::Identity;
use super::usage::{self, MEMBERS_AGE, Meter};
use crate::drivers::{Endpoint, Facts, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Exit, Failure, LocalProcess, Stage, fact};
use crate::quote;
use crate::stores::logs::{LogWriter, Source};

/// For the rest of stderr after the end; a grandchild may hold the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// A server that ends when its stdin closes may do so in peace before it gets a signal.
const GOODBYE: Duration = Duration::from_millis(200);

/// For the leader to be waited for after its whole family is gone.
const REAP: Duration = Duration::from_secs(1);

/// The three pipes of a child.
pub struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Pipes {
    pub fn take(child: &mut process::Child) -> Option<Self> {
        Some(Self {
            stdin: child.stdin.take()?,
            stdout: child.stdout.take()?,
            stderr: child.stderr.take()?,
        })
    }
}

pub struct Child {
    process: process::Child,
    endpoint: Option<(ChildStdin, ChildStdout)>,
    family: Family,
    /// Where it goes when it is dropped before it is over.
    dropped: Dropped,
    spec: LocalProcess,
    facts: Vec<(Arc<str>, Arc<str>)>,
    log: LogWriter,
    /// Copies stderr to the log until its end.
    pump: Option<AbortOnDropHandle<()>>,
    drain_until: Option<Instant>,
    meter: Meter,
    pause: Arc<Pause>,
    /// Nothing of it is left, or all was done that can be.
    is_over: bool,
}

impl Child {
    pub fn new(
        child: process::Child,
        pipes: Pipes,
        family: Family,
        dropped: Dropped,
        spec: &LocalProcess,
        log: LogWriter,
    ) -> Self {
        let pump = tokio::spawn(pump(pipes.stderr, log.clone()));
        Self {
            process: child,
            endpoint: Some((pipes.stdin, pipes.stdout)),
            facts: facts(spec, family.pid()),
            spec: spec.clone(),
            family,
            dropped,
            log,
            pump: Some(AbortOnDropHandle::new(pump)),
            drain_until: None,
            meter: Meter::new(),
            pause: Arc::default(),
            is_over: false,
        }
    }

    /// Waits for the end of stderr, but not for long.
    async fn drain(&mut self) {
        let deadline = *self
            .drain_until
            .get_or_insert_with(|| Instant::now() + DRAIN);
        if let Some(pump) = &mut self.pump
            && timeout_at(deadline, pump).await.is_ok()
        {
            self.pump = None;
        }
    }

    async fn end(&mut self, grace: Duration) -> Result<(), Failure> {
        if self.pause.is_on() {
            // What is stopped hears nothing but its death.
            self.family.signal_soon(Signal::SIGCONT).await;
        }
        // Closes stdin and stdout, unless a client holds them.
        self.endpoint = None;
        // Its end is looked at below, with that of all others.
        let _ = timeout(GOODBYE.min(grace), self.process.wait()).await;
        let Ending { killed, left } = self.family.end(grace).await;
        if killed > 0 {
            let text = format!("still there {grace:?} after SIGTERM: killed ({killed} processes)");
            self.log.line(Source::Envdeck, &text);
        }
        let reaped = timeout(REAP, self.process.wait()).await.is_ok();
        self.drain().await;
        if self.pump.take().is_some() {
            self.log.end(Source::Stderr);
        }
        self.is_over = true;
        match left.first() {
            None if reaped => Ok(()),
            None => Err(survivors(&[self.family.leader()])),
            Some(_) => Err(survivors(&left)),
        }
    }
}

pub fn survivors(left: &[Identity]) -> Failure {
    let pids: Vec<String> = left.iter().map(|left| left.pid.to_string()).collect();
    let pids = pids.join(", ");
    Failure::other(
        Stage::Stop,
        format!("still there after SIGKILL: process {pids}"),
    )
    .hint("it may be stuck in the kernel or belong to another user: look at it with ps")
}

async fn pump(mut stderr: ChildStderr, log: LogWriter) {
    let mut buffer = vec![0; 64 << 10];
    // A broken pipe says no more than its end does.
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        log.chunk(Source::Stderr, &buffer[..length]);
    }
    log.end(Source::Stderr);
}

fn facts(spec: &LocalProcess, pid: i32) -> Vec<(Arc<str>, Arc<str>)> {
    let command = quote::line(std::iter::once(&spec.command).chain(&spec.args));
    let directory = spec
        .cwd
        .clone()
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_default();
    let names: Vec<&str> = spec.env.keys().map(String::as_str).collect();
    let mut facts = vec![
        ("command".into(), command.into()),
        ("directory".into(), directory.display().to_string().into()),
        ("process".into(), pid.to_string().into()),
    ];
    if !names.is_empty() {
        facts.push(("environment".into(), names.join(" ").into()));
    }
    facts
}

pub(super) fn exit(status: ExitStatus) -> Exit {
    Exit {
        code: status.code(),
        signal: status.signal(),
        out_of_memory: false,
    }
}

impl Running for Child {
    fn endpoint(&mut self) -> Endpoint {
        let (stdin, stdout) = self.endpoint.take().expect("the endpoint is taken once");
        Endpoint::Stdio {
            read: Box::new(stdout),
            write: Box::new(stdin),
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = self.facts.clone();
        if self.pause.is_on() {
            facts.push((fact::STATUS.into(), fact::PAUSED.into()));
        }
        facts
    }

    fn excuse(&self) -> Option<&'static str> {
        self.pause.is_on().then_some("its processes are stopped")
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.pause.changes())
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        Box::pin(async move {
            let status = self.process.wait().await.map_err(|error| {
                Failure::caused_by(Stage::Run, "cannot wait for the process", error)
            })?;
            self.drain().await;
            Ok(exit(status))
        })
    }

    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async move {
            if let Some(usage) = self.meter.fresh() {
                return Ok(Some(usage));
            }
            let family = self.family.clone();
            let read = blocking(move || {
                let now = std::time::Instant::now();
                usage::read(&family.members(now.checked_sub(MEMBERS_AGE).unwrap_or(now)))
            });
            let read = read.await;
            Ok(self.meter.update(read))
        })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        shell::open(&self.spec, size)
    }

    fn set_paused(&self, paused: bool) -> Task<'static, ()> {
        self.pause.set(&self.family, paused)
    }

    fn stop(mut self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(async move { self.end(grace).await })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_over {
            self.family.signal(Signal::SIGKILL);
            self.dropped.lock().push(self.family.clone());
        }
    }
}
