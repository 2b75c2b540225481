//! One server on a runtime: attached, seen to until it has ended, and ended for sure.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, DuplexStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Provided;
use super::actions::{Process as Seen, ProcessSpec, ProcessStatus, Session};
use super::connection::Dialect;
use super::mark::Mark;
use super::relay::{End, NotAttached, Relay, State, Target};
use super::stderr::Preview;
use crate::drivers::sandbox::provide::{Home, Ready};
use crate::drivers::sandbox::serve::{SERVE, not_found, unknown};
use crate::drivers::{Endpoint, Facts, Order, Running, Shell, Task, Usage, WindowSize};
use crate::model::{Cause, Exit, Failure, Sandbox, SandboxPhase, Stage, fact};
use crate::quote;
use crate::stores::logs::{LogWriter, Source};

/// Between two looks at its stderr, and whether it still runs in case its end was missed: doubles from the first to
/// the last.
const LOOKS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// Looks in a row that find it ended although its relay lives, or that are refused.
const LAST_LOOKS: u32 = 3;
/// For the last look at its stderr.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub struct Process {
    target: Target,
    mark: Mark,
    pipes: Option<(Box<dyn AsyncRead + Send + Unpin>, DuplexStream)>,
    made_of: Facts,
    shared: Arc<Shared>,
    _relay: AbortOnDropHandle<()>,
    _supervision: AbortOnDropHandle<()>,
}

/// What its supervision tells.
struct Shared {
    state: watch::Receiver<State>,
    end: watch::Sender<Option<Result<Exit, Failure>>>,
    facts: watch::Sender<()>,
    stderr: Stderr,
}

/// What was seen of its stderr goes to its log, once.
struct Stderr {
    log: LogWriter,
    preview: Mutex<Preview>,
}

impl Process {
    pub async fn start(
        provided: Provided,
        dialect: Dialect,
        spec: &Sandbox,
        order: &Order,
    ) -> Result<Self, Failure> {
        order.steps.tell(SandboxPhase::ProcessStart.to_string());
        let Provided {
            cell,
            session: sandbox,
            ready,
        } = provided;
        let site = &cell.site;
        let session = site.spec.session_id.clone();
        // Of each start its own: nobody is ever attached to what somebody else has begun to speak with.
        let id = format!("{}-{:08x}", order.instance, rand::random::<u32>());
        let target = Target {
            connection: site.connection.clone(),
            session: session.clone(),
            process: id.clone(),
        };
        let mut env: std::collections::BTreeMap<_, _> = cell.env().collect();
        env.extend(spec.env.clone());
        let words = ["-c", SERVE, "envdeck"].into_iter().map(str::to_owned);
        let process = ProcessSpec {
            process_id: id,
            command: "sh".to_owned(),
            args: words.chain(ready.command.iter().cloned()).collect(),
            env,
            cwd: cell.workspace(),
        };
        let started = site.connection.start_process(&session, &process).await;
        started.map_err(|trouble| trouble.during(SandboxPhase::ProcessStart))?;
        order.steps.tell(SandboxPhase::RelayConnect.to_string());
        let stderr = Stderr {
            log: order.log.clone(),
            preview: Mutex::default(),
        };
        let attached = target.clone().attach(Some(order.log.clone())).await;
        let relay = attached.map_err(|refusal| not_attached(refusal, &stderr))?;
        let made_of = made_of(&target, cell.site.name(), &sandbox, &ready, dialect);
        Ok(Self::supervised(relay, stderr, target, cell.mark, made_of))
    }

    fn supervised(
        relay: Relay,
        stderr: Stderr,
        target: Target,
        mark: Mark,
        made_of: Facts,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: relay.state.clone(),
            end: watch::Sender::new(None),
            facts: watch::Sender::new(()),
            stderr,
        });
        let supervision = supervise(target.clone(), shared.clone());
        Self {
            made_of,
            target,
            mark,
            pipes: Some((relay.read, relay.write)),
            shared,
            _relay: relay.task,
            _supervision: AbortOnDropHandle::new(tokio::spawn(supervision)),
        }
    }

    async fn end(self, grace: Duration) -> Result<(), Failure> {
        self.shared.stderr.look(&self.target).await;
        // The end of its input, unless a client holds that; and the runtime need not remember it.
        drop(self.pipes);
        let forgotten = self.target.forget().await;
        self.mark.finish(grace).await?;
        forgotten.map_err(|trouble| trouble.at(Stage::Stop))
    }
}

fn made_of(
    target: &Target,
    name: String,
    sandbox: &Session,
    ready: &Ready,
    dialect: Dialect,
) -> Facts {
    let mut facts: Facts = vec![
        ("command".into(), quote::line(&ready.command).into()),
        ("runtime".into(), target.connection.place().name().into()),
        ("speaks".into(), dialect.to_string().into()),
        (fact::SANDBOX.into(), name.into()),
        ("box session".into(), target.session.as_str().into()),
        (
            fact::NAME.into(),
            sandbox.backend_session_id.as_str().into(),
        ),
        ("image".into(), sandbox.image.as_str().into()),
    ];
    if let Some(project) = &ready.project {
        facts.push(("project".into(), project.display().to_string().into()));
    }
    facts
}

