//! What is executed in a running container: attached, fed, and looked after until it has ended.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::exec::CreateExecOptions;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, copy, duplex};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::attach::{Attached, Frames, PIPE, Pipes, STDERR, take_apart};
use super::engine::{Engine, QUICK};
use super::hijack::Stream;
use super::watch;
use super::words::Trouble;
use crate::model::Exit;
use crate::stores::logs::{LogWriter, Source};

/// Its status comes after its last output.
const PATIENCE: [Duration; 6] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(2),
];
/// Of what it wrote to stdout and stderr, each, as far as that is kept.
const KEPT: usize = 4 << 20;

/// Who runs it and where; what is `None` is as the container has it.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// `uid:gid`
    pub user: Option<String>,
    pub directory: Option<String>,
    /// `NAME=value`; may hold secrets.
    pub env: Vec<String>,
}

impl Inside {
    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        Command {
            words: words.into_iter().map(str::to_owned).collect(),
            env: self.env.clone(),
            user: self.user.clone(),
            directory: self.directory.clone(),
        }
    }
}

/// What to run.
pub struct Command {
    pub words: Vec<String>,
    pub env: Vec<String>,
    pub user: Option<String>,
    pub directory: Option<String>,
}

impl Command {
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Inside::default().command(words)
    }

    /// In the words of the engine, attached to nothing.
    pub(super) fn options(self) -> CreateExecOptions<String> {
        CreateExecOptions {
            cmd: Some(self.words),
            env: Some(self.env),
            user: self.user,
            working_dir: self.directory,
            ..CreateExecOptions::default()
        }
    }
}

/// What has been started.
#[derive(Clone)]
pub struct Exec {
    engine: Engine,
    id: Arc<str>,
}

/// What it came to.
#[derive(Debug)]
pub struct Done {
    pub exit: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Done {
    pub fn succeeded(&self) -> bool {
        self.exit.code == Some(0)
    }

    /// The end of what it said, on one line.
    pub fn last_words(&self) -> String {
        let said = if self.stderr.is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let text = String::from_utf8_lossy(said);
        let line = text.lines().rev().find(|line| !line.trim().is_empty());
        line.unwrap_or_default().trim().to_owned()
    }
}

impl Exec {
    async fn start(
        engine: &Engine,
        container: &str,
        command: Command,
        takes_input: bool,
    ) -> Result<(Self, Stream), Trouble> {
        const WHAT: &str = "execute in the container";
        let options = CreateExecOptions {
            attach_stdin: Some(takes_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..command.options()
        };
        let created = engine.ask(WHAT, QUICK, |docker| async move {
            docker.create_exec(container, options).await
        });
        let id = created.await?.id;
        let path = format!("/exec/{id}/start");
        let body = r#"{"Detach":false,"Tty":false}"#;
        let stream = engine.hijack(WHAT, &path, body).await?;
        let exec = Self {
            engine: engine.clone(),
            id: id.into(),
        };
        Ok((exec, stream))
    }

    /// A server on its standard streams; what it says besides goes to the log.
    pub async fn serve(
        engine: &Engine,
        container: &str,
        command: Command,
        log: &LogWriter,
    ) -> Result<(Self, Attached), Trouble> {
        let (exec, stream) = Self::start(engine, container, command, true).await?;
        let (our_stdin, stdin) = duplex(PIPE);
        let (our_stdout, stdout) = duplex(PIPE);
        let pump = carry(stream, stdin, stdout, log.clone());
        let (stdin, stdout) = (our_stdin, our_stdout);
        let attached = Attached {
            pipes: Pipes { stdin, stdout },
            pump: AbortOnDropHandle::new(tokio::spawn(pump)),
        };
        Ok((exec, attached))
    }

    /// Runs it to its end; all that it says goes to the log, as it comes.
    pub async fn tell(
        engine: &Engine,
        container: &str,
        command: Command,
        log: &LogWriter,
    ) -> Result<Exit, Trouble> {
        let (exec, stream) = Self::start(engine, container, command, false).await?;
        let mut frames = Frames::new(stream.read);
        while let Ok(Some((_, part))) = frames.next().await {
            log.chunk(Source::Stderr, &part);
        }
        log.end(Source::Stderr);
        exec.ended().await
    }

    /// Runs it to its end and keeps what it says; `input` is what it reads.
    pub async fn run(
        engine: &Engine,
        container: &str,
        command: Command,
        input: Option<mpsc::Receiver<Bytes>>,
    ) -> Result<Done, Trouble> {
        let started = Self::start(engine, container, command, input.is_some()).await;
        let (exec, Stream { read, mut write }) = started?;
        let feed = async {
            if let Some(mut parts) = input {
                while let Some(part) = parts.recv().await {
                    // Where it does not read, its end says why.
                    if write.write_all(&part).await.is_err() {
                        break;
                    }
                }
                let _ = write.shutdown().await;
            }
        };
        let mut feed = pin!(feed);
        let mut listen = pin!(listen(read));
        let (stdout, stderr) = tokio::select! {
            said = &mut listen => said,
            () = &mut feed => listen.await,
        };
        let exit = exec.ended().await?;
        Ok(Done {
            exit,
            stdout,
            stderr,
        })
    }

    /// How it has ended; `None` while it runs.
    pub async fn exit(&self) -> Result<Option<Exit>, Trouble> {
        look(&self.engine, &self.id).await
    }

    /// Resolves when it is told to have ended, or may have been. Cancel-safe.
    pub async fn heard_of(&self, ends: &mut broadcast::Receiver<Arc<str>>) {
        loop {
            match ends.recv().await {
                Ok(id) if id != self.id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// When its output has ended, how it has; unknown if that is not told soon.
    async fn ended(&self) -> Result<Exit, Trouble> {
        for pause in PATIENCE {
            if let Some(exit) = self.exit().await? {
                return Ok(exit);
            }
            sleep(pause).await;
        }
        Ok(watch::exit(None, false))
    }
}

/// All that it says on its two streams, as far as that is kept.
async fn listen(read: Box<dyn AsyncRead + Send + Unpin>) -> (Vec<u8>, Vec<u8>) {
    let mut frames = Frames::new(read);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Ok(Some((whose, part))) = frames.next().await {
        let kept = if whose == STDERR {
            &mut stderr
        } else {
            &mut stdout
        };
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&part[..part.len().min(room)]);
    }
    (stdout, stderr)
}

/// How what is executed has ended; `None` while it runs.
pub(super) async fn look(engine: &Engine, id: &str) -> Result<Option<Exit>, Trouble> {
    let asked = engine.ask("look at what is executed", QUICK, |docker| async move {
        docker.inspect_exec(id).await
    });
    let found = asked.await?;
    let has_ended = found.running == Some(false);
    Ok(has_ended.then(|| watch::exit(found.exit_code, false)))
}

/// Both directions at once, until its output ends.
async fn carry(stream: Stream, mut stdin: DuplexStream, stdout: DuplexStream, log: LogWriter) {
    let Stream { read, mut write } = stream;
    let input = async {
        if copy(&mut stdin, &mut write).await.is_ok() {
            let _ = write.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let mut stdout = Some(stdout);
    tokio::select! {
        // Broken or ended: what became of it is asked of the engine.
        _ = take_apart(read, &log, &mut stdout) => {}
        () = input => {}
    }
    log.end(Source::Stderr);
}
