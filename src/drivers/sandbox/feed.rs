//! What one thread writes for a task to take, in parts.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes.
const PART: usize = 256 << 10;

/// Writes parts of this size to whoever takes them.
pub struct Feed {
    sender: mpsc::Sender<Bytes>,
    part: Vec<u8>,
    /// They are not taken any more.
    pub is_refused: Arc<AtomicBool>,
}

impl Feed {
    pub fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self {
            sender,
            part: Vec::with_capacity(PART),
            is_refused: Arc::default(),
        }
    }
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::take(&mut self.part).into();
        let sent = self.sender.blocking_send(part);
        sent.map_err(|_| {
            self.is_refused.store(true, Ordering::Relaxed);
            io::ErrorKind::BrokenPipe.into()
        })
    }
}
