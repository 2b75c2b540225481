//! A JSON document as a tree that folds. Looks only at what is on screen, so size does not matter.

mod draw;
mod node;
mod seek;

use std::fmt::Write;
use std::sync::Arc;

use ratatui::layout::Rect;

use self::node::{Body, Node, Place, Row};
use self::seek::Seek;
pub use self::seek::Sought;
use super::matcher::Matcher;
use super::pen::scroll_to;
use crate::console::action::Action;
use crate::stores::document::{Child, Document, Kind, Lazy};

/// Containers that one "unfold all" unfolds.
const UNFOLD: usize = 1_000;
/// What is unfolded at first: so deep, …
const FIRST_DEPTH: usize = 3;
/// … until there are so many rows, …
const FIRST_ROWS: usize = 100;
/// … and no text or list larger than this, …
const FIRST_TEXT: usize = 16 << 10;
/// … unless a text is nearly all there is.
const FIRST_ALONE: usize = 12;
const FIRST_MEMBERS: usize = 32;
/// More than this is not put on a clipboard.
const COPY: usize = 16 << 20;

/// A tree over one document.
pub struct JsonTree {
    doc: Arc<Document>,
    root: Node,
    cursor: usize,
    top: usize,
    /// The cursor for which `top` was last chosen: the wheel may leave the cursor behind.
    seen: (usize, usize),
    area: Rect,
    /// Something unfolded is still being indexed.
    pending: bool,
    /// The first levels are unfolded, or the user has begun to move.
    begun: bool,
    search: Option<Matcher>,
    seek: Option<Seek>,
    /// Where the last match is, and the byte of it.
    found: Option<(Vec<usize>, usize)>,
}

impl JsonTree {
    pub fn new(doc: Arc<Document>) -> Self {
        let root = Node::new(doc.clone(), doc.root(), usize::MAX);
        Self {
            doc,
            root,
            cursor: 0,
            top: 0,
            seen: (0, 0),
            area: Rect::default(),
            pending: true,
            begun: false,
            search: None,
            seek: None,
            found: None,
        }
    }

    /// Rows of all that is unfolded.
    pub fn rows(&self) -> usize {
        self.root.rows()
    }

    /// Whether it waits for the background.
    pub fn is_pending(&self) -> bool {
        self.pending || self.seek.is_some()
    }

    /// Takes in what has been indexed, keeps the cursor on its member and on screen.
    pub fn sync(&mut self, area: Rect) -> Option<Sought> {
        let columns = usize::from(area.width);
        if self.area.width != area.width {
            self.keeping_place(|tree| tree.root.rewrap(columns));
        }
        self.area = area;
        if self.pending {
            self.keeping_place(|tree| tree.pending = tree.root.resolve(columns));
        }
        if !self.begun && matches!(self.root.body, Body::Members(_)) {
            self.begun = self.unfold_first();
        }
        let sought = self.go_on_seeking();
        let height = usize::from(area.height);
        self.cursor = self.cursor.min(self.rows().saturating_sub(1));
        if self.seen != (self.cursor, height) {
            self.seen = (self.cursor, height);
            self.top = scroll_to(self.top, self.cursor, height, self.rows());
        }
        self.top = self.top.min(self.rows().saturating_sub(height));
        sought
    }

    fn keeping_place(&mut self, change: impl FnOnce(&mut Self)) {
        let place = self.root.row(self.cursor).map(|(place, _)| place);
        change(self);
        if let Some(place) = place {
            self.cursor = self.root.row_of(&place);
        }
    }

    fn columns(&self) -> usize {
        self.area.width.into()
    }

    fn place(&self) -> Option<Place> {
        self.root.row(self.cursor).map(|(place, _)| place)
    }

    /// The member of the row, also of a row of its text.
    fn member(&self) -> Option<(Arc<Document>, Child)> {
        let (place, row) = self.root.row(self.cursor)?;
        match row {
            Row::Member { doc, child, .. } => Some((doc.clone(), child)),
            Row::Text { .. } | Row::Pending => {
                let node = self.root.at(&place.path)?;
                Some((node.doc.clone(), node.child.clone()))
            }
        }
    }

