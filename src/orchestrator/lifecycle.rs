//! The life of an instance as a pure function: where it is and what happened give where it goes and what to do.

use std::time::Duration;

use crate::model::{Phase, RestartPolicy};

/// What somebody wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    Start,
    Stop,
    Restart,
    /// Stop it and forget it; if it cannot be stopped it stays, to be seen.
    Remove,
    /// Stop it and forget it in any case: its session closes.
    Leave,
}

/// What an instance that is being taken down will be afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Goal {
    Stop,
    Restart,
    Remove,
    Leave,
}

/// Where an instance is, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Life {
    pub phase: Phase,
    /// Counts only in [`Phase::Stopping`].
    pub goal: Goal,
    /// Automatic starts since the budget was last full.
    pub used: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A start slot became free.
    Slot,
    Started,
    StartFailed {
        again: Again,
    },
    /// It ended unasked after it had been ready for so long.
    Died {
        ready_for: Duration,
    },
    RetryDue,
    Asked(Wish),
    /// What was being taken down is gone.
    Down,
    /// It could not be taken down.
    StillUp,
    /// Its task panicked.
    Panicked,
}

/// Whether a start that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// If it was automatic: what was asked for is not repeated.
    IfAutomatic,
    Yes,
    /// Without using up the budget: what it needs is away, and comes back.
    ForFree,
    /// It would fail in the same way.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for automatic start `attempt` of `of`; the first is 1, and 0 one that does not count.
    Retry { attempt: u32, of: u32 },
    /// The budget of so many automatic starts is used up.
    GiveUp { after: u32 },
    /// Remove it from the fleet and end its task.
    Forget,
    /// Nothing happens; tell the one who asked why.
    Refuse(&'static str),
}

impl Life {
    /// Asked for, with a full budget.
    pub fn new() -> Self {
        Self {
            phase: Phase::Pending,
            goal: Goal::Stop,
            used: 0,
        }
    }

