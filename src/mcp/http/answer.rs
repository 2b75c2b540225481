//! What comes back for a message: one JSON text, or a stream of events that may have to be taken up again.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};

use super::body;
use super::client::Ask;
use super::events::{Cursor, Events};
use super::post::ACCEPTED;
use super::transport::Http;
use crate::mcp::dispatch::hear_body;
use crate::mcp::link::Sent;
use crate::mcp::wire;
use crate::model::{Cause, Reach};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream usually ends with its answer; its connection is good for the next message then.
const LINGER: Duration = Duration::from_secs(1);
/// Before a stream is taken up again, where the server named no time.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Of opening it again.
const ATTEMPTS: u32 = 4;
/// Bytes of an unreadable answer that may be shown.
const START: usize = 4 << 10;
/// Characters of it that are; and of an event that is none.
const EXCERPT: usize = 80;
const EVENT: usize = 200;

/// A stream of events.
pub(super) type Stream = Events<Box<dyn AsyncRead + Send + Unpin>>;

/// The answer to a request, of whatever kind it is.
pub(super) async fn take(http: &Http, sent: &Sent, answer: Response) -> Result<(), Cause> {
    match body::kind(&answer) {
        body::Kind::Json => whole(http, sent, answer).await,
        body::Kind::Events => follow(http, sent, answer).await,
        body::Kind::Other => Err(not_mcp(http, answer).await),
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
    let start = body.slice(..body.len().min(START));
    let server = &http.client.server;
    if let Err(problem) = hear_body(&http.link, body, Some(sent.id)).await {
        let said = http.client.scrubbed(body::said(&start, false));
        let said = wire::excerpt(&said, EXCERPT);
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
    let mut stream = events(http, answer, Cursor::default());
    let mut fruitless = 0;
    loop {
        let before = stream.cursor.last_event.clone();
        let broken = drain(http, &mut stream, sent.id).await?;
        if !http.link.is_waiting(sent.id) {
            linger(&mut stream).await;
            return Ok(());
        }
        let cursor = std::mem::take(&mut stream.cursor);
        if cursor.last_event.is_none() || !http.has_sessions() {
            return Err(broken);
        }
        fruitless = if cursor.last_event == before {
            fruitless + 1
        } else {
            0
        };
        let answer = take_up(http, &cursor, fruitless).await.ok_or(broken)?;
        stream = events(http, answer, cursor);
    }
}

/// Takes up a stream that ended before the answer. It may end many times: servers need not hold a connection
/// open while they work. The longer nothing comes the less often it is tried.
async fn take_up(http: &Http, cursor: &Cursor, fruitless: u32) -> Option<Response> {
    let pause = cursor.retry.unwrap_or(PAUSE);
    let grown = pause.saturating_mul(2_u32.pow(fruitless.min(6)));
    let mut pause = grown.min(LONGEST_PAUSE.max(pause));
    if fruitless > 0 {
        pause = pause.max(PAUSE);
    }
    for _ in 0..ATTEMPTS {
        sleep(pause).await;
        match open(http, cursor).await {
            Ok(answer) => return Some(answer),
            // It may be on its way back.
            Err(Cause::Unreachable { .. }) => pause = pause.max(PAUSE).saturating_mul(2),
            Err(_) => return None,
        }
    }
    None
}

fn ended_early(http: &Http) -> Cause {
    Cause::Unreachable {
        server: http.client.server.clone(),
        reach: Reach::Lost,
        detail: "the stream ended".to_owned(),
    }
}

pub(super) fn events(http: &Http, answer: Response, cursor: Cursor) -> Stream {
    let stream = Box::new(body::stream(answer));
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
        body::Kind::Events => Ok(answer),
        _ => Err(not_mcp(http, answer).await),
    }
}

/// Hears events until the request is answered or the stream ends; then how.
async fn drain(http: &Http, events: &mut Stream, id: u64) -> Result<Cause, Cause> {
    while http.link.is_waiting(id) {
        match events.next().await {
            Ok(Some(event)) => hear(http, event.data, Some(id)).await,
            Err(cause @ Cause::Unreachable { .. }) => return Ok(cause),
            Err(cause) => return Err(cause),
            Ok(None) => break,
        }
    }
    Ok(ended_early(http))
}

/// Hears what an event carries; some only carry an id.
pub(super) async fn hear(http: &Http, data: Bytes, of: Option<u64>) {
    if data.is_empty() {
        return;
    }
    let start = data.slice(..data.len().min(START));
    if let Err(problem) = hear_body(&http.link, data, of).await {
        let start = String::from_utf8_lossy(&start).into_owned();
        let start = wire::excerpt(&http.client.scrubbed(start), EVENT);
        http.remark(&format!(
            "dropped an event that is not JSON-RPC: {problem}: {start}"
        ));
    }
}

/// Reads to the end of a stream that has done its work, but not for long.
async fn linger(events: &mut Stream) {
    let _ = timeout(LINGER, async {
        while let Ok(Some(_)) = events.next().await {}
    })
    .await;
}
