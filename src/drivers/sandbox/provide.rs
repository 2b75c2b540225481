//! All that must be there before a server can be started in a sandbox, wherever that is: its directory, its project,
//! and what that depends on.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::feed::Feed;
use super::workspace::{
    Caps, Manifest, Place, Source, Tally, infer, rewrite_argument, rewrite_command,
};
use crate::drivers::Order;
use crate::model::{Cause, Exit, Failure, HostPathMode, Install, Sandbox, SandboxPhase, Stage};
use crate::stores::logs::{LogWriter, Source as Said};

/// Makes the directory `$1`.
pub(super) const PLACE: &str = include_str!("scripts/place.sh");
/// Unpacks a project from its input into the directory `$1`.
pub(super) const UNPACK: &str = include_str!("scripts/unpack.sh");
/// Installs what the project in the current directory needs: `$1` is the kind, `$2` a file that tells what was done.
pub(super) const INSTALL: &str = include_str!("scripts/install.sh");
/// Removes the directory `$1`.
pub(super) const CLEAR: &str = r#"chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1""#;

/// Parts of a project that are on their way.
const PARTS: usize = 4;
/// What an installation takes that finds nothing to do; one that takes longer lets others start meanwhile.
const NOTHING_TO_DO: Duration = Duration::from_secs(3);

/// What one server has in a sandbox.
pub trait Home: Sync {
    /// Its directory there.
    fn directory(&self) -> &str;

    /// Makes that, unless it is there already.
    fn furnish(&self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Puts a new copy of the project there, from a tar stream; what was installed stays.
    fn unpack(
        &self,
        parts: mpsc::Receiver<Bytes>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs [`INSTALL`] in the copy; what it says goes to the log.
    fn install(
        &self,
        kind: &str,
        options: &Install,
        log: &LogWriter,
    ) -> impl Future<Output = Result<Exit, Failure>> + Send;

    /// Kills all that runs for this server.
    fn quit(&self) -> impl Future<Output = ()> + Send;

    /// Where the copy of its project is.
    fn workspace(&self) -> String {
        format!("{}/workspace", self.directory())
    }

    /// What everything gets that runs for it: no file of it is ever elsewhere.
    fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
            ("XDG_CACHE_HOME", "cache"),
            ("PIP_CACHE_DIR", "cache/pip"),
            ("npm_config_cache", "cache/npm"),
            ("UV_CACHE_DIR", "cache/uv"),
        ]
        .map(|(name, below)| (name, format!("{}/{below}", self.directory())))
    }
}

/// What can be started.
pub struct Ready {
    /// As the sandbox knows it.
    pub command: Vec<String>,
    /// The project on this host.
    pub project: Option<PathBuf>,
}

/// `source` is the project. What a failed or dropped installation left running is for the caller to end.
pub async fn provide(
    home: &impl Home,
    source: Option<Source>,
    spec: &Sandbox,
    order: &Order,
) -> Result<Ready, Failure> {
    home.furnish().await?;
    let words = std::iter::once(&spec.command).chain(&spec.args);
    let command: Vec<String> = words.cloned().collect();
    let Some(source) = source else {
        let project = None;
        return Ok(Ready { command, project });
    };
    let command = rewritten(&command, &source.path, home.workspace());
    let project = Some(source.path.clone());
    let manifest = source.manifest();
    stage(home, source, spec, order).await?;
    if let Some(manifest) = manifest {
        install(home, manifest, &spec.install, order).await?;
    }
    Ok(Ready { command, project })
}

/// The project, if there is one.
pub fn source(spec: &Sandbox) -> Result<Option<Source>, Failure> {
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

fn rewritten(command: &[String], project: &Path, workspace: String) -> Vec<String> {
    let Some(place) = Place::new(project, workspace) else {
        return command.to_vec();
    };
    let mut words = command.iter();
    let program = words.next().map(|word| rewrite_command(word, &place));
    let arguments = words.map(|word| rewrite_argument(word, &place));
    program.into_iter().chain(arguments).collect()
}

async fn stage(
    home: &impl Home,
    source: Source,
    spec: &Sandbox,
    order: &Order,
) -> Result<(), Failure> {
    let shown = source.path.display().to_string();
    order.steps.tell(format!("staging {shown}"));
    let caps = Caps::of(&spec.staging);
    let (sender, parts) = mpsc::channel(PARTS);
    let feed = Feed::new(sender);
    let is_refused = feed.is_refused.clone();
    let write = spawn_blocking(move || source.write(&caps, feed));
    let unpacked = home.unpack(parts).await;
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

fn tell(tally: &Tally, shown: &str, spec: &Sandbox, order: &Order) {
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
    home: &impl Home,
    manifest: Manifest,
    options: &Install,
    order: &Order,
) -> Result<(), Failure> {
    let kind = manifest.kind();
    order.steps.tell(format!("dep_install ({kind})"));
    let began = Instant::now();
    let within = options.timeout;
    let mut done = pin!(timeout(within, home.install(kind, options, &order.log)));
    let done = match timeout(NOTHING_TO_DO, &mut done).await {
        Ok(done) => done,
        Err(_) => order.step_aside(done).await,
    };
    let failure = match done {
        Ok(Ok(exit)) if exit.code == Some(0) => {
            let took = began.elapsed().as_millis();
            let text = format!("dep_install: done after {took} ms");
            order.log.line(Said::Envdeck, &text);
            return Ok(());
        }
        Ok(Ok(exit)) => SandboxPhase::DepInstall.failed(Cause::Exited(exit)),
        Ok(Err(failure)) => failure,
        Err(_) => {
            let cause = Cause::Deadline {
                what: "the installation of dependencies".into(),
                after: within,
            };
            let failure = SandboxPhase::DepInstall.failed(cause);
            failure.hint("raise box.install_timeout, or see its log for what it waits for")
        }
    };
    // Only this one: others in the sandbox go on.
    home.quit().await;
    Err(failure)
}

/// Whether something that prepares a server was done; `said` is the end of what it said.
pub(super) fn ended_well(exit: &Exit, said: &str, what: &str) -> Result<(), Failure> {
    let text = match exit.code {
        Some(0) => return Ok(()),
        // What a shell says of a missing program.
        Some(127) => format!("cannot {what}: the image has not all that it takes ({said})"),
        _ if said.is_empty() => format!("cannot {what}: {exit}"),
        _ => format!("cannot {what}: {said}"),
    };
    Err(SandboxPhase::Staging.failed(Cause::Other(text)))
}
