//! One message: its POST, its answer, and what is done when there is none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tokio::io::AsyncRead;
use tokio::time::{Instant, sleep, timeout};

use super::body::{self, Kind as BodyKind};
use super::client::Ask;
use super::events::{Cursor, Events};
use super::mirror;
use super::session::Session;
use super::transport::Http;
use crate::mcp::dispatch::hear_body;
use crate::mcp::link::{Frame, Kind, Sent};
use crate::model::{Cause, Reach};

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// For the head of the answer to a message that has no answer of its own.
const ACCEPTED: Duration = Duration::from_secs(30);
/// A stream usually ends with its answer; its connection is good for the next message then.
const LINGER: Duration = Duration::from_secs(1);
/// Before a request is repeated, or a stream taken up, where the server named no time.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that wants us to wait longer than this is reported instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Streams that break again without a new event are given up after so many times.
const RESUMPTIONS: u32 = 5;

/// Resolves its request however its task ends, even by a panic.
struct Resolved<'a>(&'a Http, u64);

impl Drop for Resolved<'_> {
    fn drop(&mut self) {
        // Nothing waits any more if it was answered.
        let _ = self.0.link.resolve(self.1, Err(Cause::Closed));
    }
}

/// Sends a message and sees to its answer.
pub(super) async fn send(http: Arc<Http>, frame: Frame) {
    match frame.kind {
        Kind::Request(sent) => {
            let _resolved = Resolved(&http, sent.id);
            tokio::select! {
                biased;
                // Ends the stream, too.
                () = sent.abandoned.cancelled() => {}
                ended = exchange(&http, &sent, &frame.bytes) => {
                    if let Err(cause) = ended {
                        http.contact.failed(&cause);
                        // If it was answered all the same, nothing is amiss.
                        let _ = http.link.resolve(sent.id, Err(cause));
                    }
                }
            }
        }
        Kind::Notification(method) => tell(&http, method, frame.bytes).await,
        Kind::Answer => tell(&http, "answer", frame.bytes).await,
    }
}

/// Sends what has no answer.
pub(super) async fn tell(http: &Http, what: &str, bytes: Bytes) {
    let session = http.sessions.current();
    let accepted = timeout(ACCEPTED, post(http, &session, HeaderMap::new(), bytes));
    let problem = match accepted.await {
        Ok(Ok(answer)) if answer.status().is_success() => return,
        Ok(Ok(answer)) => body::refusal(&http.client, answer).await.cause.to_string(),
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => format!("no answer within {ACCEPTED:?}"),
    };
    http.remark(&format!("the server did not take our {what}: {problem}"));
}

/// A request until its answer; repeated once where that is safe.
async fn exchange(http: &Http, sent: &Sent, bytes: &Bytes) -> Result<(), Cause> {
    let session = http.sessions.current();
    let cause = match attempt(http, sent, bytes, &session).await {
        Ok(()) => return Ok(()),
        Err(Trouble::Expired(cause)) => {
            http.contact.failed(&cause);
            http.sessions.renew(&session).await?;
            cause
        }
        Err(Trouble::Failed(cause)) => {
            let Some(pause) = pause_before_another(&cause, sent.method) else {
                return Err(cause);
            };
            http.contact.failed(&cause);
            sleep(pause).await;
            cause
        }
    };
    http.remark(&format!("sent {} again: {cause}", sent.method));
    let session = http.sessions.current();
    let again = attempt(http, sent, bytes, &session).await;
    again.map_err(|(Trouble::Expired(cause) | Trouble::Failed(cause))| cause)
}

/// How long to wait before a request is sent again; `None` where the server may have acted on it already.
fn pause_before_another(cause: &Cause, method: &str) -> Option<Duration> {
    let is_safe = !matches!(method, "tools/call" | "subscriptions/listen");
    match cause {
        Cause::Http {
            status: 429,
            retry_after,
            ..
        } => Some(retry_after.unwrap_or(PAUSE)),
        Cause::Http {
            status: 500 | 502 | 503 | 504,
            retry_after,
            ..
        } if is_safe => Some(retry_after.unwrap_or(PAUSE)),
        Cause::Unreachable {
            reach: Reach::Lost, ..
        } if is_safe => Some(PAUSE),
        _ => None,
    }
    .filter(|pause| *pause <= LONGEST_PAUSE)
}

