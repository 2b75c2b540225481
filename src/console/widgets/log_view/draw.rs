//! Lines of a log as rows: time, mark, text in the colours of its program, matches.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::viewport::body;
use super::{LogView, Times};
use crate::console::panes::Cx;
use crate::console::theme::{Role, Theme};
use crate::console::widgets::grid::mark;
use crate::console::widgets::pen::{Pen, row_starts};
use crate::console::widgets::text::{age, skip};
use crate::model::Transport;
use crate::stores::lines::{Sgr, SgrColor};
use crate::stores::logs::{LogLine, Severity, Source};

impl LogView {
    pub(super) fn draw_lines(&self, buf: &mut Buffer, focused: bool, cx: &Cx) {
        let height = self.height();
        let area = Rect {
            height: u16::try_from(height).unwrap_or(u16::MAX),
            ..self.area
        };
        let mut row = 0;
        for line in &self.shown {
            let above = if row == 0 { self.top_rows_above } else { 0 };
            let from = row;
            row += self.draw_line(line, above, area, row, buf, cx);
            if focused && !self.following && line.seq == self.cursor {
                for selected in area.rows().skip(from).take(row - from) {
                    mark(selected, buf, cx.theme, true);
                }
            }
            if row >= height {
                return;
            }
        }
    }

    /// Returns the rows that it took.
    fn draw_line(
        &self,
        line: &LogLine,
        above: usize,
        area: Rect,
        row: usize,
        buf: &mut Buffer,
        cx: &Cx,
    ) -> usize {
        let text = body(line);
        let columns = self.text_columns();
        let looks = self.looks(line, text.len(), cx);
        let (style, _) = styles(line.source, self.is_stray(line.source, cx), cx.theme);
        let starts = if self.wraps {
            row_starts(&text, columns)
        } else {
            vec![text.len() - skip(&text, self.columns_left).len()]
        };
        let height = usize::from(area.height) - row;
        let rows = starts.iter().enumerate().skip(above).take(height);
        for (index, start) in rows.clone() {
            let mut pen = Pen::new(buf, area, row + index - above);
            if index == 0 {
                self.draw_prefix(line, &mut pen, cx);
            } else {
                pen.skip(self.prefix());
            }
            let end = starts.get(index + 1).copied().unwrap_or(text.len());
            let end = end.min(visible_end(&text, *start, columns));
            let marks = within(&looks, *start..end);
            pen.put_marked(&text[*start..end], style, &marks);
        }
        rows.count()
    }

    fn draw_prefix(&self, line: &LogLine, pen: &mut Pen, cx: &Cx) {
        let time = match self.times {
            Times::Absolute => {
                let local = line.at.to_zoned(self.zone.clone());
                format!("{} ", local.strftime("%H:%M:%S%.3f"))
            }
            Times::Relative => format!("{:>7} ", ago(cx.now.duration_since(line.at).as_secs())),
            Times::Off => String::new(),
        };
        let is_stray = self.is_stray(line.source, cx);
        let (_, mark) = styles(line.source, is_stray, cx.theme);
        pen.put(&time, cx.theme.style(Role::LogTime))
            .put(&format!("{:<8}", name(line.source, is_stray)), mark);
    }

    /// On stdout, which is for messages alone: only a server over HTTP may say there what it likes.
    fn is_stray(&self, source: Source, cx: &Cx) -> bool {
        let instance = self.log.as_ref().and_then(|id| cx.fleet.instance(id));
        let transport = instance.map(|instance| instance.backend.transport);
        source == Source::Stdout && transport != Some(Transport::Http)
    }

    /// Stretches of a line that look different: the program's own colours, then matches over them.
    fn looks(&self, line: &LogLine, len: usize, cx: &Cx) -> Vec<(Range<usize>, Style)> {
        let lead = len - line.line.text.len();
        let runs = &line.line.runs;
        let looks: Vec<_> = (0..runs.len())
            .map(|index| {
                let start = runs[index].from as usize + lead;
                let end = runs
                    .get(index + 1)
                    .map_or(len, |next| next.from as usize + lead);
                (start..end, sgr(&runs[index].look, cx.theme))
            })
            .collect();
        let Some(search) = &self.search else {
            return looks;
        };
        let found: Vec<_> = search.ranges(&body(line)).collect();
        overlay(&looks, &found, cx.theme.style(Role::Match))
    }
}

/// Text beyond this is not on screen: bounds the work for a very long line.
fn visible_end(text: &str, start: usize, columns: usize) -> usize {
    start + crate::console::widgets::pen::fitting(&text[start..], columns)
}

