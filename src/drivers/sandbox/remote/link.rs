//! One control socket: actions out, replies in any order to those who wait, a heartbeat, one reason for its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::connection::Dialect;
use super::place::Place;
use super::socket::{Socket, lost};
use super::trouble::Trouble;
use crate::model::{Cause, Reach};

/// Actions on one socket at a time; a runtime refuses more than 128.
const AT_ONCE: usize = 100;
/// Between two heartbeats, as the runtime's own client has them.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// For the answer to one: the runtime does nothing for it.
const PULSE: Duration = Duration::from_secs(10);
/// A runtime that reads nothing for so long is gone.
const WRITE: Duration = Duration::from_secs(20);
/// For the last frames of a socket that we close.
const GOODBYE: Duration = Duration::from_secs(1);

/// An action, and what it is about.
#[derive(Serialize)]
struct Request<'a, T> {
    seq_id: u64,
    action: &'static str,
    data: &'a T,
    /// Runtimes before 0.5 ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context<'a>>,
}

#[derive(Serialize)]
struct Context<'a> {
    instance_uuid: &'a str,
    workspace_uuid: &'a str,
    placement_generation: u64,
}

#[derive(Deserialize)]
struct Reply<'a> {
    /// Runtimes send back whatever they were sent, and -1 to what had none.
    #[serde(borrow)]
    seq_id: &'a RawValue,
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

type Answer = Result<Box<RawValue>, Trouble>;

/// A socket that is open, for those who ask.
pub struct Link {
    place: Place,
    /// By the id of the request; `None` once it has ended.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    outbox: mpsc::Sender<String>,
    slots: Semaphore,
    /// Counts on from one socket to the next.
    ids: Arc<AtomicU64>,
    /// The largest request, bytes.
    limit: AtomicUsize,
    /// Why it has ended.
    end: Mutex<Option<Cause>>,
}

/// The socket's own side of a [`Link`].
pub struct Line {
    link: Arc<Link>,
    socket: Socket,
    queue: mpsc::Receiver<String>,
}

impl Link {
    pub fn new(place: Place, socket: Socket, ids: Arc<AtomicU64>) -> (Arc<Self>, Line) {
        let (outbox, queue) = mpsc::channel(AT_ONCE);
        let link = Arc::new(Self {
            place,
            waiting: Mutex::new(Some(HashMap::new())),
            outbox,
            slots: Semaphore::new(AT_ONCE),
            ids,
            limit: AtomicUsize::new(Dialect::Lines.largest_message()),
            end: Mutex::default(),
        });
        let wire = Line {
            link: link.clone(),
            socket,
            queue,
        };
        (link, wire)
    }

    /// What is known of the other side by now.
    pub fn speaks(&self, dialect: Dialect) {
        self.limit
            .store(dialect.largest_message(), Ordering::Relaxed);
    }

    /// Asks and waits for the reply, within `limit`. Dropping the future leaves the action to the runtime.
    pub async fn ask(
        &self,
        action: &'static str,
        data: &impl Serialize,
        limit: Duration,
    ) -> Answer {
        let late = Trouble::Late {
            what: action,
            after: limit,
        };
        timeout(limit, self.exchange(action, data))
            .await
            .unwrap_or(Err(late))
    }

