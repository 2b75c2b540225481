//! A shell inside an instance has the terminal: bytes both ways, until it ends.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::input::RawInput;
use super::modes::Modes;
use super::signals::{Signals, Stop, nobody_resumes_us, stop};
use super::terminal::Terminal;
use crate::model::{Exit, Failure, WindowSize};
use crate::orchestrator::Shell;

/// Ctrl-], which no shell needs: pressed so often within [`ESCAPE_WINDOW`] it leaves a shell that hangs.
const ESCAPE: u8 = 0x1d;
const ESCAPES: usize = 3;
const ESCAPE_WINDOW: Duration = Duration::from_secs(1);

/// For the last output of a shell that has ended, and for the end of one whose output has.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Pieces of input that may wait for a shell that does not read; then more is dropped.
const INPUT: usize = 1024;

/// Why the terminal is ours again.
pub enum Left {
    /// The shell is over, as the text tells.
    Over(Result<String, String>),
    /// We are told to end.
    Ending,
}

/// The size of our terminal.
pub fn window() -> io::Result<WindowSize> {
    let (columns, rows) = Terminal::size()?;
    Ok(WindowSize { columns, rows })
}

/// Lends the terminal to the shell until it ends, its connection is lost, or a signal or the escape keys end it.
/// `ahead` was typed before it opened.
pub async fn visit(
    shell: Shell,
    name: &str,
    ahead: Vec<u8>,
    terminal: &mut Terminal,
    signals: &mut Signals<'_>,
    resizes: &mut Signal,
) -> io::Result<Left> {
    terminal.lend()?;
    Terminal::write(format!("{}\r\n", greeting(name)).as_bytes())?;
    let mut visit = Visit {
        resize: shell.resize,
        typed: typist(shell.write),
        escapes: Vec::new(),
        modes: Modes::default(),
    };
    visit.type_in(&ahead);
    // It may have changed since the shell was asked for.
    (visit.resize)(window()?);
    let left = visit
        .attend(name, shell.read, shell.ended, terminal, signals, resizes)
        .await;
    Terminal::write(&visit.modes.undo())?;
    left
}

fn greeting(name: &str) -> String {
    format!(
        "envdeck: a shell inside {name} — exit or ctrl+d comes back; ctrl+] three times if it hangs"
    )
}

struct Visit {
    resize: Box<dyn Fn(WindowSize) + Send + Sync>,
    typed: Typist,
    /// When the escape key was pressed, the last ones without another key between them.
    escapes: Vec<Instant>,
    modes: Modes,
}

impl Visit {
    async fn attend(
        &mut self,
        name: &str,
        mut read: impl tokio::io::AsyncRead + Unpin,
        mut ended: impl Future<Output = Result<Exit, Failure>> + Unpin,
        terminal: &mut Terminal,
        signals: &mut Signals<'_>,
        resizes: &mut Signal,
    ) -> io::Result<Left> {
        let mut keys = RawInput::new()?;
        let mut shown = vec![0; 64 << 10];
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Stop::End | Stop::Interrupt => return Ok(Left::Ending),
                    Stop::Suspend if nobody_resumes_us() => {}
                    Stop::Suspend => {
                        terminal.leave();
                        stop()?;
                        terminal.lend()?;
                        (self.resize)(window()?);
                    }
                },
                Some(()) = resizes.recv() => (self.resize)(window()?),
                typed = keys.next() => match typed {
                    Some(typed) => {
                        if self.type_in(&typed) {
                            Terminal::write(b"\r\n")?;
                            return Ok(Left::Over(Ok(format!("left the shell inside {name}; it was hung up on"))));
                        }
                    }
                    // The terminal is gone.
                    None => return Ok(Left::Ending),
                },
                count = read.read(&mut shown) => match count {
                    Ok(count @ 1..) => self.show(&shown[..count])?,
                    Ok(0) | Err(_) => {
                        return Ok(Left::Over(match timeout(LAST_WORDS, &mut ended).await {
                            Ok(end) => told(name, end),
                            Err(_) => Err(format!("the connection to the shell inside {name} was lost")),
                        }));
                    }
                },
                end = &mut ended => {
                    // Whatever it started may hold its terminal open: the wait is short.
                    let rest = async {
                        while let Ok(count @ 1..) = read.read(&mut shown).await {
                            self.show(&shown[..count])?;
                        }
                        io::Result::Ok(())
                    };
                    timeout(LAST_WORDS, rest).await.unwrap_or(Ok(()))?;
                    return Ok(Left::Over(told(name, end)));
                }
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.modes.see(bytes);
        Terminal::write(bytes)
    }

    /// Sends what was typed; `true` if it was the way out.
    fn type_in(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if *byte == ESCAPE {
                self.escapes.push(Instant::now());
            } else {
                self.escapes.clear();
            }
        }
        self.typed.send(bytes);
        let latest = self.escapes.iter().rev().nth(ESCAPES - 1);
        latest.is_some_and(|first| first.elapsed() <= ESCAPE_WINDOW)
    }
}

fn told(name: &str, end: Result<Exit, Failure>) -> Result<String, String> {
    match end {
        Ok(exit) => Ok(format!("shell inside {name}: {exit}")),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Writes to the shell at its pace, so that one that does not read holds up nothing else.
struct Typist {
    pieces: mpsc::Sender<Vec<u8>>,
    _task: AbortOnDropHandle<()>,
}

fn typist(mut write: impl AsyncWrite + Send + Unpin + 'static) -> Typist {
    let (pieces, mut waiting) = mpsc::channel::<Vec<u8>>(INPUT);
    let task = tokio::spawn(async move {
        while let Some(piece) = waiting.recv().await {
            if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
                return;
            }
        }
    });
    Typist {
        pieces,
        _task: AbortOnDropHandle::new(task),
    }
}

impl Typist {
    fn send(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            // Full: it has not read a thousand pieces, nor will it miss this one. Closed: its end is near.
            let _ = self.pieces.try_send(bytes.to_vec());
        }
    }
}
