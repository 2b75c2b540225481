//! Tools: what the selected instance offers, kept after its death.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use serde_json::{Value, json};

use super::{Cx, Pane, PaneKind, empty};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::theme::Role;
use crate::console::widgets::grid::mark;
use crate::console::widgets::matcher::Matcher;
use crate::console::widgets::pen::{Pen, paragraph, scroll_to};
use crate::console::widgets::prompt::{Prompt, Typed};
use crate::model::{Command, Phase, ToolSpec};
use crate::stores::lines::clean;

/// Rows that the list keeps before the description gets any.
const LIST_ROWS: usize = 3;

/// The order of rows and what it was computed from.
#[derive(Default)]
struct Order {
    tools: Option<Arc<[Arc<ToolSpec>]>>,
    filter: String,
    rows: Vec<usize>,
}

#[derive(Default)]
pub struct Tools {
    filter: Prompt,
    typing: bool,
    order: Order,
    cursor: usize,
    top: usize,
    /// The cursor and the height for which `top` was last chosen: the wheel may leave the cursor behind.
    seen: (usize, usize),
    area: Rect,
}

impl Tools {
    fn refresh(&mut self, cx: &Cx) {
        let tools = cx.instance().and_then(|instance| instance.tools.as_ref());
        let same = match (tools, &self.order.tools) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if same && self.order.filter == self.filter.text() {
            return;
        }
        let matcher = Matcher::new(self.filter.text());
        let passes = |tool: &ToolSpec| {
            matcher.as_ref().is_none_or(|matcher| {
                let title = tool.title.as_deref().unwrap_or_default();
                matcher.is_match(&tool.name) || matcher.is_match(title)
            })
        };
        let all = tools.map_or(&[][..], |tools| &tools[..]);
        let rows = (0..all.len()).filter(|index| passes(&all[*index]));
        self.order = Order {
            rows: rows.collect(),
            tools: tools.cloned(),
            filter: self.filter.text().to_owned(),
        };
    }

    fn tool(&self, row: usize) -> Option<&Arc<ToolSpec>> {
        let index = *self.order.rows.get(row)?;
        self.order.tools.as_ref()?.get(index)
    }

    fn select(&mut self, row: usize) -> Vec<Intent> {
        self.cursor = row.min(self.order.rows.len().saturating_sub(1));
        let selected = self.tool(self.cursor);
        selected
            .map(|tool| Intent::SelectTool(tool.name.clone()))
            .into_iter()
            .collect()
    }

    /// Puts the cursor on the selected tool; selects the first one if there is none, or it is gone.
    fn agree(&mut self, selected: Option<&Arc<str>>) -> Vec<Intent> {
        let is_selected = |tool: &Arc<ToolSpec>| Some(&tool.name) == selected;
        if self.tool(self.cursor).is_some_and(is_selected) {
            return Vec::new();
        }
        let mut rows = 0..self.order.rows.len();
        if let Some(row) = rows.find(|row| self.tool(*row).is_some_and(is_selected)) {
            self.cursor = row;
            return Vec::new();
        }
        let all = self.order.tools.as_ref().map_or(&[][..], |all| &all[..]);
        let hidden = all.iter().any(is_selected);
        self.select(if hidden { self.cursor } else { 0 })
    }

    fn call(&self) -> Option<Vec<Intent>> {
        self.tool(self.cursor)?;
        Some(vec![
            Intent::Focus(PaneKind::Call),
            Intent::Do(Action::CallTool),
        ])
    }

    fn shows_filter(&self) -> bool {
        self.typing || !self.filter.text().is_empty()
    }

    /// The list, and what is left below it for the description.
    fn parts(&self, area: Rect) -> (Rect, Rect) {
        let filter = u16::from(self.shows_filter()).min(area.height);
        let body = Rect {
            y: area.y + filter,
            height: area.height - filter,
            ..area
        };
        let rows = u16::try_from(self.order.rows.len()).unwrap_or(u16::MAX);
        let spare = body.height.saturating_sub(rows);
        // A list that fills the pane gives a third of it to the description of its selection.
        let about = spare.max(body.height / 3);
        let about = if usize::from(body.height) < 2 * LIST_ROWS + 1 && spare < 3 {
            0
        } else {
            about
        };
        let list = Rect {
            height: body.height - about,
            ..body
        };
        let about = Rect {
            y: list.bottom(),
            height: about,
            ..body
        };
        (list, about)
    }

