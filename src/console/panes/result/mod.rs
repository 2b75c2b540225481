//! Result: the answer of the shown call, or what became of it instead.

mod story;
mod text;

use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::calls::copy_command;
use super::{Cx, Pane, PaneKind, empty};
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::theme::Role;
use crate::console::widgets::json_tree::{JsonTree, Sought};
use crate::console::widgets::matcher::Matcher;
use crate::console::widgets::pager::{Pager, Part};
use crate::console::widgets::prompt::{Prompt, Typed, body, last_row};
use crate::console::widgets::running;
use crate::console::widgets::text::{count, duration_short, size};
use crate::model::{Call, CallState, Caller, Command, Level, Notice, Outcome, ResultId, ToolCall};
use crate::stores::document::{Document, Lazy};
use crate::stores::lines::clean;
use crate::stores::results::Opened;

/// A result that is looked at.
struct Shown {
    id: ResultId,
    doc: Arc<Document>,
    tree: JsonTree,
    /// Once it was asked for and is there.
    text: Option<Pager>,
}

#[derive(Default)]
pub struct ResultPane {
    shown: Option<Shown>,
    as_text: bool,
    prompt: Option<Prompt>,
    /// What is to be searched for as soon as it is there.
    sought: Option<String>,
    /// Why there is nothing to look at, though the call was answered.
    missing: Option<String>,
}

/// The call in the pane.
fn call<'a>(cx: &Cx<'a>) -> Option<&'a Arc<Call>> {
    cx.fleet.calls.get(&cx.selection.call?)
}

impl ResultPane {
    /// Opens the result of the shown call, if it has one.
    fn refresh(&mut self, cx: &Cx) {
        self.missing = None;
        let call = call(cx);
        let id = call
            .and_then(|call| call.outcome())
            .and_then(Outcome::result);
        if self.shown.as_ref().map(|shown| shown.id) == id && id.is_some() {
            return;
        }
        self.shown = None;
        let Some(id) = id else {
            return;
        };
        match cx.results.open(id) {
            Opened::Ready(doc) => {
                let tree = JsonTree::new(doc.clone());
                let text = None;
                self.shown = Some(Shown {
                    id,
                    doc,
                    tree,
                    text,
                });
            }
            Opened::Loading => {
                let bytes = match call.map(|call| &call.state) {
                    Some(CallState::Ended { size, .. }) => *size,
                    _ => 0,
                };
                self.missing = Some(format!("loading {}…", size(bytes)));
            }
            Opened::Gone(why) => self.missing = Some(why.to_string()),
        }
    }

    fn pager(&mut self) -> Option<&mut Pager> {
        self.shown.as_mut()?.text.as_mut().filter(|_| self.as_text)
    }

    fn tree(&mut self) -> Option<&mut JsonTree> {
        Some(&mut self.shown.as_mut()?.tree).filter(|_| !self.as_text)
    }

    fn on_view_action(&mut self, action: Action) -> bool {
        if self.as_text {
            return self.pager().is_some_and(|pager| pager.on_action(action));
        }
        self.tree().is_some_and(|tree| tree.on_action(action))
    }

    /// Looks for the next match; the tree answers at the next sync.
    fn seek(&mut self, forward: bool, here: bool) -> Vec<Intent> {
        if let Some(pager) = self.pager() {
            return match pager.seek(forward, here) {
                Some(wrapped) => told(Sought::Found { wrapped }),
                None => told(Sought::Nothing),
            };
        }
        if let Some(tree) = self.tree() {
            tree.seek(forward, here);
        }
        Vec::new()
    }

    /// Does the search that was asked for, once there is something to search.
    fn catch_up(&mut self) -> Vec<Intent> {
        let ready = |shown: &Shown| !self.as_text || shown.text.is_some();
        if !self.shown.as_ref().is_some_and(ready) {
            return Vec::new();
        }
        let Some(typed) = self.sought.take() else {
            return Vec::new();
        };
        self.mark(&typed);
        self.seek(true, true)
    }

    fn mark(&mut self, typed: &str) {
        if let Some(shown) = &mut self.shown {
            shown.tree.mark(typed);
            if let Some(pager) = &mut shown.text {
                pager.mark(Matcher::new(typed));
            }
        }
    }

    fn copy(&self, whole: bool) -> Option<Vec<Intent>> {
        let shown = self.shown.as_ref()?;
        let copied = match (whole, self.as_text) {
            (true, false) => shown
                .tree
                .whole()
                .map(|text| (text, "the result".to_owned())),
            (_, true) => text_of(shown.text.as_ref()?).map(|text| (text, "the text".to_owned())),
            (false, false) => shown.tree.value(),
        };
        Some(vec![match copied {
            Ok((text, what)) => Intent::copy(text, what),
            Err(why) => tell(Level::Warn, why),
        }])
    }
}

fn text_of(pager: &Pager) -> Result<String, String> {
    let texts = pager.parts().iter().filter_map(|part| match part {
        Part::Text(text) => Some(String::from_utf8_lossy(text.bytes()).into_owned()),
        Part::Note(_) => None,
    });
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() {
        return Err("no text to copy".to_owned());
    }
    Ok(texts.join("\n"))
}

fn told(sought: Sought) -> Vec<Intent> {
    sought.notice().map(Intent::Tell).into_iter().collect()
}

fn tell(level: Level, text: impl Into<Arc<str>>) -> Intent {
    Intent::Tell(Notice::new(level, text))
}

fn again(call: &Call) -> Intent {
    Intent::send(Command::Call(ToolCall {
        instance: call.instance.clone(),
        tool: call.tool.clone(),
        arguments: call.arguments.clone(),
        caller: Caller::Operator,
        timeout: None,
    }))
}