    async fn exchange(&self, action: &'static str, data: &impl Serialize) -> Answer {
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Trouble::Away(self.reason()));
        };
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let text = self.request(id, action, data)?;
        let (sender, reply) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(Trouble::Away(self.reason())),
        };
        let _ticket = Ticket { link: self, id };
        if self.outbox.send(text).await.is_err() {
            return Err(Trouble::Away(self.reason()));
        }
        match reply.await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Lost(self.reason(), action)),
        }
    }

    fn request(
        &self,
        seq_id: u64,
        action: &'static str,
        data: &impl Serialize,
    ) -> Result<String, Trouble> {
        let tenant = self.place.tenant.as_ref();
        let request = Request {
            seq_id,
            action,
            data,
            context: tenant.map(|tenant| Context {
                instance_uuid: &tenant.instance,
                workspace_uuid: &tenant.workspace,
                placement_generation: tenant.generation,
            }),
        };
        let text = serde_json::to_string(&request)
            .map_err(|error| Trouble::Protocol(format!("{action} cannot be written: {error}")))?;
        let (size, limit) = (text.len(), self.limit.load(Ordering::Relaxed));
        if size > limit {
            return Err(Trouble::TooLarge { size, limit });
        }
        Ok(text)
    }

    fn hear(&self, text: &str) {
        let Ok(reply) = serde_json::from_str::<Reply<'_>>(text) else {
            tracing::warn!("{}: a message that is no reply", self.place.name());
            return;
        };
        let id = reply.seq_id.get().parse::<u64>().ok();
        let waiting = id.and_then(|id| self.waiting.lock().as_mut()?.remove(&id));
        let Some(waiting) = waiting else {
            // Its asker gave up, or it is about what nobody can tell.
            tracing::debug!("{}: a reply that nobody waits for", self.place.name());
            return;
        };
        let answer = match reply.code {
            0 => Ok(reply.data.unwrap_or(RawValue::NULL).to_owned()),
            _ => Err(Trouble::refused(&self.place, &reply.message)),
        };
        let _ = waiting.send(answer);
    }

    /// Fails what waits with this reason, unless there is one already.
    fn close(&self, cause: Cause) {
        self.end.lock().get_or_insert(cause);
        self.slots.close();
        drop(self.waiting.lock().take());
    }

    fn reason(&self) -> Cause {
        self.end.lock().clone().unwrap_or(Cause::Closed)
    }

    /// Resolves with why it counts as dead.
    async fn beat(&self) -> Cause {
        let mut beats = interval(HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        loop {
            beats.tick().await;
            let answer = self.ask("__ping", &serde_json::json!({}), PULSE).await;
            // An error is a sign of life, and a socket that ended says so itself.
            if let Err(Trouble::Late { .. }) = answer {
                return Cause::Unreachable {
                    server: self.place.name(),
                    reach: Reach::Lost,
                    detail: format!("no answer to a ping within {PULSE:?}"),
                };
            }
        }
    }
}

/// Somebody waits; when they do not any more, nothing is kept for them.
struct Ticket<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.link.waiting.lock().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Nobody waits for a socket that is gone, however it went.
struct CloseAtEnd(Arc<Link>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close(Cause::Closed);
    }
}

impl Line {
    /// Until the socket ends, or `closing` resolves; then with why.
    pub async fn run(self, closing: impl Future<Output = ()>) -> Cause {
        let end = CloseAtEnd(self.link);
        let link = &end.0;
        let (mut sink, stream) = self.socket.split();
        let cause = tokio::select! {
            cause = read(link, stream) => cause,
            cause = write(link, &mut sink, self.queue) => cause,
            cause = link.beat() => cause,
            () = closing => Cause::Closed,
        };
        link.close(cause.clone());
        // Whether it is heard makes no difference.
        let _ = timeout(GOODBYE, sink.close()).await;
        cause
    }
}

async fn read(link: &Link, mut stream: SplitStream<Socket>) -> Cause {
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Text(text)) => link.hear(&text),
            Ok(Message::Close(frame)) => {
                let why = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                return closed(&link.place, why);
            }
            Ok(_) => {}
            Err(error) => return lost(&link.place, &error),
        }
    }
    closed(&link.place, None)
}

async fn write(
    link: &Link,
    sink: &mut SplitSink<Socket, Message>,
    mut queue: mpsc::Receiver<String>,
) -> Cause {
    while let Some(text) = queue.recv().await {
        match timeout(WRITE, sink.send(Message::text(text))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return lost(&link.place, &error),
            Err(_) => {
                return Cause::Unreachable {
                    server: link.place.name(),
                    reach: Reach::Lost,
                    detail: format!("it read nothing for {WRITE:?}"),
                };
            }
        }
    }
    Cause::Closed
}

/// Why the other side closed, by the codes of RFC 6455, section 7.4.1.
pub fn closed(place: &Place, frame: Option<(u16, String)>) -> Cause {
    let detail = match frame {
        None => "closed without a word".to_owned(),
        Some((1001, _)) => "the runtime is being shut down".to_owned(),
        Some((1009, _)) => "it takes no message as large as the last one".to_owned(),
        Some((code, reason)) if reason.is_empty() => format!("closed with code {code}"),
        Some((code, reason)) => format!("closed with code {code}: {}", place.logical(&reason)),
    };
    Cause::Unreachable {
        server: place.name(),
        reach: Reach::Lost,
        detail,
    }
}
