//! Pane 8: all calls of all callers, the newest first.

mod columns;

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Cx, Pane, PaneKind};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::widgets::find::{Find, Mode};
use crate::console::widgets::grid::{Grid, Table};
use crate::console::widgets::hint;
use crate::console::widgets::text::plural;
use crate::model::{Call, CallId, CallState, Caller, Command, Level, Notice, ToolCall};
use crate::stores::lines::clean;

/// What one press of `extend-call` adds.
const EXTENSION: Duration = Duration::from_secs(60);

pub struct Calls {
    grid: Grid<CallId>,
    find: Find,
    rows: Vec<CallId>,
    source: Option<(u64, String)>,
    /// The cursor is on the newest call and stays there as calls arrive.
    newest: bool,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            grid: Grid::default(),
            find: Find::default(),
            rows: Vec::new(),
            source: None,
            newest: true,
        }
    }
}

impl Calls {
    fn refresh(&mut self, cx: &Cx) {
        let source = (cx.fleet.revision, self.find.filter().to_owned());
        if self.source.as_ref() == Some(&source) {
            return;
        }
        self.source = Some(source);
        let shown = cx.fleet.calls.values().rev();
        let shown = shown.filter(|call| self.find.admits(&texts(call).each_ref().map(|t| &**t)));
        self.rows = shown.map(|call| call.id).collect();
        if self.newest {
            self.grid.select(None);
        }
    }

    fn current<'a>(&self, cx: &Cx<'a>) -> Option<&'a Arc<Call>> {
        cx.fleet.calls.get(self.grid.selected()?)
    }

    /// Goes to the next row that matches the search, around the ends.
    fn seek(&mut self, forward: bool, from_here: bool, cx: &Cx) -> Vec<Intent> {
        let len = self.rows.len();
        let begin = usize::from(!from_here);
        let found = (begin..len + begin)
            .map(|step| {
                if forward {
                    step
                } else {
                    len - step % len.max(1)
                }
            })
            .map(|step| (self.grid.index() + step) % len.max(1))
            .find(|index| {
                cx.fleet
                    .calls
                    .get(&self.rows[*index])
                    .is_some_and(|call| self.find.hits(&texts(call).each_ref().map(|t| &**t)))
            });
        match found {
            Some(index) => {
                self.grid.go(&self.rows, index);
                self.newest = false;
                Vec::new()
            }
            None if self.find.is_editing() => Vec::new(),
            None => vec![tell(format!("no call matches {:?}", self.find.needle()))],
        }
    }

    fn on_call(action: Action, call: &Call, cx: &Cx) -> Option<Vec<Intent>> {
        let intent = match action {
            Action::Open => {
                return Some(vec![
                    Intent::ShowCall(call.id),
                    Intent::Focus(PaneKind::Result),
                ]);
            }
            Action::RunAgain | Action::RunWithEdits
                if cx.fleet.instance(&call.instance).is_none() =>
            {
                tell(format!("instance {} is gone", clean(call.instance.short())))
            }
            Action::RunAgain => Intent::send(Command::Call(ToolCall {
                instance: call.instance.clone(),
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
                caller: Caller::Operator,
                timeout: None,
            })),
            Action::RunWithEdits => Intent::EditCall {
                instance: call.instance.clone(),
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
            },
            Action::Copy => Intent::copy(&*call.arguments, format!("arguments of {}", call.id)),
            Action::CopyAll => {
                Intent::copy(json_rpc(call), format!("JSON-RPC request of {}", call.id))
            }
            Action::CopyCommand => copy_command(call, cx),
            Action::CancelCall if matches!(call.state, CallState::Running) => {
                Intent::send(Command::Cancel(call.id))
            }
            Action::ExtendCall if call.is_running() => {
                Intent::send(Command::Extend(call.id, EXTENSION))
            }
            _ => return None,
        };
        Some(vec![intent])
    }
}

/// As a command line for a shell, which starts an instance of its own.
pub fn copy_command(call: &Call, cx: &Cx) -> Intent {
    let invocation = &cx.about.invocation;
    let command = invocation.call(&call.backend, &call.tool, &call.arguments);
    Intent::copy(command, format!("{} as a command line", call.id))
}

fn tell(text: String) -> Intent {
    Intent::Tell(Notice::new(Level::Info, text))
}

