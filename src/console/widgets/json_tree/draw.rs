//! Rows of a tree: indentation, mark, key, value, cut to the screen.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::JsonTree;
use super::node::{Body, Members, Node, Row, Text, is_foldable};
use crate::arguments::json_text::quoted;
use crate::console::panes::Cx;
use crate::console::theme::{Role, Theme};
use crate::console::widgets::grid::mark;
use crate::console::widgets::matcher::Matcher;
use crate::console::widgets::media;
use crate::console::widgets::pen::Pen;
use crate::console::widgets::text::{count, cut, width};
use crate::stores::document::{Child, Document, Kind};
use crate::stores::lines::clean;

impl JsonTree {
    /// Draws into the area of the last sync.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, focused: bool, cx: &Cx) {
        for (line, rect) in area.rows().enumerate() {
            let at = self.top + line;
            let Some((place, row)) = self.root.row(at) else {
                return;
            };
            let indent = 2 * (place.path.len() - usize::from(place.inside.is_none()));
            let mut pen = Pen::new(buf, area, line);
            pen.skip(indent.min(usize::from(area.width) / 2));
            let mut row_pen = RowPen {
                pen,
                theme: cx.theme,
                search: self.search.as_ref(),
            };
            match row {
                Row::Member {
                    doc,
                    index,
                    child,
                    node,
                } => row_pen.member(doc, index, &child, node),
                Row::Text { text, row } => row_pen.text(text, row),
                Row::Pending => {
                    row_pen.pen.put("  indexing…", cx.theme.style(Role::Dim));
                }
            }
            if at == self.cursor && focused {
                mark(rect, buf, cx.theme, true);
            }
        }
    }
}

struct RowPen<'a> {
    pen: Pen<'a>,
    theme: &'a Theme,
    search: Option<&'a Matcher>,
}

impl RowPen<'_> {
    fn member(&mut self, doc: &Document, index: usize, child: &Child, node: Option<&Node>) {
        let room = self.pen.room();
        let value = value(doc, child, room);
        let label = match &child.key {
            Some(key) => clean(&doc.excerpt(key, room)).into_owned(),
            None => index.to_string(),
        };
        let folds = match child.kind {
            Kind::Object | Kind::Array => is_foldable(child),
            // A string that is on the row as a whole has nothing more to show, unless it is JSON itself.
            _ => {
                is_foldable(child)
                    && (has_lines(&value)
                        || looks_like_json(&value)
                        || width(&value) + width(&label) + 4 > room)
            }
        };
        let mark = match (node.is_some(), folds) {
            (true, _) => "▾ ",
            (false, true) => "▸ ",
            (false, false) => "  ",
        };
        self.pen.put(mark, self.theme.style(Role::Dim));
        let key = if child.key.is_some() {
            Role::JsonKey
        } else {
            Role::Dim
        };
        self.marked(&label, self.theme.style(key));
        self.pen.put(": ", self.theme.style(Role::JsonPunctuation));
        match node.map(|node| &node.body) {
            Some(body) => self.unfolded(doc, child, body),
            None if matches!(child.kind, Kind::Object | Kind::Array) => {
                let cut = cut(&value, self.pen.room());
                self.marked(&cut, self.theme.style(Role::Dim));
            }
            None => {
                let cut = cut(&value, self.pen.room());
                self.marked(&cut, self.theme.style(role(child.kind)));
            }
        }
    }

    /// What stands on the row of something whose inside is below.
    fn unfolded(&mut self, doc: &Document, child: &Child, body: &Body) {
        let punctuation = self.theme.style(Role::JsonPunctuation);
        let dim = self.theme.style(Role::Dim);
        match body {
            Body::Members(members) => {
                let [open, close] = if members.kind == Kind::Object {
                    ["{", "}"]
                } else {
                    ["[", "]"]
                };
                let size = count(members.list.len() as u64);
                self.pen.put(&format!("{open}{size}{close}"), punctuation);
                if child.kind == Kind::String {
                    self.pen.put(" JSON in a string", dim);
                } else if let Some(kind) = kind_of_block(doc, child, members) {
                    self.pen.put(&format!(" {kind}"), dim);
                }
            }
            Body::Text(text) => {
                let lines = count(text.lined.len() as u64);
                let plural = if text.lined.len() == 1 { "" } else { "s" };
                self.pen.put(&format!("{lines} line{plural}"), dim);
            }
            Body::Pending => {}
        }
    }

    fn text(&mut self, text: &Text, row: usize) {
        let (line, span) = text.span(row);
        // Four bytes are the most that a column takes, but for marks without width.
        let most = span.start.saturating_add(self.pen.room() * 4);
        let span = span.start..span.end.min(most);
        let shown = text.lined.part(line, &span);
        let shown = clean(&shown).into_owned();
        self.pen.put("  ", self.theme.style(Role::Dim));
        let cut = cut(&shown, self.pen.room());
        self.marked(&cut, self.theme.style(Role::JsonString));
    }

    fn marked(&mut self, text: &str, style: Style) {
        let look = self.theme.style(Role::Match);
        let found = |search: &Matcher| -> Vec<(Range<usize>, Style)> {
            search.ranges(text).map(|range| (range, look)).collect()
        };
        let marks = self.search.map(found).unwrap_or_default();
        self.pen.put_marked(text, style, &marks);
    }
}

/// The `type` of a content block, and the like; of images and sounds more.
fn kind_of_block(doc: &Document, child: &Child, members: &Members) -> Option<String> {
    if child.kind != Kind::Object {
        return None;
    }
    let few: Vec<_> = (0..8).filter_map(|index| members.list.get(index)).collect();
    let member = |name: &str| {
        let named = |child: &&Child| {
            let key = child.key.as_ref();
            child.kind == Kind::String && key.is_some_and(|key| doc.excerpt(key, 16) == name)
        };
        few.iter().find(named)
    };
    let kind = doc.excerpt(&member("type")?.value, 24);
    let summary = member("mimeType").zip(member("data")).map(|(mime, data)| {
        let mime = doc.excerpt(&mime.value, 64);
        format!("{kind}  {}", media::summary(doc, &mime, data))
    });
    Some(summary.unwrap_or_else(|| clean(&kind).into_owned()))
}

/// A value on one row: as much of it as can be seen, strings escaped.
fn value(doc: &Document, child: &Child, columns: usize) -> String {
    let most = columns * 4 + 16;
    match child.kind {
        Kind::String => clean(&quoted(&doc.excerpt(&child.value, most))).into_owned(),
        Kind::Object | Kind::Array => {
            let raw = doc.excerpt(&child.value, most);
            let words: Vec<_> = raw.split_ascii_whitespace().collect();
            clean(&words.join(" ")).into_owned()
        }
        _ => clean(&doc.excerpt(&child.value, most)).into_owned(),
    }
}

/// Line breaks other than one at the end.
fn has_lines(quoted: &str) -> bool {
    let text = quoted.strip_suffix('"').unwrap_or(quoted);
    text.strip_suffix("\\n").unwrap_or(text).contains("\\n")
}

fn looks_like_json(quoted: &str) -> bool {
    let text = quoted.trim_start_matches('"').trim_start();
    text.starts_with("{\\\"") || text.starts_with('[')
}

fn role(kind: Kind) -> Role {
    match kind {
        Kind::String => Role::JsonString,
        Kind::Number => Role::JsonNumber,
        Kind::Bool | Kind::Null => Role::JsonLiteral,
        Kind::Object | Kind::Array => Role::JsonPunctuation,
    }
}