    fn draw_list(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        for (row, rect) in area.rows().enumerate() {
            let Some(tool) = self.tool(self.top + row) else {
                return;
            };
            let selected = self.top + row == self.cursor;
            draw_row(tool, area, row, buf, cx, selected);
            if selected {
                mark(rect, buf, cx.theme, focused);
            }
        }
    }

    fn draw_about(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let Some(tool) = self.tool(self.cursor).filter(|_| area.height > 1) else {
            return;
        };
        let dim = cx.theme.style(Role::Dim);
        let rule = "─".repeat(area.width.into());
        Pen::new(buf, area, 0).put(&rule, cx.theme.style(Role::Border));
        let mut row = 1;
        let columns = usize::from(area.width).saturating_sub(1);
        let mut paragraph = |text: &str, style| {
            for line in paragraph(text, columns, area.height.into()) {
                Pen::new(buf, area, row).skip(1).put(&line, style);
                row += 1;
            }
        };
        if let Some(problem) = &tool.problem {
            paragraph(&format!("? {problem}"), cx.theme.style(Role::LevelWarn));
        }
        if let Some(title) = tool.title.as_ref().filter(|title| **title != tool.name) {
            paragraph(title, cx.theme.style(Role::Title));
        }
        let hints = hints(tool);
        if !hints.is_empty() {
            paragraph(&hints.join(", "), cx.theme.style(Role::LevelInfo));
        }
        paragraph(tool.description.as_deref().unwrap_or("no description"), dim);
    }
}

fn draw_row(tool: &ToolSpec, area: Rect, row: usize, buf: &mut Buffer, cx: &Cx, selected: bool) {
    let mut pen = Pen::new(buf, area, row);
    if tool.problem.is_some() {
        pen.put_right(" ?", cx.theme.style(Role::LevelWarn));
    }
    if annotation(tool, "readOnlyHint") == Some(true) {
        pen.put_right(" ro", cx.theme.style(Role::Dim));
    } else if annotation(tool, "destructiveHint") == Some(true) {
        pen.put_right(" !", cx.theme.style(Role::LevelError));
    }
    pen.put(
        if selected { "> " } else { "  " },
        cx.theme.style(Role::Text),
    )
    .put_cut(&clean(&tool.name), cx.theme.style(Role::Text));
}

fn annotation(tool: &ToolSpec, name: &str) -> Option<bool> {
    tool.annotations.as_ref()?.get(name)?.as_bool()
}

/// What a server says its tool does to the world, in words.
fn hints(tool: &ToolSpec) -> Vec<&'static str> {
    let read_only = annotation(tool, "readOnlyHint") == Some(true);
    let told = |name| annotation(tool, name) == Some(true);
    [
        (read_only, "only reads"),
        (!read_only && told("destructiveHint"), "! may destroy data"),
        (!read_only && told("idempotentHint"), "safe to repeat"),
        (told("openWorldHint"), "reaches outside"),
    ]
    .into_iter()
    .filter_map(|(holds, words)| holds.then_some(words))
    .collect()
}

/// What a client would be told of the tool.
fn tool_json(tool: &ToolSpec) -> String {
    let mut value = json!({ "name": &*tool.name });
    let mut add = |key: &str, part: Option<Value>| {
        if let Some(part) = part {
            value[key] = part;
        }
    };
    add("title", tool.title.as_deref().map(Value::from));
    add("description", tool.description.as_deref().map(Value::from));
    add("inputSchema", Some(tool.input_schema.clone()));
    add("outputSchema", tool.output_schema.clone());
    add("annotations", tool.annotations.clone());
    format!("{value:#}")
}

impl Pane for Tools {
    fn kind(&self) -> PaneKind {
        PaneKind::Tools
    }

