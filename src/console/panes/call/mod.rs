//! Call: the arguments of the selected tool. Drafts are kept for each tool.

mod draft;

use std::collections::HashMap;
use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use self::draft::{Draft, Raw};
use super::{Cx, Pane, PaneKind, empty};
use crate::arguments::json_text::compact;
use crate::console::action::Action;
use crate::console::effect::{Effect, Intent};
use crate::console::keymap::Context;
use crate::console::theme::Role;
use crate::console::widgets::pen::{Pen, paragraph};
use crate::console::widgets::running;
use crate::console::widgets::text::duration_short;
use crate::model::{BackendName, Call, Caller, Command, Level, Notice, Phase, ToolCall, ToolSpec};
use crate::stores::lines::clean;

/// Rows for the description of a field when the form needs all the room itself.
const ABOUT_ROWS: u16 = 3;

type Key = (BackendName, Arc<str>);

/// What was given to the user's editor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edited {
    Arguments,
    /// The text of one field, and whether it ended with a line break.
    Field {
        ended: bool,
    },
}

#[derive(Default)]
pub struct CallPane {
    drafts: HashMap<Key, Draft>,
    current: Option<Key>,
    /// Arguments that wait for their tool to be the selected one.
    waiting: Option<(Arc<str>, String)>,
    edited: Option<Edited>,
    area: Rect,
}

/// Where the parts of the pane are.
struct Parts {
    form: Rect,
    about: Rect,
    running: Rect,
}

impl CallPane {
    fn draft(&self) -> Option<&Draft> {
        self.drafts.get(self.current.as_ref()?)
    }

    fn draft_mut(&mut self) -> Option<&mut Draft> {
        self.drafts.get_mut(self.current.as_ref()?)
    }

    /// Makes the draft of the selected tool the current one.
    fn refresh(&mut self, cx: &Cx) {
        let selected = cx.instance().zip(cx.tool());
        let Some((instance, tool)) = selected else {
            self.current = None;
            return;
        };
        let key = (instance.backend.name.clone(), tool.name.clone());
        let draft = self
            .drafts
            .entry(key.clone())
            .or_insert_with(|| Draft::new(tool));
        draft.refresh(tool);
        if let Some((_, arguments)) = self.waiting.take_if(|(name, _)| *name == tool.name) {
            draft.load(&arguments);
        }
        self.current = Some(key);
    }

    fn send(&mut self, cx: &Cx) -> Vec<Intent> {
        let Some(instance) = cx.instance() else {
            return vec![tell(
                Level::Warn,
                "no instance is selected: nothing was sent",
            )];
        };
        if instance.phase != Phase::Ready {
            let text = format!(
                "{} is {}: nothing was sent",
                instance.id.short(),
                instance.phase
            );
            return vec![tell(Level::Warn, text)];
        }
        let Some(draft) = self.draft_mut() else {
            return vec![tell(Level::Warn, "no tool is selected: nothing was sent")];
        };
        match draft.arguments() {
            Ok(arguments) => {
                draft.form.stop_editing();
                let call = ToolCall {
                    instance: instance.id.clone(),
                    tool: draft.tool.name.clone(),
                    arguments: arguments.into(),
                    caller: Caller::Operator,
                    timeout: None,
                };
                vec![
                    Intent::send(Command::Call(call)),
                    Intent::Reveal(PaneKind::Result),
                ]
            }
            Err(problem) => vec![tell(Level::Error, format!("not sent: {problem}"))],
        }
    }

    fn edit(&mut self) -> Option<Vec<Intent>> {
        let draft = self.draft()?;
        let in_field = draft.raw.is_none() && draft.form.is_editing();
        let text = draft.form.focused_text().filter(|_| in_field);
        let (edited, text, suffix) = match text {
            Some(text) => {
                let ended = text.ends_with('\n');
                (Edited::Field { ended }, text.to_owned(), ".txt")
            }
            None => (Edited::Arguments, draft.text(), ".json"),
        };
        self.edited = Some(edited);
        Some(vec![Intent::Run(Effect::Edit { text, suffix })])
    }

    fn on_draft_action(&mut self, action: Action) -> Option<Vec<Intent>> {
        let page = isize::try_from(self.area.height).unwrap_or(1);
        let draft = self.draft_mut()?;
        if let Some(raw) = &mut draft.raw {
            match action {
                Action::Up => raw.editor.move_by(-1),
                Action::Down => raw.editor.move_by(1),
                Action::PageUp => raw.editor.move_by(-page),
                Action::PageDown => raw.editor.move_by(page),
                Action::First => raw.editor.move_by(isize::MIN),
                Action::Last => raw.editor.move_by(isize::MAX),
                Action::Open | Action::CallTool => raw.editing = true,
                _ => return None,
            }
            return Some(Vec::new());
        }
        let form = &mut draft.form;
        match action {
            Action::Up => form.move_by(-1),
            Action::Down => form.move_by(1),
            Action::PageUp => form.move_by(-page),
            Action::PageDown => form.move_by(page),
            Action::First => form.move_to(0),
            Action::Last => form.move_to(usize::MAX),
            Action::Open => form.open(),
            Action::CallTool => form.begin(),
            Action::ToggleField => form.toggle(),
            Action::AddItem => form.add_item(),
            Action::RemoveItem => form.remove_item(),
            Action::Left => {
                form.choose(-1);
            }
            Action::Right | Action::NextChoice => {
                form.choose(1);
            }
            _ => return None,
        }
        Some(Vec::new())
    }

