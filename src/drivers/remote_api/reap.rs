//! What killed runs left with APIs, and what this one could not give back.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::RemoteApis;
use super::journal::{self, Debt, Found};
use crate::drivers::{Life, Trace};
use crate::model::{Cause, Failure, InstanceId, RunId, Stage};

/// For deleting what one run left.
const PATIENCE: Duration = Duration::from_secs(20);

/// Removes what dead runs left; tells of what stays and keeps it in their journals.
pub(super) async fn reap(apis: &RemoteApis, run: &RunId) -> Result<usize, Failure> {
    let found = look(&apis.directory).await?;
    let dead = found
        .into_iter()
        .filter(|found| !found.is_alive && found.run != *run);
    let paid = join_all(dead.map(|found| settle(apis, found))).await;
    let (mut count, mut failures) = (0, vec![]);
    for (done, failed) in paid {
        count += done;
        failures.extend(failed);
    }
    all_or_told(failures.into_iter().map(Err).collect())?;
    Ok(count)
}

async fn settle(apis: &RemoteApis, found: Found) -> (usize, Vec<Failure>) {
    let until = Instant::now() + PATIENCE;
    let paid = join_all(found.debts.iter().map(|debt| apis.pay(debt, until))).await;
    let (mut left, mut failures) = (vec![], vec![]);
    for paid in paid {
        if let Err((failure, owed)) = paid {
            // What is lost is told, and then there is nothing more that could be done about it.
            left.extend(owed.into_iter().filter(|debt| !debt.is_lost));
            failures.push(failure);
        }
    }
    if let Err(error) = found.keep(&left) {
        let text = "the journal of remote instances cannot be written";
        failures.push(Failure::caused_by(Stage::Remove, text, error));
    }
    (found.debts.len().saturating_sub(left.len()), failures)
}

async fn look(directory: &Path) -> Result<Vec<Found>, Failure> {
    let directory = directory.to_owned();
    // The directories of runs may be locked for a moment.
    let found = tokio::task::spawn_blocking(move || journal::all(&directory)).await;
    let found = found.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    found.map_err(|error| {
        Failure::caused_by(Stage::Remove, "the journals of remote instances", error)
    })
}

/// Everything in the journals of all runs.
pub(super) async fn traces(directory: &Path) -> Result<Vec<Trace>, Failure> {
    let found = look(directory).await?;
    let traces = found.into_iter().flat_map(|found| {
        let life = if found.is_alive {
            Life::Lives
        } else {
            Life::Dead
        };
        let run = found.run;
        let trace = move |debt: Debt| Trace {
            kind: kind(&debt),
            id: debt.name().to_owned(),
            what: format!("{} at {}", debt.resource, debt.api.url),
            run: Some(run.clone()),
            instance: debt.instance.map(InstanceId::new),
            life,
        };
        found.debts.into_iter().map(trace)
    });
    Ok(traces.collect())
}

fn kind(debt: &Debt) -> &'static str {
    match debt.id {
        Some(_) => "remote instance",
        None => "remote request",
    }
}

/// Why a debt stays.
pub(super) fn unpaid(debt: &Debt, cause: &Cause) -> Failure {
    let hint = match cause {
        Cause::Other(_) => "look there for what nobody uses",
        _ => "`envdeck gc` and the next start try again",
    };
    let text = format!("{} {}: {cause}", kind(debt), debt.name());
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
        kind(debt),
        debt.name(),
        debt.api.url
    );
    let file = debt.api.configured_in.display();
    Failure::other(Stage::Remove, text)
        .hint(format!("`envdeck gc` finds its credentials in {file}"))
}

/// The first failure, and how many more there are.
pub(super) fn all_or_told(results: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let mut failures = results.into_iter().filter_map(Result::err);
    let Some(mut first) = failures.next() else {
        return Ok(());
    };
    let more = failures.count();
    if more > 0 {
        let text = format!("{} (and {more} more)", first.cause);
        first.cause = Cause::Other(text);
    }
    Err(first)
}
