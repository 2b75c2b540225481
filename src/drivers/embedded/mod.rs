//! The demo MCP server inside this process, over an in-memory pipe: no engine, no network.

mod catalog;
mod lifeline;
mod picture;
mod server;
mod slow;
mod tools;

use std::time::Duration;

use rmcp::service::{RoleServer, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::DuplexStream;
use tokio_util::task::AbortOnDropHandle;

use self::lifeline::{Life, Lifeline};
use self::server::DemoServer;
use super::{Driver, Endpoint, Facts, Order, Running, Task, Usage};
use crate::model::{Cause, Exit, Failure, RunId, Stage};
use crate::stores::logs::{LogWriter, Source};

/// What a pipe of the kernel holds, bytes.
const PIPE: usize = 64 << 10;

/// Makes demo servers. Each has its own state.
#[derive(Default)]
pub struct Embedded;

impl Driver for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn check(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            let life = Life::default();
            let server = tokio::spawn(serve(theirs, life.clone(), order.log));
            let running: Box<dyn Running> = Box::new(Demo {
                pipe: Some(ours),
                life,
                server: AbortOnDropHandle::new(server),
                exit: None,
            });
            Ok(running)
        })
    }

    fn reap(&self, _run: &RunId) -> Task<'_, usize> {
        Box::pin(async { Ok(0) })
    }
}

/// The whole life of one demo server; returns its exit status.
async fn serve(pipe: DuplexStream, life: Life, log: LogWriter) -> i32 {
    let (read, write) = tokio::io::split(pipe);
    let transport = AsyncRwTransport::<RoleServer, _, _>::new(read, write);
    let server = DemoServer::new(life.clone(), log.clone());
    log.line(Source::Stderr, "demo server ready");
    match serve_server(server, Lifeline::new(transport, life.clone())).await {
        Ok(service) => {
            if let Err(error) = service.waiting().await {
                log.line(Source::Stderr, &format!("demo server failed: {error}"));
            }
        }
        Err(_) if life.is_over() => {}
        Err(error) => {
            log.line(Source::Stderr, &format!("no handshake: {error}"));
            life.end(1);
        }
    }
    life.status()
}

struct Demo {
    pipe: Option<DuplexStream>,
    life: Life,
    server: AbortOnDropHandle<i32>,
    exit: Option<Exit>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.life.end(0);
    }
}

impl Running for Demo {
    fn endpoint(&mut self) -> Endpoint {
        let pipe = self.pipe.take().expect("the endpoint is taken once");
        let (read, write) = tokio::io::split(pipe);
        Endpoint::Stdio {
            read: Box::new(read),
            write: Box::new(write),
        }
    }

    fn facts(&self) -> Facts {
        vec![
            (
                "server".into(),
                concat!("envdeck-demo ", env!("CARGO_PKG_VERSION")).into(),
            ),
            (
                "place".into(),
                "inside this process, over an in-memory pipe".into(),
            ),
        ]
    }

    fn wait(&mut self) -> Task<'_, Exit> {
        Box::pin(async move {
            if let Some(exit) = &self.exit {
                return Ok(exit.clone());
            }
            let ended = (&mut self.server).await;
            let code = ended.as_ref().ok().copied();
            let exit = self.exit.insert(Exit {
                code,
                signal: None,
                out_of_memory: false,
            });
            match ended {
                Ok(_) => Ok(exit.clone()),
                Err(error) => Err(Failure::new(
                    Stage::Run,
                    Cause::Panic(format!("demo server: {error}")),
                )),
            }
        })
    }

    /// It shares this process, so nothing can be measured for it alone.
    fn usage(&mut self) -> Task<'_, Option<Usage>> {
        Box::pin(async { Ok(None) })
    }

    fn stop(mut self: Box<Self>, grace: Duration) -> Task<'static, ()> {
        Box::pin(async move {
            self.life.end(0);
            if self.exit.is_none() && tokio::time::timeout(grace, &mut self.server).await.is_err() {
                self.server.abort();
            }
            Ok(())
        })
    }
}
