//! JSON-RPC as text: what a message says without building its payload, and the frames we send.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::Cause;

/// JSON-RPC 2.0, section 5.1.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;

/// Characters kept of an error's message and of its data: it is a reason, not a result.
const MAX_REASON: usize = 16 << 10;

/// A message from the server; everything borrows from its line but a payload, which shares it.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Reply {
        id: Option<u64>,
        reply: Reply,
    },
    /// The id goes back as it came: a string, a number of any size.
    Request {
        id: &'a RawValue,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    Notification {
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
}

/// What a request came to.
pub(super) type Reply = Result<Payload, Cause>;

/// The `result` of a reply, exactly as sent.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub raw: Bytes,
    pub is_error: bool,
    /// `resultType: "input_required"`: the server has questions before it answers.
    pub input_required: bool,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// `"result": null` is a result.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// A JSON string, borrowed where it has no escapes. (`Option<Cow<str>>` would always copy.)
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string in `raw`, or its JSON text if it is anything else.
pub(super) fn text_or_json(raw: &RawValue) -> Cow<'_, str> {
    serde_json::from_str::<Text<'_>>(raw.get()).map_or(Cow::Borrowed(raw.get()), |text| text.0)
}

/// The messages in a line: one, or those of a batch (2025-03-26). `None` if it is anything else.
pub(super) fn messages(line: &Bytes) -> Option<Vec<Message<'_>>> {
    if line.first() == Some(&b'[') {
        let batch: Vec<&RawValue> = serde_json::from_slice(line).ok()?;
        return batch
            .into_iter()
            .map(|raw| message(line, raw.get().as_bytes()))
            .collect();
    }
    Some(vec![message(line, line)?])
}

fn message<'a>(line: &Bytes, text: &'a [u8]) -> Option<Message<'a>> {
    let envelope: Envelope<'_> = serde_json::from_slice(text).ok()?;
    let Envelope {
        jsonrpc,
        id,
        method,
        params,
        result,
        error,
    } = envelope;
    match (method, id, result, error) {
        // A structured log line may well have a `method`; only a message says `jsonrpc`.
        (Some(_), ..) if jsonrpc.is_none() => None,
        (Some(Text(method)), Some(id), ..) => Some(Message::Request { id, method, params }),
        (Some(Text(method)), None, ..) => Some(Message::Notification { method, params }),
        (None, id, _, Some(error)) if id.is_some() || jsonrpc.is_some() => Some(Message::Reply {
            id: id.and_then(our_id),
            reply: Err(rpc_error(error)),
        }),
        (None, Some(id), Some(result), None) => Some(Message::Reply {
            id: our_id(id),
            reply: Ok(payload(line, result)),
        }),
        _ => None,
    }
}

/// Our ids are small integers; some servers send them back as `"7"` or `7.0`.
pub(super) fn our_id(raw: &RawValue) -> Option<u64> {
    let text = raw.get().trim_matches('"');
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// `result`, which is a part of `line`.
pub(super) fn payload(line: &Bytes, result: &RawValue) -> Payload {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Peek<'a> {
        #[serde(borrow)]
        is_error: Option<&'a RawValue>,
        #[serde(borrow)]
        result_type: Option<&'a RawValue>,
    }
    let peek: Peek<'_> = serde_json::from_str(result.get()).unwrap_or_default();
    Payload {
        raw: line.slice_ref(result.get().as_bytes()),
        is_error: peek.is_error.is_some_and(|raw| raw.get() == "true"),
        input_required: peek
            .result_type
            .is_some_and(|raw| raw.get() == "\"input_required\""),
    }
}

fn rpc_error(raw: &RawValue) -> Cause {
    #[derive(Default, Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let error: Error<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    Cause::Rpc {
        code: error
            .code
            .and_then(|code| code.get().parse().ok())
            .unwrap_or_default(),
        message: excerpt(&text_or_json(error.message.unwrap_or(raw)), MAX_REASON).to_string(),
        data: error.data.map(|data| excerpt(data.get(), MAX_REASON)),
    }
}

/// A request as one line of text, without the line break.
pub(super) fn request(id: u64, method: &str, params: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    struct Request<'a, P> {
        jsonrpc: &'static str,
        id: u64,
        method: &'a str,
        params: &'a P,
    }
    frame(&Request {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
}

pub(super) fn notification(method: &str, params: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    struct Notification<'a, P> {
        jsonrpc: &'static str,
        method: &'a str,
        params: &'a P,
    }
    frame(&Notification {
        jsonrpc: "2.0",
        method,
        params,
    })
}

/// The answer to a request of the server.
pub(super) fn response(id: &RawValue, answer: Result<Value, (i64, &str)>) -> Bytes {
    #[derive(Serialize)]
    struct Error<'a> {
        code: i64,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Response<'a> {
        jsonrpc: &'static str,
        id: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Error<'a>>,
    }
    let (result, error) = match answer {
        Ok(result) => (Some(result), None),
        Err((code, message)) => (None, Some(Error { code, message })),
    };
    frame(&Response {
        jsonrpc: "2.0",
        id,
        result,
        error,
    })
}

fn frame(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message)
        .expect("our messages have text keys and no failing parts")
        .into()
}

/// The caller's arguments: checked to be one JSON object, otherwise untouched, on one line.
pub(super) fn arguments(text: &str) -> Result<Box<RawValue>, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if !raw.get().starts_with('{') {
        return Err(format!("{} is not an object", kind(raw)));
    }
    // A line break can only be white space between tokens here: strings have them escaped.
    let line = raw.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line).map_err(|error| error.to_string())
}

/// What kind of JSON value it is, in words.
pub(super) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Text of a server for one of our sentences, cut after `most` characters.
pub(crate) fn excerpt(text: &str, most: usize) -> Arc<str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
