//! The columns of the instances table, and what an instance shows in them.

use jiff::{SignedDuration, Timestamp};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::grid::{Column, Row};
use crate::console::widgets::phase::{self, role};
use crate::console::widgets::spark::progress_bar;
use crate::console::widgets::text::{age, count, duration_short, size_coarse, width};
use crate::model::{Instance, Phase, fact};
use crate::stores::lines::clean;

/// The columns, the backend's as wide as the longest name needs.
pub fn columns(cx: &Cx) -> [Column; 13] {
    let names = cx.fleet.backends.iter().map(|backend| width(&backend.name));
    let widest = names.max().unwrap_or_default().clamp(7, 20);
    [
        Column::left("STATE", 11, 0),
        Column::left("ID", 8, 1),
        Column::left("BACKEND", u16::try_from(widest).unwrap_or(20), 0),
        Column::left("MODE", 8, 9),
        Column::left("VIA", 5, 10),
        Column::right("UP", 5, 4),
        Column::right("CPU", 4, 6),
        Column::right("MEM", 5, 5),
        Column::right("RST", 3, 7),
        Column::right("CALLS", 5, 3),
        Column::right("ERR", 3, 3),
        Column::right("P50", 6, 8),
        Column::left("LAST", 10, 2).fill(),
    ]
}

/// Columns of the bar of a step that tells how much of it is done.
const BAR: usize = 10;

const NONE: &str = "–";

/// One instance.
pub fn row(instance: &Instance, cx: &Cx) -> Row {
    let text = cx.theme.style(Role::Text);
    let dim = cx.theme.style(Role::Dim);
    let span = |text: &str, style: Style| Span::styled(clean(text).into_owned(), style);
    let mut cells = vec![
        state(instance, cx),
        span(instance.id.short(), text),
        span(&instance.backend.name, text),
        // Those in one sandbox are seen to be.
        span(
            instance
                .fact(fact::SANDBOX)
                .unwrap_or(instance.backend.mode),
            dim,
        ),
        span(&instance.backend.transport.to_string(), dim),
    ];
    if let Some((text, role)) = tail(instance, cx.now) {
        return Row {
            cells,
            tail: Some(span(&text, cx.theme.style(role))),
        };
    }
    let up = (instance.phase == Phase::Ready).then(|| {
        let seconds = cx.now.duration_since(instance.since).as_secs();
        age(seconds)
    });
    let sample = instance
        .latest_sample()
        .filter(|_| instance.phase == Phase::Ready);
    let numbers = [
        up,
        sample.map(|sample| format!("{:.0}%", sample.cpu)),
        sample.map(|sample| size_coarse(sample.memory)),
        Some(instance.restarts.to_string()),
        Some(count(instance.calls)),
        Some(count(instance.errors)),
        instance.p50().map(duration_short),
        instance.last_tool.as_deref().map(str::to_owned),
    ];
    for (column, number) in numbers.into_iter().enumerate() {
        let bad = column == 5 && instance.errors > 0;
        let style = match &number {
            _ if bad => cx.theme.style(Role::LevelError),
            None => dim,
            Some(zero) if zero == "0" => dim,
            Some(_) => text,
        };
        cells.push(span(number.as_deref().unwrap_or(NONE), style));
    }
    Row { cells, tail: None }
}

/// `● ready`, or `● ready ·2` while it works on two calls.
fn state(instance: &Instance, cx: &Cx) -> Span<'static> {
    let (glyph, word, role) = phase::state(instance);
    let busy = match instance.in_flight {
        0 => String::new(),
        calls => format!(" ·{calls}"),
    };
    let text = format!("{glyph} {word}{busy}");
    Span::styled(text, cx.theme.style(role))
}

/// What an instance that does not answer calls has to say.
fn tail(instance: &Instance, now: Timestamp) -> Option<(String, Role)> {
    let elapsed = seconds(now.duration_since(instance.since));
    let text = match instance.phase {
        Phase::Ready | Phase::Stopped => return None,
        Phase::Pending => {
            let step = instance.step.as_deref().unwrap_or("waits its turn");
            (format!("{step} · {elapsed}"), Role::Dim)
        }
        Phase::Starting | Phase::Stopping => {
            let step = instance.step.as_deref().unwrap_or("…");
            let left = instance.step_deadline.map(|deadline| {
                let left = seconds(deadline.duration_since(now));
                format!(" · {left} left")
            });
            let bar = share(step).map(|percent| progress_bar(percent, 100.0, BAR) + " ");
            let again = (instance.phase == Phase::Starting && instance.restarts > 0)
                .then(|| format!(" · start {}", instance.restarts + 1));
            let text = [
                bar,
                Some(step.to_owned()),
                Some(format!(" · {elapsed}")),
                again,
                left,
            ];
            let text: String = text.into_iter().flatten().collect();
            (text, role(instance.phase))
        }
        Phase::Waiting => {
            let retry = instance.retry.map(|(attempt, of, at)| {
                let left = seconds(at.duration_since(now));
                format!("retry {attempt}/{of} in {left}")
            });
            let reason = instance
                .death
                .as_ref()
                .map(|card| format!(" · {}", card.failure));
            let text = retry.unwrap_or_else(|| "waits for a retry".to_owned());
            (text + &reason.unwrap_or_default(), Role::PhaseWaiting)
        }
        Phase::Failed => {
            let failure = instance.death.as_ref().map(|card| card.failure.to_string());
            (failure.unwrap_or_default(), Role::PhaseFailed)
        }
    };
    Some(text)
}

/// How much of a step is done, percent, if it tells: `pull image 40 %`, `pull image 12/30 MB`.
fn share(step: &str) -> Option<f64> {
    let percent = |text: &str| {
        let (before, _) = text.split_once(" %")?;
        before.rsplit(' ').next()?.parse().ok()
    };
    let fraction = |word: &str| {
        let (done, all) = word.split_once('/')?;
        Some(done.parse::<f64>().ok()? / all.parse::<f64>().ok()? * 100.0)
    };
    let fractions = || step.split([' ', ',']).find_map(fraction);
    let share = percent(step).or_else(fractions)?;
    (0.0..=100.0).contains(&share).then_some(share)
}

/// Whole seconds, never below zero: `4 s`, `2m05s`.
fn seconds(span: SignedDuration) -> String {
    match span.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_count_tell_how_much_is_done() {
        let shares = [
            ("pull image 40 %", Some(40.0)),
            ("pull image 12.5/50 MB, layers 3/7", Some(25.0)),
            ("unpack image, layers 3/4", Some(75.0)),
            ("check /data/1", None),
            ("pull image 0/0", None),
            ("pull image 200 %", None),
            ("initialize", None),
        ];
        for (step, expected) in shares {
            assert_eq!(share(step), expected, "{step}");
        }
    }
}
