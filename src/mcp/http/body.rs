//! Bodies of answers: whole and bounded, or as a stream; and what an answer that is none says.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use super::client::Client;
use super::words;
use crate::mcp::wire;
use crate::model::Cause;

/// Of an answer that tells of an error.
const ERROR_BODY: usize = 64 << 10;
const ERROR_WAIT: Duration = Duration::from_secs(5);
/// Characters of it in our sentences.
const EXCERPT: usize = 200;

/// What a body is, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Events,
    Other,
}

pub(super) fn kind(answer: &Response) -> Kind {
    let value = content_type(answer).to_ascii_lowercase();
    match value.split(';').next().unwrap_or_default().trim() {
        "text/event-stream" => Kind::Events,
        "application/json" => Kind::Json,
        // `application/problem+json` and the like.
        other if other.starts_with("application/") && other.ends_with("+json") => Kind::Json,
        _ => Kind::Other,
    }
}

pub(super) fn content_type(answer: &Response) -> &str {
    let value = answer.headers().get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// All of it, decompressed, if it is not over the limit.
pub(crate) async fn whole(
    client: &Client,
    mut answer: Response,
    limit: usize,
) -> Result<Bytes, Cause> {
    let too_large = |size: u64| Cause::TooLarge {
        size,
        limit: limit as u64,
    };
    let announced = answer.content_length().unwrap_or_default();
    if announced > limit as u64 {
        return Err(too_large(announced));
    }
    let mut all = BytesMut::new();
    loop {
        let chunk = answer.chunk().await;
        match chunk.map_err(|error| words::broken(&client.server, &error))? {
            None => return Ok(all.freeze()),
            // How much more would come is not known.
            Some(chunk) if all.len() + chunk.len() > limit => {
                return Err(too_large((all.len() + chunk.len()) as u64));
            }
            Some(chunk) => all.extend_from_slice(&chunk),
        }
    }
}

/// Its bytes as they come.
pub(super) fn stream(answer: Response) -> impl AsyncRead + Send + Unpin + use<> {
    StreamReader::new(Box::pin(answer.bytes_stream().map_err(io::Error::other)))
}

/// An answer with a status that says no.
pub(crate) struct Refusal {
    pub cause: Cause,
    /// It is the error answer of an MCP server.
    pub rpc: Option<Cause>,
}

/// Reads as much of a refusal as is of use.
pub(crate) async fn refusal(client: &Client, answer: Response) -> Refusal {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| pause(value.to_str().ok()?));
    let is_json = kind(&answer) == Kind::Json;
    let body = beginning(answer).await;
    let mut rpc = if is_json { rpc_error(&body) } else { None };
    let said = match &mut rpc {
        Some(Cause::Rpc { message, data, .. }) => {
            *message = client.scrubbed(std::mem::take(message));
            *data = data
                .take()
                .map(|data| client.scrubbed(data.to_string()).into());
            message.clone()
        }
        _ => client.scrubbed(said(&body, is_json)),
    };
    Refusal {
        cause: Cause::Http {
            server: client.server.clone(),
            status,
            // Cut only now: a part of a secret is not known as one.
            said: wire::excerpt(said.trim(), EXCERPT).to_string(),
            retry_after,
        },
        rpc,
    }
}

/// `Retry-After`: seconds, or the time when they are over.
fn pause(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    // What is over already is no pause.
    let left = until.duration_since(jiff::Timestamp::now());
    Some(Duration::from_secs(
        left.as_secs().try_into().unwrap_or_default(),
    ))
}

async fn beginning(mut answer: Response) -> Bytes {
    let mut all = BytesMut::new();
    let read = async {
        while let Ok(Some(chunk)) = answer.chunk().await {
            all.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - all.len())]);
            if all.len() == ERROR_BODY {
                break;
            }
        }
    };
    // What came until then will do.
    let _ = timeout(ERROR_WAIT, read).await;
    all.freeze()
}

fn rpc_error(body: &Bytes) -> Option<Cause> {
    let mut messages = wire::messages(body)?;
    match messages.pop() {
        Some(wire::Message::Reply {
            reply: Err(cause), ..
        }) => Some(cause),
        _ => None,
    }
}

/// What a body says to people, on one line.
pub(super) fn said(body: &[u8], is_json: bool) -> String {
    let text = String::from_utf8_lossy(body);
    let told = is_json.then(|| serde_json::from_str::<Value>(&text).ok());
    let told = told.flatten().and_then(|value| {
        let keys = ["error_description", "message", "detail", "error", "title"];
        let nested = [&value, &value["error"]];
        nested.into_iter().find_map(|value| {
            keys.iter()
                .find_map(|key| value[*key].as_str().map(str::to_owned))
        })
    });
    let text = told.unwrap_or_else(|| without_tags(&text));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a page of HTML.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let body = text.find("<body").map_or(text, |at| &text[at..]);
    let mut plain = String::new();
    for part in body.split('<') {
        plain.push_str(part.split_once('>').map_or("", |(_, text)| text));
        plain.push(' ');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_of_seconds_or_a_date() {
        assert_eq!(pause(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let far = pause("Fri, 01 Jan 2100 00:00:00 GMT").expect("a date");
        assert!(far > Duration::from_secs(1 << 30), "{far:?}");
        assert_eq!(pause("soon"), None);
        assert_eq!(pause("-1"), None);
    }

    #[test]
    fn what_a_body_says_is_on_one_line() {
        for (body, is_json, right) in [
            ("  plain\n text ", false, "plain text"),
            (r#"{"error":{"message":"inner"}}"#, true, "inner"),
            (
                r#"{"error":"code","error_description":"words"}"#,
                true,
                "words",
            ),
            (r#"{"detail":"Not Found"}"#, true, "Not Found"),
            (r#"{"other":1}"#, true, r#"{"other":1}"#),
            (
                "<html><head><title>t</title></head><body a=1><h1>No</h1>\n<p>way",
                false,
                "No way",
            ),
            ("<", false, ""),
            ("", true, ""),
        ] {
            assert_eq!(said(body.as_bytes(), is_json), right, "{body}");
        }
    }
}
