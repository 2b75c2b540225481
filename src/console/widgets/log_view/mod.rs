//! A log on screen: follows the newest line or stays put, with search, filter, wrapping and colours.

mod draw;
mod filter;
mod viewport;

use crossterm::event::KeyEvent;
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use self::filter::Filter;
use self::viewport::body;
use super::matcher::Matcher;
use super::prompt::{Prompt, Typed};
use super::text::count;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::model::{InstanceId, Level, Notice};
use crate::stores::logs::{LogLine, LogStore};

/// How the time of a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// Of day, to the millisecond, in the system's time zone.
    Absolute,
    /// `3 s ago`.
    Relative,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Search,
    Filter,
}

/// The state of one view. Positions are sequence numbers, so the view stays put while lines come and go.
pub struct LogView {
    log: Option<InstanceId>,
    following: bool,
    cursor: u64,
    top: u64,
    /// Rows of the top line that are above the screen, when it is wrapped.
    top_rows_above: usize,
    /// The end of the log when following stopped.
    paused_at: u64,
    columns_left: usize,
    wraps: bool,
    times: Times,
    zone: TimeZone,
    prompt: Option<(Asking, Prompt)>,
    search: Option<Matcher>,
    filter: Option<Filter>,
    /// As of the last sync.
    area: Rect,
    first: u64,
    end: u64,
    dropped: u64,
    shown: Vec<LogLine>,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            log: None,
            following: true,
            cursor: 0,
            top: 0,
            top_rows_above: 0,
            paused_at: 0,
            columns_left: 0,
            wraps: false,
            times: Times::Absolute,
            zone: TimeZone::system(),
            prompt: None,
            search: None,
            filter: None,
            area: Rect::default(),
            first: 0,
            end: 0,
            dropped: 0,
            shown: Vec::new(),
        }
    }
}

/// What a view does with keys, for the hint bar.
pub const ACTIONS: &[Action] = &[
    Action::ToggleFollow,
    Action::Search,
    Action::SearchNext,
    Action::Filter,
    Action::ToggleWrap,
    Action::ToggleTimestamps,
    Action::Copy,
    Action::CopyAll,
];

impl LogView {
    /// `following`, `paused, +1 234 new`, how much is lost, what is hidden.
    pub fn title(&self) -> String {
        let mut parts = vec![if self.following {
            "following".to_owned()
        } else {
            match self.end.saturating_sub(self.paused_at) {
                0 => "paused".to_owned(),
                new => format!("paused, +{} new", count(new)),
            }
        }];
        if let Some(filter) = &self.filter {
            let of = self.end - self.first;
            let more = if filter.is_complete() { "" } else { "+" };
            let passing = count(filter.passing().len() as u64);
            parts.push(format!(
                "&{} {passing}{more} of {}",
                filter.typed(),
                count(of)
            ));
        }
        if let Some(search) = &self.search {
            parts.push(format!("/{}", search.typed()));
        }
        if self.dropped > 0 {
            let lines = if self.dropped == 1 { "line" } else { "lines" };
            parts.push(format!("{} earlier {lines} dropped", count(self.dropped)));
        }
        parts.join("  ")
    }

    /// Whether there is no line to show, nor could be one with another filter.
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    pub fn is_editing(&self) -> bool {
        self.prompt.is_some()
    }

    /// Whether what it shows changes with time alone.
    pub fn shows_time(&self) -> bool {
        let filtering = self.filter.as_ref().is_some_and(|f| !f.is_complete());
        filtering || (self.times == Times::Relative && !self.shown.is_empty())
    }

    /// Shows this log from now on; settings stay, positions do not.
    fn show(&mut self, log: Option<&InstanceId>) {
        if self.log.as_ref() == log {
            return;
        }
        self.log = log.cloned();
        self.following = true;
        self.columns_left = 0;
        let typed = self.filter.take().map(|filter| filter.typed().to_owned());
        self.filter = typed.and_then(|typed| Filter::new(&typed, 0));
    }

    /// Reads the part of the log that is on screen.
    pub fn sync(&mut self, log: Option<&InstanceId>, area: Rect, logs: &LogStore) {
        self.show(log);
        self.area = area;
        let Some(log) = log else {
            (self.first, self.end, self.dropped) = (0, 0, 0);
            self.shown.clear();
            return;
        };
        let state = logs.window(log, 0, 0);
        (self.first, self.end, self.dropped) = (state.first, state.end, state.dropped);
        self.paused_at = self.paused_at.min(self.end);
        if let Some(filter) = &mut self.filter {
            filter.scan(logs, log, self.first..self.end);
        }
        self.fill(logs, &log.clone());
    }

    pub fn on_action(&mut self, action: Action, cx: &Cx) -> Option<Vec<Intent>> {
        let page = self.height().saturating_sub(1).max(1);
        let half = (usize::from(self.area.width) / 2).max(1);
        match action {
            Action::Up => self.step_up(),
            Action::Down => self.step_down(),
            Action::PageUp => self.jump(self.cursor_index().saturating_sub(page)),
            Action::PageDown => self.jump(self.cursor_index() + page),
            Action::First => self.jump(0),
            Action::Left => self.columns_left = self.columns_left.saturating_sub(half),
            Action::Right if !self.wraps => self.columns_left += half,
            Action::ToggleFollow if self.following => self.pause(),
            Action::Last | Action::ToggleFollow => self.follow(),
            Action::ToggleWrap => {
                self.wraps = !self.wraps;
                (self.columns_left, self.top_rows_above) = (0, 0);
            }
            Action::ToggleTimestamps => {
                self.times = match self.times {
                    Times::Absolute => Times::Relative,
                    Times::Relative => Times::Off,
                    Times::Off => Times::Absolute,
                }
            }
            Action::Search => self.ask(Asking::Search, ""),
            Action::Filter => {
                let typed = self.filter.as_ref().map_or("", Filter::typed).to_owned();
                self.ask(Asking::Filter, &typed);
            }
            Action::SearchNext => return Some(self.search_from(true, cx)),
            Action::SearchPrevious => return Some(self.search_from(false, cx)),
            Action::Copy => return Some(self.copy_line(cx)),
            Action::CopyAll => return Some(self.copy_shown()),
            Action::Back if self.search.is_some() => self.search = None,
            Action::Back if self.filter.is_some() => self.filter = None,
            _ => return None,
        }
        Some(Vec::new())
    }

