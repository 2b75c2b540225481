//! Requests and who waits for them: what the tasks of a connection and its callers share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::http::mirror::{self, Repeated};
use super::wire::{self, Reply};
use super::{Connect, ServerNews, hints};
use crate::drivers::Endpoint;
use crate::model::{Cause, Era, Failure, Progress, Stage};
use crate::stores::logs::{LogWriter, Source};

/// Gets the progress of one request; never blocks.
pub(super) type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// A message on its way to the server.
pub(super) struct Frame {
    pub bytes: Bytes,
    pub kind: Kind,
}

/// What a message is, for a transport that treats them differently.
pub(super) enum Kind {
    Request(Sent),
    Notification(&'static str),
    /// The answer to a request of the server.
    Answer,
}

/// What a transport must know of a request.
pub(super) struct Sent {
    pub id: u64,
    pub method: &'static str,
    /// Header fields that repeat parts of the message, for HTTP servers of the stateless era.
    pub mirrored: Vec<(String, String)>,
    /// Cancelled when nobody waits for the answer any more.
    pub abandoned: CancellationToken,
    pub leg: Arc<Mutex<Leg>>,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leg {
    /// Pipes do not tell.
    #[default]
    Unknown,
    Asked,
    /// The head of the answer has come.
    Answering,
}

/// How to tell a server that nobody needs an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// `notifications/cancelled`; the answer may still come.
    Notification,
    /// The end of the stream that the answer would come on.
    EndOfStream,
}

/// The revision that was agreed on.
#[derive(Clone)]
pub(super) struct Revision {
    pub name: Arc<str>,
    pub era: Era,
    /// Goes with each request of the stateless era.
    pub meta: Option<Arc<Map<String, Value>>>,
}

/// What the tasks and the callers share.
pub(super) struct Link {
    /// By request id; `None` once closed.
    waiting: Mutex<Option<HashMap<u64, Waiting>>>,
    next_id: AtomicU64,
    frames: mpsc::Sender<Frame>,
    /// Why it is closed.
    closed: watch::Sender<Option<Cause>>,
    pub stop: CancellationToken,
    revision: Mutex<Option<Revision>>,
    /// By tool: the parameters that the header of a call repeats.
    repeated: Mutex<HashMap<Arc<str>, Arc<[Repeated]>>>,
    /// HTTP: each answer has a stream of its own, which can be ended.
    pub is_http: bool,
    /// What can be done if the server refuses our credentials, if that is something of its own.
    if_refused: Option<&'static str>,
    pub log: LogWriter,
    pub news: Box<dyn Fn(ServerNews) + Send + Sync>,
    pub limit: usize,
}

struct Waiting {
    reply: oneshot::Sender<Reply>,
    progress: Option<OnProgress>,
}

/// A request to send.
pub(super) struct Request<'a, P> {
    pub method: &'static str,
    pub params: &'a P,
    pub progress: Option<OnProgress>,
    /// As [`Sent::mirrored`].
    pub mirrored: Vec<(String, String)>,
}

impl Link {
    pub fn new(frames: mpsc::Sender<Frame>, how: Connect, endpoint: &Endpoint) -> Self {
        let http = match endpoint {
            Endpoint::Http(http) | Endpoint::Proxied { http, .. } => Some(http),
            Endpoint::Stdio { .. } => None,
        };
        Self {
            waiting: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(1),
            frames,
            closed: watch::Sender::new(None),
            stop: CancellationToken::new(),
            revision: Mutex::default(),
            repeated: Mutex::default(),
            is_http: http.is_some(),
            if_refused: http.and_then(|http| http.if_refused),
            log: how.log,
            news: how.news,
            limit: how.max_message,
        }
    }

    /// A failure with what can be done about it, where that is known.
    pub fn failure(&self, stage: Stage, cause: Cause) -> Failure {
        let is_refused = matches!(
            cause,
            Cause::Http {
                status: 401 | 403,
                ..
            }
        );
        let failure = hints::failure(stage, cause);
        match self.if_refused {
            Some(hint) if is_refused => failure.hint(hint),
            _ => failure,
        }
    }

    /// Sends a request; what is dropped unanswered is cancelled, but for the handshake.
    pub async fn request(
        self: &Arc<Self>,
        request: Request<'_, impl Serialize>,
    ) -> Result<Ticket, Cause> {
        let Request {
            method,
            params,
            progress,
            mirrored,
        } = request;
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
        let revision = self.revision();
        let meta = Meta {
            token,
            era: revision
                .as_ref()
                .and_then(|revision| revision.meta.as_deref()),
        };
        let meta = (token.is_some() || meta.era.is_some()).then_some(meta);
        let bytes = wire::request(id, method, &WithMeta { meta, rest: params });
        let (abandoned, leg) = (CancellationToken::new(), Arc::default());
        let sent = Sent {
            id,
            method,
            mirrored,
            abandoned: abandoned.clone(),
            leg: Arc::clone(&leg),
        };
        room.send(Frame {
            bytes,
            kind: Kind::Request(sent),
        });
        // "The initialize request MUST NOT be cancelled by clients."
        Ok(Ticket {
            id,
            reply,
            link: self.clone(),
            cancellable: method != "initialize",
            abandoned,
            leg,
        })
    }

