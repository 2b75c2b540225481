//! Something that is done in a sandbox from its beginning to its end.
//!
//! As a process of its own and not by `exec`: that would keep others in the sandbox from starting meanwhile, and a
//! runtime deletes the whole sandbox where it takes too long.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::actions::{Process, ProcessSpec};
use super::relay::{End, NotAttached, Relay, State, Target};
use super::sites::Site;
use super::trouble::Trouble;
use crate::drivers::Interruption;
use crate::model::{Exit, Secret};
use crate::stores::logs::{LogWriter, Source};

/// In the environment of all that is started for an instance, so that it is found again.
pub const MARK: &str = "ENVDECK_MARK";
/// It begins when somebody listens, and says everything on the stream that a runtime relays.
const BEGIN: &str = "read -r begin || exit 90\nexec 2>&1\n";
/// The end of what is uploaded; no line of base64.
const END: &str = ".";
/// Kept of what it says.
const TAIL: usize = 2_000;

/// What is to be done.
pub struct Work<'a> {
    name: &'a str,
    script: String,
    args: Vec<String>,
    has_input: bool,
    pub env: BTreeMap<String, Secret>,
    pub directory: String,
}

/// How it ended.
pub struct Done {
    pub exit: Exit,
    /// The end of what it said.
    pub said: String,
}

impl<'a> Work<'a> {
    /// A script of a POSIX shell, and its arguments from `$1`.
    pub fn new(name: &'a str, script: &str, args: &[&str]) -> Self {
        Self {
            name,
            script: format!("{BEGIN}exec </dev/null\n{script}"),
            args: args.iter().map(ToString::to_string).collect(),
            has_input: false,
            env: BTreeMap::new(),
            directory: "/".to_owned(),
        }
    }

    /// The same with bytes on its standard input, which travel as lines of base64.
    pub fn with_input(name: &'a str, script: &str, args: &[&str]) -> Self {
        let decode = format!("sed -n '/^\\{END}$/q;p' | base64 -d | sh -c \"$0\" envdeck \"$@\"");
        let mut work = Self::new(name, "", args);
        work.script = format!("{BEGIN}{decode}");
        work.args.insert(0, script.to_owned());
        work.has_input = true;
        work
    }

    fn process(self, id: String) -> ProcessSpec {
        // With an input, `$0` is the script that reads it.
        let name = (!self.has_input).then(|| "envdeck".to_owned());
        let first = ["-c".to_owned(), self.script];
        ProcessSpec {
            process_id: id,
            command: "sh".to_owned(),
            args: first.into_iter().chain(name).chain(self.args).collect(),
            env: self.env,
            cwd: self.directory,
        }
    }
}

impl Done {
    pub fn succeeded(&self) -> bool {
        self.exit.code == Some(0)
    }
}

/// Does it; what it says goes to the log, if there is one. What is given up is forgotten by the runtime, not killed.
pub async fn run(
    site: &Site,
    work: Work<'_>,
    input: Option<mpsc::Receiver<Bytes>>,
    log: Option<&LogWriter>,
) -> Result<Done, Trouble> {
    let id = format!("{}-{:016x}", work.name, rand::random::<u64>());
    let session = &site.spec.session_id;
    let target = Target {
        connection: site.connection.clone(),
        session: session.clone(),
        process: id.clone(),
    };
    let forget = Forget(Some(target.clone()));
    site.connection
        .start_process(session, &work.process(id))
        .await?;
    let relay = match target.attach(log.cloned()).await {
        Ok(relay) => relay,
        Err(NotAttached::Ended(process)) => return Ok(forget.done(&process, String::new()).await),
        Err(NotAttached::Held) => return Err(Trouble::Protocol(NotAttached::Held.to_string())),
        Err(NotAttached::Trouble(trouble)) => return Err(trouble),
    };
    let Relay {
        mut read,
        mut write,
        mut state,
        task: _task,
    } = relay;
    let said = async {
        let mut said = Vec::new();
        let mut part = vec![0; 64 << 10];
        loop {
            match read.read(&mut part).await {
                Ok(0) => break,
                Ok(length) => {
                    if let Some(log) = log {
                        log.chunk(Source::Stdout, &part[..length]);
                    }
                    said.extend_from_slice(&part[..length]);
                    said.drain(..said.len().saturating_sub(TAIL));
                }
                Err(error) if Interruption::of(&error).is_some() => {}
                Err(_) => break,
            }
        }
        if let Some(log) = log {
            log.end(Source::Stdout);
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    // Its input stays open until it has ended: the end of it would make the runtime forget how that was.
    let (said, ()) = tokio::join!(said, feed(&mut write, input));
    let ended = state
        .wait_for(|state| matches!(state, State::Ended(_)))
        .await;
    match ended.map(|state| state.clone()) {
        Ok(State::Ended(End::Exited(process))) => Ok(forget.done(&process, said).await),
        Ok(State::Ended(End::Lost(trouble))) => Err(trouble),
        Ok(State::Ended(End::Gone(why))) => Err(Trouble::Protocol(format!("it is gone: {why}"))),
        _ => Err(Trouble::Protocol(
            "its relay ended without a word".to_owned(),
        )),
    }
}

/// A process that refuses its input says so by its end.
async fn feed(write: &mut (impl AsyncWrite + Unpin), input: Option<mpsc::Receiver<Bytes>>) {
    let sent = async {
        write.write_all(b"begin\n").await?;
        let Some(mut parts) = input else {
            return write.flush().await;
        };
        while let Some(part) = parts.recv().await {
            let mut line = STANDARD.encode(part);
            line.push('\n');
            write.write_all(line.as_bytes()).await?;
        }
        // Twice: some have a `sed` that looks a line ahead.
        write
            .write_all(format!("{END}\n{END}\n").as_bytes())
            .await?;
        write.flush().await
    };
    if let Err(error) = sent.await {
        tracing::debug!("the input of a job: {error}");
    }
}

/// Runtimes remember processes until they are told to forget them.
struct Forget(Option<Target>);

impl Forget {
    async fn done(mut self, process: &Process, said: String) -> Done {
        if let Some(target) = self.0.take() {
            let _ = target.forget().await;
        }
        let said = if said.is_empty() {
            process.stderr_preview.trim().to_owned()
        } else {
            said
        };
        let exit = process.exit();
        Done { exit, said }
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            tokio::spawn(async move { target.forget().await });
        }
    }
}
