//! All that must be there before a server can be started: its sandbox, its place in it, its project, and what that
//! depends on.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::cell::Cell;
use super::house::{House, Lot};
use super::workspace::{
    Caps, Manifest, Place, Source, Tally, infer, rewrite_argument, rewrite_command,
};
use crate::drivers::Order;
use crate::model::{Cause, Failure, HostPathMode, Sandbox, SandboxPhase, Stage};
use crate::stores::logs::Source as Said;

pub(super) const INSTALL: &str = include_str!("scripts/install.sh");
/// Parts of a project that are on their way.
pub(super) const PARTS: usize = 4;
const PART: usize = 256 << 10;
/// For the end of an installation that takes too long.
const KILLING: Duration = Duration::from_secs(10);

/// A server that can be started.
pub struct Provided {
    pub lot: Arc<Lot>,
    pub cell: Cell,
    /// As the sandbox knows it.
    pub command: Vec<String>,
    /// The project on the host.
    pub project: Option<PathBuf>,
}

pub async fn provide(
    house: &Arc<House>,
    spec: &Sandbox,
    order: &Order,
) -> Result<Provided, Failure> {
    let source = source(spec)?;
    let (lot, cell) = house.enter(spec, order).await?;
    cell.furnish().await?;
    let mut command = vec![spec.command.clone()];
    command.extend(spec.args.iter().cloned());
    let mut project = None;
    if let Some(source) = source {
        command = rewritten(&command, &source.path, cell.workspace());
        project = Some(source.path.clone());
        let manifest = source.manifest();
        stage(source, spec, &cell, order).await?;
        if let Some(manifest) = manifest {
            install(house, manifest, spec, &cell, order).await?;
        }
    }
    Ok(Provided {
        lot,
        cell,
        command,
        project,
    })
}

/// The project, if there is one.
pub(super) fn source(spec: &Sandbox) -> Result<Option<Source>, Failure> {
    let staging = &spec.staging;
    let directory = if let Some(directory) = &staging.host_path {
        Some(directory.clone())
    } else {
        let home = etcetera::home_dir().ok();
        let inferred = infer(&spec.command, &spec.args, home.as_deref());
        inferred.map_err(|wide| {
            let refused = SandboxPhase::Staging.refused(wide.to_string());
            refused.hint("name the directory of the project by box.host_path")
        })?
    };
    let open = |directory: PathBuf| Source::open(&directory, &staging.roots);
    directory.map(open).transpose()
}

pub(super) fn rewritten(command: &[String], project: &Path, workspace: String) -> Vec<String> {
    let Some(place) = Place::new(project, workspace) else {
        return command.to_vec();
    };
    let mut words = command.iter();
    let program = words.next().map(|word| rewrite_command(word, &place));
    let arguments = words.map(|word| rewrite_argument(word, &place));
    program.into_iter().chain(arguments).collect()
}

async fn stage(source: Source, spec: &Sandbox, cell: &Cell, order: &Order) -> Result<(), Failure> {
    let shown = source.path.display().to_string();
    order.steps.tell(format!("staging {shown}"));
    let caps = Caps::of(&spec.staging);
    let (sender, parts) = mpsc::channel(PARTS);
    let feed = Feed::new(sender);
    let is_refused = feed.is_refused.clone();
    let write = spawn_blocking(move || source.write(&caps, feed));
    let unpacked = cell.unpack(parts).await;
    // It ends when nobody takes the parts any more.
    let written = write.await;
    let written =
        written.map_err(|panic| Failure::new(Stage::Prepare, Cause::Panic(panic.to_string())))?;
    // Where the sandbox does not take it, its own words say why; else what could not be read was not unpacked.
    let tally = if is_refused.load(Ordering::Relaxed) {
        unpacked.and(written)
    } else {
        written.and_then(|tally| unpacked.map(|()| tally))
    }?;
    tell(&tally, &shown, spec, order);
    Ok(())
}

pub(super) fn tell(tally: &Tally, shown: &str, spec: &Sandbox, order: &Order) {
    let Tally {
        bytes,
        entries,
        special,
    } = tally;
    let kib = bytes.div_ceil(1024);
    let text = format!("staging: {entries} files and directories, {kib} KiB, of {shown}");
    order.log.line(Said::Envdeck, &text);
    if *special > 0 {
        let text = format!("staging: {special} pipes, sockets or devices are left out");
        order.log.line(Said::Envdeck, &text);
    }
    if spec.staging.mode == HostPathMode::Rw {
        let text = "host_path_mode rw: the server has a copy all the same, the host's files stay as they are";
        order.log.line(Said::Envdeck, text);
    }
}

async fn install(
    house: &Arc<House>,
    manifest: Manifest,
    spec: &Sandbox,
    cell: &Cell,
    order: &Order,
) -> Result<(), Failure> {
    let kind = manifest.kind();
    order.steps.tell(format!("dep_install ({kind})"));
    let began = Instant::now();
    let mark = format!("{}/installed", cell.place);
    let mut command = cell
        .inside("workspace")
        .command(["sh", "-c", INSTALL, "envdeck", kind, &mark]);
    let more = spec.install.env.iter();
    command
        .env
        .extend(more.map(|(name, value)| format!("{name}={}", value.expose())));
    // If it fails, takes too long or is given up, nothing of it goes on.
    let guard = Unfinished {
        house: house.clone(),
        cell: Some(cell.clone()),
    };
    let within = spec.install.timeout;
    let told = timeout(within, cell.room.tell(command, &order.log)).await;
    let failure = match told {
        Ok(Ok(exit)) if exit.code == Some(0) => {
            let took = began.elapsed().as_millis();
            let text = format!("dep_install: done after {took} ms");
            order.log.line(Said::Envdeck, &text);
            guard.finished();
            return Ok(());
        }
        Ok(Ok(exit)) => SandboxPhase::DepInstall.failed(Cause::Exited(exit)),
        Ok(Err(trouble)) => trouble.at(Stage::Prepare).at(SandboxPhase::DepInstall),
        Err(_) => {
            let cause = Cause::Deadline {
                what: "the installation of dependencies".into(),
                after: within,
            };
            let failure = SandboxPhase::DepInstall.failed(cause);
            failure.hint("raise box.install_timeout, or see its log for what it waits for")
        }
    };
    guard.finished();
    // Nothing else of this user runs yet.
    let _ = cell.kill(KILLING).await;
    Err(failure)
}

/// An installation that nobody waits for any more is killed.
struct Unfinished {
    house: Arc<House>,
    cell: Option<Cell>,
}

impl Unfinished {
    fn finished(mut self) {
        self.cell = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            self.house.see_to(async move {
                let _ = cell.kill(KILLING).await;
            });
        }
    }
}

/// Writes parts of this size to whoever takes them.
pub(super) struct Feed {
    sender: mpsc::Sender<Bytes>,
    part: Vec<u8>,
    /// They are not taken any more.
    pub is_refused: Arc<AtomicBool>,
}

impl Feed {
    pub fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self {
            sender,
            part: Vec::with_capacity(PART),
            is_refused: Arc::default(),
        }
    }
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::take(&mut self.part).into();
        let sent = self.sender.blocking_send(part);
        sent.map_err(|_| {
            self.is_refused.store(true, Ordering::Relaxed);
            io::ErrorKind::BrokenPipe.into()
        })
    }
}