    fn copy(&self, whole: bool) -> Option<Vec<Intent>> {
        let draft = self.draft()?;
        let focused = draft
            .form
            .focused()
            .filter(|_| !whole && draft.raw.is_none());
        let intent = match focused {
            Some(field) if field.is_sent() => {
                let mut json = String::new();
                field.write(&mut json);
                let text = serde_json::from_str(&json).unwrap_or(json);
                Intent::copy(text, format!("the value of {}", clean(&field.name)))
            }
            Some(_) => tell(Level::Info, "the field is omitted: nothing to copy"),
            None => Intent::copy(draft.text(), "the arguments"),
        };
        Some(vec![intent])
    }

    /// What sending would do, as a command line for a shell.
    fn copy_command(&self, cx: &Cx) -> Option<Vec<Intent>> {
        let (draft, backend) = (self.draft()?, &cx.instance()?.backend.name);
        let arguments = compact(&draft.text());
        let invocation = &cx.about.invocation;
        let command = invocation.call(backend, &draft.tool.name, &arguments);
        Some(vec![Intent::copy(command, "the call as a command line")])
    }

    fn parts(&self, area: Rect, cx: &Cx) -> Parts {
        let strip = if running_call(cx).is_some() { 2 } else { 0 };
        let strip = strip.min(area.height / 2);
        let body = area.height - strip;
        let rows = match self.draft() {
            Some(Draft { raw: Some(_), .. }) => body,
            Some(draft) => u16::try_from(draft.form.height().max(1)).unwrap_or(u16::MAX),
            None => 1,
        };
        let least = if body >= 3 * ABOUT_ROWS {
            ABOUT_ROWS
        } else {
            0
        };
        let raw = self.draft().is_some_and(|draft| draft.raw.is_some());
        let about = if raw {
            u16::from(body > 1)
        } else {
            body.saturating_sub(rows).max(least)
        };
        let part = |y: u16, height: u16| Rect { y, height, ..area };
        Parts {
            form: part(area.y, body - about),
            about: part(area.y + body - about, about),
            running: part(area.y + body, strip),
        }
    }

    fn draw_about(draft: &Draft, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let columns = usize::from(area.width).saturating_sub(3);
        let text = cx.theme.style(Role::Text);
        let dim = cx.theme.style(Role::Dim);
        let mut lines = vec![(String::new(), dim)];
        let mut add = |words: &str, style| {
            let rows = paragraph(words, columns, area.height.into());
            lines.extend(rows.into_iter().map(|row| (row, style)));
        };
        if let Some(field) = draft.form.focused()
            && let Some(description) = &field.spec.description
            && !description.is_empty()
        {
            add(&format!("{}: {description}", field.name), text);
        }
        if let Some(description) = &draft.tool.description {
            add(description, dim);
        }
        // Without room for an empty line, the words themselves come first.
        let skip = usize::from(area.height <= ABOUT_ROWS);
        for (row, (line, style)) in lines.iter().skip(skip).enumerate() {
            Pen::new(buf, area, row).skip(2).put(line, *style);
        }
    }

    fn draw_raw(raw: &Raw, parts: &Parts, buf: &mut Buffer, cx: &Cx) {
        raw.editor
            .draw(parts.form, buf, cx.theme.style(Role::FormValue));
        let (text, role) = match raw.error() {
            Some(error) => (format!("✖ {error}"), Role::FormError),
            None => ("a JSON object, sent as typed".to_owned(), Role::Dim),
        };
        Pen::new(buf, parts.about, 0).put_cut(&clean(&text), cx.theme.style(role));
    }
}

/// The operator's running call that is shown, or else the newest one.
fn running_call<'a>(cx: &Cx<'a>) -> Option<&'a Arc<Call>> {
    let own = |call: &&Arc<Call>| call.is_running() && call.caller == Caller::Operator;
    let shown = cx.selection.call.and_then(|id| cx.fleet.calls.get(&id));
    shown
        .filter(own)
        .or_else(|| cx.fleet.calls.values().rev().find(own))
}

fn tell(level: Level, text: impl Into<Arc<str>>) -> Intent {
    Intent::Tell(Notice::new(level, text))
}

impl Pane for CallPane {
    fn kind(&self) -> PaneKind {
        PaneKind::Call
    }

