//! How phases look: a glyph and a role each, and the sum of many.

use super::spark::progress_bar;
use crate::console::theme::Role;
use crate::model::{Instance, Phase, fact};

pub fn glyph(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready => "●",
        Phase::Starting => "◐",
        Phase::Pending => "○",
        Phase::Waiting => "◌",
        Phase::Stopping => "◍",
        Phase::Stopped => "□",
        Phase::Failed => "✖",
    }
}

pub fn role(phase: Phase) -> Role {
    match phase {
        Phase::Ready => Role::PhaseReady,
        Phase::Starting => Role::PhaseStarting,
        Phase::Pending => Role::PhasePending,
        Phase::Waiting => Role::PhaseWaiting,
        Phase::Stopping => Role::PhaseStopping,
        Phase::Stopped => Role::PhaseStopped,
        Phase::Failed => Role::PhaseFailed,
    }
}

/// How an instance is, in a glyph and a word: its phase, or what its world says of a ready one that is not well.
pub fn state(instance: &Instance) -> (&'static str, &'static str, Role) {
    let phase = instance.phase;
    let says = |name, begin: &str| {
        let fact = instance.fact(name);
        phase == Phase::Ready && fact.is_some_and(|text| text.starts_with(begin))
    };
    if says(fact::ENGINE, "") {
        ("?", "no engine", Role::LevelWarn)
    } else if says(fact::STATUS, fact::PAUSED) {
        ("‖", "paused", Role::PhaseStopped)
    } else if says(fact::HEALTH, fact::UNHEALTHY) {
        ("●", "unhealthy", Role::LevelWarn)
    } else {
        (glyph(phase), phase.into(), role(phase))
    }
}

/// Whether the screen shows seconds for it.
pub fn is_moving(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Pending | Phase::Starting | Phase::Waiting | Phase::Stopping
    )
}

/// How many instances are in each phase, what needs attention first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally([usize; 7]);

const ORDER: [Phase; 7] = [
    Phase::Failed,
    Phase::Waiting,
    Phase::Starting,
    Phase::Pending,
    Phase::Stopping,
    Phase::Ready,
    Phase::Stopped,
];

impl Tally {
    pub fn add(&mut self, phase: Phase) {
        let place = ORDER.iter().position(|other| *other == phase);
        self.0[place.expect("ORDER has every phase: a test goes through them")] += 1;
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
        self
    }

    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    pub fn count(&self, phase: Phase) -> usize {
        self.iter()
            .find(|(other, _)| *other == phase)
            .map_or(0, |(_, count)| count)
    }

    /// The phases that occur, what needs attention first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Phase, usize)> {
        ORDER
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }

    /// How far many starts are, `▰▰▰▱▱ 3/5`; nothing while none is on its way up.
    pub fn progress(&self, columns: usize) -> Option<String> {
        let (ready, total) = (self.count(Phase::Ready), self.total());
        #[allow(clippy::cast_precision_loss, reason = "a bar of a few columns")]
        let bar = || progress_bar(ready as f64, total as f64, columns);
        (self.rising() > 0).then(|| format!("{} {ready}/{total}", bar()))
    }

    /// Instances on their way up.
    pub fn rising(&self) -> usize {
        self.count(Phase::Pending) + self.count(Phase::Starting)
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_phase_is_counted_and_failures_come_first() {
        let mut tally = Tally::default();
        for phase in Phase::iter().chain([Phase::Failed]) {
            tally.add(phase);
        }
        assert_eq!(tally.total(), Phase::iter().count() + 1);
        assert_eq!(tally.iter().next(), Some((Phase::Failed, 2)));
        assert_eq!((tally.rising(), tally.plus(&tally).rising()), (2, 4));
        let glyphs: std::collections::BTreeSet<_> = Phase::iter().map(glyph).collect();
        assert_eq!(
            glyphs.len(),
            Phase::iter().count(),
            "told apart without colour"
        );
    }
}