fn name(source: Source, is_stray: bool) -> &'static str {
    match source {
        Source::Stderr => "stderr",
        Source::Stdout if is_stray => "stdout!",
        Source::Stdout => "stdout",
        Source::Server(_) => "server",
        Source::Envdeck => "envdeck",
    }
}

/// Styles of the text and of the mark.
fn styles(source: Source, is_stray: bool, theme: &Theme) -> (Style, Style) {
    let (text, mark) = match source {
        Source::Stdout if is_stray => (Role::LogStdout, Role::LogStdout),
        Source::Stderr | Source::Stdout => (Role::Log, Role::LogStderr),
        Source::Server(level) if level >= Severity::Error => (Role::LevelError, Role::LogServer),
        Source::Server(Severity::Warning) => (Role::LevelWarn, Role::LogServer),
        Source::Server(_) => (Role::Log, Role::LogServer),
        Source::Envdeck => (Role::Log, Role::LogEnvdeck),
    };
    (theme.style(text), theme.style(mark))
}

fn ago(seconds: i64) -> String {
    match seconds {
        ..=0 => "now".to_owned(),
        1..60 => format!("{seconds}s ago"),
        _ => format!("{} ago", age(seconds)),
    }
}

/// Puts a look over parts of a line; both lists are ordered and without overlaps, and so is the result.
fn overlay(
    looks: &[(Range<usize>, Style)],
    over: &[Range<usize>],
    style: Style,
) -> Vec<(Range<usize>, Style)> {
    let mut result: Vec<_> = over.iter().map(|range| (range.clone(), style)).collect();
    let mut over = over.iter().peekable();
    for (range, look) in looks {
        let mut from = range.start;
        while let Some(cover) = over.peek().filter(|cover| cover.start < range.end) {
            result.push((from..cover.start.max(from), *look));
            from = from.max(cover.end);
            if cover.end > range.end {
                break;
            }
            over.next();
        }
        result.push((from.min(range.end)..range.end, *look));
    }
    result.retain(|(range, _)| !range.is_empty());
    result.sort_by_key(|(range, _)| range.start);
    result
}

/// The looks of a part of a line, counted from its start.
fn within(looks: &[(Range<usize>, Style)], part: Range<usize>) -> Vec<(Range<usize>, Style)> {
    let cut = looks.iter().map(|(range, look)| {
        let start = range.start.clamp(part.start, part.end) - part.start;
        let end = range.end.clamp(part.start, part.end) - part.start;
        (start..end, *look)
    });
    cut.filter(|(range, _)| !range.is_empty()).collect()
}

fn sgr(look: &Sgr, theme: &Theme) -> Style {
    let color = |color: SgrColor| {
        theme.adapt(match color {
            SgrColor::Indexed(index) => Color::Indexed(index),
            SgrColor::Rgb(r, g, b) => Color::Rgb(r, g, b),
        })
    };
    let mut style = Style::new();
    style.fg = look.foreground.map(color);
    style.bg = look.background.map(color);
    for (on, modifier) in [
        (look.bold, Modifier::BOLD),
        (look.dim, Modifier::DIM),
        (look.italic, Modifier::ITALIC),
        (look.underline, Modifier::UNDERLINED),
        (look.reverse, Modifier::REVERSED),
    ] {
        if on {
            style = style.add_modifier(modifier);
        }
    }
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_covers_the_looks_under_it() {
        let (a, b, m) = (
            Style::new().fg(Color::Red),
            Style::new().fg(Color::Blue),
            Style::new().bg(Color::Yellow),
        );
        let put = |looks: &[(Range<usize>, Style)], over: &[(usize, usize)]| {
            let over: Vec<_> = over.iter().map(|(start, end)| *start..*end).collect();
            overlay(looks, &over, m)
        };
        assert_eq!(put(&[], &[(2, 4)]), [(2..4, m)]);
        assert_eq!(
            put(&[(0..5, a), (5..9, b)], &[(3, 6)]),
            [(0..3, a), (3..6, m), (6..9, b)]
        );
        assert_eq!(
            put(&[(0..9, a)], &[(1, 2), (3, 6)]),
            [(0..1, a), (1..2, m), (2..3, a), (3..6, m), (6..9, a)]
        );
        assert_eq!(put(&[(0..2, a)], &[(3, 6)]), [(0..2, a), (3..6, m)]);
        assert_eq!(
            put(&[(4..5, a), (7..9, a)], &[(3, 6)]),
            [(3..6, m), (7..9, a)]
        );
    }
}
