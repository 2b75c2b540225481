//! The keyboard: events for the console, or plain bytes while another program has the terminal.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Events that may wait; then the terminal does.
const WAITING: usize = 256;
/// How long to wait for the rest of a key's bytes when another program is to have the terminal.
const HALF_A_SEQUENCE: Duration = Duration::from_secs(1);
/// How long crossterm looks for what is there already; given no time at all, it does not look.
const MOMENT: Duration = Duration::from_millis(1);

/// Keys, mouse and pastes; it can be set aside for another reader.
///
/// Not crossterm's `EventStream`: the thread behind that one goes on reading for a while after it was dropped,
/// takes the next key from whoever reads then, or keeps crossterm's lock from the next stream.
pub struct Input(Option<Reader<io::Result<Event>>>);

impl Input {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Some(Reader::start(WAITING, read_events)?)))
    }

    /// The next event; none comes while it is set aside. Cancel-safe.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        match &mut self.0 {
            Some(reader) => reader.pieces.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Stops reading the terminal. Returns what had been read by then and not been heard.
    pub async fn set_aside(&mut self) -> Vec<Event> {
        let Some(mut reader) = self.0.take() else {
            return Vec::new();
        };
        reader.stop = None;
        let mut unheard = Vec::new();
        let rest = async {
            while let Some(event) = reader.pieces.recv().await {
                unheard.extend(event);
            }
        };
        // Only half a sequence holds it up: crossterm waits for the rest of that.
        let _ = timeout(HALF_A_SEQUENCE, rest).await;
        unheard
    }

    pub fn resume(&mut self) -> io::Result<()> {
        if self.0.is_none() {
            *self = Self::new()?;
        }
        Ok(())
    }
}

/// A thread that reads the terminal, until it is stopped or dropped.
struct Reader<T> {
    /// They end with the thread.
    pieces: mpsc::Receiver<T>,
    /// Closed, it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Reader<T> {
    fn start(
        waiting: usize,
        read: impl FnOnce(File, &PipeReader, &mpsc::Sender<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (stopped, stop) = io::pipe()?;
        let (sender, pieces) = mpsc::channel(waiting);
        let thread = std::thread::spawn(move || read(terminal, &stopped, &sender));
        Ok(Self {
            pieces,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Waits until there is something to read; false when `stopped` is closed, or the terminal cannot be waited for.
///
/// Whoever reads looks first: a read under way could not be stopped, and would take the next key from whoever
/// comes after.
fn is_readable(terminal: &File, stopped: &PipeReader) -> bool {
    loop {
        let mut looks = [
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
        ];
        match nix::poll::poll(&mut looks, PollTimeout::NONE) {
            Ok(_) => return !looks[0].any().unwrap_or(true),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Reads events until it is stopped or the terminal is gone.
#[allow(clippy::needless_pass_by_value)] // owned by the thread
fn read_events(terminal: File, stopped: &PipeReader, events: &mpsc::Sender<io::Result<Event>>) {
    while is_readable(&terminal, stopped) {
        let mut heard = false;
        while let Ok(true) = event::poll(MOMENT) {
            heard = true;
            let event = event::read();
            let is_over = event.is_err();
            if events.blocking_send(event).is_err() || is_over {
                return;
            }
        }
        if !heard && is_gone(&terminal) {
            return;
        }
    }
}

/// Whether the other end of the terminal has hung up: it is readable for ever then, and holds nothing.
fn is_gone(terminal: &File) -> bool {
    let mut look = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
    let looked = nix::poll::poll(&mut look, PollTimeout::ZERO);
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    looked.is_err() || look[0].revents().is_none_or(|seen| seen.intersects(gone))
}

/// What a terminal sends for these events, as far as they are text or common keys.
pub fn bytes(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => bytes.extend(key_bytes(key)),
            Event::Paste(text) => bytes.extend_from_slice(text.as_bytes()),
            _ => {}
        }
    }
    bytes
}

fn key_bytes(key: &KeyEvent) -> Vec<u8> {
    let has = |modifier| key.modifiers.contains(modifier);
    let mut bytes = match key.code {
        // The lower five bits, as keyboards have done since the Teletype.
        KeyCode::Char(c) if has(KeyModifiers::CONTROL) && c.is_ascii() => vec![c as u8 & 0x1f],
        KeyCode::Char(c) => c.to_string().into_bytes(),
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Esc => vec![0x1b],
        KeyCode::Up => b"\x1b[A".to_vec(),
        KeyCode::Down => b"\x1b[B".to_vec(),
        KeyCode::Right => b"\x1b[C".to_vec(),
        KeyCode::Left => b"\x1b[D".to_vec(),
        _ => Vec::new(),
    };
    if has(KeyModifiers::ALT) && !bytes.is_empty() {
        bytes.insert(0, 0x1b);
    }
    bytes
}

/// What is typed, as bytes; to be used only while [`Input`] is set aside. Nothing is read after it was dropped.
pub struct RawInput(Reader<Vec<u8>>);

impl Drop for RawInput {
    fn drop(&mut self) {
        self.0.pieces.close();
        self.0.stop = None;
        if let Some(thread) = self.0.thread.take() {
            // It has just been told, and nothing else holds it up.
            let _ = thread.join();
        }
    }
}

impl RawInput {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Reader::start(1, read_bytes)?))
    }

    /// At least one byte; `None` when the terminal is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.pieces.recv().await
    }
}

fn read_bytes(mut terminal: File, stopped: &PipeReader, pieces: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 4 << 10];
    while is_readable(&terminal, stopped) {
        let piece = match terminal.read(&mut buffer) {
            Ok(count @ 1..) => buffer[..count].to_vec(),
            Ok(0) | Err(_) => return,
        };
        if pieces.blocking_send(piece).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_read_too_early_become_what_was_typed() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let typed = [
            key(KeyCode::Char('l'), KeyModifiers::NONE),
            key(KeyCode::Char('Ä'), KeyModifiers::SHIFT),
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            key(KeyCode::Char('x'), KeyModifiers::ALT),
            key(KeyCode::Enter, KeyModifiers::NONE),
            key(KeyCode::Up, KeyModifiers::NONE),
            Event::Resize(80, 24),
            Event::Paste("two\nlines".to_owned()),
        ];
        assert_eq!(bytes(&typed), "lÄ\x03\x1bx\r\x1b[Atwo\nlines".as_bytes());
    }
}
