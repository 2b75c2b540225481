//! The journal: one line per event in the program's log; who and how much, never what was said. What comes all the time
//! is only traced, and so is the start of a call: its end tells all.

use tracing::{Level, field};

use crate::model::{CallState, Event, Fleet, Happening};

/// `fleet` is the picture before `event`: a call that ends is still in it.
pub(super) fn write(fleet: &Fleet, event: &Event) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let what = &event.what;
    let about = what.call().and_then(|id| fleet.calls.get(&id));
    let session = what.session().or(about.map(|call| &call.session));
    // Whoever knows the whole of it may use the session.
    let session = session.map(|session| field::display(session.short()));
    let instance = what.instance().or(about.map(|call| &call.instance));
    let instance = instance.map(field::display);
    let call = what.call().map(field::display);
    // Whoever calls may ask for a tool of any name.
    let tool = about.map(|call| field::debug(&call.tool));
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                session,
                instance,
                call,
                tool,
                detail = detail(what),
                "{}",
                what.name()
            )
        };
    }
    if is_only_traced(what) {
        line!(Level::TRACE);
    } else {
        line!(Level::DEBUG);
    }
}

fn is_only_traced(what: &Happening) -> bool {
    matches!(
        what,
        Happening::Probed { .. }
            | Happening::Sampled { .. }
            | Happening::Step { .. }
            | Happening::Described { .. }
            | Happening::CallStarted { .. }
            | Happening::CallProgressed { .. }
            | Happening::StdoutNoise { .. }
            | Happening::GatewayChanged { .. }
    )
}

fn detail(what: &Happening) -> Option<String> {
    Some(match what {
        Happening::SessionOpened { caller, .. } => format!("by {caller}"),
        Happening::InstanceAdded { backend, .. } => backend.name.to_string(),
        Happening::PhaseChanged { phase, .. } => phase.to_string(),
        Happening::Step { step, .. } => step.to_string(),
        Happening::RetryAt { attempt, of, .. } => format!("{attempt} of {of}"),
        Happening::ToolsListed { tools, .. } => format!("{} tools", tools.len()),
        Happening::StdoutNoise { lines, .. } => format!("{lines} lines"),
        Happening::Died { card, .. } => format!("at stage {}", card.failure.doing()),
        Happening::CallStarted { call } => format!("{} bytes of arguments", call.arguments.len()),
        Happening::CallEnded {
            state:
                CallState::Ended {
                    outcome,
                    took,
                    size,
                    ..
                },
            ..
        } => format!("{} after {took:?}, {size} bytes", outcome.word()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::model::{CallId, Outcome, ResultId};

    #[test]
    fn a_line_tells_sizes() {
        let state = CallState::Ended {
            outcome: Outcome::Done(ResultId(1)),
            at: Timestamp::UNIX_EPOCH,
            took: Duration::from_millis(3),
            size: 214,
        };
        let ended = Happening::CallEnded {
            call: CallId(12),
            state,
        };
        assert_eq!(detail(&ended).as_deref(), Some("ok after 3ms, 214 bytes"));
    }
}
