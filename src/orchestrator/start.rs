//! Bringing one instance up: start, initialize, list tools, check; all within its start time-out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::calls;
use super::core::Seat;
use crate::drivers::{Endpoint, Order, Running};
use crate::mcp::{Connect, ServerNews, ToolClient};
use crate::model::{
    Caller, Cause, Exit, Failure, Happening, Outcome, Stage, StartupCheck, ToolCall, ToolSpec,
};

/// How long a lost connection waits for the exit that explains it.
pub(super) const EXIT_WAIT: Duration = Duration::from_secs(1);

/// JSON-RPC "method not found": a server without tools.
const METHOD_NOT_FOUND: i64 = -32601;

/// Starts an instance and returns its connection. Whatever exists of it is in `slot`, also when this fails or is
/// dropped.
pub(super) async fn bring_up(
    seat: &Arc<Seat>,
    slot: &mut Option<Box<dyn Running>>,
    news: Box<dyn Fn(ServerNews) + Send + Sync>,
    deadline: Instant,
) -> Result<ToolClient, Failure> {
    let limit = Limit {
        deadline,
        whole: seat.backend.start_timeout,
    };
    let driver = seat.core.drivers.driver(&seat.backend.mode)?;
    seat.step("start", Some(deadline)).await;
    let order = Order {
        backend: seat.backend.clone(),
        instance: seat.id.clone(),
        run: seat.core.run.clone(),
        log: seat.log.clone(),
    };
    let running = slot.insert(
        limit
            .hold("start", Stage::Start, driver.start(order))
            .await?,
    );
    let facts = running.facts().into();
    seat.report(Happening::Described {
        instance: seat.id.clone(),
        facts,
    })
    .await;

    let endpoint = running.endpoint();
    let client = connect(seat, endpoint, news, &limit);
    let client = unless_it_exits(running.as_mut(), Stage::Start, client).await?;
    unless_it_exits(
        running.as_mut(),
        Stage::Prepare,
        prepare(seat, &client, &limit),
    )
    .await?;
    Ok(client)
}

/// The time a start has, from its own beginning.
struct Limit {
    deadline: Instant,
    whole: Duration,
}

impl Limit {
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
    endpoint: Endpoint,
    news: Box<dyn Fn(ServerNews) + Send + Sync>,
    limit: &Limit,
) -> Result<ToolClient, Failure> {
    seat.step("initialize", Some(limit.deadline)).await;
    let how = Connect {
        log: seat.log.clone(),
        max_message: seat.core.config.limits.max_message,
        timeout: limit.left(),
        news,
    };
    let client = limit
        .hold(
            "initialize",
            Stage::Initialize,
            ToolClient::connect(endpoint, how),
        )
        .await?;
    let server = client.server().clone();
    seat.report(Happening::Initialized {
        instance: seat.id.clone(),
        server,
    })
    .await;
    Ok(client)
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
    )?;
    // A task of its own: if this start is given up, the call still ends in order, because `_here` goes with us.
    let (_here, gone) = watch::channel(None);
    let call = calls::run(seat.clone(), client.clone(), gone, accepted);
    let ended = seat.core.tasks.spawn(call).await;
    let outcome = ended.ok().and_then(|call| call.outcome().cloned());
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
    match super::nearest(tool, names) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("see `startup_check_mcp_tool` in the configuration"),
    }
}

/// Does `work` unless the instance ends first; a lost connection is explained by the exit behind it.
async fn unless_it_exits<T>(
    running: &mut dyn Running,
    stage: Stage,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut exit = running.wait();
    tokio::select! {
        biased;
        result = work => match result {
            Err(failure) if may_hide_an_exit(&failure.cause) => {
                let known = timeout(EXIT_WAIT, &mut exit).await;
                Err(known.map_or(failure, |exit| exited(stage, exit)))
            }
            other => other,
        },
        exit = &mut exit => Err(exited(stage, exit)),
    }
}

pub(super) fn exited(stage: Stage, exit: Result<Exit, Failure>) -> Failure {
    exit.map_or_else(
        |failure| failure,
        |exit| Failure::new(stage, Cause::Exited(exit)),
    )
}

/// A dead process shows first as a closed or broken pipe.
fn may_hide_an_exit(cause: &Cause) -> bool {
    matches!(cause, Cause::Closed | Cause::Source { .. })
}
