//! Draws the model: header, panes in their frames, hint bar, toasts, modals. Draws only; changes nothing
//! but what `sync` clamps.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::symbols::merge::MergeStrategy;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::action::Action;
use super::effect::Effect;
use super::keymap::{Context, Lookup, chord_text};
use super::layout::{SMALLEST, Slot};
use super::model::{Model, cx};
use super::panes::{Cx, PaneKind};
use super::theme::Role;
use super::widgets::hint;
use super::widgets::text::{count, cut, duration_short};
use crate::model::{InstanceId, Phase};
use crate::stores::logs::EVENTS_LOG;

impl Model {
    /// Before each drawing: lets the visible panes clamp their scroll and selection. May yield effects,
    /// such as watching another log.
    pub fn sync(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Every pane, the hidden ones too: Tools and Instances decide what is selected.
        let slots = self.layout().map(|layout| layout.slots).unwrap_or_default();
        for kind in <PaneKind as strum::IntoEnumIterator>::iter() {
            let slot = slots.iter().find(|slot| slot.active == kind);
            let area = slot.map(Slot::inner).unwrap_or_default();
            let intents = self.with_pane(kind, |pane, cx| pane.sync(area, cx));
            effects.extend(self.perform(intents));
        }
        if let Some(area) = self.modal_area() {
            let intents = self.with_modal(|modal, cx| modal.sync(area, cx));
            effects.extend(self.perform(intents.unwrap_or_default()));
        }
        let seen = |kind| slots.iter().any(|slot| slot.active == kind);
        let wanted = if seen(PaneKind::Logs) {
            self.selection.instance.clone()
        } else {
            seen(PaneKind::Events).then(|| InstanceId::new(EVENTS_LOG))
        };
        if wanted != self.watched {
            self.watched.clone_from(&wanted);
            effects.push(Effect::WatchLog(wanted));
        }
        effects
    }

    /// Fills the buffer; returns where the text cursor is.
    pub fn draw(&self, buf: &mut Buffer) -> Option<Position> {
        let now = self.now();
        let cx = cx!(self, now);
        let Some(layout) = self.layout() else {
            let text = format!("too small: {}×{} needed", SMALLEST.0, SMALLEST.1);
            hint::draw(&text, self.screen, buf, cx.theme);
            return None;
        };
        self.draw_header(layout.header, buf, &cx);
        let (focused, others): (Vec<_>, Vec<_>) = layout
            .slots
            .iter()
            .partition(|slot| slot.active == self.focus());
        for slot in others.iter().chain(&focused) {
            self.draw_slot(slot, buf, &cx);
        }
        // Titles last: they stand on border rows that neighbours share and draw over.
        for slot in &layout.slots {
            self.draw_title(slot, buf, &cx);
        }
        self.draw_footer(layout.footer, buf, &cx);
        let mut cursor = layout
            .slots
            .iter()
            .find(|slot| slot.active == self.focus())
            .and_then(|slot| self.panes[slot.active as usize].cursor(slot.inner()));
        if let Some(area) = self.modal_area() {
            cursor = self.draw_modal(area, buf, &cx);
        }
        let above_footer = Rect {
            height: layout.footer.y,
            ..self.screen
        };
        self.toasts.draw(above_footer, buf, &cx);
        neutralize(buf);
        cursor
    }

    fn draw_header(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let header = cx.theme.style(Role::Header);
        let dim = cx.theme.style(Role::Dim);
        let mut left = vec![Span::styled(" envdeck ", header)];
        if self.read_only {
            left.push(Span::styled(" READ-ONLY ", cx.theme.style(Role::Bar)));
        }
        let phases = |wanted: &[Phase]| {
            cx.fleet
                .instances()
                .filter(|i| wanted.contains(&i.phase))
                .count()
        };
        let ready = phases(&[Phase::Ready]);
        let moving = phases(&[
            Phase::Pending,
            Phase::Starting,
            Phase::Waiting,
            Phase::Stopping,
        ]);
        let failed = phases(&[Phase::Failed]);
        let running = cx
            .fleet
            .calls
            .values()
            .filter(|call| call.is_running())
            .count();
        let mut right = vec![Span::styled(
            format!(
                "{} inst ",
                ready + moving + failed + phases(&[Phase::Stopped])
            ),
            header,
        )];
        for (count, glyph, role) in [
            (ready, '●', Role::PhaseReady),
            (moving, '◐', Role::PhaseStarting),
            (failed, '✖', Role::PhaseFailed),
        ] {
            if count > 0 {
                right.push(Span::styled(
                    format!("{count}{glyph} "),
                    cx.theme.style(role),
                ));
            }
        }
        let total: u64 = cx.fleet.instances().map(|i| i.calls).sum();
        right.push(Span::styled(format!("  calls {}", count(total)), dim));
        if running > 0 {
            right.push(Span::styled(
                format!("  {running} running"),
                cx.theme.style(Role::PhaseStarting),
            ));
        }
        if let Some(p50) = cx.instance().and_then(|instance| instance.p50()) {
            right.push(Span::styled(format!("  p50 {}", duration_short(p50)), dim));
        }
        right.push(Span::raw(" "));
        let right = Line::from(right).alignment(Alignment::Right);
        let room = area
            .width
            .saturating_sub(u16::try_from(right.width()).unwrap_or(u16::MAX));
        let used: usize = left.iter().map(Span::width).sum();
        let origin = cut(&cx.about.origin, usize::from(room).saturating_sub(used + 2));
        left.insert(1, Span::styled(format!(" {origin} "), dim));
        Line::from(left).render(
            Rect {
                width: room,
                ..area
            },
            buf,
        );
        right.render(area, buf);
    }