enum Trouble {
    /// The server does not know the session; it has not acted on the request.
    Expired(Cause),
    Failed(Cause),
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self::Failed(cause)
    }
}

async fn attempt(
    http: &Http,
    sent: &Sent,
    bytes: &Bytes,
    session: &Session,
) -> Result<(), Trouble> {
    let is_first = sent.method == "initialize";
    // A session is begun without one.
    let session = if is_first {
        &Session::default()
    } else {
        session
    };
    let began = Instant::now();
    let more = if http.is_stateless() {
        mirror::headers(sent)
    } else {
        HeaderMap::new()
    };
    let answer = post(http, session, more, bytes.clone()).await?;
    if !answer.status().is_success() {
        return Err(refused(http, session, answer).await);
    }
    http.contact.answered(began.elapsed());
    if is_first {
        http.sessions.begin(answer.headers());
        http.contact.speaks("streamable HTTP");
    }
    match body::kind(&answer) {
        BodyKind::Json => whole(http, sent, answer).await?,
        BodyKind::Events => follow(http, sent, answer).await?,
        BodyKind::Other => return Err(not_mcp(http, answer).await.into()),
    }
    Ok(())
}

async fn post(
    http: &Http,
    session: &Session,
    more: HeaderMap,
    body: Bytes,
) -> Result<Response, Cause> {
    let mut headers = http.sessions.headers(session);
    headers.extend(more);
    headers.insert(ACCEPT, BOTH);
    headers.insert(CONTENT_TYPE, JSON);
    let ask = Ask {
        method: Method::POST,
        url: &http.client.url,
        headers,
        body,
    };
    http.client.send(ask).await
}

async fn refused(http: &Http, session: &Session, answer: Response) -> Trouble {
    let status = answer.status().as_u16();
    let body::Refusal { cause, rpc } = body::refusal(&http.client, answer).await;
    let in_session = session.id.is_some() && http.has_sessions();
    let names_session =
        matches!(&cause, Cause::Http { said, .. } if said.to_lowercase().contains("session"));
    match (status, rpc) {
        (404, _) if in_session => Trouble::Expired(cause),
        // Not by the book, but what many servers say after they were started again.
        (400, _) if in_session && names_session => Trouble::Expired(cause),
        // What the way to the server says counts more than how it says it.
        (401 | 403 | 407 | 408 | 429 | 500.., _) | (_, None) => Trouble::Failed(cause),
        (_, Some(rpc)) => Trouble::Failed(rpc),
    }
}

/// An answer of another kind than MCP's.
async fn not_mcp(http: &Http, answer: Response) -> Cause {
    let (server, status) = (&http.client.server, answer.status());
    let what = match body::content_type(&answer) {
        "" => "nothing".to_owned(),
        kind => kind.to_owned(),
    };
    let text = body::refusal(&http.client, answer).await.cause;
    let said = match text {
        Cause::Http { said, .. } if !said.is_empty() => format!(": {said}"),
        _ => String::new(),
    };
    let status = status.as_u16();
    let text = format!("{server} answered {status} with {what} instead of JSON or events{said}");
    Cause::Protocol(text)
}

/// The answer as one JSON text.
async fn whole(http: &Http, sent: &Sent, answer: Response) -> Result<(), Cause> {
    let body = body::whole(&http.client, answer, http.link.limit).await?;
    let start = body.slice(..body.len().min(4 << 10));
    let server = &http.client.server;
    if let Err(problem) = hear_body(&http.link, body, Some(sent.id)).await {
        let said = http.client.scrubbed(body::said(&start, false));
        let said = crate::mcp::wire::excerpt(&said, 80);
        let text = format!("{server} gave an unreadable answer: {problem}: {said}");
        return Err(Cause::Protocol(text));
    }
    if http.link.is_waiting(sent.id) {
        let text = format!("{server} answered something else than it was asked");
        return Err(Cause::Protocol(text));
    }
    Ok(())
}

