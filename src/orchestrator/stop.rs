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
/// The same where somebody insists.
pub(super) const INSISTED: Duration = Duration::from_secs(5);

/// Returns when nothing of the instance is left, or with what may be. Shows what it does.
pub(super) async fn take_down(
    seat: Arc<Seat>,
    client: Option<ToolClient>,
    running: Option<Box<dyn Running>>,
) -> Result<(), Failure> {
    if running.is_some() {
        let limit = Instant::now() + seat.backend.stop_grace + MARGIN;
        seat.step("stop", Some(limit)).await;
    }
    clear_away(seat, client, running).await
}

/// The same for what has ended by itself.
pub(super) async fn clear_away(
    seat: Arc<Seat>,
    client: Option<ToolClient>,
    running: Option<Box<dyn Running>>,
) -> Result<(), Failure> {
    let Some(running) = running else {
        return Ok(());
    };
    let insist = seat.core.tokens.insist.clone();
    let grace = seat.backend.stop_grace;
    let limit = Instant::now() + grace + MARGIN;
    let polite = async {
        if let Some(client) = client {
            client.close(CLOSE).await;
        }
        running.stop(grace).await
    };
    let result = tokio::select! {
        biased;
        // Drops what runs, which kills it.
        () = insist.cancelled() => None,
        result = timeout_at(limit, polite) => Some(result),
    };
    match result {
        Some(result) => result.unwrap_or_else(|_| Err(still_there(grace + MARGIN))),
        None => settled(&seat).await,
    }
}

/// Waits until what was dropped is gone.
async fn settled(seat: &Seat) -> Result<(), Failure> {
    let driver = seat.core.drivers.driver(&seat.backend.mode);
    timeout(INSISTED, driver.settle())
        .await
        .unwrap_or_else(|_| Err(still_there(INSISTED)))
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
