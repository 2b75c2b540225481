//! The pipeline that every tool call takes, whoever asks for it: validate, send, steer, record.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::core::Seat;
use super::desk::Levers;
use super::handle::OnProgress;
use super::{deadline::Deadline, deadline::timestamp, words};
use crate::mcp::{Answer, CallControl, NoAnswer, ToolClient};
use crate::model::{
    Call, CallState, Cause, Failure, Happening, Mode, Outcome, Progress, SessionId, Stage, ToolCall,
};
use crate::stores::history::Record;
use crate::stores::logs::Source;

/// Progress of one call is reported no more often than this; the last one always is.
const PROGRESS_PACE: Duration = Duration::from_millis(50);
/// A closed connection usually has a reason that is known a moment later, such as the exit of the process.
const REASON_WAIT: Duration = Duration::from_secs(2);

/// Why an instance is gone, once it is.
pub(super) type Gone = watch::Receiver<Option<Failure>>;

/// A call that was accepted and numbered; [`run`] makes it.
pub(super) struct Accepted {
    pub call: Arc<Call>,
    /// The latest progress, for whoever watches.
    pub progress: Arc<watch::Sender<Option<Progress>>>,
    levers: Levers,
    deadline: Deadline,
    /// Who hears of each step of it.
    listener: Option<OnProgress>,
}

impl Accepted {
    /// Tells the server to give up.
    pub fn cancel(&self) -> CancellationToken {
        self.levers.cancel.clone()
    }
}

/// Checks what can be checked before anything is sent, and gives the call its number.
pub(super) fn accept(
    seat: &Seat,
    asked: ToolCall,
    session: SessionId,
    listener: Option<OnProgress>,
) -> Result<Accepted, Failure> {
    check_arguments(&asked.arguments)?;
    let backend = &seat.backend;
    let wait = asked.timeout.unwrap_or(backend.call_timeout);
    let deadline = Deadline::new(Instant::now(), wait, backend.call_max_timeout);
    let (id, levers) = seat.core.calls.open();
    let call = Call {
        id,
        session,
        instance: seat.id.clone(),
        backend: backend.name.clone(),
        tool: asked.tool,
        arguments: asked.arguments,
        caller: asked.caller,
        started: Timestamp::now(),
        deadline: timestamp(deadline.at()),
        progress: None,
        state: CallState::Running,
    };
    let progress = Arc::new(watch::Sender::new(None));
    Ok(Accepted {
        call: Arc::new(call),
        progress,
        levers,
        deadline,
        listener,
    })
}

/// One JSON object, without building it: arguments may be large and keep the digits that were typed.
fn check_arguments(text: &str) -> Result<(), Failure> {
    serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
        .map(drop)
        .map_err(|error| {
            Failure::other(
                Stage::Call,
                format!("the arguments are not a JSON object: {error}"),
            )
            .hint("write `{}` for no arguments")
        })
}

/// Makes the call and reports all of it; returns it ended, with the answer as it came. It ends at its deadline, at once when the instance is
/// gone, and also when the task that owns the other end of `gone` gives up.
pub(super) async fn run(
    seat: Arc<Seat>,
    client: ToolClient,
    gone: Gone,
    accepted: Accepted,
) -> (Arc<Call>, Option<Bytes>) {
    let began = Instant::now();
    let Accepted {
        call,
        progress,
        levers,
        deadline,
        listener,
    } = accepted;
    seat.report(Happening::CallStarted { call: call.clone() })
        .await;
    let talk = Conversation {
        seat: &seat,
        call: &call,
        levers: &levers,
        deadline,
    };
    let answer = AssertUnwindSafe(talk.hold(&client, gone, progress, listener))
        .catch_unwind()
        .await;
    let answer = answer.unwrap_or_else(|panic| {
        let cause = Cause::Panic(words::panic_text(panic.as_ref()));
        Err(NoAnswer::Failed(Failure::new(Stage::Call, cause)))
    });
    let took = began.elapsed();
    let raw = answer.as_ref().ok().map(|answer| answer.raw.clone());
    let (outcome, size) = match answer {
        Ok(answer) => keep(&seat, answer),
        Err(NoAnswer::Cancelled(obedience)) => (Outcome::Cancelled(obedience), 0),
        Err(NoAnswer::Failed(failure)) => (Outcome::Failed(seat.backend.mode.named(failure)), 0),
    };
    seat.log.line(
        Source::Envdeck,
        &words::call_line(call.id, &call.tool, &outcome, took, size),
    );
    let state = CallState::Ended {
        outcome,
        at: Timestamp::now(),
        took,
        size,
    };
    seat.core.calls.close(call.id);
    seat.report(Happening::CallEnded {
        call: call.id,
        state: state.clone(),
    })
    .await;
    let mut ended = Arc::unwrap_or_clone(call);
    ended.state = state;
    if let (Some(history), Some(record)) = (&seat.core.history, Record::of(&ended)) {
        history.append(record);
    }
    (Arc::new(ended), raw)
}

