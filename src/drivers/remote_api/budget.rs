//! How often requests to one API are repeated, all together: many that fail at once must not become a storm.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Repetitions that may come at once.
const BURST: f64 = 10.0;
/// Repetitions a second after that.
const RATE: f64 = 2.0;

/// A bucket of repetitions that fills up again.
pub(super) struct Budget(Mutex<Bucket>);

struct Bucket {
    /// Below zero, that many have been promised.
    left: f64,
    at: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Bucket {
            left: BURST,
            at: Instant::now(),
        }))
    }
}

impl Budget {
    /// Takes one repetition and says when it may be, not sooner than after `wish`; `None`, and nothing is taken, if
    /// that is later than `until`.
    pub fn pause(&self, wish: Duration, until: Instant) -> Option<Duration> {
        let now = Instant::now();
        let mut bucket = self.0.lock();
        let gained = (now - bucket.at).as_secs_f64() * RATE;
        let left = (bucket.left + gained).min(BURST) - 1.0;
        let turn = Duration::from_secs_f64((-left / RATE).max(0.0));
        let pause = wish.max(turn);
        if now + pause > until {
            return None;
        }
        *bucket = Bucket { left, at: now };
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_what_comes_after_waits_its_turn() {
        let budget = Budget::default();
        let until = Instant::now() + Duration::from_secs(2);
        let wish = Duration::from_millis(100);
        let pauses = || budget.pause(wish, until).map(|pause| pause.as_millis());
        for _ in 0..10 {
            assert_eq!(pauses(), Some(100));
        }
        assert_eq!(pauses(), Some(500));
        assert_eq!(pauses(), Some(1_000));
        assert_eq!(pauses(), Some(1_500));
        assert_eq!(pauses(), Some(2_000));
        assert_eq!(pauses(), None);
        // What was refused was not taken.
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(budget.pause(wish, until), None);
        let later = until + Duration::from_secs(60);
        assert_eq!(budget.pause(wish, later), Some(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(budget.pause(wish, later), Some(wish));
    }
}
