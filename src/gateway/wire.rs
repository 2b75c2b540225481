//! JSON-RPC as text: what a client's message says, without building what it carries.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::refusal::Refusal;

/// JSON-RPC 2.0, section 5.1.
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
/// What the protocol's libraries use for errors of the transport.
pub(super) const TRANSPORT: i64 = -32000;
/// The same, for sessions that are gone.
pub(super) const NO_SESSION: i64 = -32001;
/// MCP 2026-07-28, "Error Codes".
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// A message of a client. Everything borrows from the body of its request.
#[derive(Debug)]
pub(super) enum Message<'a> {
    /// The id goes back as it came.
    Request {
        id: &'a RawValue,
        call: Call<'a>,
    },
    Notification(Call<'a>),
    /// An answer to something we never ask.
    Response,
}

/// A method and its parameters.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub method: Cow<'a, str>,
    pub params: Option<&'a RawValue>,
}

/// A JSON string, borrowed where it has no escapes. (`Option<Cow<str>>` would always copy.)
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string in `raw`, if it is one.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get())
        .ok()
        .map(|text| text.0)
}

/// A field whose absence and whose `null` are not the same.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The one message in a body.
pub(super) fn message(body: &[u8]) -> Result<Message<'_>, Refusal> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        let text = "a batch: send one message a request";
        return Err(Refusal::new(INVALID_REQUEST, text));
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let invalid = |text: &str| {
        Err(Refusal::new(
            INVALID_REQUEST,
            format!("not JSON-RPC: {text}"),
        ))
    };
    if envelope.jsonrpc.is_none_or(|version| version.0 != "2.0") {
        return invalid("`jsonrpc` is not \"2.0\"");
    }
    let params = envelope.params;
    match (envelope.method, envelope.id) {
        (Some(_), Some(id)) if !is_id(id) => invalid("`id` is neither text nor a number"),
        (Some(Text(method)), Some(id)) => Ok(Message::Request {
            id,
            call: Call { method, params },
        }),
        (Some(Text(method)), None) => Ok(Message::Notification(Call { method, params })),
        (None, Some(_)) if envelope.result.is_some() || envelope.error.is_some() => {
            Ok(Message::Response)
        }
        (None, _) => invalid("there is no `method`"),
    }
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    if error.is_data() {
        Refusal::new(INVALID_REQUEST, format!("not JSON-RPC: {error}"))
    } else {
        Refusal::new(PARSE_ERROR, format!("not JSON: {error}"))
    }
}

fn is_id(id: &RawValue) -> bool {
    matches!(id.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

/// Reads the parameters of a request; without any, those of `{}`.
pub(super) fn params<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, Refusal> {
    let text = params.map_or("{}", RawValue::get);
    serde_json::from_str(text)
        .map_err(|error| Refusal::new(INVALID_PARAMS, format!("invalid params: {error}")))
}

/// A number as it is usually written: whole ones without a fraction.
pub(super) fn number(number: f64) -> Value {
    // Up to 2^53 every whole number has its own `f64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "checked above")]
        return Value::from(number as i64);
    }
    Value::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (i64, String) {
        let refusal = message(body.as_bytes()).expect_err(body);
        (refusal.code, refusal.message.to_string())
    }

    #[test]
    fn a_request_keeps_its_id_and_its_params_as_they_came() {
        let body =
            br#" {"params":{"a":1.00},"id":"x\u0031","method":"tools/call","jsonrpc":"2.0"}"#;
        let Ok(Message::Request { id, call }) = message(body) else {
            panic!("a request")
        };
        assert_eq!(id.get(), r#""x\u0031""#);
        assert_eq!(call.method, "tools/call");
        assert_eq!(call.params.map(RawValue::get), Some(r#"{"a":1.00}"#));
    }

    #[test]
    fn notifications_and_answers_are_told_apart() {
        fn is(body: &str) -> Message<'_> {
            message(body.as_bytes()).expect(body)
        }
        let ping = is(r#"{"jsonrpc":"2.0","method":"ping"}"#);
        assert!(matches!(ping, Message::Notification(_)));
        for answer in [
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
        ] {
            assert!(matches!(is(answer), Message::Response), "{answer}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for broken in ["", "{", "nonsense", "\u{feff}{}"] {
            assert_eq!(refused(broken).0, PARSE_ERROR, "{broken}");
        }
        for (odd, word) in [
            ("{}", "jsonrpc"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "jsonrpc"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "method"),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "invalid type"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batch"),
            ("\"text\"", "invalid type"),
        ] {
            let (code, message) = refused(odd);
            assert_eq!(code, INVALID_REQUEST, "{odd}");
            assert!(message.contains(word), "{odd}: {message}");
        }
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(number(5.0).to_string(), "5");
        assert_eq!(number(0.5).to_string(), "0.5");
        assert_eq!(number(-3.0).to_string(), "-3");
        assert_eq!(number(1e300).to_string(), "1e+300");
        assert_eq!(number(f64::NAN), Value::Null);
    }
}