fn keep(seat: &Seat, answer: Answer) -> (Outcome, u64) {
    let meta = seat.core.results.insert(answer.raw, answer.is_error);
    let outcome = if answer.is_error {
        Outcome::ToolError
    } else {
        Outcome::Done
    };
    (outcome(meta.id), meta.size)
}

/// A call while it runs.
struct Conversation<'a> {
    seat: &'a Seat,
    call: &'a Call,
    levers: &'a Levers,
    deadline: Deadline,
}

impl Conversation<'_> {
    async fn hold(
        mut self,
        client: &ToolClient,
        mut gone: Gone,
        progress: Arc<watch::Sender<Option<Progress>>>,
        listener: Option<OnProgress>,
    ) -> Result<Answer, NoAnswer> {
        let id = self.call.id;
        let (deadline, limit) = watch::channel(self.deadline.at());
        let mut news = progress.subscribe();
        let mut extra = self.levers.extra.subscribe();
        let mut granted = Duration::ZERO;
        let (mut cancelling, mut unreported, mut next_report) = (false, false, Instant::now());
        let control = CallControl {
            cancel: self.levers.cancel.clone(),
            deadline: limit,
            progress: Box::new(move |latest| {
                if let Some(listener) = &listener {
                    listener(&latest);
                }
                progress.send_replace(Some(latest));
            }),
        };
        let mut answer = pin!(client.call(&self.call.tool, &self.call.arguments, control));
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                reason = reason(&mut gone) => break Err(NoAnswer::Failed(interrupted(reason))),
                () = self.levers.cancel.cancelled(), if !cancelling => {
                    cancelling = true;
                    self.seat.report(Happening::CallCancelling { call: id }).await;
                }
                Ok(()) = extra.changed() => {
                    let total = *extra.borrow_and_update();
                    self.deadline.extend(total.saturating_sub(granted));
                    granted = total;
                    deadline.send_replace(self.deadline.at());
                    let until = timestamp(self.deadline.at());
                    self.seat.report(Happening::CallExtended { call: id, deadline: until }).await;
                }
                Ok(()) = news.changed() => {
                    self.deadline.progress(Instant::now());
                    deadline.send_replace(self.deadline.at());
                    unreported = true;
                }
                () = sleep_until(next_report), if unreported => {
                    unreported = false;
                    next_report = Instant::now() + PROGRESS_PACE;
                    self.report_progress(&news).await;
                }
            }
        };
        if unreported || news.has_changed().unwrap_or(false) {
            self.report_progress(&news).await;
        }
        if self.may_have_ended(&answer) {
            return explained(answer, gone).await;
        }
        answer
    }

    /// Whether the end of the instance may be why there is no answer. What somebody else runs has no end that
    /// could be seen from here.
    fn may_have_ended(&self, answer: &Result<Answer, NoAnswer>) -> bool {
        let Err(NoAnswer::Failed(failure)) = answer else {
            return false;
        };
        match failure.cause {
            Cause::Closed => true,
            Cause::Unreachable { .. } => !matches!(
                self.seat.backend.mode,
                Mode::External(_) | Mode::RemoteHttpApi(_)
            ),
            _ => false,
        }
    }

    async fn report_progress(&self, news: &watch::Receiver<Option<Progress>>) {
        let latest = news.borrow().clone();
        if let Some(progress) = latest {
            let deadline = timestamp(self.deadline.at());
            self.seat
                .report(Happening::CallProgressed {
                    call: self.call.id,
                    progress,
                    deadline,
                })
                .await;
        }
    }
}

/// "The connection closed" is seldom the whole story: waits for the reason, shortly.
async fn explained(answer: Result<Answer, NoAnswer>, mut gone: Gone) -> Result<Answer, NoAnswer> {
    match answer {
        Err(NoAnswer::Failed(failure)) => {
            let known = timeout(REASON_WAIT, reason(&mut gone)).await;
            Err(NoAnswer::Failed(known.map_or(failure, interrupted)))
        }
        other => other,
    }
}

/// Resolves when the instance is gone.
pub(super) async fn reason(gone: &mut Gone) -> Failure {
    match gone.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone(),
        Err(_) => None,
    }
    .unwrap_or_else(|| Failure::other(Stage::Call, "the instance was taken down"))
}

/// The failure of a call whose instance ended under it.
fn interrupted(reason: Failure) -> Failure {
    let failure = Failure {
        stage: Stage::Call,
        phase: None,
        ..reason
    };
    match (&failure.cause, &failure.hint) {
        // Taken down on purpose, and says so.
        (Cause::Other(_), _) | (_, Some(_)) => failure,
        (_, None) => failure.hint("the instance ended while the call was running"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_must_be_one_json_object() {
        for good in [
            "{}",
            " {\"a\": 1.00000000000000000000000001} ",
            "{\"a\":{\"b\":[1,2]}}",
        ] {
            assert!(check_arguments(good).is_ok(), "{good}");
        }
        for bad in ["", "[]", "null", "1", "{", "{} {}", "{\"a\"}"] {
            let failure = check_arguments(bad).expect_err(bad);
            assert!(
                failure.to_string().contains("not a JSON object"),
                "{bad}: {failure}"
            );
        }
    }
}