fn with_edits(call: &Call) -> Intent {
    Intent::EditCall {
        instance: call.instance.clone(),
        tool: call.tool.clone(),
        arguments: call.arguments.clone(),
    }
}

impl Pane for ResultPane {
    fn kind(&self) -> PaneKind {
        PaneKind::Result
    }

    fn title(&self, cx: &Cx) -> String {
        let Some(call) = call(cx) else {
            return String::new();
        };
        let mut parts = vec![clean(&call.tool).into_owned()];
        match &call.state {
            CallState::Running => parts.push("running".to_owned()),
            CallState::Cancelling { .. } => parts.push("cancelling".to_owned()),
            CallState::Ended {
                outcome,
                took,
                size: bytes,
                ..
            } => {
                parts.push(match outcome {
                    Outcome::ToolError(_) => "isError".to_owned(),
                    other => other.word().to_owned(),
                });
                parts.push(duration_short(*took));
                if outcome.result().is_some() {
                    parts.push(size(*bytes));
                }
            }
        }
        if let Some(shown) = &self.shown {
            match &shown.text {
                Some(pager) if self.as_text => {
                    let (line, lines) = (count(pager.line() as u64), count(pager.len() as u64));
                    parts.push(format!("line {line} of {lines}"));
                }
                _ => parts.push(shown.tree.path()),
            }
        }
        parts.join("  ")
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::ToggleView,
            Action::Search,
            Action::Copy,
            Action::CopyAll,
            Action::RunAgain,
            Action::RunWithEdits,
            Action::CopyCommand,
            Action::FoldAll,
            Action::UnfoldAll,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        self.refresh(cx);
        match action {
            Action::RunAgain => return Some(vec![again(call(cx)?)]),
            Action::RunWithEdits => return Some(vec![with_edits(call(cx)?)]),
            Action::ToggleView => self.as_text = !self.as_text,
            Action::Search => {
                // Before it is loaded, too: a search that is typed must not act as commands.
                call(cx)?;
                self.prompt = Some(Prompt::default());
            }
            Action::SearchNext => return Some(self.seek(true, false)),
            Action::SearchPrevious => return Some(self.seek(false, false)),
            Action::Copy => return self.copy(false),
            Action::CopyAll => return self.copy(true),
            Action::CopyCommand => return Some(vec![copy_command(call(cx)?, cx)]),
            Action::Back => {
                let shown = self.shown.as_mut()?;
                shown.tree.searched()?;
                shown.tree.forget_search();
                if let Some(pager) = &mut shown.text {
                    pager.mark(None);
                }
            }
            _ if self.on_view_action(action) => {}
            _ => return None,
        }
        Some(Vec::new())
    }

    fn is_editing(&self) -> bool {
        self.prompt.is_some()
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        let prompt = self.prompt.as_mut()?;
        match prompt.on_key(key) {
            Typed::Ignored => return None,
            Typed::Cancelled => {
                self.prompt = None;
                self.mark("");
            }
            Typed::Changed => {
                let typed = prompt.text().to_owned();
                self.mark(&typed);
            }
            Typed::Submitted => {
                self.sought = Some(prompt.text().to_owned());
                self.prompt = None;
                return Some(self.catch_up());
            }
        }
        Some(Vec::new())
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        if let Some(prompt) = &mut self.prompt {
            prompt.paste(text);
            let typed = prompt.text().to_owned();
            self.mark(&typed);
        }
        Vec::new()
    }

    fn on_click(&mut self, at: Position, double: bool, _: &Cx) -> Vec<Intent> {
        if let Some(tree) = self.tree() {
            tree.click(at.y.into(), double);
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        if let Some(pager) = self.pager() {
            pager.scroll(rows);
        } else if let Some(tree) = self.tree() {
            tree.scroll(rows);
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.refresh(cx);
        let body = body(area, self.prompt.as_ref());
        if let Some(shown) = &mut self.shown
            && self.as_text
            && shown.text.is_none()
            && let Lazy::Ready(parts) = text::parts(&shown.doc)
        {
            let mut pager = Pager::new(parts);
            pager.mark(shown.tree.searched().and_then(Matcher::new));
            shown.text = Some(pager);
        }
        let mut intents = self.catch_up();
        if let Some(pager) = self.pager() {
            pager.sync(body);
        }
        let found = self.shown.as_mut().and_then(|shown| shown.tree.sync(body));
        intents.extend(found.map(told).unwrap_or_default());
        intents
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        let body = body(area, self.prompt.as_ref());
        let Some(call) = call(cx) else {
            let text = "no result yet — pick a tool (3), fill in the form (4), ctrl+s sends";
            empty(body, buf, cx, text);
            return;
        };
        match (&self.shown, &self.missing) {
            _ if call.is_running() => running::draw(call, body, buf, cx),
            (Some(shown), _) if self.as_text => match &shown.text {
                Some(pager) => pager.draw(body, buf, cx),
                None => empty(body, buf, cx, "reading the text…"),
            },
            (Some(shown), _) => shown.tree.draw(body, buf, focused, cx),
            (None, Some(why)) => empty(body, buf, cx, why),
            (None, None) => story::draw(call, body, buf, cx),
        }
        if let Some(prompt) = &self.prompt {
            let key = cx.theme.style(Role::Key);
            let row = last_row(area);
            prompt.draw("/", row, buf, key, cx.theme.style(Role::Text));
        }
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        let prompt = self.prompt.as_ref()?;
        Some(prompt.cursor("/", last_row(area)))
    }

    fn shows_time(&self, cx: &Cx) -> bool {
        call(cx).is_some_and(|call| call.is_running())
    }
}
