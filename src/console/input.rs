//! The keyboard: events for the console, or plain bytes while another program has the terminal.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;

use crossterm::event::{self, Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use tokio::sync::mpsc;

/// A woken thread of the event stream leaves the terminal much sooner than this.
const LEAVING: Duration = Duration::from_millis(5);

/// Keys, mouse and pastes; it can be set aside for another reader.
pub struct Input(Option<EventStream>);

impl Input {
    pub fn new() -> Self {
        Self(Some(EventStream::new()))
    }

    /// The next event; none comes while it is set aside. Cancel-safe.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        match &mut self.0 {
            Some(stream) => stream.next().await,
            None => std::future::pending().await,
        }
    }

    /// Stops reading the terminal. Returns what had been read by then and not been heard.
    pub fn set_aside(&mut self) -> Vec<Event> {
        let mut unheard = Vec::new();
        if self.0.take().is_none() {
            return unheard;
        }
        // The stream's own thread reads, too, until it notices; whoever polls waits for it first.
        let mut patience = LEAVING;
        while let Ok(true) = event::poll(patience)
            && let Ok(event) = event::read()
        {
            unheard.push(event);
            patience = Duration::ZERO;
        }
        unheard
    }

    pub fn resume(&mut self) {
        self.0.get_or_insert_with(EventStream::new);
    }
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

/// What is typed, as bytes; to be used only while [`Input`] is set aside. Dropping it stops the reading.
pub struct RawInput {
    pieces: Option<mpsc::Receiver<Vec<u8>>>,
    /// Closed, it ends the thread.
    stop: Option<PipeWriter>,
    reader: Option<JoinHandle<()>>,
}

impl RawInput {
    pub fn new() -> io::Result<Self> {
        let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (stopped, stop) = io::pipe()?;
        let (sender, pieces) = mpsc::channel(1);
        let reader = std::thread::spawn(move || read_on(terminal, &stopped, &sender));
        Ok(Self {
            pieces: Some(pieces),
            stop: Some(stop),
            reader: Some(reader),
        })
    }

    /// At least one byte; `None` when the terminal is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.pieces.as_mut()?.recv().await
    }
}

impl Drop for RawInput {
    fn drop(&mut self) {
        self.pieces = None;
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            // It has just been told, and nothing else holds it up.
            let _ = reader.join();
        }
    }
}

/// Reads the terminal until `stopped` is closed. Looks before it reads: a read under way could not be stopped,
/// and would take the next key from whoever comes after us.
fn read_on(mut terminal: File, stopped: &PipeReader, pieces: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 4 << 10];
    loop {
        let mut looks = [
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
        ];
        match nix::poll::poll(&mut looks, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        }
        if looks[0].any().unwrap_or(true) {
            return;
        }
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
