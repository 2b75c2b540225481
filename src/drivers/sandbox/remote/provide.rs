//! All that must be in a sandbox of a runtime before a server can be started there: its directory, its project, and
//! what that depends on. It travels through relays, so that the runtime may be anywhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::actions::Session;
use super::job::{self, Done, MARK, Work};
use super::sites::{Site, Sites};
use super::trouble::Trouble;
use crate::drivers::Order;
use crate::drivers::sandbox::cell::{PLACE, UNPACK, is_name};
use crate::drivers::sandbox::provide::{Feed, INSTALL, PARTS, rewritten, source, tell};
use crate::drivers::sandbox::workspace::{Caps, Manifest, Source};
use crate::model::{Cause, Failure, Sandbox, SandboxPhase, SandboxRuntime, Secret, Stage};
use crate::stores::logs::Source as Said;

const END_MARKED: &str = include_str!("../scripts/end_marked.sh");
/// For a server that ends when its input does, tenths of a second.
const GOODBYE: u128 = 3;
/// For the end of what is killed, tenths of a second.
const KILLING: u128 = 50;
/// For what the runtime does around that.
const MARGIN: Duration = Duration::from_secs(8);

/// A server that can be started.
pub struct Provided {
    pub site: Arc<Site>,
    /// As the runtime knows the sandbox.
    pub session: Session,
    /// What everything has in its environment that is started for it.
    pub mark: Mark,
    pub directory: String,
    /// As the sandbox knows it.
    pub command: Vec<String>,
    /// The project on this host.
    pub project: Option<PathBuf>,
}

pub async fn provide(
    sites: &Arc<Sites>,
    spec: &Sandbox,
    runtime: &SandboxRuntime,
    order: &Order,
) -> Result<Provided, Failure> {
    let name = order.instance.as_str();
    if !is_name(name) {
        let text = format!("{name:?} cannot be the name of a directory");
        return Err(SandboxPhase::Staging.refused(text));
    }
    let source = source(spec)?;
    let (site, session) = sites.enter(spec, runtime, order).await?;
    let directory = site.directory(&order.instance);
    let mut provided = Provided {
        mark: Mark::new(sites, &site),
        site,
        session,
        directory,
        command: std::iter::once(&spec.command)
            .chain(&spec.args)
            .cloned()
            .collect(),
        project: None,
    };
    provided.furnish().await?;
    if let Some(source) = source {
        provided.command = rewritten(&provided.command, &source.path, provided.workspace());
        provided.project = Some(source.path.clone());
        let manifest = source.manifest();
        provided.stage(source, spec, order).await?;
        if let Some(manifest) = manifest {
            provided.install(manifest, spec, order).await?;
        }
    }
    Ok(provided)
}

impl Provided {
    pub fn workspace(&self) -> String {
        format!("{}/workspace", self.directory)
    }

    /// Of all that is started for it.
    pub fn env(&self) -> impl Iterator<Item = (String, Secret)> {
        let at = &self.directory;
        let env = [
            (MARK, self.mark.text.clone()),
            ("HOME", format!("{at}/home")),
            ("TMPDIR", format!("{at}/tmp")),
            ("XDG_CACHE_HOME", format!("{at}/cache")),
            ("PIP_CACHE_DIR", format!("{at}/cache/pip")),
            ("npm_config_cache", format!("{at}/cache/npm")),
            ("UV_CACHE_DIR", format!("{at}/cache/uv")),
        ];
        env.into_iter()
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
    }

    /// Makes its directory, unless it has it already.
    async fn furnish(&self) -> Result<(), Failure> {
        // The place of all of them may be missing, too.
        let script = format!("mkdir -p \"${{1%/*}}\" || exit\n{PLACE}");
        let work = Work::new("place", &script, &[&self.directory]);
        let done = job::run(&self.site, work, None, None).await;
        ended_well(done, "make its directory")
    }

    async fn stage(&self, source: Source, spec: &Sandbox, order: &Order) -> Result<(), Failure> {
        let shown = source.path.display().to_string();
        order.steps.tell(format!("staging {shown}"));
        let caps = Caps::of(&spec.staging);
        let (sender, parts) = mpsc::channel(PARTS);
        let feed = Feed::new(sender);
        let is_refused = feed.is_refused.clone();
        let write = spawn_blocking(move || source.write(&caps, feed));
        let mut work = Work::with_input("staging", UNPACK, &[&self.directory]);
        work.env.extend(self.env());
        let unpacked = job::run(&self.site, work, Some(parts), None).await;
        let unpacked = ended_well(unpacked, "unpack the project");
        // It ends when nobody takes the parts any more.
        let written = write.await;
        let written = written
            .map_err(|panic| Failure::new(Stage::Prepare, Cause::Panic(panic.to_string())))?;
        // Where the sandbox does not take it, its own words say why; else what could not be read was not unpacked.
        let tally = if is_refused.load(Ordering::Relaxed) {
            unpacked.and(written)
        } else {
            written.and_then(|tally| unpacked.map(|()| tally))
        }?;
        tell(&tally, &shown, spec, order);
        Ok(())
    }

