//! The endpoint `/mcp`: one HTTP request, from its head to its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN,
    RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{Answer, Events, Work};
use super::clients::{Clients, Connection, Stream};
use super::era::{STATELESS, check_header};
use super::guard::Guard;
use super::pages;
use super::refusal::Refusal;
use super::tools::Tools;
use super::wire::{INVALID_REQUEST, TRANSPORT};
use crate::model::GatewayOptions;

/// What can be done with the endpoint.
pub(super) const METHODS: &str = "GET, POST, DELETE";
const SESSION_HEADER: &str = "mcp-session-id";
/// What is read, and thrown away, of a request that was refused unread: a client that is still sending when the
/// connection closes never sees the answer.
const LINGER: Duration = Duration::from_secs(2);

/// All that requests need.
pub(super) struct Endpoint {
    pub options: GatewayOptions,
    pub guard: Guard,
    pub clients: Arc<Clients>,
    pub tools: Arc<Tools>,
    /// Requests that are being worked on and that the end waits for.
    pub busy: TaskTracker,
    /// No new ones.
    pub closing: CancellationToken,
}

impl Endpoint {
    /// Answers a request. Dropping the future, or the body of its answer, takes back what was asked for.
    pub async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Answer> {
        let origin = request.headers().get(ORIGIN).cloned();
        let page = origin.filter(|origin| self.guard.knows_origin(origin));
        let answer = self.route(request, &connection).await;
        let mut response = answer.unwrap_or_else(|refusal| refused(&refusal, None));
        if let Some(page) = page {
            pages::show(&mut response, page);
        }
        response
    }

    async fn route(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Result<Response<Answer>, Refusal> {
        let (head, body) = request.into_parts();
        if let Err(refusal) = self.check(&head, &body) {
            linger(body);
            return Err(refusal);
        }
        match head.method {
            Method::POST => {
                let body = self.read(body).await?;
                self.post(&head.headers, body, connection).await
            }
            Method::GET => self.listen(&head.headers),
            Method::OPTIONS => Ok(pages::answer(&head.headers)),
            _ => self.end(&head.headers),
        }
    }

    /// Whatever can be refused before the body is read.
    fn check(&self, head: &Parts, body: &Incoming) -> Result<(), Refusal> {
        self.guard.check(&head.uri, &head.headers)?;
        let is_question = pages::is_question(head);
        if !is_question {
            self.guard.check_token(&head.headers)?;
        }
        if !matches!(head.uri.path(), "/mcp" | "/mcp/") {
            let text = "there is nothing here: the endpoint is /mcp";
            return Err(Refusal::new(TRANSPORT, text).status(StatusCode::NOT_FOUND));
        }
        match head.method {
            Method::GET | Method::DELETE => return Ok(()),
            Method::OPTIONS if is_question => return Ok(()),
            Method::POST => {}
            _ => return Err(not_allowed(METHODS)),
        }
        check_content_type(&head.headers)?;
        if body.size_hint().lower() > self.options.max_body as u64 {
            return Err(too_large(self.options.max_body));
        }
        if self.closing.is_cancelled() {
            return Err(shutting_down());
        }
        Ok(())
    }

    /// A stream for what the server says by itself. It says nothing, but the stream tells both ends that the other
    /// one is there, and clients open it.
    fn listen(&self, headers: &HeaderMap) -> Result<Response<Answer>, Refusal> {
        if check_header(headers)? == Some(STATELESS) {
            return Err(not_allowed("POST"));
        }
        if !Accepted::of(headers).events {
            let text = "a stream needs `Accept: text/event-stream`";
            return Err(Refusal::new(TRANSPORT, text).status(StatusCode::NOT_ACCEPTABLE));
        }
        let client = self.clients.get(session_id(headers)?)?;
        let stream = Stream::open(&self.clients, &client);
        let closing = self.closing.clone();
        let work: Work = Box::pin(async move {
            tokio::select! {
                () = client.ended.cancelled() => {}
                () = closing.cancelled() => {}
            }
            drop(stream);
            None
        });
        let (_, no_news) = tokio::sync::mpsc::channel(1);
        Ok(events(Events::new(no_news, work, None)))
    }

    fn end(&self, headers: &HeaderMap) -> Result<Response<Answer>, Refusal> {
        if check_header(headers)? == Some(STATELESS) {
            return Err(not_allowed("POST"));
        }
        let client = self.clients.get(session_id(headers)?)?;
        self.clients.end(&client.id);
        Ok(respond(StatusCode::NO_CONTENT, Answer::empty()))
    }

    /// The whole body, within its limits of size and time.
    async fn read(&self, mut body: Incoming) -> Result<Bytes, Refusal> {
        let most = self.options.max_body;
        let reading = collect(&mut body, most);
        match timeout(self.options.read_timeout, reading).await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => {
                linger(body);
                Err(too_large(most))
            }
            Ok(Err(error)) => Err(Refusal::new(
                INVALID_REQUEST,
                format!("the request broke off: {error}"),
            )
            .closing()),
            Err(_) => {
                let limit = self.options.read_timeout;
                let text = format!("the request took longer than {limit:?} (gateway.read_timeout)");
                Err(Refusal::new(TRANSPORT, text)
                    .status(StatusCode::REQUEST_TIMEOUT)
                    .closing())
            }
        }
    }
}

