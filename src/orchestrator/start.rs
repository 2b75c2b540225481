//! Bringing one instance up: start, initialize, list tools, check; all within its start time-out.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::calls;
use super::core::Seat;
use super::stop::take_down;
use crate::drivers::{Order, Running, Slot, Steps};
use crate::mcp::{Connect, ServerNews, ToolClient};
use crate::model::{
    Caller, Cause, Exit, Failure, Happening, Outcome, Stage, StartupCheck, ToolCall, ToolSpec,
};
use crate::nearest::nearest;
use crate::stores::logs::Source;

/// How long a lost connection waits for the exit that explains it.
pub(super) const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Logins in one start: the place to log in at may have changed since the last one.
const LOGINS: u32 = 2;

/// JSON-RPC "method not found": a server without tools.
const METHOD_NOT_FOUND: i64 = -32601;

/// Starts an instance and returns its connection. Whatever exists of it is in `held`, also when this fails or is
/// dropped.
pub(super) async fn bring_up(
    seat: &Arc<Seat>,
    slot: &Slot,
    held: &mut Option<Box<dyn Running>>,
    news: impl Fn(ServerNews) + Clone + Send + Sync + 'static,
) -> Result<ToolClient, Failure> {
    let mut logins = 0;
    let (limit, mut running, connected) = loop {
        get_ready(seat, slot).await?;
        let limit = Limit::from_now(seat);
        let running = launch(seat, slot, held, &limit).await?;
        let connected = connect(seat, running, Box::new(news.clone()), &limit, false).await;
        if logins == LOGINS || !wants_login(&connected) {
            break (limit, running, connected);
        }
        // Now the driver knows of it, and sees to it before the next start: a person takes longer than that.
        logins += 1;
        take_down(seat.clone(), None, held.take()).await?;
    };
    let client = match connected {
        Err(refusal) if has_refused_and_ended(&refusal, running).await => {
            let text = "it refused initialize and ended: started again, for server/discover";
            seat.log.line(Source::Envdeck, text);
            take_down(seat.clone(), None, held.take()).await?;
            running = launch(seat, slot, held, &limit).await?;
            let again = connect(seat, running, Box::new(news), &limit, true).await;
            again.map_err(|again| rather(refusal, again))?
        }
        connected => connected?,
    };
    let server = client.server().clone();
    seat.report(Happening::Initialized {
        instance: seat.id.clone(),
        server,
    })
    .await;
    unless_it_exits(running, Stage::Prepare, prepare(seat, &client, &limit)).await?;
    Ok(client)
}

/// Gets what many starts share; the start's own clock does not run yet.
async fn get_ready(seat: &Seat, slot: &Slot) -> Result<(), Failure> {
    let driver = seat.core.drivers.driver(&seat.backend.mode);
    let (steps, told) = Steps::new();
    let ready = driver.prepare(order(seat, slot, steps));
    showing(seat, told, None, ready).await
}

async fn launch<'a>(
    seat: &Seat,
    slot: &Slot,
    held: &'a mut Option<Box<dyn Running>>,
    limit: &Limit,
) -> Result<&'a mut dyn Running, Failure> {
    let driver = seat.core.drivers.driver(&seat.backend.mode);
    seat.step("start", Some(limit.deadline)).await;
    let (steps, told) = Steps::new();
    let started = limit.hold(
        "start",
        Stage::Start,
        driver.start(order(seat, slot, steps)),
    );
    let started = showing(seat, told, Some(limit.deadline), started).await?;
    let running = held.insert(started).as_mut();
    let facts = running.facts().into();
    seat.report(Happening::Described {
        instance: seat.id.clone(),
        facts,
    })
    .await;
    Ok(running)
}

fn order(seat: &Seat, slot: &Slot, steps: Steps) -> Order {
    Order {
        backend: seat.backend.clone(),
        instance: seat.id.clone(),
        session: seat.session.clone(),
        run: seat.core.run.clone(),
        steps,
        slot: slot.clone(),
        log: seat.log.clone(),
    }
}