    fn draw_slot(&self, slot: &Slot, buf: &mut Buffer, cx: &Cx) {
        let focused = self.has_focus(slot);
        let border = if focused {
            Role::BorderFocus
        } else {
            Role::Border
        };
        Block::bordered()
            .border_style(cx.theme.style(border))
            .merge_borders(MergeStrategy::Exact)
            .render(slot.area, buf);
        let inner = slot.inner();
        Clear.render(inner, buf);
        self.panes[slot.active as usize].draw(inner, buf, focused, cx);
    }

    fn draw_title(&self, slot: &Slot, buf: &mut Buffer, cx: &Cx) {
        let role = if self.has_focus(slot) {
            Role::TitleFocus
        } else {
            Role::Title
        };
        let room = slot.area.width.saturating_sub(2);
        let title = self.slot_title(slot, cx, role);
        let place = Rect {
            x: slot.area.x + 1,
            width: u16::try_from(title.width()).unwrap_or(u16::MAX).min(room),
            height: 1,
            ..slot.area
        };
        // Else the bold of a focused neighbour's border would shine through.
        Clear.render(place, buf);
        buf.set_line(place.x, place.y, &title, room);
    }

    fn has_focus(&self, slot: &Slot) -> bool {
        slot.active == self.focus() && self.modals.is_empty()
    }

