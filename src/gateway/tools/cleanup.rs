//! `cleanup_session`: takes down all that a session owns.

use serde_json::json;

use super::arguments::{Fields, Mistake};
use super::{Outcome, Tools};
use crate::model::{Command, Failure};
use crate::orchestrator::Reply;

const CLEANED: &str = "cleaned";
const NOTHING_THERE: &str = "custom_session_data_not_found_or_already_cleaned";

impl Tools {
    pub(super) async fn cleanup_session(&self, fields: &Fields<'_>) -> Result<Outcome, Mistake> {
        let named = fields.text("rk_session_id")?;
        let status = match self.session(&named) {
            None => NOTHING_THERE,
            Some(session) => {
                self.shared.lock().remove(&session);
                match self.handle.request(Command::CloseSession(session)).await {
                    Ok(Reply::Closed(left)) if !left.is_empty() => return Err(left_behind(&left)),
                    Ok(_) => CLEANED,
                    // Somebody else was faster.
                    Err(_) if self.session(&named).is_none() => NOTHING_THERE,
                    Err(failure) => return Err(failure.to_string()),
                }
            }
        };
        Ok(Outcome::Ours(
            json!({ "status": status, "rk_session_id": named }),
        ))
    }
}

fn left_behind(left: &[Failure]) -> Mistake {
    let left: Vec<_> = left.iter().map(ToString::to_string).collect();
    format!(
        "the session is closed, but something may be left of it: {}",
        left.join("; ")
    )
}
