//! A shell beside a process: in its directory, with its environment, on a terminal of its own.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use pty_process::{Pty, Size};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::running::exit;
use crate::drivers::{Shell, Task, WindowSize};
use crate::model::{Failure, LocalProcess, Stage};

/// Where the user has no `SHELL`.
const DEFAULT: &str = "/bin/sh";

/// Opens the user's shell. It is the user's own, so it neither ends with the instance nor counts as a part of it.
pub fn open(spec: &LocalProcess, size: WindowSize) -> Task<'static, Shell> {
    let program = std::env::var_os("SHELL").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| DEFAULT.into());
    let opened = start(Path::new(&program), spec, size).map_err(|error| {
        let context = format!("cannot open {}", Path::new(&program).display());
        Failure::caused_by(Stage::Run, context, error).hint("set SHELL to a shell that is there")
    });
    Box::pin(async { opened })
}

fn start(program: &Path, spec: &LocalProcess, size: WindowSize) -> pty_process::Result<Shell> {
    let (pty, pts) = pty_process::open()?;
    pty.resize(Size::new(size.rows, size.columns))?;
    let mut command = pty_process::Command::new(program)
        .envs(spec.env.iter().map(|(name, value)| (name, value.expose())))
        .kill_on_drop(true);
    if let Some(directory) = &spec.cwd {
        command = command.current_dir(directory);
    }
    let mut child = command.spawn(pts)?;
    let terminal = Arc::new(Mutex::new(pty));
    let resized = terminal.clone();
    Ok(Shell {
        read: Box::new(Half(terminal.clone())),
        write: Box::new(Half(terminal)),
        resize: Box::new(move |size| {
            // It fails only when the shell is gone.
            let _ = resized.lock().resize(Size::new(size.rows, size.columns));
        }),
        ended: Box::pin(async move {
            let status = child.wait().await.map_err(|error| {
                Failure::caused_by(Stage::Run, "cannot wait for the shell", error)
            })?;
            Ok(exit(status))
        }),
    })
}

/// One direction of the terminal; the last one dropped hangs up on whatever still runs in it.
struct Half(Arc<Mutex<Pty>>);

impl AsyncRead for Half {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}
