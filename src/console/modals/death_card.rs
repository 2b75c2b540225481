//! The death card: the frozen evidence of a death or a failed start, on one page.

use std::fmt::Write;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Modal;
use super::inspect::Inspect;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::sheet::Sheet;
use crate::console::widgets::spark::{memory_scale, spark};
use crate::console::widgets::text::{cut, duration_short, size};
use crate::model::{Call, DeathCard, Instance};
use crate::stores::lines::clean;

/// Output lines shown below the traceback.
const LAST_LINES: usize = 20;
/// Lines of a traceback.
const TRACEBACK_LINES: usize = 30;
/// Columns of a call's arguments.
const ARGUMENTS: usize = 400;
/// Columns of the memory curve.
const CURVE: usize = 60;

pub struct DeathCardPage {
    instance: Arc<Instance>,
    card: Arc<DeathCard>,
    sheet: Option<Sheet>,
}

impl DeathCardPage {
    /// `None` if nothing has died.
    pub fn new(instance: &Arc<Instance>) -> Option<Self> {
        Some(Self {
            card: instance.death.clone()?,
            instance: instance.clone(),
            sheet: None,
        })
    }

    fn build(&self, cx: &Cx) -> Sheet {
        let mut sheet = Sheet::default();
        self.cause(&mut sheet, cx);
        let output = &self.card.failure.output;
        let trace = traceback(output);
        if !trace.is_empty() {
            sheet.heading("first traceback");
            sheet.text(trace.join("\n"), Role::LevelError);
        }
        sheet.heading("last output");
        let from = output.len().saturating_sub(LAST_LINES);
        if output.is_empty() {
            sheet.text("it wrote nothing to stderr", Role::Dim);
        } else {
            sheet.text(output[from..].join("\n"), Role::LogStderr);
        }
        self.calls(&mut sheet, cx);
        self.memory(&mut sheet);
        if !self.card.facts.is_empty() {
            sheet.heading("what it was");
            for (name, value) in self.card.facts.iter() {
                sheet.fact(name, &**value);
            }
        }
        sheet
    }

    fn cause(&self, sheet: &mut Sheet, cx: &Cx) {
        let failure = &self.card.failure;
        sheet.heading("what happened");
        sheet.fact_as("cause", failure.cause.to_string(), Role::LevelError);
        if let Some(hint) = &failure.hint {
            sheet.fact_as("hint", hint.to_string(), Role::LevelWarn);
        }
        sheet.fact("stage", failure.doing());
        sheet.fact("time", cx.clock(self.card.at));
        let uptime = self.card.uptime.map(duration_short);
        sheet.fact(
            "ready for",
            uptime.unwrap_or_else(|| "it never was".to_owned()),
        );
        sheet.fact("restarts", self.card.restarts.to_string());
        sheet.fact("instance", self.instance.id.as_str());
        sheet.fact("session", self.instance.session.as_str());
    }

    fn calls(&self, sheet: &mut Sheet, cx: &Cx) {
        if !self.card.in_flight.is_empty() {
            sheet.heading("calls in flight");
            for call in &self.card.in_flight {
                sheet.fact(&call.id.to_string(), describe(call, cx));
            }
        }
        if let Some(call) = &self.card.last_good {
            sheet.heading("last good call");
            sheet.fact(&call.id.to_string(), describe(call, cx));
        }
    }

    fn memory(&self, sheet: &mut Sheet) {
        let memory = &self.card.memory;
        let Some(most) = memory.iter().max() else {
            return;
        };
        #[allow(clippy::cast_precision_loss, reason = "eight steps are shown")]
        let values = memory.iter().map(|bytes| *bytes as f64);
        #[allow(clippy::cast_precision_loss, reason = "eight steps are shown")]
        let scale = memory_scale(*most, None) as f64;
        sheet.heading("memory, last minute");
        let last = memory.last().copied().unwrap_or_default();
        let curve = spark(values, scale, CURVE.min(memory.len()));
        sheet.text(
            format!("{curve}  {}, peak {}", size(last), size(*most)),
            Role::Spark,
        );
    }
}