    fn to(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// What comes of `input`. An input that does not fit the phase (a report that comes late) changes nothing.
    pub fn next(self, input: Input, policy: &RestartPolicy) -> (Self, Vec<Step>) {
        match (self.phase, input) {
            (_, Input::Asked(wish)) => self.asked(wish),
            (Phase::Pending, Input::Slot) => (self.to(Phase::Starting), vec![]),
            (Phase::Starting, Input::Started) => (self.to(Phase::Ready), vec![]),
            (Phase::Ready, Input::Died { ready_for }) => self.died(ready_for, policy),
            (Phase::Waiting, Input::RetryDue) => (self.to(Phase::Pending), vec![]),
            (Phase::Stopping, Input::Down) => match self.goal {
                Goal::Stop => (self.to(Phase::Stopped), vec![]),
                Goal::Restart => (Self::new(), vec![]),
                Goal::Remove | Goal::Leave => (self.to(Phase::Stopped), vec![Step::Forget]),
            },
            (Phase::Stopping, Input::StillUp | Input::Panicked) => {
                let steps = if self.goal == Goal::Leave {
                    vec![Step::Forget]
                } else {
                    vec![]
                };
                (self.to(Phase::Failed), steps)
            }
            (Phase::Stopped | Phase::Failed, Input::Panicked) => (self, vec![]),
            (Phase::Starting, Input::StartFailed { again }) => match again {
                // A restart of ours goes on until its budget is used up.
                Again::IfAutomatic if self.used > 0 => self.retried(policy),
                Again::Yes => self.retried(policy),
                Again::ForFree => self.tried_later(policy),
                Again::IfAutomatic | Again::No => (self.to(Phase::Failed), vec![]),
            },
            (_, Input::Panicked) => (self.to(Phase::Failed), vec![]),
            _ => (self, vec![]),
        }
    }

    fn died(self, ready_for: Duration, policy: &RestartPolicy) -> (Self, Vec<Step>) {
        let used = match *policy {
            RestartPolicy::OnFailure { stable, .. } if ready_for >= stable => 0,
            _ => self.used,
        };
        Self { used, ..self }.retried(policy)
    }

    /// The next automatic start, if there is one left.
    fn retried(self, policy: &RestartPolicy) -> (Self, Vec<Step>) {
        let RestartPolicy::OnFailure { attempts, .. } = *policy else {
            return (self.to(Phase::Failed), vec![]);
        };
        if self.used >= attempts {
            return (
                self.to(Phase::Failed),
                vec![Step::GiveUp { after: attempts }],
            );
        }
        let attempt = self.used + 1;
        let life = Self {
            phase: Phase::Waiting,
            used: attempt,
            ..self
        };
        (
            life,
            vec![Step::Retry {
                attempt,
                of: attempts,
            }],
        )
    }

    fn tried_later(self, policy: &RestartPolicy) -> (Self, Vec<Step>) {
        match *policy {
            RestartPolicy::OnFailure { attempts: of, .. } => (
                self.to(Phase::Waiting),
                vec![Step::Retry { attempt: 0, of }],
            ),
            RestartPolicy::Never => (self.to(Phase::Failed), vec![]),
        }
    }

    fn asked(self, wish: Wish) -> (Self, Vec<Step>) {
        let refuse = |why| (self, vec![Step::Refuse(why)]);
        let forget = (self.to(Phase::Stopped), vec![Step::Forget]);
        match (self.phase, wish) {
            (Phase::Pending, Wish::Start) => refuse("it is already waiting to start"),
            (Phase::Starting, Wish::Start) => refuse("it is already starting"),
            (Phase::Ready, Wish::Start) => refuse("it is already running"),
            (Phase::Stopped, Wish::Stop) => refuse("it is already stopped"),
            (Phase::Failed, Wish::Stop) => refuse("it has already failed"),

            (Phase::Pending, Wish::Restart) => (Self::new(), vec![]),
            (Phase::Pending | Phase::Waiting, Wish::Stop) => (self.to(Phase::Stopped), vec![]),
            (Phase::Waiting | Phase::Stopped | Phase::Failed, Wish::Start | Wish::Restart) => {
                (Self::new(), vec![])
            }
            (Phase::Pending | Phase::Waiting, Wish::Remove | Wish::Leave) => forget,
            (Phase::Stopped | Phase::Failed, Wish::Remove | Wish::Leave) => {
                (self, vec![Step::Forget])
            }

            // Once it is to go, it goes.
            (Phase::Stopping, wish) if self.goal >= Goal::Remove && wish != Wish::Leave => {
                refuse("it is being removed")
            }
            (Phase::Starting | Phase::Ready | Phase::Stopping, wish) => {
                let goal = match wish {
                    Wish::Stop => Goal::Stop,
                    Wish::Start | Wish::Restart => Goal::Restart,
                    Wish::Remove => Goal::Remove,
                    Wish::Leave => Goal::Leave,
                };
                (
                    Self {
                        phase: Phase::Stopping,
                        goal,
                        ..self
                    },
                    vec![],
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Phase::{Failed, Pending, Ready, Starting, Stopped, Stopping, Waiting};

    const SHORT: Duration = Duration::from_secs(1);
    const STABLE: Duration = Duration::from_secs(60);

    fn policy(attempts: u32) -> RestartPolicy {
        RestartPolicy::OnFailure {
            attempts,
            backoff: Duration::from_secs(1),
            ceiling: Duration::from_secs(30),
            stable: STABLE,
        }
    }

    fn at(phase: Phase) -> Life {
        Life {
            phase,
            goal: Goal::Stop,
            used: 1,
        }
    }

    fn stopping(goal: Goal) -> Life {
        Life {
            phase: Stopping,
            goal,
            used: 1,
        }
    }

    #[test]
    fn each_input_leads_where_the_table_says() {
        let died = |ready_for| Input::Died { ready_for };
        let failed = |again| Input::StartFailed { again };
        let table = [
            (at(Pending), Input::Slot, Starting, vec![]),
            (at(Starting), Input::Started, Ready, vec![]),
            (
                Life::new().to(Starting),
                failed(Again::IfAutomatic),
                Failed,
                vec![],
            ),
            (
                Life::new().to(Starting),
                failed(Again::Yes),
                Waiting,
                vec![Step::Retry { attempt: 1, of: 3 }],
            ),
            (
                at(Starting),
                failed(Again::ForFree),
                Waiting,
                vec![Step::Retry { attempt: 0, of: 3 }],
            ),
            (at(Starting), failed(Again::No), Failed, vec![]),
            (
                at(Starting),
                failed(Again::IfAutomatic),
                Waiting,
                vec![Step::Retry { attempt: 2, of: 3 }],
            ),
            (
                at(Ready),
                died(SHORT),
                Waiting,
                vec![Step::Retry { attempt: 2, of: 3 }],
            ),
            (
                at(Ready),
                died(STABLE),
                Waiting,
                vec![Step::Retry { attempt: 1, of: 3 }],
            ),
            (at(Waiting), Input::RetryDue, Pending, vec![]),
            (at(Ready), Input::Asked(Wish::Stop), Stopping, vec![]),
            (at(Waiting), Input::Asked(Wish::Stop), Stopped, vec![]),
            (
                at(Pending),
                Input::Asked(Wish::Leave),
                Stopped,
                vec![Step::Forget],
            ),
            (at(Failed), Input::Asked(Wish::Start), Pending, vec![]),
            (
                at(Failed),
                Input::Asked(Wish::Remove),
                Failed,
                vec![Step::Forget],
            ),
            (
                at(Ready),
                Input::Asked(Wish::Start),
                Ready,
                vec![Step::Refuse("it is already running")],
            ),
            (stopping(Goal::Stop), Input::Down, Stopped, vec![]),
            (stopping(Goal::Restart), Input::Down, Pending, vec![]),
            (
                stopping(Goal::Remove),
                Input::Down,
                Stopped,
                vec![Step::Forget],
            ),
            (stopping(Goal::Remove), Input::StillUp, Failed, vec![]),
            (
                stopping(Goal::Leave),
                Input::StillUp,
                Failed,
                vec![Step::Forget],
            ),
            (at(Ready), Input::Panicked, Failed, vec![]),
            (at(Stopped), Input::Panicked, Stopped, vec![]),
            (at(Stopped), Input::Down, Stopped, vec![]),
        ];
        for (life, input, phase, steps) in table {
            let (next, taken) = life.next(input, &policy(3));
            assert_eq!((next.phase, taken), (phase, steps), "{life:?} {input:?}");
        }
    }

    #[test]
    fn the_budget_is_used_up_and_comes_back_by_hand_or_by_stable_time() {
        let (mut life, policy) = (at(Ready), policy(3));
        for attempt in 2..=3 {
            let (next, steps) = life.next(Input::Died { ready_for: SHORT }, &policy);
            assert_eq!(steps, [Step::Retry { attempt, of: 3 }]);
            life = Life {
                phase: Ready,
                ..next
            };
        }
        let (failed, steps) = life.next(Input::Died { ready_for: SHORT }, &policy);
        assert_eq!(
            (failed.phase, steps),
            (Failed, vec![Step::GiveUp { after: 3 }])
        );
        let (again, _) = failed.next(Input::Asked(Wish::Restart), &policy);
        assert_eq!((again.phase, again.used), (Pending, 0));
        let (waiting, _) = life.next(Input::Died { ready_for: STABLE }, &policy);
        assert_eq!((waiting.phase, waiting.used), (Waiting, 1));
    }

    #[test]
    fn a_restart_that_fails_uses_up_one_attempt() {
        let last = Life {
            used: 3,
            ..at(Starting)
        };
        let again = Again::IfAutomatic;
        let (failed, steps) = last.next(Input::StartFailed { again }, &policy(3));
        assert_eq!(
            (failed.phase, steps),
            (Failed, vec![Step::GiveUp { after: 3 }])
        );
    }

    #[test]
    fn without_a_restart_policy_a_death_is_final() {
        let (life, steps) =
            at(Ready).next(Input::Died { ready_for: STABLE }, &RestartPolicy::Never);
        assert_eq!((life.phase, steps), (Failed, vec![]));
    }

    fn wish() -> impl Strategy<Value = Wish> {
        prop::sample::select(vec![
            Wish::Start,
            Wish::Stop,
            Wish::Restart,
            Wish::Remove,
            Wish::Leave,
        ])
    }

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Slot),
            Just(Input::Started),
            prop::sample::select(vec![
                Again::IfAutomatic,
                Again::Yes,
                Again::ForFree,
                Again::No
            ])
            .prop_map(|again| Input::StartFailed { again }),
            (0_u64..120).prop_map(|s| Input::Died {
                ready_for: Duration::from_secs(s)
            }),
            Just(Input::RetryDue),
            wish().prop_map(Input::Asked),
            Just(Input::Down),
            Just(Input::StillUp),
            Just(Input::Panicked),
        ]
    }

    proptest! {
        #[test]
        fn no_walk_makes_an_illegal_move(inputs in prop::collection::vec(input(), 0..60), attempts in 0_u32..4) {
            let mut life = Life::new();
            for input in inputs {
                let (next, steps) = life.next(input, &policy(attempts));
                prop_assert!(
                    next.phase == life.phase || life.phase.may_become(next.phase),
                    "{life:?} {input:?} -> {next:?}"
                );
                prop_assert!(next.used <= attempts);
                prop_assert_eq!(
                    next.phase == Waiting && life.phase != Waiting,
                    steps.iter().any(|step| matches!(step, Step::Retry { .. }))
                );
                if let [Step::Refuse(_)] = steps[..] {
                    prop_assert_eq!(next, life);
                }
                if steps.contains(&Step::Forget) {
                    prop_assert!(next.phase.is_settled(), "{life:?} {input:?} forgets while {next:?}");
                    return Ok(());
                }
                life = next;
            }
        }

        #[test]
        fn what_is_to_be_removed_never_starts_again(
            inputs in prop::collection::vec(input(), 0..60), goal in prop::sample::select(vec![Goal::Remove, Goal::Leave]),
        ) {
            let mut life = stopping(goal);
            for input in inputs {
                let (next, steps) = life.next(input, &policy(3));
                if next.phase != Stopping {
                    // Only a removal that failed leaves it there, failed, for the operator to see.
                    prop_assert!(steps.contains(&Step::Forget) || next.phase == Failed);
                    return Ok(());
                }
                prop_assert!(next.goal >= goal);
                life = next;
            }
        }

        #[test]
        fn from_anywhere_leaving_ends_in_being_forgotten(inputs in prop::collection::vec(input(), 0..30)) {
            let mut life = Life::new();
            for input in inputs {
                let (next, steps) = life.next(input, &policy(3));
                if steps.contains(&Step::Forget) {
                    return Ok(());
                }
                life = next;
            }
            let (life, steps) = life.next(Input::Asked(Wish::Leave), &policy(3));
            if !steps.contains(&Step::Forget) {
                for end in [Input::Down, Input::StillUp, Input::Panicked] {
                    let (_, steps) = life.next(end, &policy(3));
                    prop_assert!(steps.contains(&Step::Forget), "{life:?} {end:?}");
                }
            }
        }
    }
}
