//! What the Events pane shows: a line for each event that a reader would want, in words.

use crate::model::{CallState, Event, Fleet, Happening, InstanceId};

/// The line for `event`; `None` for what comes all the time (samples, good probes, progress). `fleet`
/// is the picture after it. Never arguments or payloads.
pub(super) fn line(fleet: &Fleet, event: &Event) -> Option<String> {
    let label = |id: &InstanceId| match fleet.instance(id) {
        Some(instance) => format!("{} {}", instance.backend.name, id.short()),
        None => format!("instance {}", id.short()),
    };
    Some(match &event.what {
        Happening::SessionOpened { session, caller } => {
            format!("session {} opened by {caller}", session.short())
        }
        Happening::SessionClosing { session } => format!("session {} closes", session.short()),
        Happening::SessionClosed { session } => format!("session {} is gone", session.short()),
        Happening::InstanceAdded {
            session, instance, ..
        } => {
            format!(
                "{} asked for in session {}",
                label(instance),
                session.short()
            )
        }
        Happening::InstanceRemoved { instance } => format!("{} is gone", label(instance)),
        Happening::PhaseChanged { instance, phase } => format!("{} is {phase}", label(instance)),
        Happening::Step { instance, step, .. } => format!("{}: {step}", label(instance)),
        Happening::RetryAt {
            instance,
            attempt,
            of,
            ..
        } => {
            format!(
                "{}: next start, attempt {attempt} of {of}, is planned",
                label(instance)
            )
        }
        Happening::Initialized { instance, server } => {
            format!(
                "{}: {} {} speaks MCP {}",
                label(instance),
                server.name,
                server.version,
                server.protocol
            )
        }
        Happening::ToolsListed { instance, tools } => {
            format!("{}: {} tools", label(instance), tools.len())
        }
        Happening::Died { instance, card } => format!("{}: {}", label(instance), card.failure),
        Happening::StdoutNoise { instance, lines } => {
            format!(
                "{}: {lines} lines on stdout that are not JSON-RPC",
                label(instance)
            )
        }
        Happening::Probed { instance, probe } => match &probe.result {
            Ok(_) => return None,
            Err(failure) => format!("{}: probe failed: {failure}", label(instance)),
        },
        Happening::CallStarted { call } => {
            format!(
                "call {} {} on {} by {}",
                call.id,
                call.tool,
                label(&call.instance),
                call.caller
            )
        }
        Happening::CallCancelling { call } => format!("call {call}: cancel sent"),
        Happening::CallExtended { call, .. } => format!("call {call}: given more time"),
        Happening::CallEnded {
            call,
            state: CallState::Ended { outcome, .. },
        } => {
            format!("call {call}: {}", outcome.word())
        }
        Happening::GatewayChanged { .. }
        | Happening::CallEnded { .. }
        | Happening::CallProgressed { .. }
        | Happening::Sampled { .. }
        | Happening::Described { .. } => return None,
    })
}
