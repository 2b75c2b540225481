//! Tool calls that an API passes on to its instances: `call_tool_endpoint_template`.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Method, Url};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::client::{Api, Request, failure};
use crate::drivers::{CallTools, Contact, Task};
use crate::model::{Failure, Stage};

/// How often a call that cannot have arrived is sent.
const ATTEMPTS: u32 = 3;

/// Calls the tools of one instance.
pub(super) struct Calls {
    pub api: Arc<Api>,
    pub url: Url,
    pub contact: Contact,
}

#[derive(Serialize)]
struct Body<'a> {
    tool_name: &'a str,
    arguments: &'a RawValue,
}

impl CallTools for Calls {
    fn call<'a>(&'a self, tool: &'a str, arguments: &'a RawValue, limit: usize) -> Task<'a, Bytes> {
        Box::pin(async move {
            let body = Body {
                tool_name: tool,
                arguments,
            };
            let body = serde_json::to_vec(&body).map_err(|error| {
                Failure::caused_by(Stage::Call, "the call cannot be written", error)
            })?;
            let request = Request {
                method: Method::POST,
                url: self.url.clone(),
                body: body.into(),
                key: None,
                repeats: 0,
                limit: Some(limit),
                // The call has a deadline of its own, which can be moved.
                timeout: None,
                until: Instant::now() + self.api.config.timeout,
                attempts: ATTEMPTS,
            };
            let tell = |text: &str| tracing::debug!("call of {tool}: {text}");
            let answer = self.api.ask(&request, &tell).await;
            let answer = answer
                .map(|answer| answer.body)
                .map_err(|unanswered| unanswered.cause);
            match &answer {
                Ok(_) => self.contact.answered(),
                Err(cause) => self.contact.failed(cause),
            }
            answer.map_err(|cause| failure(Stage::Call, cause))
        })
    }
}
