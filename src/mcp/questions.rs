//! What a server may ask of its client, and how it is answered: at once, so that no call hangs on a
//! question. The one place to change when the console can put questions to the operator.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::wire::{self, METHOD_NOT_FOUND, Payload};
use crate::model::{Failure, Stage};
use crate::stores::logs::{LogWriter, Source};

/// A JSON-RPC error of ours: code and message.
pub(super) type Refusal = (i64, &'static str);

/// Sampling has no code for "cannot"; the specification's example is -1, "rejected by the user".
const REJECTED: i64 = -1;

/// What we announce. Neither sampling nor elicitation: a server that is told so can do without.
pub(super) fn capabilities() -> Value {
    json!({ "roots": { "listChanged": false } })
}

/// The answer to a server's request.
pub(super) fn answer(
    method: &str,
    params: Option<&RawValue>,
    log: &LogWriter,
) -> Result<Value, Refusal> {
    match method {
        "ping" => Ok(json!({})),
        "roots/list" => Ok(json!({ "roots": [] })),
        "elicitation/create" => {
            let question = asked(params);
            log.line(
                Source::Envdeck,
                &format!("declined the server's question: {question}"),
            );
            Ok(json!({ "action": "decline" }))
        }
        "sampling/createMessage" => {
            log.line(
                Source::Envdeck,
                "refused the server's request for a model's answer",
            );
            Err((REJECTED, "envdeck has no model"))
        }
        _ => {
            log.line(
                Source::Envdeck,
                &format!("the server asked for {method}, unknown to envdeck"),
            );
            Err((METHOD_NOT_FOUND, "envdeck does not know this method"))
        }
    }
}

/// What to send along when a call is tried again after its questions were answered (2026-07-28,
/// multi round-trip requests).
pub(super) fn answers(payload: &Payload, log: &LogWriter) -> Result<Map<String, Value>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Required<'a> {
        #[serde(borrow, default)]
        input_requests: std::collections::BTreeMap<String, Question<'a>>,
        request_state: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Question<'a> {
        method: String,
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let required: Required<'_> = serde_json::from_slice(&payload.raw)
        .map_err(|error| Failure::caused_by(Stage::Call, "the server's questions", error))?;
    let mut responses = Map::new();
    for (key, Question { method, params }) in required.input_requests {
        let response = answer(&method, params, log).map_err(|(_, reason)| {
            Failure::other(
                Stage::Call,
                format!("the tool needs {method}, and {reason}"),
            )
        })?;
        responses.insert(key, response);
    }
    let mut extra = Map::new();
    if !responses.is_empty() {
        extra.insert("inputResponses".to_owned(), responses.into());
    }
    extra.extend(
        required
            .request_state
            .map(|state| ("requestState".to_owned(), state)),
    );
    Ok(extra)
}

/// The question in an elicitation, for the log.
fn asked(params: Option<&RawValue>) -> String {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        message: wire::Text<'a>,
    }
    let asked = params.and_then(|params| serde_json::from_str::<Asked<'_>>(params.get()).ok());
    asked.map_or_else(|| "(none)".to_owned(), |asked| asked.message.0.into_owned())
}
