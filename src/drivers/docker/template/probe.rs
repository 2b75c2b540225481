//! Whether the server in a template container answers: the handshake, and the start-up check if there is one.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::drivers::Endpoint;
use crate::mcp::{Answer, CallControl, Connect, NoAnswer, ToolClient};
use crate::model::{Backend, Cause, Failure, Limits, Stage, StartupCheck};
use crate::stores::logs::LogWriter;

/// Connects and checks. The client that it returns keeps the server's input open.
pub async fn answers(
    endpoint: Endpoint,
    backend: &Backend,
    log: &LogWriter,
    within: Duration,
) -> Result<ToolClient, Failure> {
    let how = Connect {
        log: log.clone(),
        max_message: Limits::default().max_message,
        timeout: within,
        discover_first: false,
        news: Box::new(|_| {}),
    };
    let client = ToolClient::connect(endpoint, how).await?;
    if let Some(check) = &backend.startup_check {
        run(&client, check, within).await?;
    }
    Ok(client)
}

async fn run(client: &ToolClient, check: &StartupCheck, within: Duration) -> Result<(), Failure> {
    let tools = client.list_tools(within).await?;
    if !tools.iter().any(|tool| *tool.name == check.tool) {
        return Err(failed(check, "the server has no such tool"));
    }
    let (_fixed, deadline) = watch::channel(Instant::now() + within);
    let control = CallControl {
        cancel: CancellationToken::new(),
        deadline,
        progress: Box::new(|_| {}),
    };
    match client
        .call(&check.tool, &check.arguments.to_string(), control)
        .await
    {
        Ok(Answer {
            is_error: false, ..
        }) => Ok(()),
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.raw);
            let said: String = said.chars().take(200).collect();
            Err(failed(
                check,
                &format!("the tool answered with an error: {said}"),
            ))
        }
        Err(NoAnswer::Failed(failure)) => Err(Failure {
            stage: Stage::Prepare,
            ..failure
        }),
        Err(NoAnswer::Cancelled(_)) => Err(Failure::new(Stage::Prepare, Cause::Closed)),
    }
}

fn failed(check: &StartupCheck, why: &str) -> Failure {
    let text = format!("start-up check `{}` of the template: {why}", check.tool);
    Failure::other(Stage::Prepare, text)
}
