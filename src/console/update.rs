//! `update`: one message in, effects out. Synchronous; waits for nothing.

use std::sync::Arc;

use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use jiff::SignedDuration;
use ratatui::layout::Position;

use super::action::Action;
use super::effect::{Effect, Intent, QUIT_WINDOW};
use super::keymap::{Context, Lookup, Press};
use super::layout::{Slot, Zoom};
use super::modals::confirm::Confirm;
use super::modals::failures;
use super::modals::help::Help;
use super::modals::palette::Palette;
use super::model::Model;
use super::msg::{Done, Msg};
use super::panes::PaneKind;
use super::panes::instances::commands;
use super::theme::BUILT_IN;
use crate::model::{CallId, Caller, Command, Fleet, InstanceId, Level, Notice};

/// Two clicks on one cell within this time are a double click.
const DOUBLE_CLICK: SignedDuration = SignedDuration::from_millis(400);
/// What one press of `extend-call` adds.
const EXTENSION: std::time::Duration = std::time::Duration::from_secs(60);

impl Model {
    /// The only way the console's state changes, but for what [`Model::sync`] clamps before drawing.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let intents = match msg {
            Msg::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Msg::Key(key) => self.on_key(key),
            Msg::Mouse(mouse) => self.on_mouse(mouse),
            Msg::Paste(text) => self.on_paste(&text),
            Msg::Resize(width, height) => {
                self.screen = ratatui::layout::Rect::new(0, 0, width, height);
                Vec::new()
            }
            Msg::Fleet(fleet) => self.on_fleet(fleet),
            Msg::Notice(notice) => vec![Intent::Tell(notice)],
            Msg::NoticesSkipped(count) => {
                self.notices_skipped += count;
                Vec::new()
            }
            Msg::Data | Msg::Tick => Vec::new(),
            Msg::Done(done) => self.on_done(done),
        };
        let now = self.now();
        self.toasts.expire(now);
        self.perform(intents)
    }

    /// Turns intents into changes of the model and effects for the loop.
    pub(super) fn perform(&mut self, intents: Vec<Intent>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for intent in intents {
            match intent {
                Intent::Run(Effect::Send(command)) if self.read_only && !harmless(&command) => {
                    self.tell(Level::Warn, "read-only mode: nothing was changed");
                }
                Intent::Run(effect) => effects.push(effect),
                Intent::SelectSession(session) => self.selection.session = session,
                Intent::SelectInstance(instance) => self.select_instance(instance),
                Intent::SelectTool(tool) => self.selection.tool = Some(tool),
                Intent::ShowCall(call) => self.selection.call = Some(call),
                Intent::EditCall {
                    instance,
                    tool,
                    arguments,
                } => {
                    effects.extend(self.edit_call(instance, &tool, &arguments));
                }
                Intent::Focus(kind) => self.set_focus(kind),
                Intent::Reveal(kind) => {
                    let slots = self.layout().map(|layout| layout.slots).unwrap_or_default();
                    if slots.iter().all(|slot| slot.active != kind) {
                        self.set_focus(kind);
                    }
                }
                Intent::Open(modal) => self.modals.push(modal),
                Intent::CloseModal => {
                    self.modals.pop();
                }
                Intent::Do(action) => effects.extend(self.act(action)),
                Intent::Tell(notice) => {
                    let now = self.now();
                    self.toasts.push(notice, now);
                }
            }
        }
        effects
    }

    fn tell(&mut self, level: Level, text: impl Into<Arc<str>>) {
        let now = self.now();
        self.toasts.push(Notice::new(level, text), now);
    }

    fn select_instance(&mut self, instance: InstanceId) {
        if self.selection.instance.as_ref() != Some(&instance) {
            self.selection.instance = Some(instance);
            let tools = self
                .fleet
                .instance(self.selection.instance.as_ref().expect("just set"))
                .and_then(|i| i.tools.clone());
            let same = self
                .selection
                .tool
                .as_ref()
                .zip(tools.as_ref())
                .is_some_and(|(name, tools)| tools.iter().any(|tool| tool.name == *name));
            if !same {
                self.selection.tool = None;
            }
        }
    }

    fn edit_call(&mut self, instance: InstanceId, tool: &Arc<str>, arguments: &str) -> Vec<Effect> {
        self.select_instance(instance);
        self.selection.tool = Some(tool.clone());
        self.set_focus(PaneKind::Call);
        let now = self.now();
        let spec = super::model::cx!(self, now).tool().cloned();
        if let Some(spec) = spec {
            self.with_pane(PaneKind::Call, |pane, _| pane.load_call(&spec, arguments));
        }
        Vec::new()
    }

    fn on_fleet(&mut self, fleet: Arc<Fleet>) -> Vec<Intent> {
        let newest = |fleet: &Fleet| newest_own_call(fleet);
        if newest(&fleet) > newest(&self.fleet) {
            self.selection.call = newest(&fleet);
        }
        self.fleet = fleet;
        Vec::new()
    }

    fn on_done(&mut self, done: Done) -> Vec<Intent> {
        match done {
            Done::Busy => self.tell(Level::Warn, "busy, try again"),
            Done::Copied { what } => self.tell(Level::Info, format!("copied {what}")),
            Done::Theme(Ok(theme)) => {
                self.tell(Level::Info, format!("theme {}", theme.name));
                self.theme = theme;
            }
            Done::Visited(Ok(text)) => self.tell(Level::Info, text),
            Done::Failed(text)
            | Done::Theme(Err(text))
            | Done::Edited(Err(text))
            | Done::Visited(Err(text)) => self.tell(Level::Error, text),
            Done::Edited(Ok(text)) => {
                let focus = self.focus();
                return self.with_pane(focus, |pane, cx| pane.on_edited(&text, cx));
            }
            Done::Inspected(inspected) => {
                let now = self.now();
                let cx = super::model::cx!(self, now);
                for modal in &mut self.modals {
                    modal.on_inspected(&inspected, &cx);
                }
            }
            Done::Resumed => return vec![Intent::Run(Effect::Repaint)],
        }
        Vec::new()
    }

    fn on_paste(&mut self, text: &str) -> Vec<Intent> {
        if let Some(intents) = self.with_modal(|modal, cx| modal.on_paste(text, cx)) {
            return intents;
        }
        let focus = self.focus();
        self.with_pane(focus, |pane, cx| pane.on_paste(text, cx))
    }

    fn on_key(&mut self, key: KeyEvent) -> Vec<Intent> {
        if let Some(handled) = self.with_modal(|modal, cx| modal.on_key(key, cx)) {
            return handled.unwrap_or_else(|| self.on_bound_key(key));
        }
        let focus = self.focus();
        let editing = self.panes[focus as usize].is_editing() && self.pending.is_empty();
        if editing && let Some(intents) = self.with_pane(focus, |pane, cx| pane.on_key(key, cx)) {
            return intents;
        }
        self.on_bound_key(key)
    }

    fn on_bound_key(&mut self, key: KeyEvent) -> Vec<Intent> {
        self.pending.push(Press::from(key));
        let contexts = if self.modals.is_empty() {
            [Context::Pane(self.focus()), Context::Global]
        } else {
            [Context::Dialog, Context::Global]
        };
        let pressed = self.pending.clone();
        for context in contexts {
            match self.keymap.lookup(context, &pressed) {
                Lookup::Prefix(_) => return Vec::new(),
                Lookup::Nothing => {}
                Lookup::Action(action) => {
                    if let Some(intents) = self.offer(action) {
                        self.pending.clear();
                        return intents;
                    }
                }
            }
        }
        self.pending.clear();
        Vec::new()
    }

    /// Offers an action to the modal, then to the focused pane, then does what it means everywhere.
    fn offer(&mut self, action: Action) -> Option<Vec<Intent>> {
        if self.read_only && action.changes_the_world() {
            self.tell(Level::Warn, "read-only mode: ctrl+x leaves it");
            return Some(Vec::new());
        }
        if !self.modals.is_empty() {
            return match action {
                Action::Back | Action::Close => Some(vec![Intent::CloseModal]),
                Action::Redraw | Action::Suspend | Action::NextTheme => self.on_global(action),
                _ => self.with_modal(|modal, cx| modal.on_action(action, cx)),
            };
        }
        let focus = self.focus();
        self.with_pane(focus, |pane, cx| pane.on_action(action, cx))
            .or_else(|| self.on_global(action))
    }

    /// Performs an action as if its key had been pressed.
    fn act(&mut self, action: Action) -> Vec<Effect> {
        let intents = self.offer(action).unwrap_or_default();
        self.perform(intents)
    }

    /// What an action means when neither modal nor pane claimed it. `None`: nothing.
    fn on_global(&mut self, action: Action) -> Option<Vec<Intent>> {
        let intents = match action {
            Action::NextPane => self.step_focus(1),
            Action::PreviousPane => self.step_focus(-1),
            Action::NextTab => self.step_tab(1),
            Action::PreviousTab => self.step_tab(-1),
            Action::FocusSessions => vec![Intent::Focus(PaneKind::Sessions)],
            Action::FocusInstances => vec![Intent::Focus(PaneKind::Instances)],
            Action::FocusTools => vec![Intent::Focus(PaneKind::Tools)],
            Action::FocusCall => vec![Intent::Focus(PaneKind::Call)],
            // Once it has the focus, the pane claims the action: it starts editing.
            Action::CallTool => vec![Intent::Focus(PaneKind::Call), Intent::Do(action)],
            Action::FocusResult => vec![Intent::Focus(PaneKind::Result)],
            Action::FocusHealth => vec![Intent::Focus(PaneKind::Health)],
            Action::FocusLogs | Action::ShowLogs => vec![Intent::Focus(PaneKind::Logs)],
            Action::FocusCalls => vec![Intent::Focus(PaneKind::Calls)],
            Action::FocusEvents => vec![Intent::Focus(PaneKind::Events)],
            Action::Zoom => self.set_zoom(if self.zoom == Zoom::Full {
                Zoom::Normal
            } else {
                Zoom::Full
            }),
            Action::ZoomIn => self.set_zoom(if self.zoom == Zoom::Normal {
                Zoom::Half
            } else {
                Zoom::Full
            }),
            Action::ZoomOut => self.set_zoom(if self.zoom == Zoom::Full {
                Zoom::Half
            } else {
                Zoom::Normal
            }),
            Action::Back | Action::Close if self.zoom != Zoom::Normal => {
                self.set_zoom(Zoom::Normal)
            }
            Action::Close | Action::Quit => vec![self.quit()],
            Action::CancelCall => self.cancel_or_quit(),
            Action::ExtendCall => self
                .running_own_call()
                .map(|id| vec![Intent::send(Command::Extend(id, EXTENSION))])?,
            Action::Help => vec![Intent::Open(Box::new(Help::new(Context::Pane(
                self.focus(),
            ))))],
            Action::CommandLine | Action::Palette => vec![Intent::Open(Box::new(Palette::new(
                action == Action::CommandLine,
            )))],
            Action::NewSession => {
                let dialog = super::modals::new_session::NewSession::new(&self.fleet);
                vec![Intent::Open(Box::new(dialog))]
            }
            Action::NextTheme => vec![Intent::Run(Effect::LoadTheme(self.next_theme()))],
            Action::ToggleMouse => {
                self.mouse = !self.mouse;
                self.tell(
                    Level::Info,
                    if self.mouse {
                        "mouse: on"
                    } else {
                        "mouse: off, the terminal selects"
                    },
                );
                vec![Intent::Run(Effect::CaptureMouse(self.mouse))]
            }
            Action::ToggleReadOnly => {
                self.read_only = !self.read_only;
                Vec::new()
            }
            Action::Inspect
            | Action::OpenShell
            | Action::StopStart
            | Action::PauseResume
            | Action::CopyCommand => {
                let now = self.now();
                let cx = super::model::cx!(self, now);
                return commands::act(action, cx.instance()?, &cx);
            }
            Action::RetryFailed => failures::retry(self.selection.session.as_ref(), &self.fleet),
            Action::Redraw => vec![Intent::Run(Effect::Repaint)],
            Action::Suspend => vec![Intent::Run(Effect::Suspend)],
            _ => return None,
        };
        Some(intents)
    }

    fn set_zoom(&mut self, zoom: Zoom) -> Vec<Intent> {
        self.zoom = zoom;
        Vec::new()
    }

    fn step_focus(&mut self, step: isize) -> Vec<Intent> {
        let visible: Vec<_> = match (self.layout(), self.zoom) {
            (Some(layout), Zoom::Normal) => layout.slots.iter().map(|slot| slot.active).collect(),
            _ => <PaneKind as strum::IntoEnumIterator>::iter().collect::<Vec<_>>(),
        };
        vec![Intent::Focus(neighbour(&visible, self.focus(), step))]
    }

    fn step_tab(&mut self, step: isize) -> Vec<Intent> {
        let focus = self.focus();
        let slots = self.layout().map(|layout| layout.slots).unwrap_or_default();
        let tabs = slots
            .into_iter()
            .map(|slot| slot.tabs)
            .find(|tabs| tabs.contains(&focus));
        tabs.map(|tabs| vec![Intent::Focus(neighbour(&tabs, focus, step))])
            .unwrap_or_default()
    }

    fn next_theme(&self) -> String {
        let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        neighbour(&names, &*self.theme.name, 1).to_owned()
    }

    fn running_own_call(&self) -> Option<CallId> {
        let own =
            |call: &&Arc<crate::model::Call>| call.is_running() && call.caller == Caller::Operator;
        let shown = self
            .selection
            .call
            .and_then(|id| self.fleet.calls.get(&id))
            .filter(own);
        shown
            .or_else(|| self.fleet.calls.values().rev().find(own))
            .map(|call| call.id)
    }

    fn cancel_or_quit(&mut self) -> Vec<Intent> {
        let now = self.now();
        let window = SignedDuration::try_from(QUIT_WINDOW).unwrap_or_default();
        // A clock that was set back makes no second key of a first one.
        let recent = SignedDuration::ZERO..=window;
        let again = self
            .last_cancel
            .is_some_and(|last| recent.contains(&now.duration_since(last)));
        self.last_cancel = Some(now);
        if again {
            return vec![Intent::Run(Effect::Quit)];
        }
        if let Some(id) = self.running_own_call() {
            return vec![Intent::send(Command::Cancel(id))];
        }
        self.tell(Level::Info, "no call is running; ctrl+c again quits");
        Vec::new()
    }

    fn quit(&self) -> Intent {
        let live = self
            .fleet
            .instances()
            .filter(|instance| !instance.phase.is_settled())
            .count();
        let running = self
            .fleet
            .calls
            .values()
            .filter(|call| call.is_running())
            .count();
        if live == 0 && running == 0 {
            return Intent::Run(Effect::Quit);
        }
        let lines = [
            (live, "running instance", "will be stopped"),
            (running, "running call", "will be cancelled"),
        ];
        let lost = lines.into_iter().filter(|(count, ..)| *count > 0);
        let lost = lost.map(|(count, what, fate)| {
            format!("{count} {what}{} {fate}", if count == 1 { "" } else { "s" })
        });
        Intent::Open(Box::new(Confirm::new(
            "Quit envdeck?",
            lost.collect(),
            vec![Intent::Run(Effect::Quit)],
        )))
    }

    fn on_mouse(&mut self, mouse: MouseEvent) -> Vec<Intent> {
        let at = Position::new(mouse.column, mouse.row);
        match mouse.kind {
            MouseEventKind::ScrollDown => self.on_scroll(at, 3),
            MouseEventKind::ScrollUp => self.on_scroll(at, -3),
            MouseEventKind::Down(MouseButton::Left) => self.on_click(at),
            _ => Vec::new(),
        }
    }

    fn on_scroll(&mut self, at: Position, rows: i32) -> Vec<Intent> {
        if self
            .with_modal(|modal, cx| modal.on_scroll(rows, cx))
            .is_none()
            && let Some(slot) = self.slot_at(at)
        {
            self.with_pane(slot.active, |pane, cx| pane.on_scroll(rows, cx));
        }
        Vec::new()
    }

    fn on_click(&mut self, at: Position) -> Vec<Intent> {
        let now = self.now();
        let double = self.last_click.is_some_and(|(then, x, y)| {
            let between = now.duration_since(then);
            (x, y) == (at.x, at.y) && (SignedDuration::ZERO..=DOUBLE_CLICK).contains(&between)
        });
        self.last_click = if double {
            None
        } else {
            Some((now, at.x, at.y))
        };
        if !self.modals.is_empty() {
            let area = self.modal_area();
            let inside = area.filter(|area| area.contains(at));
            let Some(area) = inside else {
                return Vec::new();
            };
            let at = Position::new(at.x - area.x, at.y - area.y);
            return self
                .with_modal(|modal, cx| modal.on_click(at, cx))
                .unwrap_or_default();
        }
        let Some(slot) = self.slot_at(at) else {
            return Vec::new();
        };
        if at.y == slot.area.y
            && let Some(tab) = super::view::tab_at(&slot, at.x)
        {
            return vec![Intent::Focus(tab)];
        }
        self.set_focus(slot.active);
        let inner = slot.inner();
        if !inner.contains(at) {
            return Vec::new();
        }
        let at = Position::new(at.x - inner.x, at.y - inner.y);
        self.with_pane(slot.active, |pane, cx| pane.on_click(at, double, cx))
    }

    /// Of two slots that share a border row, the lower one, whose title stands on it.
    fn slot_at(&self, at: Position) -> Option<Slot> {
        let slots = self.layout()?.slots.into_iter();
        slots
            .filter(|slot| slot.area.contains(at))
            .max_by_key(|slot| slot.area.y)
    }
}

fn neighbour<T: PartialEq + Copy>(all: &[T], current: T, step: isize) -> T {
    let Some(index) = all.iter().position(|item| *item == current) else {
        return all.first().copied().unwrap_or(current);
    };
    let next = (index.cast_signed() + step).rem_euclid(all.len().cast_signed());
    all[next.cast_unsigned()]
}

fn newest_own_call(fleet: &Fleet) -> Option<CallId> {
    fleet
        .calls
        .values()
        .rev()
        .find(|call| call.caller == Caller::Operator)
        .map(|call| call.id)
}

/// Commands that only look, or end something the operator began.
fn harmless(command: &Command) -> bool {
    matches!(
        command,
        Command::Watch(_)
            | Command::ListTools(_)
            | Command::Inspect(_)
            | Command::Cancel(_)
            | Command::Extend(..)
    )
}
