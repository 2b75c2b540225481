//! How much a session is used: its calls in flight, and since when nobody has needed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Of one session.
pub(super) struct Lease {
    /// Whether a client of the gateway opened it.
    pub is_agents: bool,
    in_flight: AtomicUsize,
    /// When it was last needed.
    used: Mutex<Instant>,
}

impl Lease {
    pub fn new(is_agents: bool) -> Arc<Self> {
        Arc::new(Self {
            is_agents,
            in_flight: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        })
    }

    /// A call begins; it ends with the visit. `None` if `most` run already.
    pub fn begin(self: &Arc<Self>, most: Option<usize>) -> Option<Visit> {
        let more = |running| (most.is_none_or(|most| running < most)).then_some(running + 1);
        let order = Ordering::AcqRel;
        self.in_flight
            .fetch_update(order, Ordering::Acquire, more)
            .ok()?;
        self.touch();
        Some(Visit(self.clone()))
    }

    pub fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// Resolves when it has not been needed for `limit`; never without one. Cancel-safe.
    pub async fn expired(&self, limit: Option<Duration>) {
        let Some(limit) = limit else {
            return std::future::pending().await;
        };
        loop {
            let is_busy = self.in_flight.load(Ordering::Acquire) > 0;
            let since = if is_busy {
                Instant::now()
            } else {
                *self.used.lock()
            };
            if since.elapsed() >= limit {
                return;
            }
            sleep_until(since + limit).await;
        }
    }
}

/// A call in flight, for as long as it is held.
pub(super) struct Visit(Arc<Lease>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.touch();
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn no_more_calls_run_than_allowed() {
        let lease = Lease::new(true);
        let first = lease.begin(Some(2)).expect("the first");
        let _second = lease.begin(Some(2)).expect("the second");
        assert!(lease.begin(Some(2)).is_none());
        assert!(lease.begin(None).is_some(), "an operator is not limited");
        drop(first);
        assert!(lease.begin(Some(2)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn it_expires_so_long_after_the_end_of_the_last_call() {
        let lease = Lease::new(true);
        let began = Instant::now();
        let visit = lease.begin(None);
        let busy = async {
            tokio::time::sleep(10 * LIMIT).await;
            drop(visit);
        };
        tokio::join!(busy, lease.expired(Some(LIMIT)));
        let took = began.elapsed();
        assert!((11 * LIMIT..=12 * LIMIT).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_never_expires() {
        let lease = Lease::new(true);
        let day = Duration::from_secs(86_400);
        assert!(
            tokio::time::timeout(day, lease.expired(None))
                .await
                .is_err()
        );
    }
}