/// All frames; `None` if there is more than `most`.
async fn collect(body: &mut Incoming, most: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = next_frame(body).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > most {
            return Ok(None);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(Some(if all.is_empty() { first } else { all.freeze() }))
}

async fn next_frame(
    body: &mut Incoming,
) -> Option<Result<hyper::body::Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Lets a client that is still sending come to its end, for a moment.
fn linger(mut body: Incoming) {
    tokio::spawn(async move {
        let rest = async { while let Some(Ok(_)) = next_frame(&mut body).await {} };
        let _ = timeout(LINGER, rest).await;
    });
}

/// What a client takes.
#[derive(Clone, Copy)]
pub(super) struct Accepted {
    pub json: bool,
    pub events: bool,
}

impl Accepted {
    /// Without the header everything is taken to be JSON, as by those who try it with curl.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self {
            json: false,
            events: false,
        };
        let mut is_silent = true;
        for value in headers.get_all(ACCEPT) {
            is_silent = false;
            for range in value.to_str().unwrap_or_default().split(',') {
                let kind = range.split(';').next().unwrap_or_default().trim();
                accepted.json |= ["application/json", "application/*", "*/*"]
                    .iter()
                    .any(|known| kind.eq_ignore_ascii_case(known));
                accepted.events |= ["text/event-stream", "text/*"]
                    .iter()
                    .any(|known| kind.eq_ignore_ascii_case(known));
            }
        }
        accepted.json |= is_silent;
        accepted
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default().split(|byte| *byte == b';').next();
    if kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json")) {
        return Ok(());
    }
    let text = "a message needs `Content-Type: application/json`";
    Err(Refusal::new(TRANSPORT, text)
        .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .closing())
}

/// The transport session that a request belongs to.
pub(super) fn session_id(headers: &HeaderMap) -> Result<&str, Refusal> {
    let id = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
    id.ok_or_else(|| {
        let text =
            "the header Mcp-Session-Id is missing: initialize first, or speak MCP 2026-07-28";
        Refusal::new(TRANSPORT, text)
    })
}

fn too_large(most: usize) -> Refusal {
    let text = format!("a request may have {most} bytes, not more (gateway.max_body)");
    Refusal::new(TRANSPORT, text)
        .status(StatusCode::PAYLOAD_TOO_LARGE)
        .closing()
}

pub(super) fn shutting_down() -> Refusal {
    Refusal::new(TRANSPORT, "the gateway is shutting down")
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header(RETRY_AFTER, "5")
        .closing()
}

fn not_allowed(methods: &'static str) -> Refusal {
    Refusal::new(TRANSPORT, "this method is not for this endpoint")
        .status(StatusCode::METHOD_NOT_ALLOWED)
        .header(ALLOW, methods)
}

/// A response without headers of its own.
pub(super) fn respond(status: StatusCode, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

pub(super) fn json(status: StatusCode, body: Answer) -> Response<Answer> {
    let mut response = respond(status, body);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn events(events: Events) -> Response<Answer> {
    let mut response = respond(StatusCode::OK, Answer::Events(Box::new(events)));
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        // Proxies pass each event on at once.
        (
            hyper::header::HeaderName::from_static("x-accel-buffering"),
            "no",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A refusal as a response; `id` is that of the request, if it could be read.
pub(super) fn refused(
    refusal: &Refusal,
    id: Option<&serde_json::value::RawValue>,
) -> Response<Answer> {
    tracing::debug!(
        status = refusal.status.as_u16(),
        code = refusal.code,
        "refused: {}",
        refusal.message
    );
    let mut response = json(refusal.status, Answer::text(refusal.message(id)));
    let headers = response.headers_mut();
    if let Some((name, value)) = refusal.header.as_deref() {
        headers.insert(name.clone(), value.clone());
    }
    if refusal.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        let accepted = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            let accepted = Accepted::of(&headers);
            (accepted.json, accepted.events)
        };
        assert_eq!(accepted(&[]), (true, false));
        assert_eq!(
            accepted(&["application/json, text/event-stream"]),
            (true, true)
        );
        assert_eq!(
            accepted(&["Application/JSON;q=0.9", "TEXT/event-stream"]),
            (true, true)
        );
        assert_eq!(accepted(&["*/*"]), (true, false));
        assert_eq!(accepted(&["text/html"]), (false, false));
    }
}
