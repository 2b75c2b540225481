//! Work on files, off the reactor: it tells how far it is, ends when nobody waits, and may not stand still.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drivers::Steps;
use crate::model::{Cause, Failure, Stage};

/// A file system that does nothing for this long is taken for gone.
const STALL: Duration = Duration::from_secs(60);

/// How far work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub files: u64,
    pub bytes: u64,
}

impl Tally {
    /// `1200 files, 34 MB`
    pub fn words(self) -> String {
        format!("{} files, {} MB", self.files, self.bytes / 1_000_000)
    }
}

/// What the work itself holds.
pub struct Control {
    cancel: CancellationToken,
    tally: watch::Sender<Tally>,
}

impl Control {
    /// Counts what was done; fails when nobody waits for the rest any more. To be called often.
    pub fn advance(&self, files: u64, bytes: u64) -> Result<(), Failure> {
        self.tally.send_modify(|tally| {
            tally.files += files;
            tally.bytes += bytes;
        });
        if self.cancel.is_cancelled() {
            return Err(Failure::other(Stage::Prepare, "the template was given up"));
        }
        Ok(())
    }
}

/// Does blocking work and tells its tally as steps. Dropping the future cancels it; whoever owns `tasks` can wait
/// until it has ended.
pub async fn blocking<T: Send + 'static>(
    tasks: &TaskTracker,
    steps: &Steps,
    what: &'static str,
    work: impl FnOnce(&Control) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let cancel = CancellationToken::new();
    let _ends_with_us = cancel.clone().drop_guard();
    let (tally, told) = watch::channel(Tally::default());
    let control = Control { cancel, tally };
    let working = tasks.spawn_blocking(move || work(&control));
    steps.tell(what);
    watched(steps, what, told, async {
        working.await.unwrap_or_else(|_| {
            let cause = Cause::Panic(format!("lost: {what}"));
            Err(Failure::new(Stage::Prepare, cause))
        })
    })
    .await
}

/// Waits for `work` as long as the tally moves, and tells it.
pub async fn watched<T>(
    steps: &Steps,
    what: &str,
    mut told: watch::Receiver<Tally>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    let mut is_told = true;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            moved = timeout(STALL, told.changed()), if is_told => match moved {
                Ok(Ok(())) => {
                    let tally = *told.borrow_and_update();
                    steps.tell(format!("{what}: {}", tally.words()));
                }
                Ok(Err(_)) => is_told = false,
                Err(_) => return Err(stalled(what)),
            },
        }
    }
}

fn stalled(what: &str) -> Failure {
    let cause = Cause::Deadline {
        what: format!("{what}, which stands still").into(),
        after: STALL,
    };
    Failure::new(Stage::Prepare, cause).hint("is it on a network file system that does not answer?")
}

/// Where a channel ends in the thread that works.
pub fn channel() -> (Arc<Control>, watch::Receiver<Tally>, CancellationToken) {
    let cancel = CancellationToken::new();
    let (tally, told) = watch::channel(Tally::default());
    let control = Control {
        cancel: cancel.clone(),
        tally,
    };
    (Arc::new(control), told, cancel)
}