    /// `5 Result ─ read_file  ok  3.1 ms`, with the other tabs of the slot behind it.
    fn slot_title(&self, slot: &Slot, cx: &Cx, role: Role) -> Line<'static> {
        let mut spans = Vec::new();
        for kind in &slot.tabs {
            let style = cx.theme.style(if *kind == slot.active {
                role
            } else {
                Role::Dim
            });
            spans.push(Span::styled(tab_label(*kind), style));
        }
        let detail = self.panes[slot.active as usize].title(cx);
        if !detail.is_empty() {
            let room = usize::from(slot.area.width)
                .saturating_sub(spans.iter().map(Span::width).sum::<usize>() + 4);
            let detail = cut(&detail, room);
            spans.push(Span::styled(
                format!("─ {detail} "),
                cx.theme.style(Role::Dim),
            ));
        }
        Line::from(spans)
    }

    fn draw_footer(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        let (context, actions) = match self.modals.last() {
            Some(modal) => (Context::Dialog, modal.actions()),
            None => (
                Context::Pane(self.focus()),
                self.panes[self.focus() as usize].actions(),
            ),
        };
        let typing = self.modals.is_empty() && self.panes[self.focus() as usize].is_editing();
        // What helps to find everything else has its room before the pane's own hints.
        let (more, always): (&[Action], &[Action]) = if self.modals.is_empty() && !typing {
            (
                &[Action::NewSession, Action::CommandLine],
                &[Action::Close, Action::Help],
            )
        } else {
            (&[], &[Action::Back])
        };
        let key = |action| {
            if typing {
                cx.keymap.key_while_typing(context, action)
            } else {
                cx.keymap.key_for(context, action)
            }
        };
        let (spans, always) = if self.pending.is_empty() {
            let actions = actions.iter().chain(more);
            (hints(actions, key, cx), hints(always, key, cx))
        } else {
            (self.pending_hints(context, cx), Vec::new())
        };
        let lost = self.notices_skipped;
        let right = if lost > 0 {
            format!(" {lost} notices skipped ")
        } else {
            String::new()
        };
        let right = Line::styled(right, cx.theme.style(Role::LevelWarn)).right_aligned();
        let room = area
            .width
            .saturating_sub(u16::try_from(right.width()).unwrap_or(u16::MAX));
        let reserved: usize = always.iter().map(Span::width).sum();
        let mut line = fitting(&spans, usize::from(room).saturating_sub(reserved));
        line.extend(always);
        line.render(
            Rect {
                width: room,
                ..area
            },
            buf,
        );
        right.render(area, buf);
    }

    fn pending_hints(&self, context: Context, cx: &Cx) -> Vec<Span<'static>> {
        let mut spans = vec![Span::styled(
            format!(" {} … ", chord_text(&self.pending)),
            cx.theme.style(Role::Key),
        )];
        for context in [context, Context::Global] {
            if let Lookup::Prefix(rest) = cx.keymap.lookup(context, &self.pending) {
                for (chord, action) in rest {
                    let key = chord_text(&chord[self.pending.len()..]);
                    spans.push(Span::styled(format!(" {key} "), cx.theme.style(Role::Key)));
                    spans.push(Span::styled(
                        format!("{} ", action.hint()),
                        cx.theme.style(Role::Hint),
                    ));
                }
            }
        }
        spans
    }

    /// The inner area of the topmost modal.
    pub(super) fn modal_area(&self) -> Option<Rect> {
        let now = self.now();
        let cx = cx!(self, now);
        let modal = self.modals.last()?;
        let room = Rect {
            y: self.screen.y + 1,
            height: self.screen.height.saturating_sub(2),
            ..self.screen
        };
        let (width, height) = modal.size(room, &cx);
        let (width, height) = (width.min(room.width), height.min(room.height));
        let x = room.x + (room.width - width) / 2;
        let y = room.y + (room.height - height) / 2;
        Some(Rect::new(x, y, width, height).inner(ratatui::layout::Margin::new(1, 1)))
    }

    fn draw_modal(&self, inner: Rect, buf: &mut Buffer, cx: &Cx) -> Option<Position> {
        let modal = self.modals.last()?;
        let frame = Rect::new(inner.x - 1, inner.y - 1, inner.width + 2, inner.height + 2);
        Clear.render(frame, buf);
        Block::bordered()
            .border_style(cx.theme.style(Role::BorderFocus))
            .style(cx.theme.style(Role::Modal))
            .title(Span::styled(
                format!(" {} ", modal.title()),
                cx.theme.style(Role::TitleFocus),
            ))
            .render(frame, buf);
        modal.draw(inner, buf, cx);
        modal.cursor(inner)
    }
}

fn tab_label(kind: PaneKind) -> String {
    format!(" {} {kind} ", kind.number())
}

/// The tab whose label is at column `x` of the slot's title.
pub(super) fn tab_at(slot: &Slot, x: u16) -> Option<PaneKind> {
    let mut left = usize::from(slot.area.x) + 1;
    slot.tabs.iter().copied().find(|kind| {
        let begin = left;
        left += tab_label(*kind).len();
        (begin..left).contains(&usize::from(x))
    })
}

/// Key and meaning of each action that has a key.
fn hints<'a>(
    actions: impl IntoIterator<Item = &'a Action>,
    key: impl Fn(Action) -> Option<String>,
    cx: &Cx,
) -> Vec<Span<'static>> {
    let hint = |action: &Action| {
        let key = key(*action)?;
        let meaning = format!("{} ", action.hint());
        Some([
            Span::styled(format!(" {key} "), cx.theme.style(Role::Key)),
            Span::styled(meaning, cx.theme.style(Role::Hint)),
        ])
    };
    actions.into_iter().filter_map(hint).flatten().collect()
}

/// As many whole hints (pairs of spans) as fit.
fn fitting(spans: &[Span<'static>], room: usize) -> Line<'static> {
    let mut used = 0;
    let mut kept = Vec::new();
    for pair in spans.chunks(2) {
        used += pair.iter().map(Span::width).sum::<usize>();
        if used > room {
            break;
        }
        kept.extend_from_slice(pair);
    }
    Line::from(kept)
}

/// The one place that makes sure that no text, whoever sent it, has any power over the terminal:
/// control characters and bidirectional overrides do not leave the buffer.
fn neutralize(buf: &mut Buffer) {
    for cell in &mut buf.content {
        if cell.symbol().len() > 1 || cell.symbol().bytes().any(|b| b.is_ascii_control()) {
            neutralize_cell(cell);
        }
    }
}

fn neutralize_cell(cell: &mut Cell) {
    let harmless = crate::stores::lines::clean(cell.symbol());
    if harmless != cell.symbol() {
        let harmless: String = harmless.chars().take(1).collect();
        cell.set_symbol(&harmless);
    }
}
