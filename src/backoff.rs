//! The pause before something is tried again: exponential, clamped, jittered.

use std::time::Duration;

use rand::Rng;

/// The pause before attempt number `attempt` (from 1) to repair something. It doubles from `first` up to `ceiling`;
/// of that, between a half and the whole is waited, so that what failed together does not come back together.
pub(crate) fn pause(
    attempt: u32,
    first: Duration,
    ceiling: Duration,
    rng: &mut impl Rng,
) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let full = first.saturating_mul(1 << doublings).min(ceiling);
    full.mul_f64(rng.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn pauses_double_until_the_ceiling() {
        let mut rng = StdRng::seed_from_u64(1);
        let (first, ceiling) = (Duration::from_secs(1), Duration::from_secs(30));
        for (attempt, full) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30)] {
            let pause = pause(attempt, first, ceiling, &mut rng);
            let full = Duration::from_secs(full);
            assert!(
                pause >= full / 2 && pause <= full,
                "attempt {attempt}: {pause:?} of {full:?}"
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let pauses = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let one = |attempt| {
                pause(
                    attempt,
                    Duration::from_secs(1),
                    Duration::from_secs(30),
                    &mut rng,
                )
            };
            (1..8).map(one).collect::<Vec<_>>()
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
    }

    proptest! {
        #[test]
        fn a_pause_never_exceeds_the_ceiling(
            attempt: u32, first in 0_u64..1 << 40, ceiling in 0_u64..1 << 40, seed: u64,
        ) {
            let (first, ceiling) = (Duration::from_millis(first), Duration::from_millis(ceiling));
            let pause = pause(attempt, first, ceiling, &mut StdRng::seed_from_u64(seed));
            prop_assert!(pause <= ceiling);
            // Integer division rounds a nanosecond away.
            prop_assert!(pause + Duration::from_nanos(1) >= first.min(ceiling) / 2);
        }
    }
}
