//! Which events are worth a line that the user sees without looking for it.

use crate::model::{Event, Fleet, Happening, Instance, Level, Notice, Phase, Stage};

/// The notice that `event` deserves; `fleet` is the picture after it.
pub(super) fn worth_telling(fleet: &Fleet, event: &Event) -> Option<Notice> {
    let id = event.what.instance()?;
    let instance = fleet.instance(id)?;
    let (level, text) = match &event.what {
        Happening::Died { card, .. } => {
            let verb = match (card.failure.stage, card.uptime) {
                (Stage::Stop, _) => "was not stopped",
                (_, Some(_)) => "died",
                (_, None) => "did not start",
            };
            (
                Level::Error,
                format!("{} {verb}: {}", label(instance), card.failure),
            )
        }
        Happening::RetryAt { attempt: 0, .. } => {
            (Level::Warn, format!("{} is tried again", label(instance)))
        }
        Happening::RetryAt { attempt, of, .. } => (
            Level::Warn,
            format!(
                "{} restarts by itself, attempt {attempt} of {of}",
                label(instance)
            ),
        ),
        Happening::PhaseChanged {
            phase: Phase::Ready,
            ..
        } if instance.restarts > 0 => (Level::Info, format!("{} is ready again", label(instance))),
        Happening::StdoutNoise { lines, .. } if instance.stdout_noise == *lines => (
            Level::Warn,
            format!(
                "{}: the server writes to stdout: not JSON-RPC; see its log",
                label(instance)
            ),
        ),
        _ => return None,
    };
    Some(Notice::new(level, text).about(id))
}

fn label(instance: &Instance) -> String {
    format!("{} {}", instance.backend.name, instance.id.short())
}
