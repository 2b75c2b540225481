//! Work on files, off the reactor: it tells how far it is, ends when nobody waits, and may not stand still.

use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drivers::Steps;
use crate::model::{Cause, Failure, Stage};

/// A file system that does nothing for this long is taken for gone.
const STALL: Duration = Duration::from_secs(60);

/// Between two tellings: each costs the reactor more than a file does.
const TELL: Duration = Duration::from_millis(50);

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
    tally: Cell<Tally>,
    told: watch::Sender<Tally>,
    told_at: Cell<Instant>,
}

impl Control {
    fn new(cancel: CancellationToken, told: watch::Sender<Tally>) -> Self {
        Self {
            cancel,
            tally: Cell::default(),
            told,
            told_at: Cell::new(Instant::now()),
        }
    }

    /// Counts what was done; fails when nobody waits for the rest any more. To be called often.
    pub fn advance(&self, files: u64, bytes: u64) -> Result<(), Failure> {
        let Tally {
            files: so_far,
            bytes: before,
        } = self.tally.get();
        let tally = Tally {
            files: so_far + files,
            bytes: before + bytes,
        };
        self.tally.set(tally);
        if self.told_at.get().elapsed() >= TELL {
            self.told_at.set(Instant::now());
            self.told.send_replace(tally);
        }
        if self.cancel.is_cancelled() {
            return Err(Failure::other(Stage::Prepare, "the template was given up"));
        }
        Ok(())
    }

    #[cfg(test)]
    pub fn tally(&self) -> Tally {
        self.tally.get()
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
    let (tell, told) = watch::channel(Tally::default());
    let control = Control::new(cancel, tell);
    let (tell, done) = oneshot::channel();
    // As in `alone`: what nobody takes goes before the task ends.
    tasks.spawn_blocking(move || drop(tell.send(work(&control))));
    steps.tell(what);
    watched(steps, what, told, async {
        done.await.unwrap_or_else(|_| {
            let cause = Cause::Panic(format!("lost: {what}"));
            Err(Failure::new(Stage::Prepare, cause))
        })
    })
    .await
}

/// Work that goes on when nobody waits for it; `None` if it was lost. What comes of it and nobody takes is dropped
/// before the task ends: whoever waits for `tasks` then finds what that began, too.
pub async fn alone<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (tell, done) = oneshot::channel();
    tasks.spawn(async move { drop(tell.send(work.await)) });
    done.await.ok()
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

/// For work that is not waited for by [`blocking`]: its own side, how far it is, and what cancels it.
pub fn channel() -> (Control, watch::Receiver<Tally>, CancellationToken) {
    let cancel = CancellationToken::new();
    let (tell, told) = watch::channel(Tally::default());
    (Control::new(cancel.clone(), tell), told, cancel)
}
