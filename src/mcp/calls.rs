//! One tool call: sent, watched, and ended by its answer, its deadline, a cancellation or the end of
//! the connection.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::hints::failure;
use super::link::{Goodbye, Leg, Link, OnProgress, Request, Ticket};
use super::wire::{self, Payload};
use super::{Answer, CallControl, NoAnswer, questions, tools};
use crate::model::{Cause, Failure, Obedience, Progress, Stage};

/// Questions of a server before its answer; the number the protocol's own libraries use.
const MAX_ROUNDS: usize = rmcp::model::DEFAULT_MRTR_MAX_ROUNDS;
/// How long to watch what a server does after it was told to cancel.
const WATCH: Duration = Duration::from_secs(5);
/// Silence this long at the end of that is obedience: many servers look for a cancellation only between two steps.
const SILENCE: Duration = Duration::from_millis(2_500);

pub(super) async fn call(
    link: &Arc<Link>,
    tool: &str,
    arguments: &str,
    control: CallControl,
) -> Result<Answer, NoAnswer> {
    let arguments = checked(arguments)?;
    let mut running = Running::new(link, control);
    let mut params = Params {
        name: tool,
        arguments,
        extra: Map::new(),
    };
    let mut relisted = false;
    for _ in 0..MAX_ROUNDS {
        let payload = match running.round(&params).await {
            // The tool wants other parameters repeated than when it was listed.
            Err(NoAnswer::Failed(failure)) if !relisted && is_header_mismatch(&failure) => {
                relisted = true;
                running.relist().await;
                continue;
            }
            ended => ended?,
        };
        if !payload.input_required {
            return Ok(Answer {
                raw: payload.raw,
                is_error: payload.is_error,
            });
        }
        params.extra = questions::answers(&payload, &link.log)?;
    }
    let text = format!("the server asked {MAX_ROUNDS} times without an answer");
    Err(Failure::other(Stage::Call, text).into())
}

/// The arguments, if they are a JSON object.
pub(super) fn checked(arguments: &str) -> Result<Box<RawValue>, Failure> {
    wire::arguments(arguments).map_err(|problem| {
        let text = format!("the arguments are not a JSON object: {problem}");
        Failure::other(Stage::Call, text).hint("write {} for none")
    })
}

#[derive(Serialize)]
struct Params<'a> {
    name: &'a str,
    arguments: Box<RawValue>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

struct Running<'a> {
    link: &'a Arc<Link>,
    cancel: CancellationToken,
    deadline: watch::Receiver<Instant>,
    started: Instant,
    watched: Arc<Watched>,
}

impl<'a> Running<'a> {
    fn new(link: &'a Arc<Link>, control: CallControl) -> Self {
        let CallControl {
            cancel,
            deadline,
            progress,
        } = control;
        let watched = Watched {
            show: progress,
            cancelled: Mutex::default(),
        };
        Self {
            link,
            cancel,
            deadline,
            started: Instant::now(),
            watched: Arc::new(watched),
        }
    }

    /// One request and its reply.
    async fn round(&mut self, params: &Params<'_>) -> Result<Payload, NoAnswer> {
        let hook: OnProgress = {
            let watched = self.watched.clone();
            Arc::new(move |progress| watched.progressed(progress))
        };
        let request = Request {
            method: "tools/call",
            params,
            progress: Some(hook),
            mirrored: self.link.mirrored(params.name, &params.arguments),
        };
        let mut ticket = tokio::select! {
            biased;
            // Nothing was sent, so nothing can be obeyed.
            () = self.cancel.cancelled() => return Err(NoAnswer::Cancelled(Obedience::Silent)),
            at = expired(&mut self.deadline) => {
                return Err(too_late(self.started, at, Leg::Unknown));
            }
            ticket = self.link.request(request) => ticket.map_err(|cause| self.failed(cause))?,
        };
        tokio::select! {
            biased;
            reply = ticket.reply() => reply.map_err(|cause| self.failed(cause)),
            () = self.cancel.cancelled() => Err(self.cancelled(ticket).await),
            at = expired(&mut self.deadline) => {
                let leg = ticket.leg();
                ticket.cancel("deadline exceeded");
                Err(too_late(self.started, at, leg))
            }
        }
    }

    /// Learns anew what the tools want repeated; if that fails, so will the call.
    async fn relist(&mut self) {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            _ = expired(&mut self.deadline) => {}
            _ = tools::list(self.link) => {}
        }
    }

    fn failed(&self, cause: Cause) -> NoAnswer {
        self.link.failure(Stage::Call, cause).into()
    }

    /// Tells the server to stop and watches whether it does.
    async fn cancelled(&self, mut ticket: Ticket) -> NoAnswer {
        let now = Instant::now();
        *self.watched.cancelled.lock() = Some(now);
        if ticket.cancel("cancelled by the caller") == Goodbye::EndOfStream {
            // What it does now cannot be seen from here.
            return NoAnswer::Cancelled(Obedience::Silent);
        }
        tokio::select! {
            biased;
            reply = ticket.reply() => match reply {
                Ok(payload) if !payload.is_error => NoAnswer::Cancelled(Obedience::Ignored),
                Ok(_) | Err(Cause::Rpc { .. }) => NoAnswer::Cancelled(Obedience::Confirmed),
                Err(cause) => self.failed(cause),
            },
            () = sleep(WATCH) => NoAnswer::Cancelled(self.watched.verdict(now)),
        }
    }
}

/// `HeaderMismatch` of 2026-07-28.
fn is_header_mismatch(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::Rpc { code: -32020, .. })
}

/// The end of a call that was begun at `started` and had until `at`.
pub(super) fn too_late(started: Instant, at: Instant, leg: Leg) -> NoAnswer {
    let after = at.saturating_duration_since(started);
    // To a hundredth of a second: what is lost between setting a deadline and sending is not news.
    let hundredths = (after.as_millis() + 5) / 10;
    let after = Duration::from_millis(u64::try_from(hundredths * 10).unwrap_or(u64::MAX));
    let cause = Cause::Deadline {
        what: "tools/call".into(),
        after,
    };
    let failure = failure(Stage::Call, cause);
    NoAnswer::Failed(match leg {
        Leg::Unknown => failure,
        Leg::Asked => failure.hint("the server has not begun to answer"),
        Leg::Answering => failure.hint("the server began to answer and fell silent"),
    })
}

/// Resolves at the deadline, wherever it was moved in the meantime.
pub(super) async fn expired(deadline: &mut watch::Receiver<Instant>) -> Instant {
    loop {
        let at = *deadline.borrow_and_update();
        tokio::select! {
            biased;
            Ok(()) = deadline.changed() => {}
            () = sleep_until(at) => return at,
        }
    }
}

/// Where progress goes: to the caller, or, after a cancellation, to the proof that it was ignored.
struct Watched {
    show: Box<dyn Fn(Progress) + Send + Sync>,
    /// When it was cancelled or, later, last heard of.
    cancelled: Mutex<Option<Instant>>,
}

impl Watched {
    fn progressed(&self, progress: Progress) {
        if let Some(heard) = self.cancelled.lock().as_mut() {
            *heard = Instant::now();
            return;
        }
        (self.show)(progress);
    }

    /// Of a server that has not answered since it was told to stop.
    fn verdict(&self, told: Instant) -> Obedience {
        let heard = self.cancelled.lock().unwrap_or(told);
        if heard > told && heard.elapsed() < SILENCE {
            Obedience::Ignored
        } else {
            Obedience::Silent
        }
    }
}
