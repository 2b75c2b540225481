//! What stays of killed runs and of this one, in words.

use std::time::Duration;

use super::journal::Debt;
use crate::model::{Cause, Failure, Stage};

/// Why a debt stays.
pub(super) fn unpaid(debt: &Debt, cause: &Cause) -> Failure {
    let hint = match cause {
        Cause::Other(_) => "look there for what nobody uses",
        _ => "`envdeck gc` and the next start try again",
    };
    let text = format!("{} {}: {cause}", debt.kind(), debt.name());
    Failure::other(Stage::Remove, text).hint(hint)
}

/// Requests are under way that the end of the run does not wait for.
pub(super) fn unfinished(after: Duration) -> Failure {
    let what = "requests to remote APIs that are under way".into();
    let failure = Failure::new(Stage::Remove, Cause::Deadline { what, after });
    failure.hint("`envdeck gc` and the next start see to what they made")
}

/// Why nobody here can pay it.
pub(super) fn unknown(debt: &Debt) -> Failure {
    let text = format!(
        "{} {} of {}: this API is not configured here",
        debt.kind(),
        debt.name(),
        debt.api.url
    );
    let file = debt.api.configured_in.display();
    Failure::other(Stage::Remove, text)
        .hint(format!("`envdeck gc` finds its credentials in {file}"))
}
