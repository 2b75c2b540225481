//! One message: its POST, its answer, and what is done when there is none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response};
use tokio::time::{sleep, timeout};

use super::client::Ask;
use super::login::Rights;
use super::session::{self, Session};
use super::transport::Http;
use super::{answer, body, legacy, mirror};
use crate::mcp::link::{Frame, Kind, Leg, Sent};
use crate::model::{Cause, Reach};

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// For the head of the answer to a message that has no answer of its own.
pub(super) const ACCEPTED: Duration = Duration::from_secs(30);
/// Before a request is repeated, where the server named no time.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that wants us to wait longer than this is reported instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A panic of ours must not leave anybody waiting.
struct Resolved<'a>(&'a Http, u64);

impl Drop for Resolved<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let cause = Cause::Panic("the answer could not be read".to_owned());
            let _ = self.0.link.resolve(self.1, Err(cause));
        }
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
                        // Such a stream ends when the network wants it to.
                        if sent.method != "subscriptions/listen" {
                            http.failed(&cause);
                        }
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
            http.failed(&cause);
            session::renew(http, &session).await?;
            cause
        }
        Err(Trouble::LacksRights(cause)) => {
            http.failed(&cause);
            if let Some(login) = http.client.login() {
                login.step_up(&http.link.log).await?;
            }
            cause
        }
        Err(Trouble::Failed(cause)) => {
            let Some(pause) = pause_before_another(&cause, sent.method) else {
                return Err(cause);
            };
            http.failed(&cause);
            sleep(pause).await;
            cause
        }
    };
    http.remark(&format!("sent {} again: {cause}", sent.method));
    let session = http.sessions.current();
    let again = attempt(http, sent, bytes, &session).await;
    again.map_err(Trouble::cause)
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
            status: 502..=504,
            retry_after,
            ..
        } if is_safe => Some(retry_after.unwrap_or(PAUSE)),
        // Servers of before may say that to what they do not know.
        Cause::Http { status: 500, .. } if is_safe && method != "server/discover" => Some(PAUSE),
        Cause::Unreachable {
            reach: Reach::Lost, ..
        } if is_safe => Some(PAUSE),
        _ => None,
    }
    .filter(|pause| *pause <= LONGEST_PAUSE)
}

/// How an attempt came to nothing.
pub(super) enum Trouble {
    /// The server does not know the session; it has not acted on the request.
    Expired(Cause),
    /// The user may grant what the server wants more for it; the server has not acted on the request.
    LacksRights(Cause),
    Failed(Cause),
}

impl Trouble {
    fn cause(self) -> Cause {
        match self {
            Self::Expired(cause) | Self::LacksRights(cause) | Self::Failed(cause) => cause,
        }
    }
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
    if http.legacy.is_on() {
        return legacy::attempt(http, sent, bytes).await;
    }
    let is_first = sent.method == "initialize";
    // A session is begun without one.
    let session = if is_first {
        &Session::default()
    } else {
        session
    };
    let mirrored = if http.is_stateless() {
        mirror::headers(sent)
    } else {
        HeaderMap::new()
    };
    *sent.leg.lock() = Leg::Asked;
    let answer = post(http, session, mirrored, bytes.clone()).await?;
    *sent.leg.lock() = Leg::Answering;
    let status = answer.status();
    if !status.is_success() {
        http.sessions.note_stray(sent.method, answer.headers());
        let trouble = refused(http, sent.method, session, answer).await;
        if let (true, Trouble::Failed(cause)) = (is_first, &trouble)
            && http.legacy.may_be(status.as_u16(), cause)
            && legacy::open(http).await.is_ok()
        {
            return legacy::attempt(http, sent, bytes).await;
        }
        return Err(trouble);
    }
    http.contact.answered();
    http.sessions.note_stray(sent.method, answer.headers());
    if is_first {
        http.sessions.begin(answer.headers());
    }
    if matches!(sent.method, "initialize" | "server/discover") {
        http.contact.speaks("streamable HTTP");
    }
    Ok(answer::take(http, sent, answer).await?)
}

/// Posts a message and waits for the head of the answer.
pub(super) async fn post(
    http: &Http,
    session: &Session,
    more: HeaderMap,
    body: Bytes,
) -> Result<Response, Cause> {
    let mut headers = http.sessions.headers(session);
    headers.extend(more);
    headers.insert(ACCEPT, BOTH);
    headers.insert(CONTENT_TYPE, JSON);
    let target = http.legacy.target(&http.client.server).transpose()?;
    let ask = Ask {
        method: Method::POST,
        url: target.as_ref().unwrap_or(&http.client.url),
        headers,
        body,
    };
    http.client.send(ask).await
}

async fn refused(http: &Http, method: &str, session: &Session, answer: Response) -> Trouble {
    let status = answer.status().as_u16();
    let challenge = answer.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.and_then(|value| value.to_str().ok().map(str::to_owned));
    let body::Refusal { cause, rpc } = body::refusal(&http.client, answer).await;
    if let Some(login) = http.client.login() {
        let rights = challenge.as_deref().and_then(|said| login.rights(said));
        match (status, rights) {
            (403, Some(Rights::Missing)) if method == "tools/call" => {
                return Trouble::LacksRights(login.want(challenge, cause));
            }
            (401, _) | (403, Some(Rights::Missing | Rights::Unnamed)) => {
                return Trouble::Failed(login.want(challenge, cause));
            }
            _ => {}
        }
    }
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