    async fn install(
        &self,
        manifest: Manifest,
        spec: &Sandbox,
        order: &Order,
    ) -> Result<(), Failure> {
        let kind = manifest.kind();
        order.steps.tell(format!("dep_install ({kind})"));
        let began = Instant::now();
        let mark = format!("{}/installed", self.directory);
        let mut work = Work::new("install", INSTALL, &[kind, &mark]);
        work.directory = self.workspace();
        work.env.extend(self.env());
        work.env.extend(spec.install.env.clone());
        let within = spec.install.timeout;
        let done = timeout(within, job::run(&self.site, work, None, Some(&order.log))).await;
        let phase = SandboxPhase::DepInstall;
        let failure = match done {
            Ok(Ok(done)) if done.succeeded() => {
                let took = began.elapsed().as_millis();
                let text = format!("dep_install: done after {took} ms");
                order.log.line(Said::Envdeck, &text);
                return Ok(());
            }
            Ok(Ok(done)) => phase.failed(Cause::Exited(done.exit)),
            Ok(Err(trouble)) => trouble.during(phase),
            Err(_) => {
                let cause = Cause::Deadline {
                    what: "the installation of dependencies".into(),
                    after: within,
                };
                let failure = phase.failed(cause);
                failure.hint("raise box.install_timeout, or see its log for what it waits for")
            }
        };
        // Only this one is ended: others in the sandbox go on.
        let _ = self.mark.end(Duration::ZERO).await;
        Err(failure)
    }
}

fn ended_well(done: Result<Done, Trouble>, what: &str) -> Result<(), Failure> {
    let phase = SandboxPhase::Staging;
    let done = done.map_err(|trouble| trouble.during(phase))?;
    let said = &done.said;
    let text = match done.exit.code {
        Some(0) => return Ok(()),
        // What a shell says of a missing program.
        Some(127) => format!("cannot {what}: the image has not all that it takes ({said})"),
        _ if said.is_empty() => format!("cannot {what}: {}", done.exit),
        _ => format!("cannot {what}: {said}"),
    };
    Err(phase.failed(Cause::Other(text)))
}

/// By which all that was started for one instance is found. Dropping it ends what is left, unless that was done.
pub struct Mark {
    text: String,
    sites: Arc<Sites>,
    site: Arc<Site>,
    is_done: bool,
}

impl Mark {
    fn new(sites: &Arc<Sites>, site: &Arc<Site>) -> Self {
        Self {
            text: format!("{:032x}", rand::random::<u128>()),
            sites: sites.clone(),
            site: site.clone(),
            is_done: false,
        }
    }

    /// Asks all of it to end, and kills it after `grace`.
    async fn end(&self, grace: Duration) -> Result<(), Failure> {
        end(&self.site, &self.text, grace).await
    }

    /// The same for good. What cannot be ended takes the sandbox along.
    pub async fn finish(mut self, grace: Duration) -> Result<(), Failure> {
        let ended = self.end(grace).await;
        self.is_done = true;
        match ended {
            Err(failure) if !self.site.has_others() => {
                self.site.delete().await.map_err(|_| failure)
            }
            ended => ended,
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.is_done {
            let (site, text) = (self.site.clone(), std::mem::take(&mut self.text));
            self.sites.see_to(async move {
                if let Err(failure) = end(&site, &text, Duration::ZERO).await {
                    tracing::warn!("{}: {failure}", site.spec.session_id);
                }
            });
        }
    }
}

async fn end(site: &Site, mark: &str, grace: Duration) -> Result<(), Failure> {
    let tenths = grace.as_millis() / 100;
    let times = [GOODBYE.min(tenths), tenths, KILLING].map(|time| time.to_string());
    let [goodbye, asked, killed] = &times;
    let work = Work::new("end", END_MARKED, &[mark, goodbye, asked, killed]);
    let ended = timeout(grace + MARGIN, job::run(site, work, None, None)).await;
    let text = match ended {
        Ok(Ok(done)) if done.succeeded() => return Ok(()),
        // With the sandbox all that was in it is gone.
        Ok(Err(trouble)) if trouble.is_not_found() => return Ok(()),
        Ok(Ok(done)) if done.exit.code == Some(127) => {
            "it may still run: the image has no grep and tr, by which its processes are found"
                .to_owned()
        }
        Ok(Ok(done)) => format!("its processes cannot be killed: {}", done.said),
        Ok(Err(trouble)) => return Err(trouble.at(Stage::Stop).hint("it may still run")),
        Err(_) => "its end was not seen in time".to_owned(),
    };
    Err(Failure::other(Stage::Stop, text))
}
