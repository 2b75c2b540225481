//! A shell inside a container: an exec with a terminal.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::exec::CreateExecOptions;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::engine::{Engine, QUICK};
use super::exec::{self, Command, Inside};
use super::hijack::Stream;
use super::words::Trouble;
use crate::drivers::{Shell, WindowSize};
use crate::model::{Exit, Failure, Stage};

/// bash where there is one.
const SHELL: &str = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi";
/// In the environment of a shell and of all that is started in it: by this they are found again.
const MARK: &str = "ENVDECK_SHELL";
/// The engine does not end what it executes when nobody is connected any more.
const HANG_UP: &str = r#"for one in /proc/[0-9]*; do
case "$(cat "$one/environ" 2>/dev/null)" in *"$0"*) kill -HUP "${one#/proc/}"; kill -CONT "${one#/proc/}";; esac
done 2>/dev/null"#;
/// The first size can only be set when the shell runs, and its exit status comes after its last output.
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

pub async fn open(engine: Engine, container: Arc<str>, size: WindowSize) -> Result<Shell, Failure> {
    open_as(engine, container, Inside::default(), size).await
}

/// As somebody else than the container's own user, or elsewhere than where it begins.
pub async fn open_as(
    engine: Engine,
    container: Arc<str>,
    inside: Inside,
    size: WindowSize,
) -> Result<Shell, Failure> {
    let opened = begin(engine, container, inside, size).await;
    opened.map_err(|trouble| trouble.at(Stage::Run))
}

async fn begin(
    engine: Engine,
    container: Arc<str>,
    inside: Inside,
    size: WindowSize,
) -> Result<Shell, Trouble> {
    let mark = format!("{MARK}={:016x}", rand::random::<u64>());
    let mut command = inside.command(["sh", "-c", SHELL]);
    command.env.push(mark.clone());
    command.env.push(format!("TERM={}", terminal()));
    let user = command.user.clone();
    let id = exec(&engine, &container, command, true).await?;
    let what = "open a shell";
    let Stream { read, write } = engine
        .hijack(
            what,
            &format!("/exec/{id}/start"),
            r#"{"Detach":false,"Tty":true}"#,
        )
        .await?;
    let leash = Leash {
        engine: engine.clone(),
        container,
        user,
        mark: Some(mark),
        runtime: Handle::current(),
    };
    let (sizes, wanted) = watch::channel(size);
    tokio::spawn(resize(engine.clone(), id.clone(), wanted));
    let (tell, end) = oneshot::channel();
    Ok(Shell {
        read: Box::new(Screen {
            read,
            end: Some(tell),
        }),
        write,
        resize: Box::new(move |size| {
            let _ = sizes.send(size);
        }),
        ended: Box::pin(async move {
            let mut leash = leash;
            if end.await.is_ok() {
                leash.mark = None;
            }
            Ok(status(&engine, &id).await)
        }),
    })
}

/// The terminal that the operator sits at.
fn terminal() -> String {
    std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned())
}

async fn exec(
    engine: &Engine,
    container: &str,
    command: Command,
    tty: bool,
) -> Result<String, Trouble> {
    let options = CreateExecOptions {
        attach_stdin: Some(tty),
        attach_stdout: Some(tty),
        attach_stderr: Some(tty),
        tty: Some(tty),
        ..command.options()
    };
    let created = engine.ask("open a shell", QUICK, |docker| async move {
        docker.create_exec(container, options).await
    });
    Ok(created.await?.id)
}

/// Passes sizes on until nobody can set one any more.
async fn resize(engine: Engine, id: String, mut wanted: watch::Receiver<WindowSize>) {
    loop {
        let WindowSize { columns, rows } = *wanted.borrow_and_update();
        for pause in PATIENCE {
            let options = ResizeExecOptionsBuilder::new()
                .w(columns.into())
                .h(rows.into())
                .build();
            let resized = engine.ask("resize the terminal", QUICK, |docker| {
                let id = id.clone();
                async move { docker.resize_exec(&id, options).await }
            });
            if resized.await.is_ok() {
                break;
            }
            sleep(pause).await;
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Unknown if the engine does not tell.
async fn status(engine: &Engine, id: &str) -> Exit {
    for pause in PATIENCE {
        match exec::look(engine, id).await {
            Ok(Some(exit)) => return exit,
            Ok(None) => sleep(pause).await,
            Err(_) => break,
        }
    }
    Exit {
        code: None,
        signal: None,
        out_of_memory: false,
    }
}

/// What the shell shows; tells when it shows no more.
struct Screen {
    read: Box<dyn AsyncRead + Send + Unpin>,
    end: Option<oneshot::Sender<()>>,
}

impl AsyncRead for Screen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.read).poll_read(cx, buf));
        if (result.is_err() || buf.filled().len() == before)
            && let Some(end) = self.end.take()
        {
            let _ = end.send(());
        }
        Poll::Ready(result)
    }
}

/// Ends a shell that nobody waits for any more.
struct Leash {
    engine: Engine,
    container: Arc<str>,
    user: Option<String>,
    /// `None` when it has ended by itself.
    mark: Option<String>,
    runtime: Handle,
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(mark) = self.mark.take() else { return };
        let (engine, container) = (self.engine.clone(), self.container.clone());
        let user = self.user.take();
        self.runtime.spawn(async move {
            let mut command = Command::new(["sh", "-c", HANG_UP, &mark]);
            command.user = user;
            let id = exec(&engine, &container, command, false).await?;
            let start = format!("/exec/{id}/start");
            // A stream that is read to its end has done its work.
            let mut stream = engine
                .hijack("end a shell", &start, r#"{"Detach":true}"#)
                .await?;
            let _ = tokio::io::copy(&mut stream.read, &mut tokio::io::sink()).await;
            Ok::<_, Trouble>(())
        });
    }
}
