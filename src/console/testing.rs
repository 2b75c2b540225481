//! A console without a terminal: press keys, read the screen and the effects. For tests and benches.

pub mod fleet;

use std::sync::Arc;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::effect::{Effect, Intent};
use super::invocation::Invocation;
use super::keymap::Keymap;
use super::model::{Model, Setup};
use super::msg::Msg;
use super::panes::About;
use super::theme::{ColorDepth, Theme};
use crate::model::{Event, Fleet, Happening};
use crate::stores::logs::LogStore;
use crate::stores::results::ResultStore;

/// The moment at which a test's clock stands: 2026-11-21T14:03:22Z.
pub const NOW: i64 = 1_795_269_802;

/// Keys in, screen and effects out.
pub struct Harness {
    pub model: Model,
    pub logs: LogStore,
    pub results: ResultStore,
    /// Everything asked for so far.
    pub effects: Vec<Effect>,
    fleet: Fleet,
    clock: Arc<std::sync::atomic::AtomicI64>,
    buffer: Buffer,
    pub cursor: Option<Position>,
}

impl Harness {
    /// A screen of this size over an empty fleet, in the `dark` theme.
    pub fn new(width: u16, height: u16, results: ResultStore) -> Self {
        let clock = Arc::new(std::sync::atomic::AtomicI64::new(NOW * 1000));
        let ticking = clock.clone();
        let logs = LogStore::default();
        let setup = Setup {
            fleet: Arc::default(),
            logs: logs.clone(),
            results: results.clone(),
            theme: Arc::new(Theme::load("dark", None, ColorDepth::TrueColor).expect("built in")),
            keymap: Keymap::default(),
            about: About {
                origin: "test".to_owned(),
                log_path: "/state/envdeck.log".to_owned(),
                invocation: Invocation {
                    target: vec!["--config".to_owned(), "mcp.yaml".to_owned()],
                    is_ad_hoc: false,
                },
                zone: None,
            },
            clock: Box::new(move || {
                let millis = ticking.load(std::sync::atomic::Ordering::Relaxed);
                Timestamp::from_millisecond(millis).expect("a test's time")
            }),
            size: (width, height),
            mouse: true,
        };
        let mut harness = Self {
            model: Model::new(setup),
            logs,
            results,
            effects: Vec::new(),
            fleet: Fleet::default(),
            clock,
            buffer: Buffer::empty(Rect::new(0, 0, width, height)),
            cursor: None,
        };
        harness.redraw();
        harness
    }

    /// The test's present.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(std::sync::atomic::Ordering::Relaxed))
            .expect("a test's time")
    }

    /// Lets time pass.
    #[must_use]
    pub fn after_millis(mut self, millis: i64) -> Self {
        self.clock
            .fetch_add(millis, std::sync::atomic::Ordering::Relaxed);
        self.send(Msg::Tick);
        self
    }

    /// Starts from this fleet.
    #[must_use]
    pub fn given(mut self, fleet: Fleet) -> Self {
        self.fleet = fleet;
        self.publish();
        self
    }

    /// Lets something happen now.
    #[must_use]
    pub fn happening(mut self, what: Happening) -> Self {
        let at = self.now();
        self.fleet.apply(&Event { at, what });
        self.publish();
        self
    }

    fn publish(&mut self) {
        let fleet = Arc::new(self.fleet.clone());
        self.send(Msg::Fleet(fleet));
    }

    /// Presses keys: `"js"`, `"<enter>"`, `"<ctrl+d>"`, `"<lt>"` for a literal `<`.
    #[must_use]
    pub fn press(mut self, keys: &str) -> Self {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (name, after) = match rest.strip_prefix('<').and_then(|tail| tail.split_once('>')) {
                Some((name, after)) => (name.to_owned(), after),
                None => (first.to_string(), &rest[first.len_utf8()..]),
            };
            let name = if name == "lt" { "<".to_owned() } else { name };
            let press: super::keymap::Press = name.parse().expect("a key");
            self.send(Msg::Key(press.into()));
            rest = after;
        }
        self
    }

    /// Pastes text.
    #[must_use]
    pub fn paste(mut self, text: &str) -> Self {
        self.send(Msg::Paste(text.to_owned()));
        self
    }

    /// Clicks with the left button.
    #[must_use]
    pub fn click(mut self, column: u16, row: u16) -> Self {
        let kind = MouseEventKind::Down(MouseButton::Left);
        self.send(Msg::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }));
        self
    }

    /// Lets a pane's wish come true, whichever pane it would be.
    pub fn perform(&mut self, intent: Intent) {
        let effects = self.model.perform(vec![intent]);
        self.effects.extend(effects);
        self.redraw();
    }

    /// Hands any message to the console and draws.
    pub fn send(&mut self, msg: Msg) {
        if let Msg::Resize(width, height) = msg {
            self.buffer = Buffer::empty(Rect::new(0, 0, width, height));
        }
        let effects = self.model.update(msg);
        self.effects.extend(effects);
        self.redraw();
    }

    /// Syncs and draws, as the loop does before a frame.
    pub fn redraw(&mut self) {
        self.effects.extend(self.model.sync());
        self.buffer.reset();
        self.cursor = self.model.draw(&mut self.buffer);
    }

    /// What is on screen, without trailing blanks.
    pub fn screen(&self) -> String {
        let area = self.buffer.area;
        let row = |y| {
            let cells: String = (0..area.width)
                .map(|x| self.buffer[(x, y)].symbol())
                .collect();
            cells.trim_end().to_owned()
        };
        (0..area.height).map(row).collect::<Vec<_>>().join("\n")
    }

    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}
