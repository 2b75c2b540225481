//! Where the stores do what takes long, and how they tell that it is done.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// The blocking threads of the runtime it was made in; without a runtime, work is done on the spot.
#[derive(Clone, Debug)]
pub struct Background {
    runtime: Option<Handle>,
    /// Holds at most one wake, however much is done before the console looks.
    done: Arc<Notify>,
}

impl Background {
    /// Works on the runtime of the caller's context; may then be used from any thread.
    pub fn capture() -> Self {
        Self {
            runtime: Handle::try_current().ok(),
            done: Arc::default(),
        }
    }

    /// Does `work` and wakes [`Background::done`]. Never blocks if there is a runtime.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let done = self.done.clone();
        let work = move || {
            work();
            done.notify_one();
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn_blocking(work)),
            None => work(),
        }
    }

    /// Resolves when some work is done since the last call; for one waiter. Cancel-safe.
    pub async fn done(&self) {
        self.done.notified().await;
    }
}
