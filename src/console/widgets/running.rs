//! A running call: how long, how far, how much longer.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pen::Pen;
use super::text::duration_short;
use crate::console::action::Action;
use crate::console::keymap::Context;
use crate::console::panes::{Cx, PaneKind};
use crate::console::theme::Role;
use crate::model::{Call, CallState, Progress};
use crate::stores::lines::clean;

/// How long a server may go on after a cancel before the screen says that it does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Columns of the bar.
const BAR: usize = 20;

/// From `from` to `until`; nothing if that is the other way round.
pub fn between(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or_default()
}

/// Two rows: progress; time, deadline and what can be done about it.
pub fn draw(call: &Call, area: Rect, buf: &mut Buffer, cx: &Cx) {
    let dim = cx.theme.style(Role::Dim);
    let mut pen = Pen::new(buf, area, 0);
    match &call.progress {
        Some(progress) => draw_progress(progress, &mut pen, cx),
        None => {
            pen.put_cut("waiting for the answer", dim);
        }
    }
    let elapsed = duration_short(between(call.started, cx.now));
    let mut pen = Pen::new(buf, area, 1);
    pen.put(&format!("{elapsed}  "), cx.theme.style(Role::PhaseStarting));
    if let CallState::Cancelling { since } = call.state {
        let waited = between(since, cx.now);
        let text = if waited < PATIENCE {
            let left = PATIENCE.saturating_sub(waited).as_secs() + 1;
            format!("cancel sent, the server has {left} s to obey")
        } else {
            format!(
                "cancelled {} ago, the server still works",
                duration_short(waited)
            )
        };
        pen.put_cut(&text, cx.theme.style(Role::LevelWarn));
        return;
    }
    let left = between(cx.now, call.deadline).as_secs();
    pen.put(&format!("{left} s left  "), dim);
    for (action, words) in [
        (Action::CancelCall, "cancel"),
        (Action::ExtendCall, "more time"),
    ] {
        if let Some(key) = cx.keymap.key_for(Context::Pane(PaneKind::Call), action) {
            pen.put(&format!(" {key} "), cx.theme.style(Role::Key))
                .put_cut(words, cx.theme.style(Role::Hint))
                .put(" ", dim);
        }
    }
}

fn draw_progress(progress: &Progress, pen: &mut Pen, cx: &Cx) {
    let spark = cx.theme.style(Role::Spark);
    let text = cx.theme.style(Role::Text);
    match progress.total.filter(|total| *total > 0.0) {
        Some(total) => {
            let share = (progress.done / total).clamp(0.0, 1.0);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "between 0 and BAR"
            )]
            let full = (share * BAR as f64).round() as usize;
            pen.put(&"█".repeat(full), spark)
                .put(&"░".repeat(BAR - full), cx.theme.style(Role::Dim))
                .put(&format!(" {:.0}%  ", share * 100.0), text);
        }
        None => {
            pen.put(&format!("{} so far  ", progress.done), text);
        }
    }
    if let Some(message) = &progress.message {
        pen.put_cut(&clean(message), text);
    }
}
