//! The standard streams of a container: taken apart, put into a pipe and a log, and taken up again after an
//! outage of the engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::engine::{Engine, QUICK};
use super::hijack::Stream;
use super::words::Trouble;
use crate::stores::logs::{LogWriter, Source};

/// What may wait in a pipe until the other side reads it.
pub(super) const PIPE: usize = 64 << 10;
/// Between two looks at an engine that is away: it doubles from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// Our ends of the pipes to a container that speaks on stdin and stdout.
pub struct Pipes {
    pub stdin: DuplexStream,
    pub stdout: DuplexStream,
}

/// An attached container.
pub struct Attached {
    pub pipes: Pipes,
    /// Ends when it has delivered everything that the container wrote.
    pub pump: AbortOnDropHandle<()>,
}

/// Moves what a container says and hears until it has ended.
pub struct Pump {
    engine: Engine,
    id: Arc<str>,
    stdin: DuplexStream,
    stdout: Option<DuplexStream>,
    log: LogWriter,
}

impl Pump {
    /// Attaches to a container that has not been started yet, so that nothing is missed.
    pub async fn start(
        engine: &Engine,
        id: &Arc<str>,
        log: &LogWriter,
    ) -> Result<Attached, Trouble> {
        let stream = attach(engine, id).await?;
        let (our_stdin, stdin) = duplex(PIPE);
        let (our_stdout, stdout) = duplex(PIPE);
        let pump = Self {
            engine: engine.clone(),
            id: id.clone(),
            stdin,
            stdout: Some(stdout),
            log: log.clone(),
        };
        let (stdin, stdout) = (our_stdin, our_stdout);
        Ok(Attached {
            pipes: Pipes { stdin, stdout },
            pump: AbortOnDropHandle::new(tokio::spawn(pump.run(stream))),
        })
    }

    async fn run(mut self, mut stream: Stream) {
        loop {
            let broke = self.carry(stream).await.is_err();
            match self.again(broke).await {
                Some(next) => stream = next,
                None => break,
            }
        }
        self.log.end(Source::Stderr);
    }

    /// Both directions at once, until the container's side ends.
    async fn carry(&mut self, stream: Stream) -> std::io::Result<()> {
        let Stream { read, mut write } = stream;
        let input = async {
            // Where it cannot be written to, its end says more.
            if copy(&mut self.stdin, &mut write).await.is_ok() {
                let _ = write.shutdown().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = take_apart(read, &self.log, &mut self.stdout) => end,
            () = input => Ok(()),
        }
    }

    /// A new connection if only the old one ended, and not the container: engines can be restarted under
    /// containers that live on.
    async fn again(&self, broke: bool) -> Option<Stream> {
        let mut was_away = broke;
        let [mut pause, longest] = PAUSES;
        loop {
            match self.is_running().await {
                Ok(true) if was_away => {
                    if let Ok(stream) = attach(&self.engine, &self.id).await {
                        self.log.line(Source::Envdeck, "attached again");
                        return Some(stream);
                    }
                }
                Err(trouble) if trouble.is_outage() => was_away = true,
                Ok(_) | Err(_) => return None,
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn is_running(&self) -> Result<bool, Trouble> {
        let id = &*self.id;
        let found = self
            .engine
            .ask("look at the container", QUICK, |docker| async move {
                docker.inspect_container(id, None).await
            });
        let state = found.await?.state.unwrap_or_default();
        Ok(state.running.unwrap_or_default())
    }
}

async fn attach(engine: &Engine, id: &str) -> Result<Stream, Trouble> {
    let path = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    engine.hijack("attach to the container", &path, "").await
}

/// Frames have a head of eight bytes: whose they are (1 stdout, 2 stderr), three zeros, and their length, big end
/// first. See "Attach to a container" in the reference of the engine's API.
const HEAD: usize = 8;

/// The stream of a container or of what is executed in one, taken apart.
pub(super) struct Frames<R> {
    read: R,
    bytes: BytesMut,
    /// What is left of the frame that the bytes belong to.
    whose: u8,
    left: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(read: R) -> Self {
        Self {
            read,
            bytes: BytesMut::with_capacity(PIPE),
            whose: 0,
            left: 0,
        }
    }

    /// The next piece and whose it is; `None` at the end.
    pub async fn next(&mut self) -> std::io::Result<Option<(u8, BytesMut)>> {
        loop {
            if self.left == 0 && self.bytes.len() >= HEAD {
                self.whose = self.bytes[0];
                let [.., a, b, c, d] = self.bytes[..HEAD] else {
                    unreachable!("a head has eight bytes")
                };
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.bytes.advance(HEAD);
            } else if self.left == 0 || self.bytes.is_empty() {
                if self.read.read_buf(&mut self.bytes).await? == 0 {
                    return Ok(None);
                }
            } else {
                let part = self.bytes.split_to(self.left.min(self.bytes.len()));
                self.left -= part.len();
                return Ok(Some((self.whose, part)));
            }
        }
    }
}

/// Whose frames of errors are.
pub(super) const STDERR: u8 = 2;

/// Until the end: stderr goes to the log, stdout to where it is read, if it still is.
pub(super) async fn take_apart(
    read: impl AsyncRead + Unpin,
    log: &LogWriter,
    stdout: &mut Option<DuplexStream>,
) -> std::io::Result<()> {
    let mut frames = Frames::new(read);
    while let Some((whose, part)) = frames.next().await? {
        if whose == STDERR {
            log.chunk(Source::Stderr, &part);
        } else if let Some(pipe) = stdout
            && pipe.write_all(&part).await.is_err()
        {
            *stdout = None;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceId;
    use crate::stores::logs::LogStore;

    fn frame(whose: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).expect("short").to_be_bytes();
        [&[whose, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    /// stdout and the log, read in pieces of this size.
    async fn apart(bytes: &[u8], piece: usize) -> (String, Vec<String>) {
        let (logs, id) = (LogStore::default(), InstanceId::new("one"));
        let log = logs.writer(&id);
        let (mut pipe, end) = duplex(1 << 20);
        let (mut from, to) = duplex(piece);
        let bytes = bytes.to_owned();
        let write = tokio::spawn(async move { from.write_all(&bytes).await });
        let mut stdout = Some(end);
        take_apart(to, &log, &mut stdout).await.expect("no error");
        write.await.expect("written").expect("written");
        drop(stdout);
        let mut said = String::new();
        pipe.read_to_string(&mut said).await.expect("text");
        let lines = logs.tail(&id, 99).lines;
        (
            said,
            lines
                .iter()
                .map(|line| line.line.text.to_string())
                .collect(),
        )
    }

    #[tokio::test]
    async fn frames_cut_anywhere_come_out_whole() {
        let flood = "x".repeat(100_000);
        let bytes = [
            frame(1, "{\"a\":"),
            frame(2, "warn"),
            frame(1, ""),
            frame(1, "1}\n"),
            frame(2, "ing\nmore\n"),
            frame(1, &flood),
        ]
        .concat();
        for piece in [1, 3, 8, 4096] {
            let (said, log) = apart(&bytes, piece).await;
            assert_eq!(said, format!("{{\"a\":1}}\n{flood}"), "pieces of {piece}");
            assert_eq!(log, ["warning", "more"], "pieces of {piece}");
        }
    }
}
