//! `list_backend_tools`: what one instance offers now, as it says it.

use bytes::Bytes;

use super::arguments::{Fields, Mistake};
use super::{Outcome, Tools};
use crate::model::ToolSpec;
use crate::orchestrator::Reply;

impl Tools {
    pub(super) async fn list_backend_tools(&self, fields: &Fields<'_>) -> Result<Outcome, Mistake> {
        let (session, instance) = self.instance(fields)?;
        match self.handle.list_tools(instance, session).await {
            Ok(Reply::Listed(tools)) => Ok(Outcome::Theirs {
                raw: list(tools.iter().map(|tool| &**tool)),
                is_error: false,
            }),
            Ok(_) => Err("the orchestrator gave an answer to something else".to_owned()),
            Err(failure) => Err(failure.to_string()),
        }
    }
}

fn list<'a>(tools: impl Iterator<Item = &'a ToolSpec>) -> Bytes {
    let mut list = b"{\"tools\":[".to_vec();
    for (index, tool) in tools.enumerate() {
        if index > 0 {
            list.push(b',');
        }
        list.extend_from_slice(tool.raw.as_bytes());
    }
    list.extend_from_slice(b"]}");
    list.into()
}
