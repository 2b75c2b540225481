//! The columns of the calls table, and what a call shows in them.

use jiff::SignedDuration;
use ratatui::text::Span;

use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Column, Row};
use crate::console::widgets::spark::progress_bar;
use crate::console::widgets::text::{duration_short, size};
use crate::model::{Call, CallState, Caller, Obedience, Outcome, Progress};
use crate::stores::lines::clean;

pub const COLUMNS: [Column; 10] = [
    Column::left("ID", 5, 1),
    Column::left("TIME", 8, 5),
    Column::left("CALLER", 12, 6),
    Column::left("BACKEND", 11, 7),
    Column::left("INSTANCE", 8, 8),
    Column::left("TOOL", 16, 0),
    Column::left("STATE", 8, 0),
    Column::right("TOOK", 6, 2),
    Column::right("SIZE", 8, 3),
    Column::left("ARGUMENTS", 9, 4).fill(),
];

/// Columns of the bar of a call whose end is known.
const BAR: usize = 8;

/// One call.
pub fn row(call: &Call, cx: &Cx) -> Row {
    let span = |text: &str, role| Span::styled(clean(text).into_owned(), cx.theme.style(role));
    let caller = if call.caller == Caller::Operator {
        Role::Text
    } else {
        Role::LevelInfo
    };
    let mut cells = vec![
        span(&call.id.to_string(), Role::Dim),
        span(&cx.clock(call.started), Role::Dim),
        span(&call.caller.to_string(), caller),
        span(&call.backend, Role::Dim),
        span(call.instance.short(), Role::Dim),
        span(&call.tool, Role::Text),
    ];
    let tail = match &call.state {
        CallState::Running => (running(call, cx), Role::PhaseStarting),
        CallState::Cancelling { since } => {
            let since = cx.now.duration_since(*since).as_secs().max(0);
            (format!("⊘ cancel sent {since} s ago"), Role::PhaseStopping)
        }
        CallState::Ended {
            outcome,
            took,
            size: bytes,
            ..
        } => match outcome {
            Outcome::Done(_) | Outcome::ToolError(_) => {
                let (state, role) = answered(outcome);
                cells.push(span(state, role));
                cells.push(span(&duration_short(*took), Role::Text));
                cells.push(span(&size(*bytes), Role::Text));
                cells.push(span(&call.arguments, Role::Dim));
                return Row { cells, tail: None };
            }
            Outcome::Cancelled(obedience) => (
                format!(
                    "⊘ cancelled, server {} · {}",
                    truth(*obedience),
                    duration_short(*took)
                ),
                Role::LevelWarn,
            ),
            Outcome::Failed(failure) => (format!("✖ failed  {}", failure.cause), Role::LevelError),
        },
    };
    Row {
        cells,
        tail: Some(span(&tail.0, tail.1)),
    }
}

fn answered(outcome: &Outcome) -> (&'static str, Role) {
    match outcome {
        Outcome::Done(_) => ("✔ ok", Role::PhaseReady),
        _ => ("✖ error", Role::LevelError),
    }
}

/// What the server did when it was told to stop.
fn truth(obedience: Obedience) -> &'static str {
    match obedience {
        Obedience::Confirmed => "stopped",
        Obedience::Silent => "silent",
        Obedience::Ignored => "went on",
    }
}

/// `◐ 3.2 s ▰▰▰▱▱▱▱▱ 3/8 reading · 27 s left`.
fn running(call: &Call, cx: &Cx) -> String {
    let elapsed = cx.now.duration_since(call.started);
    let elapsed = elapsed.max(SignedDuration::ZERO).unsigned_abs();
    let left = call.deadline.duration_since(cx.now).as_secs().max(0);
    let elapsed = elapsed.as_secs_f64();
    let progress = call.progress.as_ref().map(progress_text);
    let progress = progress.unwrap_or_default();
    format!("◐ {elapsed:.1} s{progress} · {left} s left")
}

fn progress_text(progress: &Progress) -> String {
    let message = progress.message.as_deref().unwrap_or_default();
    let done = match progress.total {
        Some(total) => format!(
            " {} {}/{total}",
            progress_bar(progress.done, total, BAR),
            progress.done
        ),
        None => format!(" progress {}", progress.done),
    };
    format!("{done} {message}").trim_end().to_owned()
}
