//! Pane 6: how the selected instance is: resources, probes, restarts. Nothing on it changes by time alone,
//! and small changes of numbers are rounded away: an idle instance costs no drawing.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Cx, Pane, PaneKind};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::instances::commands::evidence;
use crate::console::theme::Role;
use crate::console::widgets::hint;
use crate::console::widgets::phase::{glyph, role, state};
use crate::console::widgets::sheet::wrap;
use crate::console::widgets::spark::{memory_scale, spark};
use crate::console::widgets::text::{age, count, size_coarse, traffic_coarse, width};
use crate::model::{Command, Instance, InstanceId, Phase, Probe, Traffic, fact};
use crate::stores::lines::clean;

/// Columns of the labels.
const LABEL: u16 = 8;
/// The most columns of a sparkline: two minutes.
const SPARK: u16 = 120;

#[derive(Default)]
pub struct HealthPane {
    /// Whose resource use is being sampled often.
    watched: Option<InstanceId>,
}

/// Rows that are filled from the top.
struct Page<'a, 'b> {
    area: Rect,
    buf: &'a mut Buffer,
    cx: &'a Cx<'b>,
}

/// Facts that tell how an instance is, though nothing is amiss.
const SHOWN: [&str; 3] = [fact::HEALTH, fact::SANDBOX_HEALTH, fact::WORKSPACE];

impl Page<'_, '_> {
    fn style(&self, role: Role) -> Style {
        self.cx.theme.style(role)
    }

    /// A label, and text beside it over as many rows as it needs.
    fn fact(&mut self, label: &str, text: &str, role: Role) {
        let room = self.area.width.saturating_sub(LABEL + 1);
        self.label(label);
        for line in wrap(text, room.into()) {
            self.put(LABEL, &line, role);
            self.next();
        }
    }

    /// A label, a sparkline and a value at the right.
    fn curve(&mut self, label: &str, values: &[f64], full: f64, value: &str) {
        self.label(label);
        let wide = u16::try_from(width(value)).unwrap_or(u16::MAX);
        let room = self.area.width.saturating_sub(LABEL + wide + 2).min(SPARK);
        let line = spark(values.iter().copied(), full, room.into());
        self.put(LABEL, &line, Role::Spark);
        self.put(LABEL + room + 1, value, Role::Text);
        self.next();
    }

    fn label(&mut self, text: &str) {
        self.put(1, text, Role::Dim);
    }

    fn put(&mut self, left: u16, text: &str, role: Role) {
        if self.area.height > 0 && left < self.area.width {
            let style = self.style(role);
            let room = usize::from(self.area.width - left);
            let (x, y) = (self.area.x + left, self.area.y);
            self.buf.set_stringn(x, y, text, room, style);
        }
    }

    fn next(&mut self) {
        self.area.y += 1;
        self.area.height = self.area.height.saturating_sub(1);
    }

    fn state(&mut self, instance: &Instance) {
        let phase = instance.phase;
        match (&instance.death, phase) {
            (_, Phase::Ready) => {
                let seconds = self.cx.now.duration_since(instance.since).as_secs();
                let (glyph, word, role) = state(instance);
                self.fact("state", &format!("{glyph} {word} · {}", age(seconds)), role);
            }
            (Some(card), Phase::Failed | Phase::Waiting) => {
                let text = format!("{} {phase} · {}", glyph(phase), card.failure);
                self.fact("state", &text, role(phase));
            }
            _ => self.fact("state", &format!("{} {phase}", glyph(phase)), role(phase)),
        }
    }

    fn resources(&mut self, instance: &Instance) {
        let samples = &instance.health.samples;
        let Some(latest) = samples.back() else {
            self.fact("cpu", "not measured", Role::Dim);
            self.fact(
                "procs",
                &format!("– · restarts {}", instance.restarts),
                Role::Text,
            );
            return;
        };
        let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let cpu: Vec<f64> = samples.iter().map(|sample| f64::from(sample.cpu)).collect();
        let full = (largest(&cpu) / 100.0).ceil().max(1.0) * 100.0;
        let limit = latest.memory_limit.filter(|limit| *limit > 0);
        let used = size_coarse(latest.memory);
        let used = limit.map_or(used.clone(), |limit| {
            format!("{used}/{}", size_coarse(limit))
        });
        let percent = format!("{:.0}%", latest.cpu);
        let processes = latest.processes.to_string();
        // The curves of what has ended stay, but it uses nothing now.
        let has_ended = has_ended(instance);
        let now = |value: String| if has_ended { "–".to_owned() } else { value };
        let (used, percent, processes) = (now(used), now(percent), now(processes));
        // Both values as wide as the wider one: the curves end at the same column.
        let wide = width(&used).max(width(&percent)).max(5);
        self.curve("cpu", &cpu, full, &format!("{percent:>wide$}"));
        #[allow(clippy::cast_precision_loss, reason = "eight steps are shown")]
        let memory: Vec<f64> = samples.iter().map(|sample| sample.memory as f64).collect();
        let most = samples.iter().map(|sample| sample.memory).max();
        #[allow(clippy::cast_precision_loss, reason = "eight steps are shown")]
        let scale = memory_scale(most.unwrap_or_default(), limit) as f64;
        self.curve("mem", &memory, scale, &format!("{used:>wide$}"));
        let procs = format!("{processes} · restarts {}", instance.restarts);
        self.fact("procs", &procs, Role::Text);
    }

