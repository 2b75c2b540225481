//! The desk where running calls are numbered and found again, to be cancelled or given more time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::{CallId, Failure, Stage};

/// Numbers calls and finds the levers of those that run.
#[derive(Default)]
pub(super) struct Desk {
    last: AtomicU64,
    running: Mutex<HashMap<CallId, Levers>>,
}

/// How a running call is steered from outside.
#[derive(Clone, Default)]
pub(super) struct Levers {
    pub cancel: CancellationToken,
    /// All extra time granted so far.
    pub extra: Arc<watch::Sender<Duration>>,
}

impl Desk {
    /// Gives a new call its number and its levers.
    pub fn open(&self) -> (CallId, Levers) {
        let id = CallId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let levers = Levers::default();
        self.running.lock().insert(id, levers.clone());
        (id, levers)
    }

    /// The call has ended.
    pub fn close(&self, call: CallId) {
        self.running.lock().remove(&call);
    }

    /// Tells the server of a running call to give up.
    pub fn cancel(&self, call: CallId) -> Result<(), Failure> {
        self.levers(call).map(|levers| levers.cancel.cancel())
    }

    /// Gives a running call `more` time.
    pub fn extend(&self, call: CallId, more: Duration) -> Result<(), Failure> {
        let levers = self.levers(call)?;
        levers
            .extra
            .send_modify(|extra| *extra = extra.saturating_add(more));
        Ok(())
    }

    fn levers(&self, call: CallId) -> Result<Levers, Failure> {
        let not_running = || Failure::other(Stage::Call, format!("call {call} is not running"));
        self.running
            .lock()
            .get(&call)
            .cloned()
            .ok_or_else(not_running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_a_call_that_does_not_run_says_so() {
        let desk = Desk::default();
        let failure = desk
            .extend(CallId(7), Duration::from_secs(1))
            .expect_err("nothing runs");
        assert_eq!(failure.to_string(), "call: call #7 is not running");
    }
}
