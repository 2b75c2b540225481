//! What a container writes, as its engine keeps it: read while its log is on screen, and when its last lines are
//! needed as evidence; else not at all.
//!
//! However often reading begins anew (the log came on screen again, the engine was away), each line comes once.

mod entries;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::entries::Position;
use super::engine::{Engine, QUICK};
use super::watch::{ContainerState, Life, Watched};
use super::words::Trouble;
use crate::model::Stage;
use crate::stores::logs::{LogWriter, Source};

/// Entries asked for at once: more than the log on screen can hold, so that what it shows as lost is lost there.
const TAIL_WATCHED: usize = 200_000;
/// The same for a log that nobody looks at.
const TAIL: usize = 400;
/// Before reading begins anew where it ended without a reason.
const PAUSE: Duration = Duration::from_millis(250);
/// Of a terminal's output only whole lines are passed on, and the rest is kept in memory: after so long without a
/// line, what there is is taken as it is.
const SILENCE: Duration = Duration::from_secs(5);
/// Entries written at once, before others get a turn.
const BURST: usize = 256;

const WHAT: &str = "read the container's log";

/// What to read of a container.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub stdout: bool,
    pub stderr: bool,
    /// Whether it has a terminal: then both are one stream, which counts as stdout.
    pub tty: bool,
}

/// Reads the log of one container until dropped.
pub struct Logs {
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    _task: AbortOnDropHandle<()>,
}

impl Logs {
    /// Reads only while `watched` lives. Must be called within a tokio runtime.
    pub fn new(engine: Engine, watched: &Watched, output: Output, log: LogWriter) -> Self {
        let (flushes, asked) = mpsc::channel(1);
        let reader = Reader {
            engine,
            container: watched.container().to_owned(),
            output,
            on_screen: log.watched(),
            log,
            states: watched.states(),
            asked,
            position: Position::default(),
            has_backlog: true,
            is_over: false,
        };
        Self {
            flushes,
            _task: AbortOnDropHandle::new(tokio::spawn(reader.run())),
        }
    }

    /// Resolves when the log has what the container has written until now: the last lines at least, all of them
    /// (as far as there is room) if the log is on screen. The caller sets a deadline.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.flushes.send(done).await.is_ok() {
            // An error means that the reader has ended: there is nothing more.
            let _ = flushed.await;
        }
    }
}

struct Reader {
    engine: Engine,
    container: String,
    output: Output,
    log: LogWriter,
    on_screen: watch::Receiver<bool>,
    states: watch::Receiver<ContainerState>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    position: Position,
    /// Nobody has looked since it was read last: what was written meanwhile is put in its place by time.
    has_backlog: bool,
    /// Nothing more will come.
    is_over: bool,
}

/// Why reading ended.
enum End {
    /// There was no more.
    Ran,
    /// Nobody looks any more.
    Unwatched,
    Asked(oneshot::Sender<()>),
    /// A terminal has written no whole line for some time.
    Silent,
    Broken(Error),
    /// The engine sent something that its client cannot bear: it says so in a stream of its own.
    Unreadable,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

impl Reader {
    async fn run(mut self) {
        loop {
            let wanted = wanted(&mut self.on_screen, &mut self.states, self.is_over);
            let asked = tokio::select! {
                biased;
                asked = self.asked.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return,
                },
                () = wanted => self.follow().await,
            };
            if let Some(asked) = asked {
                self.catch_up().await;
                // Who asked may have given up.
                let _ = asked.send(());
            }
        }
    }

    /// Follows the log; returns who has asked for a flush meanwhile.
    async fn follow(&mut self) -> Option<oneshot::Sender<()>> {
        match self.read(true).await {
            End::Asked(asked) => return Some(asked),
            End::Unwatched => self.has_backlog = true,
            End::Silent => self.catch_up().await,
            // Not every engine sends the last lines to those who follow.
            End::Ran if self.has_ended() => self.catch_up().await,
            // The container's end, or the engine's outage, will be known soon.
            End::Ran => sleep(PAUSE).await,
            End::Broken(error) => self.bear(error).await,
            End::Unreadable => self.give_up("the engine cannot read its log any further"),
        }
        None
    }

    /// Reads what there is.
    async fn catch_up(&mut self) {
        if self.is_over {
            return;
        }
        let was_last = self.has_ended();
        let end = self.read(false).await;
        self.has_backlog |= !*self.on_screen.borrow();
        match end {
            End::Ran if was_last => self.finish(),
            End::Broken(error) => self.bear(error).await,
            End::Unreadable => self.give_up("the engine cannot read its log any further"),
            _ => {}
        }
    }

