//! Where an instance *is*, and which moves are legal.

/// Where an instance is in its life. What it was *doing* when it failed is a [`super::Stage`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// Asked for; waits for a free start slot.
    Pending,
    /// Being created, started, connected, initialized or checked.
    Starting,
    /// Answers tool calls.
    Ready,
    /// Died, or was not brought back; waits for the next attempt of its restart policy.
    Waiting,
    /// Being taken down on request.
    Stopping,
    /// Taken down on request; may be started again.
    Stopped,
    /// Ended badly; nothing more happens by itself.
    Failed,
}

impl Phase {
    /// Whether an instance may go from `self` to `next`.
    pub fn may_become(self, next: Phase) -> bool {
        use Phase::{Failed, Pending, Ready, Starting, Stopped, Stopping, Waiting};
        matches!(
            (self, next),
            (Pending, Starting | Stopping | Stopped | Failed)
                | (Starting, Ready | Waiting | Stopping | Failed)
                | (Ready, Waiting | Stopping | Failed)
                | (Waiting, Pending | Stopping | Stopped | Failed)
                | (Stopping, Pending | Stopped | Failed)
                | (Stopped | Failed, Pending)
        )
    }

    /// Whether nothing runs and nothing will start without being asked.
    pub fn is_settled(self) -> bool {
        matches!(self, Phase::Stopped | Phase::Failed)
    }
}