    /// Bytes in and out, where they are counted.
    fn traffic(&mut self, instance: &Instance) {
        let Some(sample) = instance.latest_sample().filter(|_| !has_ended(instance)) else {
            return;
        };
        if let Some(Traffic { inward, outward }) = sample.network {
            let text = format!("{}↓ {}↑", traffic_coarse(inward), traffic_coarse(outward));
            self.fact("net", &text, Role::Text);
        }
        if let Some(Traffic { inward, outward }) = sample.disk {
            let text = format!("{} r {} w", traffic_coarse(inward), traffic_coarse(outward));
            self.fact("disk", &text, Role::Text);
        }
    }

    /// What its world tells of it, beyond what goes without saying.
    fn live_facts(&mut self, instance: &Instance) {
        if has_ended(instance) {
            return;
        }
        for (name, text) in instance.facts.iter() {
            if fact::is_alarming(name, text) {
                self.fact(name, text, Role::LevelWarn);
            } else if SHOWN.contains(&&**name) {
                self.fact(name, text, Role::Text);
            }
        }
    }

    fn probe(&mut self, instance: &Instance) {
        let Some(probe) = instance.health.probes.back() else {
            self.fact("probe", "none yet", Role::Dim);
            return;
        };
        let (text, role) = probe_text(probe, instance.health.consecutive_failures);
        if instance.phase == Phase::Ready {
            self.fact("probe", &text, role);
        } else {
            self.fact("probe", &format!("last: {text}"), Role::Dim);
        }
    }

    fn server(&mut self, instance: &Instance) {
        if let Some(server) = &instance.server {
            self.fact("MCP", &server.protocol, Role::Text);
            let text = format!("{} {}", server.name, server.version);
            self.fact("server", &text, Role::Text);
        }
    }

    fn noise(&mut self, instance: &Instance) {
        if instance.stdout_noise > 0 {
            let lines = match instance.stdout_noise {
                1 => "1 line".to_owned(),
                n => format!("{} lines", count(n)),
            };
            let text = format!("the server writes to stdout (not JSON-RPC): {lines}");
            self.fact("!", &text, Role::LevelWarn);
        }
    }
}

fn has_ended(instance: &Instance) -> bool {
    matches!(
        instance.phase,
        Phase::Failed | Phase::Waiting | Phase::Stopped
    )
}

fn probe_text(probe: &Probe, failures: u32) -> (String, Role) {
    match &probe.result {
        Ok(took) => (
            format!("ok {} · {}", rounded_up(*took), probe.how),
            Role::PhaseReady,
        ),
        Err(failure) => (
            format!("failed ×{failures} · {} · {failure}", probe.how),
            Role::LevelError,
        ),
    }
}

/// `<1 ms`, `<2 ms`, `<5 ms`, `<10 ms` …: steps so wide that jitter seldom shows.
fn rounded_up(took: Duration) -> String {
    let mut step = 1;
    while took.as_millis() >= step {
        // 1, 2, 5, 10, 20, 50, …
        let leading = step.to_string().as_bytes()[0];
        step = if leading == b'2' {
            step / 2 * 5
        } else {
            step * 2
        };
    }
    if step < 1000 {
        format!("<{step} ms")
    } else {
        format!("<{} s", step / 1000)
    }
}

impl Pane for HealthPane {
    fn kind(&self) -> PaneKind {
        PaneKind::Health
    }

    fn title(&self, cx: &Cx) -> String {
        cx.instance().map_or_else(String::new, |instance| {
            let name = format!("{} {}", instance.backend.name, instance.id.short());
            clean(&name).into_owned()
        })
    }

    fn actions(&self) -> &'static [Action] {
        &[Action::Open, Action::Inspect]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        match action {
            Action::Open => Some(evidence(cx.instance()?)),
            _ => None,
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        let seen = cx.selection.instance.clone().filter(|_| !area.is_empty());
        if seen == self.watched {
            return Vec::new();
        }
        self.watched.clone_from(&seen);
        vec![Intent::send(Command::Watch(seen))]
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, _: bool, cx: &Cx) {
        let Some(instance) = cx.instance() else {
            hint::draw("select an instance to see how it is", area, buf, cx.theme);
            return;
        };
        let mut page = Page { area, buf, cx };
        page.state(instance);
        page.noise(instance);
        page.live_facts(instance);
        page.resources(instance);
        page.probe(instance);
        page.traffic(instance);
        page.server(instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_rounded_up_to_wide_steps() {
        let texts = [0, 1, 2, 4, 5, 9, 10, 99, 700, 1_500]
            .map(|millis| rounded_up(Duration::from_millis(millis)));
        assert_eq!(
            texts,
            [
                "<1 ms", "<2 ms", "<5 ms", "<5 ms", "<10 ms", "<10 ms", "<20 ms", "<100 ms",
                "<1 s", "<2 s"
            ]
        );
    }
}