    /// `content[0].text`
    pub fn path(&self) -> String {
        let Some(place) = self.place() else {
            return String::new();
        };
        let mut text = String::new();
        let mut node = &self.root;
        for (depth, index) in place.path.iter().enumerate() {
            let Body::Members(members) = &node.body else {
                break;
            };
            let key = members.list.get(*index).and_then(|child| child.key);
            match key {
                Some(key) => {
                    let dot = if text.is_empty() { "" } else { "." };
                    text.push_str(dot);
                    text.push_str(&members.doc.excerpt(&key, 100));
                }
                None => {
                    let _ = write!(text, "[{index}]");
                }
            }
            match self.root.at(&place.path[..=depth]) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        crate::stores::lines::clean(&text).into_owned()
    }

    /// Moves and folds. `false`: not an action of the tree.
    pub fn on_action(&mut self, action: Action) -> bool {
        let page = usize::from(self.area.height).max(1);
        let last = self.rows().saturating_sub(1);
        let was_begun = self.begun;
        if !was_begun && matches!(self.root.body, Body::Members(_)) {
            // From the first key on, folding is the user's.
            self.unfold_first();
            self.begun = true;
        }
        match action {
            Action::Up => self.cursor = self.cursor.saturating_sub(1),
            Action::Down => self.cursor = (self.cursor + 1).min(last),
            Action::PageUp => self.cursor = self.cursor.saturating_sub(page),
            Action::PageDown => self.cursor = (self.cursor + page).min(last),
            Action::First => self.cursor = 0,
            Action::Last => self.cursor = last,
            Action::Left => self.fold(),
            Action::Right => self.unfold_or_enter(),
            Action::Open => self.toggle(),
            Action::FoldAll => self.fold_all(),
            Action::UnfoldAll => self.unfold_all(),
            _ => {
                self.begun = was_begun;
                return false;
            }
        }
        true
    }

    pub fn scroll(&mut self, rows: i32) {
        let step = isize::try_from(rows).unwrap_or_default();
        self.top = self.top.saturating_add_signed(step);
    }

    /// Puts the cursor on this row of the screen.
    pub fn click(&mut self, row: usize, double: bool) {
        if self.top + row < self.rows() {
            self.cursor = self.top + row;
            if double {
                self.toggle();
            }
        }
    }

    fn unfold(&mut self, path: &[usize]) -> bool {
        self.pending = true;
        let columns = self.columns();
        self.root.unfold(path, columns)
    }

    fn is_unfolded(&self, place: &Place) -> bool {
        place.inside.is_none() && self.root.at(&place.path).is_some()
    }

    fn unfold_or_enter(&mut self) {
        match self.place() {
            Some(place) if self.is_unfolded(&place) => self.cursor += 1,
            Some(place) if place.inside.is_none() => {
                self.unfold(&place.path);
            }
            _ => {}
        }
    }

    /// Folds what is unfolded; else goes to the parent.
    fn fold(&mut self) {
        let Some(mut place) = self.place() else {
            return;
        };
        if self.is_unfolded(&place) {
            self.root.fold(&place.path);
        } else if place.inside.take().is_some()
            || (place.path.len() > 1 && place.path.pop().is_some())
        {
            self.cursor = self.root.row_of(&place);
        }
    }

    fn toggle(&mut self) {
        let Some(place) = self.place() else {
            return;
        };
        if place.inside.is_some() {
            self.fold();
        } else if self.is_unfolded(&place) {
            self.root.fold(&place.path);
        } else {
            self.unfold(&place.path);
        }
    }

    fn fold_all(&mut self) {
        let first = self.place().and_then(|place| place.path.first().copied());
        self.root.fold_all();
        self.cursor = first.unwrap_or(0);
    }

    /// Unfolds containers level by level, as many as are bearable.
    fn unfold_all(&mut self) {
        self.keeping_place(|tree| {
            let mut budget = UNFOLD;
            tree.unfold_level(vec![Vec::new()], &mut |_, child| {
                let takes = matches!(child.kind, Kind::Object | Kind::Array) && budget > 0;
                budget -= usize::from(takes);
                takes
            });
        });
    }

    /// Content blocks and their texts, as much as is read at a glance. `false`: something that may be
    /// worth it is still being indexed.
    fn unfold_first(&mut self) -> bool {
        let mut rows = self.rows();
        if rows > FIRST_ROWS {
            return true;
        }
        let mut complete = true;
        let doc = self.doc.clone();
        self.unfold_level(vec![Vec::new()], &mut |path, child| {
            if path.len() > FIRST_DEPTH || rows >= FIRST_ROWS {
                return false;
            }
            let wanted = match child.kind {
                Kind::String if path.len() == 1 => Lazy::Ready(false),
                Kind::String if child.value.len() > FIRST_TEXT && rows > FIRST_ALONE => {
                    Lazy::Ready(false)
                }
                Kind::String => has_inside(&doc, child),
                Kind::Object | Kind::Array => match doc.children(&child.value) {
                    Lazy::Ready(list) => Lazy::Ready(list.len() <= FIRST_MEMBERS),
                    Lazy::Pending => Lazy::Pending,
                },
                Kind::Number | Kind::Bool | Kind::Null => Lazy::Ready(false),
            };
            complete &= matches!(wanted, Lazy::Ready(_));
            let takes = matches!(wanted, Lazy::Ready(true));
            if takes {
                rows += 4;
            }
            takes
        });
        complete
    }

    /// Unfolds those members of the nodes at `paths` that `wants` takes, then theirs, and so on.
    fn unfold_level(
        &mut self,
        mut paths: Vec<Vec<usize>>,
        wants: &mut dyn FnMut(&[usize], &Child) -> bool,
    ) {
        while !paths.is_empty() {
            let mut next = Vec::new();
            for path in paths {
                let Some(Body::Members(members)) = self.root.at(&path).map(|node| &node.body)
                else {
                    continue;
                };
                // Only the document's own: offsets in embedded ones mean something else.
                if !Arc::ptr_eq(&members.doc, &self.doc) {
                    continue;
                }
                let list = members.list.clone();
                for (index, child) in list.iter().enumerate().take(UNFOLD) {
                    let mut inner = path.clone();
                    inner.push(index);
                    if wants(&inner, &child) && self.unfold(&inner) {
                        next.push(inner);
                    }
                }
            }
            paths = next;
        }
    }

    /// The value of the row for the clipboard: strings unescaped, all else as JSON. `Err` says why not.
    pub fn value(&self) -> Result<(String, String), String> {
        let (doc, child) = self.member().ok_or("nothing to copy")?;
        if child.value.len() > COPY {
            return Err(format!(
                "{} are too much for the clipboard",
                super::text::size(child.value.len() as u64)
            ));
        }
        let bytes = match child.kind {
            Kind::String => match doc.text(&child.value) {
                Lazy::Ready(text) => text.bytes().clone(),
                Lazy::Pending => return Err("being read, try again".to_owned()),
            },
            _ => doc.bytes().slice(child.value.clone()),
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((text, self.path()))
    }

    /// All of the document.
    pub fn whole(&self) -> Result<String, String> {
        let bytes = self.doc.bytes();
        if bytes.len() > COPY {
            let size = super::text::size(bytes.len() as u64);
            return Err(format!("{size} are too much for the clipboard"));
        }
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Whether a string is worth unfolding: several lines, or JSON.
fn has_inside(doc: &Arc<Document>, child: &Child) -> Lazy<bool> {
    let start = doc.excerpt(&child.value, FIRST_TEXT);
    if start.trim_end().contains('\n') {
        return Lazy::Ready(true);
    }
    match doc.embedded(&child.value) {
        Lazy::Ready(inner) => Lazy::Ready(inner.is_some()),
        Lazy::Pending => Lazy::Pending,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stores::background::Background;

    #[test]
    fn a_key_before_the_first_look_does_not_leave_everything_folded() {
        let text = br#"{"content":[{"type":"text","text":"hi"}],"isError":false}"#;
        let text = Bytes::from_static(text);
        let doc = Arc::new(Document::new(text, Background::capture()));
        let rows = |before: Option<Action>| {
            let mut tree = JsonTree::new(doc.clone());
            before.map(|action| tree.on_action(action));
            tree.sync(Rect::new(0, 0, 80, 20));
            tree.rows()
        };
        assert_eq!(rows(None), 5);
        assert_eq!(rows(Some(Action::Zoom)), 5);
        assert_eq!(rows(Some(Action::Down)), 5);
    }
}
