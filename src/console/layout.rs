//! Where the panes are: the same panes fold into fewer columns and more tabs as the screen shrinks.

use ratatui::layout::Rect;

use super::panes::PaneKind;
use PaneKind::{Call, Calls, Events, Health, Instances, Logs, Result, Sessions, Tools};

/// Below this, one line says that the screen is too small.
pub const SMALLEST: (u16, u16) = (60, 15);

/// How much of the screen the focused pane has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zoom {
    #[default]
    Normal,
    Half,
    Full,
}

/// A place on screen with one pane, or several as tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Including the border. Neighbours share one border line.
    pub area: Rect,
    pub tabs: Vec<PaneKind>,
    /// The tab that is drawn.
    pub active: PaneKind,
}

impl Slot {
    /// Without the border.
    pub fn inner(&self) -> Rect {
        self.area.inner(ratatui::layout::Margin::new(1, 1))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub header: Rect,
    pub slots: Vec<Slot>,
    pub footer: Rect,
}

/// `recent` is every pane, the most recently focused first: it chooses the active tab of each slot.
/// `None` if the screen is too small.
pub fn layout(screen: Rect, recent: &[PaneKind], zoom: Zoom) -> Option<Layout> {
    if screen.width < SMALLEST.0 || screen.height < SMALLEST.1 {
        return None;
    }
    let header = Rect {
        height: 1,
        ..screen
    };
    let footer = Rect {
        y: screen.bottom() - 1,
        height: 1,
        ..screen
    };
    let body = Rect {
        y: screen.y + 1,
        height: screen.height - 2,
        ..screen
    };
    let focused = recent.first().copied().unwrap_or(Instances);
    let places = match zoom {
        Zoom::Full => vec![(body, vec![focused])],
        Zoom::Half => half(body, focused),
        Zoom::Normal if screen.width >= 120 && screen.height >= 30 => wide(body),
        Zoom::Normal if screen.width >= 100 && screen.height >= 28 => medium(body),
        Zoom::Normal => small(body),
    };
    let rank = |kind: &PaneKind| recent.iter().position(|other| other == kind);
    let slots = places.into_iter().filter_map(|(area, tabs)| {
        let active = *tabs.iter().min_by_key(|kind| rank(kind))?;
        Some(Slot { area, tabs, active })
    });
    Some(Layout {
        header,
        slots: slots.collect(),
        footer,
    })
}

type Places = Vec<(Rect, Vec<PaneKind>)>;

fn wide(body: Rect) -> Places {
    let (left, right) = columns(body, (body.width / 6).clamp(28, 38));
    let (sessions, rest) = rows(left, left.height * 3 / 10);
    let (tools, health) = rows(rest, rest.height.saturating_sub(10));
    let (instances, rest) = rows(right, (right.height / 4).max(7));
    let (middle, logs) = rows(rest, rest.height * 11 / 20);
    let (call, result) = columns(middle, middle.width * 9 / 20);
    vec![
        (sessions, vec![Sessions]),
        (instances, vec![Instances]),
        (tools, vec![Tools]),
        (call, vec![Call]),
        (result, vec![Result]),
        (health, vec![Health]),
        (logs, vec![Logs, Calls, Events]),
    ]
}

fn medium(body: Rect) -> Places {
    let (left, right) = columns(body, 27);
    let (sessions, tools) = rows(left, left.height * 7 / 20);
    let (instances, rest) = rows(right, (right.height / 4).max(6));
    let (calls, logs) = rows(rest, rest.height * 3 / 5);
    vec![
        (sessions, vec![Sessions]),
        (instances, vec![Instances]),
        (tools, vec![Tools]),
        (calls, vec![Call, Result]),
        (logs, vec![Logs, Health, Calls, Events]),
    ]
}

fn small(body: Rect) -> Places {
    let (left, right) = columns(body, 24);
    let (instances, rest) = rows(right, (body.height / 4).max(5));
    vec![
        (left, vec![Tools, Sessions]),
        (instances, vec![Instances]),
        (rest, vec![Call, Result, Logs, Health, Calls, Events]),
    ]
}

/// The focused pane below, the list it depends on above.
fn half(body: Rect, focused: PaneKind) -> Places {
    let (above, below) = rows(body, body.height * 3 / 10);
    let companion = if focused == Instances {
        Sessions
    } else {
        Instances
    };
    vec![(above, vec![companion]), (below, vec![focused])]
}

/// Splits into a left part of `width` and the rest; they share a border column.
fn columns(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let left = Rect { width, ..area };
    let right = Rect {
        x: area.x + width - 1,
        width: area.width - width + 1,
        ..area
    };
    (left, right)
}

/// Splits into an upper part of `height` and the rest; they share a border row.
fn rows(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.clamp(1, area.height);
    let upper = Rect { height, ..area };
    let lower = Rect {
        y: area.y + height - 1,
        height: area.height - height + 1,
        ..area
    };
    (upper, lower)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::IntoEnumIterator;

    use super::*;

    proptest! {
        #[test]
        fn every_pane_is_in_reach_and_every_slot_on_screen(width in 0u16..300, height in 0u16..120, first in 0usize..9) {
            let mut recent: Vec<_> = PaneKind::iter().collect();
            recent.swap(0, first);
            let screen = Rect::new(0, 0, width, height);
            let fits = width >= SMALLEST.0 && height >= SMALLEST.1;
            let found = layout(screen, &recent, Zoom::Normal);
            prop_assert_eq!(found.is_some(), fits);
            if let Some(layout) = found {
                let mut tabs: Vec<_> = layout.slots.iter().flat_map(|slot| slot.tabs.clone()).collect();
                tabs.sort_unstable();
                prop_assert_eq!(tabs, PaneKind::iter().collect::<Vec<_>>());
                for slot in &layout.slots {
                    prop_assert_eq!(slot.area.intersection(screen), slot.area);
                    prop_assert!(slot.inner().width >= 10 && slot.inner().height >= 3, "{:?}", slot);
                }
                prop_assert!(layout.slots.iter().any(|slot| slot.active == recent[0]));
            }
        }
    }
}