/// What filter and search look at.
fn texts(call: &Call) -> [std::borrow::Cow<'_, str>; 7] {
    [
        call.id.to_string().into(),
        call.caller.to_string().into(),
        (&*call.backend).into(),
        call.instance.as_str().into(),
        (&*call.tool).into(),
        call.outcome()
            .map_or("running", |outcome| outcome.word())
            .into(),
        (&*call.arguments).into(),
    ]
}

/// The request as it goes over the wire; the arguments keep the digits that were typed.
fn json_rpc(call: &Call) -> String {
    let name = serde_json::Value::from(&*call.tool);
    let arguments = if call.arguments.trim().is_empty() {
        "{}"
    } else {
        &*call.arguments
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":{name},"arguments":{arguments}}}}}"#,
        call.id.0
    )
}

impl Pane for Calls {
    fn kind(&self) -> PaneKind {
        PaneKind::Calls
    }

    fn title(&self, cx: &Cx) -> String {
        let running = cx.fleet.calls.values().filter(|call| call.is_running());
        let running = match running.count() {
            0 => String::new(),
            count => format!(" · {count} running"),
        };
        let filter = self.find.filter();
        if filter.is_empty() {
            let total = plural(cx.fleet.calls.len(), "call");
            format!("{total}{running}")
        } else {
            format!("{} match {}{running}", self.rows.len(), clean(filter))
        }
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::Open,
            Action::RunAgain,
            Action::RunWithEdits,
            Action::CancelCall,
            Action::ExtendCall,
            Action::Filter,
            Action::Search,
            Action::Copy,
            Action::CopyCommand,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        if self.grid.on_action(action, &self.rows) {
            self.newest = self.grid.index() == 0;
            return Some(Vec::new());
        }
        match action {
            Action::Filter => self.find.begin(Mode::Filter),
            Action::Search => self.find.begin(Mode::Search),
            Action::SearchNext | Action::SearchPrevious if self.find.needle().is_empty() => {
                return Some(vec![tell("nothing searched for yet".to_owned())]);
            }
            Action::SearchNext => return Some(self.seek(true, false, cx)),
            Action::SearchPrevious => return Some(self.seek(false, false, cx)),
            Action::Back if self.find.clear() => {}
            _ => return Self::on_call(action, self.current(cx)?, cx),
        }
        Some(Vec::new())
    }

    fn is_editing(&self) -> bool {
        self.find.is_editing()
    }

    fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        let mode = self.find.on_key(key)?;
        if mode == Mode::Search && !self.find.needle().is_empty() {
            return Some(self.seek(true, true, cx));
        }
        Some(Vec::new())
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        self.find.paste(text);
        Vec::new()
    }

    fn on_click(&mut self, at: Position, double: bool, cx: &Cx) -> Vec<Intent> {
        let hit = at.y > 0 && self.grid.click(&self.rows, usize::from(at.y) - 1);
        self.newest &= !hit;
        match self.current(cx) {
            Some(call) if hit && double => {
                Self::on_call(Action::Open, call, cx).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        self.grid.step(&self.rows, rows);
        self.newest = self.grid.index() == 0;
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        // A hidden list costs nothing.
        if !area.is_empty() {
            self.refresh(cx);
            let height = usize::from(area.height.saturating_sub(1));
            self.grid.sync(&self.rows, height);
        }
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        if self.rows.is_empty() {
            let key = |action| {
                let context = Context::Pane(PaneKind::Calls);
                cx.keymap
                    .key_for(context, action)
                    .unwrap_or_else(|| format!(":{action}"))
            };
            let text = if self.find.filter().is_empty() {
                format!(
                    "no calls yet — {} calls the selected tool; calls of agents show here too",
                    key(Action::CallTool)
                )
            } else {
                format!("nothing matches — {} clears the filter", key(Action::Back))
            };
            hint::draw(&text, area, buf, cx.theme);
        } else {
            let row = |index: usize| {
                cx.fleet
                    .calls
                    .get(&self.rows[index])
                    .map(|call| columns::row(call, cx))
                    .unwrap_or_default()
            };
            let table = Table {
                columns: &columns::COLUMNS,
                len: self.rows.len(),
                row: &row,
            };
            self.grid.draw(&table, area, buf, cx.theme, focused);
        }
        self.find.draw(area, buf, cx.theme);
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        self.find.cursor(area)
    }

    fn shows_time(&self, cx: &Cx) -> bool {
        cx.fleet.calls.values().rev().any(|call| call.is_running())
    }
}
