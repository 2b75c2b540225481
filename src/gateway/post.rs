//! A message that a client posts, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::body::{Answer, Events, Work};
use super::clients::{Client, Connection, Request};
use super::endpoint::{
    Accepted, Endpoint, events, json, refused, respond, session_id, shutting_down,
};
use super::era::{self, Era, Meta, STATELESS, check_header};
use super::methods::{self, Asked, Dialect};
use super::refusal::Refusal;
use super::tools::{Asker, Listener, Tool};
use super::wire::{self, Call, INVALID_PARAMS, METHOD_NOT_FOUND, Message, TRANSPORT};

/// A request as it is worked on: who asks, and how the answer is to look.
struct Asking {
    dialect: Dialect,
    name: Arc<str>,
    client: Option<Arc<Client>>,
    accepted: Accepted,
}

impl Endpoint {
    /// Takes a message.
    pub(super) async fn post(
        self: Arc<Self>,
        headers: &HeaderMap,
        body: Bytes,
        connection: &Connection,
    ) -> Result<Response<Answer>, Refusal> {
        match wire::message(&body)? {
            Message::Response => Ok(respond(StatusCode::ACCEPTED, Answer::empty())),
            Message::Notification(call) => {
                self.notified(headers, &call)?;
                Ok(respond(StatusCode::ACCEPTED, Answer::empty()))
            }
            Message::Request { id, call } => {
                let answered = self.request(headers, id, &call, connection).await;
                Ok(answered.unwrap_or_else(|refusal| refused(&refusal, Some(id))))
            }
        }
    }

    fn notified(&self, headers: &HeaderMap, call: &Call<'_>) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        if check_header(headers)? == Some(STATELESS) {
            return Ok(());
        }
        let client = self.clients.get(session_id(headers)?)?;
        if call.method == "notifications/cancelled" {
            let params: Params<'_> = wire::params(call.params)?;
            client.cancel(params.request_id);
        }
        Ok(())
    }

    async fn request(
        self: Arc<Self>,
        headers: &HeaderMap,
        id: &RawValue,
        call: &Call<'_>,
        connection: &Connection,
    ) -> Result<Response<Answer>, Refusal> {
        if self.closing.is_cancelled() {
            return Err(shutting_down());
        }
        let accepted = Accepted::of(headers);
        if !accepted.json && !accepted.events {
            let text = "answers are application/json or text/event-stream";
            return Err(Refusal::new(TRANSPORT, text).status(StatusCode::NOT_ACCEPTABLE));
        }
        let meta = Meta::of(call);
        let asking = match era::of_request(headers, call, &meta)? {
            Era::Sessions if call.method == "initialize" => return self.initialize(id, call),
            Era::Sessions => {
                let client = self.clients.get(session_id(headers)?)?;
                Asking {
                    dialect: Dialect::of(client.protocol),
                    name: client.name.clone(),
                    client: Some(client),
                    accepted,
                }
            }
            Era::Stateless { name } => {
                connection.is_stateless_client();
                Asking {
                    dialect: Dialect::of(STATELESS),
                    name,
                    client: None,
                    accepted,
                }
            }
        };
        let asked = methods::asked(call, asking.dialect)
            .map_err(|refusal| in_era(refusal, asking.dialect))?;
        match asked {
            Asked::Known(result) => {
                let response = methods::response(id, result);
                Ok(json(StatusCode::OK, Answer::message(response, None)))
            }
            Asked::Tool(tool, arguments) => {
                self.tool(id, tool, arguments, meta.progress_token, asking)
                    .await
            }
        }
    }

    fn initialize(&self, id: &RawValue, call: &Call<'_>) -> Result<Response<Answer>, Refusal> {
        let (name, protocol) =
            methods::initialize(call).map_err(|refusal| refusal.status(StatusCode::OK))?;
        let client = self
            .clients
            .begin(name, protocol, self.options.max_clients)?;
        let result = methods::initialized(protocol);
        let response = methods::response(id, result);
        let mut response = json(StatusCode::OK, Answer::message(response, None));
        // It is hexadecimal.
        if let Ok(value) = HeaderValue::from_str(&client.id) {
            let name = HeaderName::from_static("mcp-session-id");
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }

    /// Calls one of our tools: the answer comes as it is, or on a stream behind what is said before it.
    async fn tool(
        self: Arc<Self>,
        id: &RawValue,
        tool: Tool,
        arguments: Option<Box<RawValue>>,
        token: Option<&RawValue>,
        asking: Asking,
    ) -> Result<Response<Answer>, Refusal> {
        let request = match &asking.client {
            Some(client) => Some(client.request(id)?),
            None => None,
        };
        let token = token.filter(|_| asking.accepted.events);
        let (listener, news) = match token {
            Some(token) => {
                let (listener, news) = Listener::new(token.to_owned());
                (Some(listener), news)
            }
            None => (None, tokio::sync::mpsc::channel(1).1),
        };
        let is_watched = listener.is_some();
        let owner = asking.client.as_ref().filter(|_| tool == Tool::Initialize);
        let asker = Asker {
            name: asking.name,
            session: asking.client.as_ref().map(|client| client.id.clone()),
            gone: owner.map(|client| client.ended.clone()),
            listener,
        };
        // The end does not wait for what it takes down at once.
        let busy = (tool != Tool::Initialize).then(|| self.busy.token());
        let (accepted, dialect, id) = (asking.accepted, asking.dialect, id.to_owned());
        let patience = if accepted.events {
            self.options.stream_after
        } else {
            Duration::MAX
        };
        let mut work: Work = Box::pin(async move {
            let outcome = unless_cancelled(request.as_ref(), async {
                self.tools.call(tool, arguments.as_deref(), asker).await
            });
            let result = methods::tool_result(outcome.await?, dialect);
            Some(methods::response(&id, result))
        });
        if !is_watched && accepted.json {
            match timeout(patience, &mut work).await {
                Ok(Some(response)) => {
                    return Ok(json(StatusCode::OK, Answer::message(response, busy)));
                }
                // "Receivers of a cancellation notification SHOULD NOT send a response."
                Ok(None) => return Ok(respond(StatusCode::ACCEPTED, Answer::empty())),
                Err(_) => {}
            }
        }
        Ok(events(Events::new(news, work, busy)))
    }
}

/// `None` once the client does not need it any more.
async fn unless_cancelled<T>(
    request: Option<&Request>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let Some(request) = request else {
        return Some(work.await);
    };
    tokio::select! {
        biased;
        () = request.cancelled.cancelled() => None,
        done = work => Some(done),
    }
}

/// In a session the HTTP status tells only of the transport; otherwise an unknown method is not found.
fn in_era(refusal: Refusal, dialect: Dialect) -> Refusal {
    match refusal.code {
        METHOD_NOT_FOUND if dialect.is_stateless => refusal.status(StatusCode::NOT_FOUND),
        METHOD_NOT_FOUND | INVALID_PARAMS => refusal.status(StatusCode::OK),
        _ => refusal,
    }
}
