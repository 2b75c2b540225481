//! One JSON-RPC connection: requests and who waits for them, and what the server says by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::dispatch::read_messages;
use super::stdio::{Lines, write_frames};
use super::wire::{self, Reply};
use super::{Connect, ServerNews};
use crate::drivers::Endpoint;
use crate::model::{Cause, Progress};
use crate::stores::logs::{LogWriter, Source};

/// Frames waiting for a server to read them.
const FRAMES: usize = 64;
/// For the last words of a server that closed its stdin.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Gets the progress of one request; never blocks.
pub(super) type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// The connection with its tasks; dropping it closes the pipes.
pub(super) struct Connection {
    pub link: Arc<Link>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

/// What the tasks and the callers share.
pub(super) struct Link {
    /// By request id; `None` once closed.
    waiting: Mutex<Option<HashMap<u64, Waiting>>>,
    next_id: AtomicU64,
    frames: mpsc::Sender<Bytes>,
    /// Why it is closed.
    closed: watch::Sender<Option<Cause>>,
    stop: CancellationToken,
    /// Goes with each request of the stateless era.
    era_meta: OnceLock<Map<String, Value>>,
    pub log: LogWriter,
    pub news: Box<dyn Fn(ServerNews) + Send + Sync>,
    pub limit: usize,
}

struct Waiting {
    reply: oneshot::Sender<Reply>,
    progress: Option<OnProgress>,
}

impl Connection {
    pub fn open(endpoint: Endpoint, how: Connect) -> Self {
        let Endpoint::Stdio { read, write } = endpoint;
        let (frames, queue) = mpsc::channel(FRAMES);
        let link = Arc::new(Link {
            waiting: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(1),
            frames,
            closed: watch::Sender::new(None),
            stop: CancellationToken::new(),
            era_meta: OnceLock::new(),
            log: how.log,
            news: how.news,
            limit: how.max_message,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(read_messages(
            link.clone(),
            Lines::new(read, how.max_message),
        ));
        tasks.spawn({
            let link = link.clone();
            async move {
                if let Err(error) = write_frames(write, queue, link.stop.clone()).await {
                    link.log
                        .line(Source::Envdeck, &format!("the server's input: {error}"));
                    // It may still answer what it has read.
                    let _ = tokio::time::timeout(LAST_WORDS, link.closed()).await;
                    link.close(Cause::Closed);
                }
            }
        });
        Self {
            link,
            tasks: tokio::sync::Mutex::new(tasks),
        }
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

impl Link {
    /// Sends a request; what is dropped unanswered is cancelled, but for the handshake.
    pub async fn request(
        self: &Arc<Self>,
        method: &str,
        params: &impl Serialize,
        progress: Option<OnProgress>,
    ) -> Result<Ticket, Cause> {
        // Nothing happens before there is room: dropping this future leaves no trace.
        let Ok(room) = self.frames.reserve().await else {
            return Err(self.reason());
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let token = progress.is_some().then_some(id);
        let (sender, reply) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(
                id,
                Waiting {
                    reply: sender,
                    progress,
                },
            ),
            None => return Err(self.reason()),
        };
        let meta = Meta {
            token,
            era: self.era_meta.get(),
        };
        let meta = (token.is_some() || meta.era.is_some()).then_some(meta);
        room.send(wire::request(id, method, &WithMeta { meta, rest: params }));
        // "The initialize request MUST NOT be cancelled by clients."
        Ok(Ticket {
            id,
            reply,
            link: self.clone(),
            cancellable: method != "initialize",
        })
    }

    /// A request and its reply, for as long as the caller waits.
    pub async fn exchange(self: &Arc<Self>, method: &str, params: &impl Serialize) -> Reply {
        self.request(method, params, None).await?.reply().await
    }

    pub fn notify(&self, method: &str, params: &impl Serialize) {
        self.send(wire::notification(method, params), method);
    }

    /// Sends without waiting: whoever calls this reads messages or is being dropped.
    pub fn send(&self, frame: Bytes, what: &str) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.frames.try_send(frame) {
            let text = format!("dropped our {what}: the server does not read its input");
            self.log.line(Source::Envdeck, &text);
        }
    }

    /// Every request from now on carries these.
    pub fn set_era_meta(&self, meta: Map<String, Value>) {
        // Set once, by the handshake.
        let _ = self.era_meta.set(meta);
    }

    /// Hands a reply to whoever waits for it; gives it back if nobody does.
    pub fn resolve(&self, id: u64, reply: Reply) -> Result<(), Reply> {
        let waiting = self
            .waiting
            .lock()
            .as_mut()
            .and_then(|waiting| waiting.remove(&id));
        match waiting {
            Some(waiting) => waiting.reply.send(reply),
            None => Err(reply),
        }
    }

    /// The one request that waits, if it is only one.
    pub fn only_waiting(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        let mut ids = waiting.as_ref()?.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    pub fn progressed(&self, id: u64, progress: Progress) {
        let hook = self
            .waiting
            .lock()
            .as_ref()
            .and_then(|all| all.get(&id)?.progress.clone());
        if let Some(hook) = hook {
            hook(progress);
        }
    }

    /// Ends everything that waits. The first reason counts.
    pub fn close(&self, cause: Cause) {
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(cause);
            first
        });
        let waiting = self.waiting.lock().take();
        for (_, waiting) in waiting.into_iter().flatten() {
            // Whoever gave up waiting needs no reason.
            let _ = waiting.reply.send(Err(self.reason()));
        }
    }

    /// Resolves with the reason when the connection is gone. Cancel-safe.
    pub async fn closed(&self) -> Cause {
        let mut closed = self.closed.subscribe();
        let reason = closed
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or(Cause::Closed)
    }

    fn reason(&self) -> Cause {
        self.closed.borrow().clone().unwrap_or(Cause::Closed)
    }
}

/// A request that was sent.
pub(super) struct Ticket {
    id: u64,
    reply: oneshot::Receiver<Reply>,
    link: Arc<Link>,
    cancellable: bool,
}

impl Ticket {
    /// Cancel-safe.
    pub async fn reply(&mut self) -> Reply {
        (&mut self.reply)
            .await
            .unwrap_or_else(|_| Err(self.link.reason()))
    }

    /// Tells the server that nobody needs the answer; it is still waited for.
    pub fn cancel(&mut self, reason: &str) {
        if std::mem::take(&mut self.cancellable) {
            let params = json!({ "requestId": self.id, "reason": reason });
            self.link.notify("notifications/cancelled", &params);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut waiting = self.link.waiting.lock();
        let unanswered = waiting
            .as_mut()
            .is_some_and(|all| all.remove(&self.id).is_some());
        drop(waiting);
        if unanswered {
            self.cancel("nobody waits for the answer any more");
        }
    }
}

#[derive(Serialize)]
struct WithMeta<'a, P> {
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<Meta<'a>>,
    #[serde(flatten)]
    rest: &'a P,
}

#[derive(Serialize)]
struct Meta<'a> {
    /// The request id serves as the token.
    #[serde(rename = "progressToken", skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    #[serde(flatten)]
    era: Option<&'a Map<String, Value>>,
}