    fn has_ended(&self) -> bool {
        let state = self.states.borrow();
        state.exit.is_some() && state.life != Life::Running
    }

    async fn bear(&mut self, error: Error) {
        let trouble: Trouble = self.engine.trouble(WHAT, error);
        if trouble.is_gone() {
            self.finish();
        } else if trouble.status().is_some() {
            let why = trouble.at(Stage::Run).cause.to_string();
            self.give_up(&why);
        } else {
            sleep(PAUSE).await;
        }
    }

    fn give_up(&mut self, why: &str) {
        self.finish();
        let text = format!("no more output of the container is shown: {why}");
        self.log.line(Source::Envdeck, &text);
    }

    fn finish(&mut self) {
        self.is_over = true;
        self.log.end(Source::Stdout);
        self.log.end(Source::Stderr);
    }

    async fn chunks(&self, follow: bool) -> Result<Chunks, Trouble> {
        let is_on_screen = *self.on_screen.borrow();
        let tail = if is_on_screen { TAIL_WATCHED } else { TAIL };
        let options = LogsOptionsBuilder::default()
            .follow(follow)
            .stdout(self.output.stdout)
            .stderr(self.output.stderr)
            .timestamps(true)
            .since(self.position.since())
            .tail(&tail.to_string())
            .build();
        let docker = self.engine.docker(WHAT).await?;
        Ok(Box::pin(docker.logs(&self.container, Some(options))))
    }

    /// Reads one answer of the engine: all that there is now, or all that will come while somebody looks.
    async fn read(&mut self, follow: bool) -> End {
        let Ok(chunks) = self.chunks(follow).await else {
            sleep(PAUSE).await;
            return End::Ran;
        };
        let began = Timestamp::now();
        let Self {
            log,
            on_screen,
            states,
            asked,
            position,
            output,
            has_backlog,
            ..
        } = self;
        let mut chunks = chunks.ready_chunks(BURST);
        let mut reading = position.reading();
        let silence = if output.tty { SILENCE } else { Duration::MAX };
        loop {
            let next = AssertUnwindSafe(chunks.next()).catch_unwind();
            let burst = tokio::select! {
                biased;
                Some(asked) = asked.recv(), if follow => return End::Asked(asked),
                Ok(_) = on_screen.wait_for(|is| !is), if follow => return End::Unwatched,
                // An engine that hangs says no end.
                Ok(_) = states.wait_for(|state| state.engine_lost.is_some()), if follow => return End::Ran,
                burst = timeout(if follow { silence } else { QUICK }, next) => burst,
            };
            let burst = match burst {
                Ok(Ok(Some(burst))) => burst,
                Ok(Ok(None)) => return End::Ran,
                Ok(Err(_)) => return End::Unreadable,
                Err(_) => return End::Silent,
            };
            let (burst, error) = split(burst);
            let new = entries::new(&burst, &mut reading);
            *has_backlog &= new.first().is_none_or(|(_, _, at)| *at < began);
            if *has_backlog {
                log.merge(new);
            } else {
                for (source, text, at) in new {
                    log.chunk_at(source, text, at);
                }
            }
            if let Some(error) = error {
                return End::Broken(error);
            }
            yield_now().await;
        }
    }
}

/// What came before an error, and the error.
fn split(burst: Vec<Result<LogOutput, Error>>) -> (Vec<LogOutput>, Option<Error>) {
    let mut error = None;
    let chunks = burst
        .into_iter()
        .map_while(|chunk| chunk.map_err(|why| error = Some(why)).ok());
    (chunks.collect(), error)
}

/// Resolves when the log is on screen and there is something to follow.
async fn wanted(
    on_screen: &mut watch::Receiver<bool>,
    states: &mut watch::Receiver<ContainerState>,
    is_over: bool,
) {
    loop {
        // Both are marked as seen, whatever they are.
        let can_be_read = can_be_read(&states.borrow_and_update());
        if *on_screen.borrow_and_update() && can_be_read && !is_over {
            return;
        }
        let is_alive = tokio::select! {
            changed = on_screen.changed() => changed.is_ok(),
            changed = states.changed() => changed.is_ok(),
        };
        if !is_alive {
            std::future::pending::<()>().await;
        }
    }
}

fn can_be_read(state: &ContainerState) -> bool {
    let has_begun = !matches!(state.life, Life::Unknown | Life::Created | Life::Removed);
    has_begun && state.engine_lost.is_none()
}