/// The answer on a stream of events, taken up again where it breaks and the server can do that.
async fn follow(http: &Http, sent: &Sent, answer: Response) -> Result<(), Cause> {
    let mut cursor = Cursor::default();
    let mut stream = Some(answer);
    let mut tries = 0;
    loop {
        let broken = match stream.take() {
            Some(answer) => {
                let before = cursor.last_event.clone();
                let mut events = events(http, answer, cursor);
                let ended = drain(http, &mut events, sent.id).await;
                if !http.link.is_waiting(sent.id) {
                    linger(&mut events).await;
                    return Ok(());
                }
                cursor = events.cursor;
                if cursor.last_event != before {
                    tries = 0;
                }
                ended?.unwrap_or_else(|| ended_early(http))
            }
            None => ended_early(http),
        };
        tries += 1;
        let can_resume = cursor.last_event.is_some() && http.has_sessions();
        if !can_resume || tries > RESUMPTIONS {
            return Err(broken);
        }
        sleep(cursor.retry.unwrap_or(PAUSE * tries)).await;
        stream = match open(http, &cursor).await {
            Ok(answer) => Some(answer),
            Err(Cause::Unreachable { .. }) if tries < RESUMPTIONS => None,
            Err(cause) => return Err(cause),
        };
    }
}

fn ended_early(http: &Http) -> Cause {
    Cause::Unreachable {
        server: http.client.server.clone(),
        reach: Reach::Lost,
        detail: "the stream ended".to_owned(),
    }
}

pub(super) fn events(
    http: &Http,
    answer: Response,
    cursor: Cursor,
) -> Events<impl AsyncRead + Send + Unpin + use<>> {
    let stream = body::stream(answer);
    Events::new(stream, http.link.limit, &http.client.server, cursor)
}

/// Opens the stream of what the server says by itself, or takes up a broken one.
pub(super) async fn open(http: &Http, cursor: &Cursor) -> Result<Response, Cause> {
    let session = http.sessions.current();
    let mut headers = http.sessions.headers(&session);
    headers.insert(ACCEPT, EVENTS);
    if let Some(last) = &cursor.last_event
        && let Ok(last) = HeaderValue::from_str(last)
    {
        headers.insert(LAST_EVENT_ID, last);
    }
    let ask = Ask {
        method: Method::GET,
        url: &http.client.url,
        headers,
        body: Bytes::new(),
    };
    let answer = timeout(ACCEPTED, http.client.send(ask)).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(Cause::Deadline {
            what: "the stream".into(),
            after: ACCEPTED,
        })
    })?;
    if !answer.status().is_success() {
        return Err(body::refusal(&http.client, answer).await.cause);
    }
    match body::kind(&answer) {
        BodyKind::Events => Ok(answer),
        _ => Err(not_mcp(http, answer).await),
    }
}

/// Hears events until the request is answered or the stream ends: then why, if it broke.
async fn drain<R: AsyncRead + Unpin>(
    http: &Http,
    events: &mut Events<R>,
    id: u64,
) -> Result<Option<Cause>, Cause> {
    while http.link.is_waiting(id) {
        match events.next().await {
            Ok(Some(event)) => hear(http, event.data, Some(id)).await,
            Ok(None) => return Ok(None),
            Err(cause @ Cause::Unreachable { .. }) => return Ok(Some(cause)),
            Err(cause) => return Err(cause),
        }
    }
    Ok(None)
}

/// Hears what an event carries; some only carry an id.
pub(super) async fn hear(http: &Http, data: Bytes, of: Option<u64>) {
    if data.is_empty() {
        return;
    }
    let start = data.slice(..data.len().min(200));
    if let Err(problem) = hear_body(&http.link, data, of).await {
        let start = String::from_utf8_lossy(&start);
        let text = format!("dropped an event that is not JSON-RPC: {problem}: {start}");
        http.remark(&http.client.scrubbed(text));
    }
}

/// Reads to the end of a stream that has done its work, but not for long.
async fn linger<R: AsyncRead + Unpin>(events: &mut Events<R>) {
    let _ = timeout(LINGER, async {
        while let Ok(Some(_)) = events.next().await {}
    })
    .await;
}
