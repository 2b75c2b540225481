//! `call_backend_tool`: one call through the pipeline that all calls take, and its answer as it is.

use bytes::Bytes;

use super::arguments::{Fields, Mistake, kind};
use super::{Asker, Outcome, Tools};
use crate::model::{self, Obedience, ToolCall};
use crate::orchestrator::{OnProgress, Reply};

impl Tools {
    pub(super) async fn call_backend_tool(
        &self,
        fields: &Fields<'_>,
        asker: Asker,
    ) -> Result<Outcome, Mistake> {
        let (session, instance) = self.instance(fields)?;
        let call = ToolCall {
            instance,
            tool: fields.text("tool_name")?.into(),
            arguments: tool_args(fields)?.into(),
            caller: asker.caller(),
            timeout: None,
        };
        let progress = asker
            .listener
            .map(|listener| -> OnProgress { Box::new(move |latest| listener.hear(latest)) });
        match self.handle.call(call, session, progress).await {
            Ok(Reply::Called(outcome, raw)) => answer(&outcome, raw),
            Ok(_) => Err("the orchestrator gave an answer to something else".to_owned()),
            Err(failure) => Err(failure.to_string()),
        }
    }
}

fn answer(outcome: &model::Outcome, raw: Option<Bytes>) -> Result<Outcome, Mistake> {
    let is_error = match outcome {
        model::Outcome::Done(_) => false,
        model::Outcome::ToolError(_) => true,
        model::Outcome::Failed(failure) => return Err(failure.to_string()),
        model::Outcome::Cancelled(obedience) => return Err(cancelled(*obedience).to_owned()),
    };
    match raw {
        Some(raw) if raw.trim_ascii_start().first() == Some(&b'{') => {
            Ok(Outcome::Theirs { raw, is_error })
        }
        _ => Err("the backend's answer is not a JSON object".to_owned()),
    }
}

/// The text of one object; `{}` where there is none.
fn tool_args<'a>(fields: &Fields<'a>) -> Result<&'a str, Mistake> {
    match fields.get("tool_args") {
        None => Ok("{}"),
        Some(object) if object.get().starts_with('{') => Ok(object.get()),
        Some(other) => Err(format!(
            "`tool_args` must be an object, not {}",
            kind(other)
        )),
    }
}

/// The operator did it: had it been the client, nobody would be told.
fn cancelled(obedience: Obedience) -> &'static str {
    match obedience {
        Obedience::Confirmed | Obedience::Silent => "the operator cancelled the call",
        Obedience::Ignored => "the operator cancelled the call; the backend went on with it",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn args(arguments: &str) -> Result<String, Mistake> {
        let raw = RawValue::from_string(arguments.to_owned()).expect("JSON");
        let fields = Fields::of(Some(&raw), "it")?;
        tool_args(&fields).map(str::to_owned)
    }

    #[test]
    fn the_arguments_of_the_tool_pass_as_they_came() {
        let digits = r#"{"tool_args":{ "n": 1.00000000000000000000000001 }}"#;
        assert_eq!(
            args(digits).as_deref(),
            Ok(r#"{ "n": 1.00000000000000000000000001 }"#)
        );
        assert_eq!(args("{}").as_deref(), Ok("{}"));
        assert_eq!(args(r#"{"tool_args":null}"#).as_deref(), Ok("{}"));
        assert!(args(r#"{"tool_args":[]}"#).is_err());
    }
}