fn not_attached(refusal: NotAttached, stderr: &Stderr) -> Failure {
    match refusal {
        NotAttached::Ended(process) => {
            stderr.show(&process.stderr_preview);
            explained(&process, &stderr.log).map_or_else(
                |failure| failure,
                |exit| SandboxPhase::ProcessStart.failed(Cause::Exited(exit)),
            )
        }
        NotAttached::Held => {
            SandboxPhase::RelayConnect.failed(Cause::Other(NotAttached::Held.to_string()))
        }
        NotAttached::Trouble(trouble) => trouble.during(SandboxPhase::RelayConnect),
    }
}

impl Stderr {
    /// Brings the log up to date.
    async fn look(&self, target: &Target) {
        if let Ok(Ok(process)) = timeout(LAST_WORDS, target.look()).await {
            self.show(&process.stderr_preview);
        }
    }

    fn show(&self, preview: &str) {
        let mut seen = self.preview.lock();
        let news = seen.news(preview);
        if news.is_gap {
            let text = "a part of its stderr is missing: a Box runtime keeps 4000 characters at most, and of a burst none";
            self.log.line(Source::Envdeck, text);
        }
        for line in news.text.lines() {
            self.log.line(Source::Stderr, line);
        }
    }
}

/// Until it has ended.
async fn supervise(target: Target, shared: Arc<Shared>) {
    let mut state = shared.state.clone();
    let [mut pause, longest] = LOOKS;
    let (mut ended_looks, mut refused_looks) = (0, 0);
    let end = loop {
        tokio::select! {
            changed = state.changed() => {
                shared.facts.send_replace(());
                let now = state.borrow_and_update().clone();
                match now {
                    State::Ended(end) => break end,
                    _ if changed.is_err() => break End::Gone("its relay ended".to_owned()),
                    _ => continue,
                }
            }
            () = sleep(pause) => pause = (pause * 2).min(longest),
        }
        match target.look().await {
            Ok(process) => {
                refused_looks = 0;
                shared.stderr.show(&process.stderr_preview);
                if process.status == ProcessStatus::Exited {
                    ended_looks += 1;
                    if ended_looks == LAST_LOOKS {
                        break End::Exited(process);
                    }
                }
            }
            Err(trouble) if trouble.is_outage() => {}
            Err(trouble) => {
                refused_looks += 1;
                if refused_looks == LAST_LOOKS {
                    break End::Lost(trouble);
                }
            }
        }
    };
    let end = match end {
        End::Exited(process) => {
            shared.stderr.show(&process.stderr_preview);
            explained(&process, &shared.stderr.log)
        }
        End::Gone(why) => Err(gone(&why)),
        End::Lost(trouble) => Err(trouble.during(SandboxPhase::Runtime)),
    };
    shared.end.send_replace(Some(end));
    shared.facts.send_replace(());
}

fn gone(why: &str) -> Failure {
    let text = format!("the Box runtime knows the process no more: {why}");
    let failure = SandboxPhase::Runtime.failed(Cause::Other(text));
    failure.hint("the runtime was started again, or somebody deleted its sandbox: it is made anew")
}

fn explained(process: &Seen, log: &LogWriter) -> Result<Exit, Failure> {
    let exit = process.exit();
    not_found(&exit, log).map_or(Ok(exit), Err)
}

impl Running for Process {
    fn endpoint(&mut self) -> Endpoint {
        let (read, write) = self.pipes.take().expect("the endpoint is taken once");
        Endpoint::Stdio {
            read,
            write: Box::new(write),
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = self.made_of.clone();
        let status = match &*self.shared.end.borrow() {
            Some(Ok(exit)) => exit.to_string(),
            Some(Err(failure)) => failure.cause.to_string(),
            None => fact::RUNNING.to_owned(),
        };
        facts.push((fact::STATUS.into(), status.into()));
        if let State::Torn(cause) = &*self.shared.state.borrow() {
            facts.push((fact::ENGINE.into(), cause.to_string().into()));
        }
        facts
    }

    fn changes(&self) -> Option<watch::Receiver<()>> {
        Some(self.shared.facts.subscribe())
    }

    fn excuse(&self) -> Option<&'static str> {
        self.shared.state.borrow().excuse()
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        let mut end = self.shared.end.subscribe();
        Box::pin(async move {
            match end.wait_for(Option::is_some).await {
                Ok(end) => end.clone().unwrap_or_else(|| Ok(unknown())),
                // Its supervision can only end with it.
                Err(_) => Ok(unknown()),
            }
        })
    }

    /// A runtime measures nothing.
    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async { Ok(None) })
    }

    fn flush_log(&mut self) -> Task<'_, ()> {
        Box::pin(async {
            self.shared.stderr.look(&self.target).await;
            Ok(())
        })
    }

    fn inspect(&self) -> Task<'static, Option<String>> {
        let Target {
            connection,
            session,
            ..
        } = self.target.clone();
        Box::pin(async move {
            let which = json!({ "session_id": session });
            let told = connection.call("box_get_session", &which, LOOKS[1]).await;
            let told: Value = told.map_err(|trouble| trouble.at(Stage::Run))?;
            Ok(serde_json::to_string_pretty(&told).ok())
        })
    }

    fn shell(&self, size: WindowSize) -> Task<'static, Shell> {
        let _ = size;
        Box::pin(async {
            let text =
                "a Box runtime has no terminals, so that there is no shell into its sandboxes";
            Err(Failure::other(Stage::Run, text))
        })
    }

    fn stop(self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(self.end(grace))
    }
}