/// `read_file {"path":"/x"} from agent at 14:03:21`.
fn describe(call: &Call, cx: &Cx) -> String {
    let arguments = cut(&clean(&call.arguments), ARGUMENTS);
    let mut text = format!("{} {arguments}", call.tool);
    // Writing to a string cannot fail.
    let _ = write!(text, "  from {} at {}", call.caller, cx.clock(call.started));
    text
}

/// How runtimes begin to tell of a crash: Python, Rust, Go, Java, Node.
const TRACEBACKS: [&str; 5] = [
    "Traceback (most recent call last)",
    "panicked at",
    "panic: ",
    "Exception in thread",
    "Uncaught ",
];

/// The first traceback in the output: from its head to the line that is not indented after lines that are.
fn traceback(output: &[Box<str>]) -> Vec<&str> {
    let is_head = |line: &&str| TRACEBACKS.iter().any(|head| line.contains(head));
    let stack = |index: usize| {
        output
            .get(index + 1)
            .is_some_and(|next| next.starts_with("    at "))
    };
    let lines: Vec<&str> = output.iter().map(|line| &**line).collect();
    let begin = (0..lines.len()).find(|index| is_head(&lines[*index]) || stack(*index));
    let Some(begin) = begin else {
        return Vec::new();
    };
    let is_inner = |line: &&&str| line.starts_with(char::is_whitespace) || line.is_empty();
    let inner = lines[begin + 1..].iter().take_while(is_inner).count();
    // Python ends with the error itself, not indented.
    let end = begin + 1 + inner + usize::from(lines[begin].starts_with(TRACEBACKS[0]));
    let end = end.min(lines.len()).min(begin + TRACEBACK_LINES);
    lines[begin..end].to_vec()
}

impl Modal for DeathCardPage {
    fn title(&self) -> String {
        let name = format!(
            "✖ Death card ─ {} {}",
            self.instance.backend.name,
            self.instance.id.short()
        );
        clean(&name).into_owned()
    }

    fn size(&self, screen: Rect, _: &Cx) -> (u16, u16) {
        (screen.width.min(140), screen.height)
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::Copy,
            Action::Inspect,
            Action::RunAgain,
            Action::ShowLogs,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent> {
        let sheet = self.sheet.get_or_insert_default();
        if sheet.on_action(action) {
            return Vec::new();
        }
        match action {
            Action::Copy | Action::CopyAll => {
                let text = format!("{}\n\n{}", self.title(), self.build(cx).plain());
                vec![Intent::copy(text, "the death card")]
            }
            Action::Inspect => {
                let mut intents = vec![Intent::CloseModal];
                intents.extend(Inspect::open(&self.instance));
                intents
            }
            Action::RunAgain => {
                let restart = crate::model::Command::Restart(self.instance.id.clone());
                vec![Intent::CloseModal, Intent::send(restart)]
            }
            Action::ShowLogs => vec![
                Intent::CloseModal,
                Intent::SelectInstance(self.instance.id.clone()),
                Intent::Do(Action::ShowLogs),
            ],
            _ => Vec::new(),
        }
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        if let Some(sheet) = &mut self.sheet {
            sheet.scroll(isize::try_from(rows).unwrap_or_default());
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        let mut sheet = self.sheet.take().unwrap_or_else(|| self.build(cx));
        sheet.sync(area);
        self.sheet = Some(sheet);
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        if let Some(sheet) = &self.sheet {
            sheet.draw(area, buf, cx.theme);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::traceback;

    fn found(output: &str) -> Vec<String> {
        let lines: Vec<Box<str>> = output.lines().map(Into::into).collect();
        traceback(&lines).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_first_traceback_is_found_in_what_runtimes_write() {
        let python = "starting\nTraceback (most recent call last):\n  File \"x.py\", line 1\n    boom()\nValueError: no\nbye";
        assert_eq!(
            found(python).last().map(String::as_str),
            Some("ValueError: no")
        );
        assert_eq!(found(python).len(), 4);
        let node = "up\nError: no such file\n    at open (fs.js:1)\n    at main\nNode.js v20";
        assert_eq!(
            found(node),
            [
                "Error: no such file",
                "    at open (fs.js:1)",
                "    at main"
            ]
        );
        let rust = "thread 'main' panicked at src/main.rs:1:\nindex out of bounds";
        assert_eq!(found(rust).len(), 1);
        assert_eq!(found("all is well\n  indented"), [""; 0]);
    }
}
