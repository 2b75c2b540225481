//! One JSON-RPC connection: its tasks, from the endpoint they speak to, to its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::dispatch::read_messages;
use super::link::{Frame, Link};
use super::stdio::{Lines, write_frames};
use super::{Connect, ServerNews, http};
use crate::drivers::Endpoint;
use crate::model::{Cause, Failure};
use crate::stores::logs::Source;

/// Frames waiting for a server to read them.
const FRAMES: usize = 64;
/// Between two attempts to listen; doubles while they end soon.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For the last words of a server that closed its stdin.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The connection with its tasks; dropping it closes the pipes.
pub(super) struct Connection {
    pub link: Arc<Link>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Connection {
    pub fn open(endpoint: Endpoint, how: Connect) -> Result<Self, Failure> {
        let (frames, queue) = mpsc::channel(FRAMES);
        let link = Arc::new(Link::new(frames, how, &endpoint));
        let mut tasks = JoinSet::new();
        match endpoint {
            Endpoint::Stdio { read, write } => {
                let lines = Lines::new(read, link.limit);
                tasks.spawn(read_messages(link.clone(), lines));
                tasks.spawn(write_messages(link.clone(), write, queue));
            }
            Endpoint::Http(endpoint) | Endpoint::Proxied { http: endpoint, .. } => {
                tasks.spawn(http::Transport::new(link.clone(), endpoint)?.run(queue));
            }
        }
        Ok(Self {
            link,
            tasks: tokio::sync::Mutex::new(tasks),
        })
    }

    /// In the stateless era a server tells of changes only to those who listen.
    pub async fn listen(&self) {
        self.tasks.lock().await.spawn(listen(self.link.clone()));
    }

    /// Fails what waits, closes the server's stdin and reads on to the end of its stdout, for at
    /// most `within`.
    pub async fn close(&self, within: Duration) {
        self.link.close(Cause::Closed);
        self.link.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        let ended = async { while tasks.join_next().await.is_some() {} };
        let in_time = timeout(within, ended).await.is_ok();
        if !in_time {
            tasks.shutdown().await;
        }
    }
}

async fn listen(link: Arc<Link>) {
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        match link.exchange("subscriptions/listen", &params).await {
            // It is answered when it ends, and over HTTP also ends with its connection.
            Ok(_) | Err(Cause::Unreachable { .. }) if link.is_http => {}
            // A server may refuse it.
            _ => return,
        }
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        if timeout(pause, link.closed()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        // Whatever changed meanwhile was not heard.
        (link.news)(ServerNews::ToolsChanged);
    }
}

async fn write_messages(
    link: Arc<Link>,
    write: impl AsyncWrite + Unpin,
    queue: mpsc::Receiver<Frame>,
) {
    if let Err(error) = write_frames(write, queue, link.stop.clone()).await {
        link.log
            .line(Source::Envdeck, &format!("the server's input: {error}"));
        // It may still answer what it has read.
        let _ = timeout(LAST_WORDS, link.closed()).await;
        link.close(Cause::Closed);
    }
}
