//! Taking one instance down: close the connection, ask, wait for the grace, kill; all with a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::core::Seat;
use crate::drivers::Running;
use crate::mcp::ToolClient;
use crate::model::{Cause, Failure, Stage};

/// How long a connection may take to close; many servers end by themselves when it does.
const CLOSE: Duration = Duration::from_millis(500);
/// What a driver gets beyond the grace, to kill and to tidy up: engines remove dozens of containers one by one.
pub(super) const MARGIN: Duration = Duration::from_secs(10);

/// Returns when nothing of the instance is left, or with what may be.
pub(super) async fn take_down(
    seat: Arc<Seat>,
    client: Option<ToolClient>,
    running: Option<Box<dyn Running>>,
) -> Result<(), Failure> {
    let Some(running) = running else {
        return Ok(());
    };
    let insist = seat.core.tokens.insist.clone();
    if insist.is_cancelled() {
        return killed(running).await;
    }
    let grace = seat.backend.stop_grace;
    let limit = Instant::now() + grace + MARGIN;
    seat.step("stop", Some(limit)).await;
    let polite = async {
        if let Some(client) = client {
            client.close(CLOSE).await;
        }
        running.stop(grace).await
    };
    tokio::select! {
        biased;
        result = timeout_at(limit, polite) => result.unwrap_or_else(|_| Err(still_there(grace + MARGIN))),
        () = insist.cancelled() => Err(Failure::other(Stage::Stop, "killed at once on demand")
            .hint("its end was not awaited: look for what it may have left")),
    }
}

async fn killed(running: Box<dyn Running>) -> Result<(), Failure> {
    timeout(MARGIN, running.stop(Duration::ZERO))
        .await
        .unwrap_or_else(|_| Err(still_there(MARGIN)))
}

fn still_there(after: Duration) -> Failure {
    Failure::new(
        Stage::Stop,
        Cause::Deadline {
            what: "stop".into(),
            after,
        },
    )
    .hint("it was killed, but its end was not seen")
}