    fn ask(&mut self, asking: Asking, text: &str) {
        self.prompt = Some((asking, Prompt::selected(text)));
    }

    pub fn on_key(&mut self, key: KeyEvent, cx: &Cx) -> Option<Vec<Intent>> {
        let (asking, prompt) = self.prompt.as_mut()?;
        let asking = *asking;
        match prompt.on_key(key) {
            Typed::Ignored => return None,
            Typed::Cancelled => {
                self.prompt = None;
                if asking == Asking::Filter {
                    self.filter = None;
                }
            }
            Typed::Changed => self.typed(),
            Typed::Submitted => {
                let text = prompt.text().to_owned();
                self.prompt = None;
                if asking == Asking::Search {
                    self.search = Matcher::new(&text);
                    let forward = !self.following;
                    return Some(self.search_from(forward, cx));
                }
            }
        }
        Some(Vec::new())
    }

    pub fn on_paste(&mut self, text: &str) {
        if let Some((_, prompt)) = &mut self.prompt {
            prompt.paste(text);
            self.typed();
        }
    }

    /// A filter holds while it is typed; a search is marked.
    fn typed(&mut self) {
        match &self.prompt {
            Some((Asking::Filter, prompt)) => {
                self.filter = Filter::new(prompt.text(), self.end);
            }
            Some((Asking::Search, prompt)) => self.search = Matcher::new(prompt.text()),
            None => {}
        }
    }

    /// The next line that matches and passes the filter, wrapping around.
    fn search_from(&mut self, forward: bool, cx: &Cx) -> Vec<Intent> {
        let (Some(search), Some(log)) = (&self.search, &self.log) else {
            return Vec::new();
        };
        let matches = |line: &LogLine| {
            search.is_match(&body(line))
                && self
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.passes(line))
        };
        let from = match (forward, self.following) {
            (true, _) => self.cursor + 1,
            (false, true) => self.end,
            (false, false) => self.cursor,
        };
        let mut tell = Vec::new();
        let found = cx.logs.find(log, from, forward, &matches).or_else(|| {
            let edge = if forward { 0 } else { u64::MAX };
            let found = cx.logs.find(log, edge, forward, &matches)?;
            tell.push(notice(Level::Info, "search wrapped around"));
            Some(found)
        });
        match found {
            Some(seq) => {
                self.pause();
                self.go_to(seq);
                tell
            }
            None => vec![notice(
                Level::Warn,
                format!("no match for {}", search.typed()),
            )],
        }
    }

    fn copy_line(&self, cx: &Cx) -> Vec<Intent> {
        let Some(log) = &self.log else {
            return Vec::new();
        };
        let lines = filter::lines(cx.logs, log, self.cursor..self.cursor + 1);
        let intent = |line: &LogLine| Intent::copy(line.line.text.as_ref(), "the line");
        lines.first().map(intent).into_iter().collect()
    }

    fn copy_shown(&self) -> Vec<Intent> {
        let lines: Vec<_> = self.shown.iter().map(|line| &*line.line.text).collect();
        if lines.is_empty() {
            return Vec::new();
        }
        vec![Intent::copy(
            lines.join("\n"),
            format!("{} lines", lines.len()),
        )]
    }

    pub fn on_click(&mut self, at: Position) {
        if let Some(seq) = self.line_at(at.y.into()) {
            self.pause();
            self.cursor = seq;
        }
    }

    /// Draws into the area of the last sync.
    pub fn draw(&self, buf: &mut Buffer, focused: bool, cx: &Cx) {
        self.draw_lines(buf, focused, cx);
        if let (Some((asking, prompt)), Some(row)) = (&self.prompt, self.prompt_row()) {
            let key = cx.theme.style(Role::Key);
            prompt.draw(label(*asking), row, buf, key, cx.theme.style(Role::Text));
        }
    }

    pub fn text_cursor(&self) -> Option<Position> {
        let (asking, prompt) = self.prompt.as_ref()?;
        Some(prompt.cursor(label(*asking), self.prompt_row()?))
    }

    /// The last row, while something is typed there.
    fn prompt_row(&self) -> Option<Rect> {
        self.area
            .rows()
            .next_back()
            .filter(|_| self.prompt.is_some())
    }

    /// Rows for lines.
    fn height(&self) -> usize {
        usize::from(self.area.height) - usize::from(self.prompt_row().is_some())
    }
}

fn label(asking: Asking) -> &'static str {
    match asking {
        Asking::Search => "/",
        Asking::Filter => "&",
    }
}

fn notice(level: Level, text: impl Into<std::sync::Arc<str>>) -> Intent {
    Intent::Tell(Notice::new(level, text))
}
