//! What became of a call that has no answer, in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::arguments::json_text::compact;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::pen::{Pen, paragraph};
use crate::model::{Call, Cause, Failure, Obedience, Outcome};

pub fn draw(call: &Call, area: Rect, buf: &mut Buffer, cx: &Cx) {
    let Some(outcome) = call.outcome() else {
        return;
    };
    let mut lines: Vec<(String, Style)> = Vec::new();
    let columns = usize::from(area.width).saturating_sub(2);
    let mut add = |text: &str, role: Role| {
        let style = cx.theme.style(role);
        let rows = paragraph(text, columns, area.height.into());
        lines.extend(rows.into_iter().map(|row| (row, style)));
    };
    match outcome {
        Outcome::Cancelled(obedience) => add(words(*obedience), Role::LevelWarn),
        Outcome::Failed(failure) => fail(failure, &mut add),
        Outcome::Done(_) | Outcome::ToolError(_) => {}
    }
    add(" ", Role::Text);
    add(
        &format!("{} {}", call.tool, compact(&call.arguments)),
        Role::Dim,
    );
    for (row, (line, style)) in lines.iter().enumerate() {
        Pen::new(buf, area, row).skip(1).put(line, *style);
    }
}

fn words(obedience: Obedience) -> &'static str {
    match obedience {
        Obedience::Confirmed => "cancelled: the server stopped (confirmed)",
        Obedience::Silent => "cancelled: the server fell silent, as the protocol asks",
        Obedience::Ignored => "cancelled, but the server ignored the cancellation: it went on",
    }
}

fn fail(failure: &Failure, add: &mut dyn FnMut(&str, Role)) {
    add(
        &format!("✖ {}: {}", failure.doing(), failure.cause),
        Role::LevelError,
    );
    if let Cause::Rpc {
        data: Some(data), ..
    } = &failure.cause
    {
        add(&format!("data: {data}"), Role::Text);
    }
    if let Some(hint) = &failure.hint {
        add(&format!("→ {hint}"), Role::Text);
    }
    if !failure.output.is_empty() {
        add(" ", Role::Text);
        add("its last output:", Role::Dim);
        for line in &*failure.output {
            add(line, Role::LogStderr);
        }
    }
}
