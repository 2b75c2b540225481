//! Work that many wait for and that is done once: the first who asks starts it, the last who leaves cancels it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::drivers::Steps;
use crate::model::{Cause, Failure, Stage};

/// All work of one kind that goes on, by what it is about.
pub struct Joint<K, T> {
    works: Arc<Mutex<HashMap<K, Weak<Work<T>>>>>,
    tasks: TaskTracker,
}

/// What those hold who wait; without them it is cancelled.
struct Work<T> {
    steps: watch::Receiver<Arc<str>>,
    outcome: watch::Receiver<Option<Result<T, Failure>>>,
    _cancel: DropGuard,
}

impl<K, T> Default for Joint<K, T> {
    fn default() -> Self {
        let tasks = TaskTracker::new();
        // Closed trackers take tasks, too; only then waiting ends when there are none.
        tasks.close();
        Self {
            works: Arc::default(),
            tasks,
        }
    }
}

impl<K, T> Joint<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The outcome of the work on `key`: of the one that goes on, or else of `work`, which tells its steps to all
    /// who wait. When nobody waits any more, its token is cancelled: then it must clean up and return.
    pub async fn ask<F>(
        &self,
        key: K,
        steps: &Steps,
        work: impl FnOnce(Steps, CancellationToken) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let joined = self.join(key, work);
        let (mut told, mut outcome) = (joined.steps.clone(), joined.outcome.clone());
        told.mark_changed();
        loop {
            tokio::select! {
                biased;
                ended = outcome.wait_for(Option::is_some) => return match ended {
                    Ok(outcome) => outcome.clone().unwrap_or_else(lost),
                    Err(_) => lost(),
                },
                Ok(()) = told.changed() => {
                    let step = told.borrow_and_update().clone();
                    if !step.is_empty() {
                        steps.tell(step);
                    }
                }
            }
        }
    }

    fn join<F>(&self, key: K, work: impl FnOnce(Steps, CancellationToken) -> F) -> Arc<Work<T>>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut works = self.works.lock();
        if let Some(joined) = works.get(&key).and_then(Weak::upgrade) {
            return joined;
        }
        let (steps, told) = Steps::new();
        let (sender, outcome) = watch::channel(None);
        let token = CancellationToken::new();
        let begun = Arc::new(Work {
            steps: told,
            outcome,
            _cancel: token.clone().drop_guard(),
        });
        works.insert(key.clone(), Arc::downgrade(&begun));
        let (all, own) = (self.works.clone(), Arc::downgrade(&begun));
        let work = work(steps, token);
        self.tasks.spawn(async move {
            let outcome = work.await;
            // Whoever asks from now on begins anew; unless somebody has already, after this was cancelled.
            let mut works = all.lock();
            if works.get(&key).is_some_and(|work| work.ptr_eq(&own)) {
                works.remove(&key);
            }
            drop(works);
            sender.send_replace(Some(outcome));
        });
        begun
    }

    /// Resolves when no work goes on.
    pub async fn settle(&self) {
        self.tasks.wait().await;
    }
}

/// It panicked, or the runtime ended under it.
fn lost<T>() -> Result<T, Failure> {
    let cause = Cause::Panic("shared work was lost".into());
    Err(Failure::new(Stage::Prepare, cause))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_askers_share_one_work_and_its_steps() {
        let joint = Joint::<u8, usize>::default();
        let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = async |steps: Steps| {
            let (count, go) = (count.clone(), go.clone());
            let work = |told: Steps, _| async move {
                told.tell("half");
                go.notified().await;
                Ok(count.fetch_add(1, Ordering::SeqCst))
            };
            joint.ask(1, &steps, work).await
        };
        let ((one, mut told_one), (two, mut told_two)) = (Steps::new(), Steps::new());
        let both = async {
            told_one
                .wait_for(|step| &**step == "half")
                .await
                .expect("told");
            told_two
                .wait_for(|step| &**step == "half")
                .await
                .expect("told");
            go.notify_one();
        };
        let (first, second, ()) = tokio::join!(ask(one), ask(two), both);
        assert_eq!((first.expect("done"), second.expect("done")), (0, 0));
        go.notify_one();
        assert_eq!(ask(Steps::new().0).await.expect("anew"), 1);
    }

    #[tokio::test]
    async fn it_is_cancelled_when_the_last_one_leaves_and_not_before() {
        let joint = Joint::<u8, ()>::default();
        let cancelled = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let cancelled = cancelled.clone();
            let steps = Steps::new().0;
            let joint = &joint;
            async move {
                let work = |_, token: CancellationToken| async move {
                    token.cancelled().await;
                    cancelled.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                joint.ask(1, &steps, work).await
            }
        };
        let mut one = Box::pin(ask());
        {
            let mut two = Box::pin(ask());
            assert!(futures::poll!(&mut one).is_pending());
            assert!(futures::poll!(&mut two).is_pending());
        }
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut one).is_pending());
        assert_eq!(cancelled.load(Ordering::SeqCst), 0);
        drop(one);
        joint.settle().await;
        assert_eq!(cancelled.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_and_may_be_tried_again() {
        let joint = Joint::<u8, u8>::default();
        let steps = Steps::new().0;
        let fails = |_, _| async { Err(Failure::other(Stage::Create, "no")) };
        let failed = joint.ask(1, &steps, fails).await;
        assert_eq!(failed.expect_err("fails").stage, Stage::Create);
        let panics = |_, _| async { panic!("on purpose") };
        assert!(joint.ask(1, &steps, panics).await.is_err());
        assert_eq!(
            joint
                .ask(1, &steps, |_, _| async { Ok(7) })
                .await
                .expect("works"),
            7
        );
    }
}
