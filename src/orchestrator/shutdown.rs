//! The end of everything: ask all at once, wait, insist, report what may be left.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};

use super::core::Core;
use super::stop::{INSISTED, MARGIN};
use crate::model::{BackendName, Cause, Failure, InstanceId, Stage};

/// For reports, beyond the time that the slowest instance may take.
const SLACK: Duration = Duration::from_secs(1);

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Instances that are gone.
    pub gone: usize,
    pub of: usize,
}

/// Ends all sessions. Takes no longer than the longest grace and a little; returns what may be left.
pub(super) async fn run(
    core: &Core,
    router: JoinHandle<()>,
    mut progress: impl FnMut(Progress),
    insist: impl Future<Output = ()>,
) -> Vec<Failure> {
    let mut population = core.population.subscribe();
    let mut of = *population.borrow_and_update();
    core.tokens.closing.cancel();
    // It ends at once, and after it no session opens any more.
    let _ = router.await;
    let tasks: Vec<_> = core
        .sessions
        .lock()
        .drain()
        .map(|(_, post)| post.task)
        .collect();
    let mut ended = pin!(join_all(tasks));
    let mut insist = pin!(insist);
    let mut insisted = false;
    let longest = core
        .config
        .backends
        .iter()
        .map(|backend| backend.stop_grace)
        .max();
    let mut limit = Instant::now() + longest.unwrap_or_default() + MARGIN + SLACK;
    let mut told = None;
    let mut tell = |now| {
        if told.replace(now) != Some(now) {
            progress(now);
        }
    };
    // Said at once: what is stubborn keeps its owner waiting for seconds.
    tell(Progress { gone: 0, of });
    loop {
        tokio::select! {
            biased;
            ends = &mut ended => {
                tell(Progress { gone: of, of });
                return reported(ends);
            }
            () = &mut insist, if !insisted => {
                insisted = true;
                core.tokens.insist.cancel();
                limit = limit.min(Instant::now() + INSISTED + SLACK);
            }
            Ok(()) = population.changed() => {
                let left = *population.borrow_and_update();
                // A session may still have been adding some.
                of = of.max(left);
                tell(Progress { gone: of.saturating_sub(left), of });
            }
            () = sleep_until(limit) => {
                let mut failures = abandon(core);
                failures.extend(timeout(SLACK, ended).await.map(reported).unwrap_or_default());
                return failures;
            }
        }
    }
}

/// What sessions could not take down. A session that was lost itself has dropped, and so killed, what it had.
fn reported(ends: Vec<Result<Vec<Failure>, JoinError>>) -> Vec<Failure> {
    ends.into_iter().filter_map(Result::ok).flatten().collect()
}

/// Drops what still stands, which kills it, and names it.
fn abandon(core: &Core) -> Vec<Failure> {
    let left: Vec<_> = core
        .instances
        .read()
        .iter()
        .map(|(id, post)| (id.clone(), post.backend.clone()))
        .collect();
    core.tokens.abandon.cancel();
    let name = |(id, backend): (InstanceId, BackendName)| {
        let cause = Cause::Other(format!("{backend} {}: still not gone", id.short()));
        Failure::new(Stage::Stop, cause).hint("it was killed, but its end was not seen")
    };
    left.into_iter().map(name).collect()
}
