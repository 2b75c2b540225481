//! A shell inside an instance: a terminal's two streams, its size, its end.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Task;
use crate::model::{Exit, WindowSize};

/// An open shell. Dropping it ends it.
pub struct Shell {
    /// What it shows, control sequences and all.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// What is typed, raw.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// Hears that the terminal has another size now; never blocks.
    pub resize: Box<dyn Fn(WindowSize) + Send + Sync>,
    /// Resolves when the shell has ended.
    pub ended: Task<'static, Exit>,
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").finish_non_exhaustive()
    }
}