    fn title(&self, cx: &Cx) -> String {
        let mut parts = Vec::new();
        if let Some(draft) = self.draft() {
            parts.push(clean(&draft.tool.name).into_owned());
            if draft.raw.is_some() {
                parts.push("JSON".to_owned());
            }
        }
        if let Some(call) = running_call(cx) {
            let elapsed = duration_short(running::between(call.started, cx.now));
            parts.push(format!("{} {elapsed}", call.id));
        }
        parts.join("  ")
    }

    fn actions(&self) -> &'static [Action] {
        &[
            Action::Send,
            Action::Open,
            Action::ToggleField,
            Action::ToggleRaw,
            Action::Edit,
            Action::AddItem,
            Action::RemoveItem,
            Action::CopyCommand,
        ]
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        self.refresh(cx);
        match action {
            Action::Send => Some(self.send(cx)),
            Action::Edit => self.edit(),
            Action::ToggleRaw => {
                let problem = self.draft_mut()?.toggle_raw().err();
                let tell = |problem| tell(Level::Error, format!("not a form yet: {problem}"));
                Some(problem.map(tell).into_iter().collect())
            }
            Action::Copy => self.copy(false),
            Action::CopyAll => self.copy(true),
            Action::CopyCommand => self.copy_command(cx),
            // Claimed even without a tool: the pane has the focus already.
            Action::CallTool => Some(self.on_draft_action(action).unwrap_or_default()),
            _ => self.on_draft_action(action),
        }
    }

    fn is_editing(&self) -> bool {
        self.draft().is_some_and(Draft::is_editing)
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        self.draft_mut()?.on_key(key).then(Vec::new)
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        let filled = self.draft_mut().and_then(|draft| draft.paste(text));
        let told = filled.map(|fields| {
            let plural = if fields == 1 { "" } else { "s" };
            tell(
                Level::Info,
                format!("filled {fields} field{plural} from the pasted JSON"),
            )
        });
        told.into_iter().collect()
    }

    fn on_click(&mut self, at: Position, double: bool, cx: &Cx) -> Vec<Intent> {
        let parts = self.parts(self.area, cx);
        let inside = at.y < parts.form.height;
        if let Some(draft) = self
            .draft_mut()
            .filter(|draft| draft.raw.is_none() && inside)
            && let Some(row) = draft.form.row_at(at.y)
        {
            draft.form.move_to(row);
            if double {
                draft.form.open();
            }
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        let rows = isize::try_from(rows).unwrap_or_default();
        match self.draft_mut() {
            Some(Draft { raw: Some(raw), .. }) => raw.editor.move_by(rows),
            Some(draft) => draft.form.move_by(rows),
            None => {}
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        self.area = area;
        self.refresh(cx);
        let form = self.parts(area, cx).form;
        match self.draft_mut() {
            Some(Draft { raw: Some(raw), .. }) => raw.editor.sync(form),
            Some(draft) => draft.form.sync(form.height.into()),
            None => {}
        }
        Vec::new()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        let parts = self.parts(area, cx);
        match self.draft() {
            None => empty(
                parts.form,
                buf,
                cx,
                "no tool selected — choose one in Tools (3)",
            ),
            Some(Draft { raw: Some(raw), .. }) => Self::draw_raw(raw, &parts, buf, cx),
            Some(draft) => {
                if draft.form.is_empty() {
                    let context = Context::Pane(PaneKind::Call);
                    let key = |action| cx.keymap.key_for(context, action).unwrap_or_default();
                    let (send, raw) = (key(Action::Send), key(Action::ToggleRaw));
                    let text = format!("no arguments — {send} sends, {raw} for JSON");
                    empty(parts.form, buf, cx, &text);
                }
                draft.form.draw(parts.form, buf, focused, cx);
                Self::draw_about(draft, parts.about, buf, cx);
            }
        }
        if let Some(call) = running_call(cx) {
            running::draw(call, parts.running, buf, cx);
        }
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        match self.draft()? {
            Draft { raw: Some(raw), .. } => raw.editing.then(|| raw.editor.cursor(area)),
            draft => draft.form.cursor(area),
        }
    }

    fn load_call(&mut self, tool: &ToolSpec, arguments: &str) {
        self.waiting = Some((tool.name.clone(), arguments.to_owned()));
    }

    fn on_edited(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        let edited = self.edited.take();
        let Some(draft) = self.draft_mut() else {
            return Vec::new();
        };
        match edited {
            Some(Edited::Field { ended }) => {
                // Editors end the last line.
                let text = text.strip_suffix('\n').filter(|_| !ended).unwrap_or(text);
                draft.form.set_focused_text(text);
            }
            Some(Edited::Arguments) => {
                draft.load(text.trim_end());
                let error = draft.raw.as_ref().and_then(Raw::error);
                return error
                    .map(|error| tell(Level::Error, error))
                    .into_iter()
                    .collect();
            }
            None => {}
        }
        Vec::new()
    }
}