    fn title(&self, cx: &Cx) -> String {
        let Some(instance) = cx.instance() else {
            return String::new();
        };
        let all = self.order.tools.as_ref().map_or(0, |tools| tools.len());
        let shown = self.order.rows.len();
        let id = instance.id.short();
        match (all, shown) {
            (0, _) => id.to_owned(),
            _ if shown == all => format!("{id}  {all}"),
            _ => format!("{id}  {shown}/{all}"),
        }
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::CallTool,
            Action::Search,
            Action::RefreshTools,
            Action::Copy,
            Action::CopyAll,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        self.refresh(cx);
        let page = usize::from(self.parts(self.area).0.height).max(1);
        let last = self.order.rows.len().saturating_sub(1);
        let intents = match action {
            Action::Up | Action::SearchPrevious => self.select(self.cursor.saturating_sub(1)),
            Action::Down | Action::SearchNext => self.select(self.cursor + 1),
            Action::PageUp => self.select(self.cursor.saturating_sub(page)),
            Action::PageDown => self.select(self.cursor + page),
            Action::First => self.select(0),
            Action::Last => self.select(last),
            Action::Open | Action::CallTool => return self.call(),
            Action::Search | Action::Filter => {
                self.typing = true;
                self.filter.select_all();
                Vec::new()
            }
            Action::Back if self.shows_filter() => {
                self.filter = Prompt::default();
                Vec::new()
            }
            Action::RefreshTools => {
                let instance = cx.instance()?.id.clone();
                vec![Intent::send(Command::ListTools(instance))]
            }
            Action::Copy => {
                let tool = self.tool(self.cursor)?;
                vec![Intent::copy(tool.name.as_ref(), "the tool's name")]
            }
            Action::CopyAll => {
                let tool = self.tool(self.cursor)?;
                vec![Intent::copy(
                    tool_json(tool),
                    format!("{} as JSON", tool.name),
                )]
            }
            _ => return None,
        };
        Some(intents)
    }

    fn is_editing(&self) -> bool {
        self.typing
    }

    fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        match self.filter.on_key(key) {
            Typed::Ignored => return None,
            Typed::Submitted => self.typing = false,
            Typed::Cancelled => {
                self.typing = false;
                self.filter = Prompt::default();
            }
            Typed::Changed => {
                self.refresh(cx);
                return Some(self.select(0));
            }
        }
        Some(Vec::new())
    }

    fn on_paste(&mut self, text: &str, cx: &Cx) -> Vec<Intent> {
        if !self.typing {
            return Vec::new();
        }
        self.filter.paste(text);
        self.refresh(cx);
        self.select(0)
    }

    fn on_click(&mut self, at: Position, double: bool, _: &Cx) -> Vec<Intent> {
        let (list, _) = self.parts(self.area);
        let Some(row) = (self.area.y + at.y).checked_sub(list.y) else {
            return Vec::new();
        };
        let row = self.top + usize::from(row);
        if self.tool(row).is_none() {
            return Vec::new();
        }
        let mut intents = self.select(row);
        if double {
            intents.extend(self.call().unwrap_or_default());
        }
        intents
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let step = isize::try_from(rows).unwrap_or_default();
        self.top = self.top.saturating_add_signed(step);
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.area = area;
        self.refresh(cx);
        let intents = self.agree(cx.selection.tool.as_ref());
        let count = self.order.rows.len();
        let height = self.parts(area).0.height.into();
        if self.seen != (self.cursor, height) {
            self.seen = (self.cursor, height);
            self.top = scroll_to(self.top, self.cursor, height, count);
        }
        self.top = self.top.min(count.saturating_sub(height));
        intents
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.shows_filter() {
            let key = cx.theme.style(Role::Key);
            self.filter
                .draw("/", area, buf, key, cx.theme.style(Role::Text));
        }
        let (list, about) = self.parts(area);
        if self.order.rows.is_empty() {
            let body = list.union(about);
            empty(body, buf, cx, &self.reason(cx));
            return;
        }
        self.draw_list(list, buf, focused, cx);
        self.draw_about(about, buf, cx);
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        self.typing.then(|| self.filter.cursor("/", area))
    }
}

impl Tools {
    /// Why there is no tool to see.
    fn reason(&self, cx: &Cx) -> String {
        let Some(instance) = cx.instance() else {
            return "no instance selected — choose one in Instances (2)".to_owned();
        };
        if self.shows_filter() && self.order.tools.as_ref().is_some_and(|all| !all.is_empty()) {
            return "no tool matches — esc clears the filter".to_owned();
        }
        match (&instance.tools, instance.phase) {
            (Some(_), _) => "it lists no tools — ctrl+r asks again".to_owned(),
            (None, Phase::Pending) => "waits for its start…".to_owned(),
            (None, Phase::Starting) => "starting…".to_owned(),
            (None, Phase::Failed) => {
                "it failed before it could list its tools — i tells why".to_owned()
            }
            (None, Phase::Ready) => "listing tools…".to_owned(),
            (None, phase) => format!("{phase}; its tools were never listed"),
        }
    }
}
