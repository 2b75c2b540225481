//! Why a request gets no result: a JSON-RPC error and the HTTP status that goes with it.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON-RPC error with its HTTP status.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: i64,
    pub message: Cow<'static, str>,
    pub data: Option<Value>,
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
    /// Whether what else the client sends is worth reading.
    pub close: bool,
}

impl Refusal {
    /// With 400 Bad Request.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
            data: None,
            header: None,
            close: false,
        }
    }

    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    #[must_use]
    pub fn data(self, data: Value) -> Self {
        Self {
            data: Some(data),
            ..self
        }
    }

    #[must_use]
    pub fn header(self, name: HeaderName, value: &'static str) -> Self {
        Self {
            header: Some(Box::new((name, HeaderValue::from_static(value)))),
            ..self
        }
    }

    /// The connection ends with this answer.
    #[must_use]
    pub fn closing(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    /// The error as a message. A refusal of what has no id, or none that could be read, says `null`.
    pub fn message(&self, id: Option<&RawValue>) -> Bytes {
        #[derive(Serialize)]
        struct Message<'a> {
            jsonrpc: &'static str,
            id: Option<&'a RawValue>,
            error: Error<'a>,
        }
        #[derive(Serialize)]
        struct Error<'a> {
            code: i64,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Value>,
        }
        let error = Error {
            code: self.code,
            message: &self.message,
            data: self.data.as_ref(),
        };
        let message = Message {
            jsonrpc: "2.0",
            id,
            error,
        };
        serde_json::to_vec(&message)
            .expect("our messages have text keys and no failing parts")
            .into()
    }
}
