//! When a call ends for lack of an answer, and what moves that moment.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// As good as never, and safe to add to any moment.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The moving end of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// Time without answer or progress.
    wait: Duration,
    at: Instant,
    /// No progress moves it beyond this.
    hard: Instant,
}

impl Deadline {
    pub fn new(now: Instant, wait: Duration, hard: Duration) -> Self {
        let hard = now + hard.min(NEVER);
        let wait = wait.min(NEVER);
        Self {
            wait,
            at: (now + wait).min(hard),
            hard,
        }
    }

    pub fn at(&self) -> Instant {
        self.at
    }

    /// The server is at work: it has the whole wait again, within the hard maximum.
    pub fn progress(&mut self, now: Instant) {
        self.at = self.at.max(now + self.wait).min(self.hard);
    }

    /// The operator grants `more` time, beyond the hard maximum if need be.
    pub fn extend(&mut self, more: Duration) {
        self.at += more.min(NEVER);
        self.hard = self.hard.max(self.at);
    }
}

/// The wall-clock time of a moment to come.
pub(super) fn timestamp(at: Instant) -> Timestamp {
    let left = at.saturating_duration_since(Instant::now());
    Timestamp::now().checked_add(left).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn progress_moves_the_end_but_not_beyond_the_hard_maximum() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start, 10 * SECOND, 25 * SECOND);
        deadline.progress(start + 5 * SECOND);
        assert_eq!(deadline.at(), start + 15 * SECOND);
        deadline.progress(start + 20 * SECOND);
        assert_eq!(deadline.at(), start + 25 * SECOND);
    }

    #[test]
    fn an_extension_goes_beyond_the_hard_maximum_and_progress_does_not_take_it_back() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start, 10 * SECOND, 10 * SECOND);
        deadline.extend(30 * SECOND);
        assert_eq!(deadline.at(), start + 40 * SECOND);
        deadline.progress(start + SECOND);
        assert_eq!(deadline.at(), start + 40 * SECOND);
    }

    #[test]
    fn absurd_durations_are_no_crash() {
        let mut deadline = Deadline::new(Instant::now(), Duration::MAX, Duration::MAX);
        deadline.extend(Duration::MAX);
        assert!(timestamp(deadline.at()) > Timestamp::now());
    }

    proptest! {
        #[test]
        fn no_step_ever_brings_the_end_nearer(
            wait in 0_u32..100, hard in 0_u32..100,
            steps in prop::collection::vec((any::<bool>(), 0_u32..100), 0..20),
        ) {
            let start = Instant::now();
            let mut deadline = Deadline::new(start, wait * SECOND, hard * SECOND);
            for (progress, seconds) in steps {
                let before = deadline.at();
                if progress {
                    deadline.progress(start + seconds * SECOND);
                } else {
                    deadline.extend(seconds * SECOND);
                }
                prop_assert!(deadline.at() >= before);
            }
        }
    }
}