/// Does the work and shows its steps.
async fn showing<T>(
    seat: &Seat,
    mut told: watch::Receiver<Arc<str>>,
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            Ok(()) = told.changed() => {
                let step = told.borrow_and_update().clone();
                seat.step(step, deadline).await;
            }
        }
    }
}

fn wants_login(connected: &Result<ToolClient, Failure>) -> bool {
    matches!(connected, Err(failure) if matches!(failure.cause, Cause::LoginWanted { .. }))
}

/// Whether it may speak the revision without `initialize` and, as some do, ended on hearing it.
async fn has_refused_and_ended(failure: &Failure, running: &mut dyn Running) -> bool {
    matches!(failure.cause, Cause::Rpc { .. }) && timeout(EXIT_WAIT, running.wait()).await.is_ok()
}

/// Of two failed handshakes, the one that says more: the first gave a reason in words.
fn rather(refusal: Failure, again: Failure) -> Failure {
    match again.cause {
        Cause::Rpc { .. } | Cause::Exited(_) | Cause::Closed | Cause::Source { .. } => refusal,
        _ => again,
    }
}

/// The time a start has, from its own beginning.
struct Limit {
    deadline: Instant,
    whole: Duration,
}

impl Limit {
    fn from_now(seat: &Seat) -> Self {
        let whole = seat.backend.start_timeout;
        Self {
            deadline: Instant::now() + whole,
            whole,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn hold<T>(
        &self,
        what: &'static str,
        stage: Stage,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout_at(self.deadline, work).await.unwrap_or_else(|_| {
            let cause = Cause::Deadline {
                what: what.into(),
                after: self.whole,
            };
            Err(Failure::new(stage, cause).hint("raise `start_timeout` if it needs longer"))
        })
    }
}

async fn connect(
    seat: &Seat,
    running: &mut dyn Running,
    news: Box<dyn Fn(ServerNews) + Send + Sync>,
    limit: &Limit,
    discover_first: bool,
) -> Result<ToolClient, Failure> {
    seat.step("initialize", Some(limit.deadline)).await;
    let how = Connect {
        log: seat.log.clone(),
        max_message: seat.core.config.limits.max_message,
        timeout: limit.left(),
        discover_first,
        news,
    };
    let connect = ToolClient::connect(running.endpoint(), how);
    let connect = limit.hold("initialize", Stage::Initialize, connect);
    unless_it_exits(running, Stage::Start, connect).await
}

async fn prepare(seat: &Arc<Seat>, client: &ToolClient, limit: &Limit) -> Result<(), Failure> {
    seat.step("list tools", Some(limit.deadline)).await;
    let tools = limit
        .hold(
            "list tools",
            Stage::Initialize,
            list_tools(client, limit.left()),
        )
        .await?;
    seat.report(Happening::ToolsListed {
        instance: seat.id.clone(),
        tools: tools.clone(),
    })
    .await;
    if let Some(check) = &seat.backend.startup_check {
        seat.step(format!("check {}", check.tool), Some(limit.deadline))
            .await;
        run_check(seat, client, check, &tools, limit.left()).await?;
    }
    Ok(())
}

/// The tools of a server; none if it knows no such method.
pub(super) async fn list_tools(
    client: &ToolClient,
    timeout: Duration,
) -> Result<Arc<[Arc<ToolSpec>]>, Failure> {
    match client.list_tools(timeout).await {
        Ok(tools) => Ok(tools.into()),
        Err(Failure {
            cause:
                Cause::Rpc {
                    code: METHOD_NOT_FOUND,
                    ..
                },
            ..
        }) => Ok(Arc::default()),
        Err(failure) => Err(failure),
    }
}

/// `startup_check_mcp_tool`: an ordinary, recorded call of ours that must succeed.
async fn run_check(
    seat: &Arc<Seat>,
    client: &ToolClient,
    check: &StartupCheck,
    tools: &[Arc<ToolSpec>],
    left: Duration,
) -> Result<(), Failure> {
    if !tools.iter().any(|tool| *tool.name == check.tool) {
        return Err(no_such_tool(&check.tool, tools));
    }
    let accepted = calls::accept(
        seat,
        ToolCall {
            instance: seat.id.clone(),
            tool: check.tool.as_str().into(),
            arguments: check.arguments.to_string().into(),
            caller: Caller::Orchestrator,
            timeout: Some(left.min(seat.backend.call_timeout)),
        },
        seat.session.clone(),
        None,
    )?;
    // A task of its own: if this start is given up, the call still ends in order, because `_here` goes with us.
    let (_here, gone) = watch::channel(None);
    let call = calls::run(seat.clone(), client.clone(), gone, accepted);
    let ended = seat.core.tasks.spawn(call).await;
    let outcome = ended.ok().and_then(|(call, _)| call.outcome().cloned());
    match outcome {
        Some(Outcome::Done(_)) => Ok(()),
        Some(Outcome::ToolError(result)) => {
            let said = seat.core.results.meta(result).map(|meta| meta.preview);
            let said = said.as_deref().unwrap_or_default();
            Err(check_failed(
                &check.tool,
                &format!("the tool answered with an error: {said}"),
            ))
        }
        Some(Outcome::Failed(failure)) => Err(Failure {
            stage: Stage::Prepare,
            phase: None,
            ..failure
        }),
        Some(Outcome::Cancelled(_)) => Err(check_failed(&check.tool, "it was cancelled")),
        None => Err(check_failed(&check.tool, "the call was lost")),
    }
}

fn check_failed(tool: &str, why: &str) -> Failure {
    Failure::other(Stage::Prepare, format!("start-up check `{tool}`: {why}"))
}

fn no_such_tool(tool: &str, tools: &[Arc<ToolSpec>]) -> Failure {
    let failure = check_failed(tool, "the server has no such tool");
    let names = tools.iter().map(|tool| &*tool.name);
    match nearest(tool, names) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("see `startup_check_mcp_tool` in the configuration"),
    }
}

/// Does `work` unless the instance ends first; a lost connection is explained by the exit behind it, unless the
/// instance has told the reason itself.
async fn unless_it_exits<T>(
    running: &mut dyn Running,
    stage: Stage,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let result = race_with_exit(running, stage, work).await;
    result.map_err(|failure| match (&failure.cause, running.excuse()) {
        (Cause::Deadline { .. } | Cause::Closed, Some(excuse)) => failure.hint(excuse),
        _ => failure,
    })
}

async fn race_with_exit<T>(
    running: &mut dyn Running,
    stage: Stage,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut exit = running.wait();
    let mut work = pin!(work);
    tokio::select! {
        biased;
        result = &mut work => match result {
            Err(failure) if may_hide_an_exit(&failure.cause) => {
                let known = timeout(EXIT_WAIT, &mut exit).await;
                Err(known.map_or(failure, |exit| exited(stage, exit)))
            }
            other => other,
        },
        exit = &mut exit => {
            // Its last words may still be in the pipe.
            match timeout(EXIT_WAIT, work).await {
                Ok(Err(failure)) if has_answered(&failure.cause) => Err(failure),
                _ => Err(exited(stage, exit)),
            }
        }
    }
}

pub(super) fn exited(stage: Stage, exit: Result<Exit, Failure>) -> Failure {
    exit.map_or_else(
        |failure| failure,
        |exit| Failure::new(stage, Cause::Exited(exit)),
    )
}

/// Whether the server itself said what was wrong, or its words showed it.
fn has_answered(cause: &Cause) -> bool {
    !may_hide_an_exit(cause) && !matches!(cause, Cause::Deadline { .. })
}

/// A dead process shows first as a closed or broken pipe.
fn may_hide_an_exit(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Closed | Cause::Source { .. } | Cause::Unreachable { .. }
    )
}
