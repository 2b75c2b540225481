//! A tool call that is no MCP request: somebody passes it on over plain HTTP.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::calls::{checked, expired, too_late};
use super::dispatch::elsewhere_if_large;
use super::link::Leg;
use super::{Answer, CallControl, NoAnswer, wire};
use crate::drivers::CallTools;
use crate::model::{Cause, Failure, Obedience, Stage};

/// Characters of an unusable answer in our sentence.
const EXCERPT: usize = 200;

pub(super) async fn call(
    calls: &dyn CallTools,
    limit: usize,
    tool: &str,
    arguments: &str,
    control: CallControl,
) -> Result<Answer, NoAnswer> {
    let arguments = checked(arguments)?;
    let CallControl {
        cancel,
        mut deadline,
        ..
    } = control;
    let started = Instant::now();
    let body = tokio::select! {
        biased;
        body = calls.call(tool, &arguments, limit) => body?,
        // Closing the connection is all that tells of it; what the API does then cannot be seen.
        () = cancel.cancelled() => return Err(NoAnswer::Cancelled(Obedience::Silent)),
        at = expired(&mut deadline) => return Err(too_late(started, at, Leg::Asked)),
    };
    let read = elsewhere_if_large(body, answer).await;
    read.unwrap_or_else(|| Err(Failure::new(Stage::Call, Cause::Closed)))
        .map_err(NoAnswer::Failed)
}

/// A `CallToolResult` as it came; any other JSON as the content of one.
fn answer(body: &Bytes) -> Result<Answer, Failure> {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(body) else {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
        let text = format!("the API answered the call with no JSON: {text}");
        let text = wire::excerpt(&text, EXCERPT).to_string();
        return Err(Failure::new(Stage::Call, Cause::Protocol(text)));
    };
    if is_result(raw) {
        let payload = wire::payload(body, raw);
        return Ok(Answer {
            raw: payload.raw,
            is_error: payload.is_error,
        });
    }
    let text = wire::text_or_json(raw);
    let mut result = json!({ "content": [{ "type": "text", "text": text }] });
    if let Ok(Value::Object(structured)) = serde_json::from_str(raw.get()) {
        result["structuredContent"] = structured.into();
    }
    Ok(Answer {
        raw: result.to_string().into(),
        is_error: false,
    })
}

fn is_result(raw: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let peek = serde_json::from_str::<Peek<'_>>(raw.get());
    peek.is_ok_and(|peek| peek.content.get().starts_with('['))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    #[test]
    fn a_result_passes_as_it_is_and_anything_else_becomes_one() {
        for (body, right, is_error) in [
            (
                r#" {"content":[ ],"isError":true,"_meta":{"a":1.50}} "#,
                r#"{"content":[ ],"isError":true,"_meta":{"a":1.50}}"#,
                true,
            ),
            (
                r#"{"rows":2}"#,
                r#"{"content":[{"type":"text","text":"{\"rows\":2}"}],"structuredContent":{"rows":2}}"#,
                false,
            ),
            (
                r#""done""#,
                r#"{"content":[{"type":"text","text":"done"}]}"#,
                false,
            ),
        ] {
            let answer = answer(&Bytes::from_static(body.as_bytes())).unwrap();
            assert_eq!(answer.raw, right.as_bytes(), "{body}");
            assert_eq!(answer.is_error, is_error, "{body}");
        }
        let failure = answer(&Bytes::from_static(b"<html>oops")).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "call: the API answered the call with no JSON: <html>oops"
        );
    }
}