    /// A request and its reply, for as long as the caller waits.
    pub async fn exchange(
        self: &Arc<Self>,
        method: &'static str,
        params: &impl Serialize,
    ) -> Reply {
        let request = Request {
            method,
            params,
            progress: None,
            mirrored: Vec::new(),
        };
        self.request(request).await?.reply().await
    }

    pub fn notify(&self, method: &'static str, params: &impl Serialize) {
        let bytes = wire::notification(method, params);
        self.send(bytes, Kind::Notification(method), method);
    }

    /// Answers a request of the server.
    pub fn answer(&self, bytes: Bytes, method: &str) {
        self.send(bytes, Kind::Answer, &format!("answer to {method}"));
    }

    /// Sends without waiting: whoever calls this reads messages or is being dropped.
    fn send(&self, bytes: Bytes, kind: Kind, what: &str) {
        let frame = Frame { bytes, kind };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.frames.try_send(frame) {
            let text = format!("dropped our {what}: the server does not read its input");
            self.log.line(Source::Envdeck, &text);
        }
    }

    /// The revision that every message from now on is of.
    pub fn speak(&self, revision: Revision) {
        *self.revision.lock() = Some(revision);
    }

    /// The next message says again which revision it is of.
    pub fn forget_revision(&self) {
        *self.revision.lock() = None;
    }

    pub fn revision(&self) -> Option<Revision> {
        self.revision.lock().clone()
    }

    /// Whether messages have headers that repeat parts of them.
    pub fn has_mirrors(&self) -> bool {
        self.is_http && self.is_stateless()
    }

    fn is_stateless(&self) -> bool {
        let revision = self.revision.lock();
        revision
            .as_ref()
            .is_some_and(|revision| revision.era == Era::Stateless)
    }

    /// What the tools of a new list want repeated.
    pub fn repeat(&self, all: HashMap<Arc<str>, Arc<[Repeated]>>) {
        *self.repeated.lock() = all;
    }

    /// The header fields of a call.
    pub fn mirrored(&self, tool: &str, arguments: &RawValue) -> Vec<(String, String)> {
        if !self.has_mirrors() {
            return Vec::new();
        }
        let repeated = self.repeated.lock().get(tool).cloned();
        mirror::call(tool, arguments, &repeated.unwrap_or_default())
    }

    /// How a request is cancelled here.
    fn goodbye(&self) -> Goodbye {
        if self.is_http && self.is_stateless() {
            Goodbye::EndOfStream
        } else {
            Goodbye::Notification
        }
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

    pub fn is_waiting(&self, id: u64) -> bool {
        self.waiting
            .lock()
            .as_ref()
            .is_some_and(|waiting| waiting.contains_key(&id))
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

    /// Fails what waits now; the connection goes on.
    pub fn fail_waiting(&self, cause: &Cause) {
        let waiting = self.waiting.lock().as_mut().map(std::mem::take);
        for (_, waiting) in waiting.into_iter().flatten() {
            let _ = waiting.reply.send(Err(cause.clone()));
        }
    }

    /// Fails what waits and was sent, by its id; what is still to be sent waits on.
    pub fn fail_sent(&self, last: u64, cause: &Cause) {
        let mut failed = Vec::new();
        if let Some(waiting) = self.waiting.lock().as_mut() {
            failed.extend(waiting.extract_if(|id, _| *id <= last));
        }
        for (_, waiting) in failed {
            let _ = waiting.reply.send(Err(cause.clone()));
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
    abandoned: CancellationToken,
    leg: Arc<Mutex<Leg>>,
}

impl Ticket {
    /// Cancel-safe.
    pub async fn reply(&mut self) -> Reply {
        (&mut self.reply)
            .await
            .unwrap_or_else(|_| Err(self.link.reason()))
    }

    pub fn leg(&self) -> Leg {
        *self.leg.lock()
    }

    /// Tells the server that nobody needs the answer, which is still waited for where it can still come.
    pub fn cancel(&mut self, reason: &str) -> Goodbye {
        let how = self.link.goodbye();
        if how == Goodbye::EndOfStream {
            self.abandoned.cancel();
        } else if std::mem::take(&mut self.cancellable) {
            let params = json!({ "requestId": self.id, "reason": reason });
            self.link.notify("notifications/cancelled", &params);
        }
        how
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
            self.abandoned.cancel();
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
