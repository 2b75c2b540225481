//! One JSON-RPC connection: its tasks, from the endpoint they speak to, to its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dispatch::read_messages;
use super::link::{Frame, Link};
use super::stdio::{Lines, write_frames};
use super::{Connect, http};
use crate::drivers::Endpoint;
use crate::model::{Cause, Failure};
use crate::stores::logs::Source;

/// Frames waiting for a server to read them.
const FRAMES: usize = 64;
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
        let is_http = matches!(endpoint, Endpoint::Http(_));
        let link = Arc::new(Link::new(frames, how, is_http));
        let mut tasks = JoinSet::new();
        match endpoint {
            Endpoint::Stdio { read, write } => {
                let lines = Lines::new(read, link.limit);
                tasks.spawn(read_messages(link.clone(), lines));
                tasks.spawn(write_messages(link.clone(), write, queue));
            }
            Endpoint::Http(endpoint) => {
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
        let link = self.link.clone();
        self.tasks.lock().await.spawn(async move {
            let params = json!({ "notifications": { "toolsListChanged": true } });
            // It is answered when it ends; a server may refuse it.
            let _ = link.exchange("subscriptions/listen", &params).await;
        });
    }

    /// Fails what waits, closes the server's stdin and reads on to the end of its stdout, for at
    /// most `timeout`.
    pub async fn close(&self, timeout: Duration) {
        self.link.close(Cause::Closed);
        self.link.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        let ended = async { while tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(timeout, ended).await.is_ok();
        if !in_time {
            tasks.shutdown().await;
        }
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
        let _ = tokio::time::timeout(LAST_WORDS, link.closed()).await;
        link.close(Cause::Closed);
    }
}
