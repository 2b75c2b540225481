//! The unfolded part of a tree: which row is which member, whatever the sizes.

use std::ops::Range;
use std::sync::Arc;

use crate::console::widgets::pen::row_starts;
use crate::stores::document::{Child, Children, Document, Kind, Lazy, LinedText};

/// Text up to this many bytes is wrapped; longer one has one row for each line.
const WRAPPED: usize = 64 << 10;

/// Something unfolded: a container with its members, or a string with its text.
pub struct Node {
    pub doc: Arc<Document>,
    pub child: Child,
    pub body: Body,
    /// Its unfolded members, by index.
    open: Vec<Open>,
    /// Rows of all of its members.
    rows: usize,
}

struct Open {
    index: usize,
    /// Rows of what is unfolded in members before this one.
    before: usize,
    node: Node,
}

pub enum Body {
    /// Being indexed.
    Pending,
    Members(Members),
    Text(Text),
}

pub struct Members {
    /// The string's own document, if these are the members of JSON within a string.
    pub doc: Arc<Document>,
    pub list: Arc<Children>,
    pub kind: Kind,
}

/// The text of a string, in rows.
pub struct Text {
    pub lined: Arc<LinedText>,
    /// Line and range in it of each row, if it is wrapped.
    wrapped: Option<Vec<(usize, Range<usize>)>>,
}

/// What a row shows.
pub enum Row<'a> {
    Member {
        doc: &'a Arc<Document>,
        index: usize,
        child: Child,
        /// If it is unfolded.
        node: Option<&'a Node>,
    },
    Text {
        text: &'a Text,
        row: usize,
    },
    Pending,
}

/// A row's place: the indices of members from the root, and the row within the last one's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub path: Vec<usize>,
    /// In a text, or the row that says that something is pending.
    pub inside: Option<usize>,
}

impl Node {
    pub fn new(doc: Arc<Document>, child: Child, columns: usize) -> Self {
        let mut node = Self {
            doc,
            child,
            body: Body::Pending,
            open: Vec::new(),
            rows: 1,
        };
        node.look(columns);
        node
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Looks for what is pending, here and below; whether something still is.
    pub fn resolve(&mut self, columns: usize) -> bool {
        if matches!(self.body, Body::Pending) {
            self.look(columns);
        }
        let mut pending = matches!(self.body, Body::Pending);
        for open in &mut self.open {
            pending |= open.node.resolve(columns.saturating_sub(2));
        }
        self.count();
        pending
    }

    fn look(&mut self, columns: usize) {
        let found = match self.child.kind {
            Kind::Object | Kind::Array => members(&self.doc, &self.child),
            Kind::String => match self.doc.embedded(&self.child.value) {
                Lazy::Pending => None,
                Lazy::Ready(Some(inner)) => members(&inner, &inner.root()),
                Lazy::Ready(None) => {
                    let text = self.doc.text(&self.child.value).ready();
                    text.map(|lined| Body::Text(Text::new(lined, columns)))
                }
            },
            // Only ever the root.
            Kind::Number | Kind::Bool | Kind::Null => {
                let text = self.doc.text(&self.child.value).ready();
                text.map(|lined| Body::Text(Text::new(lined, columns)))
            }
        };
        if let Some(body) = found {
            self.body = body;
        }
        self.count();
    }

    /// Breaks texts anew for another width.
    pub fn rewrap(&mut self, columns: usize) {
        if let Body::Text(text) = &mut self.body {
            *text = Text::new(text.lined.clone(), columns);
        }
        for open in &mut self.open {
            open.node.rewrap(columns.saturating_sub(2));
        }
        self.count();
    }

    fn count(&mut self) {
        let mut before = 0;
        for open in &mut self.open {
            open.before = before;
            before += open.node.rows;
        }
        let own = match &self.body {
            Body::Pending => 1,
            Body::Members(members) => members.list.len(),
            Body::Text(text) => text.rows(),
        };
        self.rows = own + before;
    }

    fn opened(&self, index: usize) -> Option<&Node> {
        let at = self.open.binary_search_by_key(&index, |open| open.index);
        at.ok().map(|at| &self.open[at].node)
    }

    /// What is on row `row` of this node's rows.
    pub fn row(&self, row: usize) -> Option<(Place, Row<'_>)> {
        let mut node = self;
        let mut path = Vec::new();
        let mut left = row;
        loop {
            let members = match &node.body {
                Body::Members(members) => members,
                Body::Text(text) => {
                    let inside = Some(left).filter(|left| *left < text.rows());
                    let place = Place { path, inside };
                    return inside.map(|row| (place, Row::Text { text, row }));
                }
                Body::Pending => {
                    let inside = Some(left).filter(|left| *left == 0);
                    return inside.map(|_| (Place { path, inside }, Row::Pending));
                }
            };
            // The last unfolded member whose own row is above.
            let above = node
                .open
                .partition_point(|open| open.index + open.before < left);
            let mut index = left;
            if let Some(open) = above.checked_sub(1).map(|at| &node.open[at]) {
                let below = left - (open.index + open.before) - 1;
                if below < open.node.rows {
                    path.push(open.index);
                    (node, left) = (&open.node, below);
                    continue;
                }
                index = left - open.before - open.node.rows;
            }
            let child = members.list.get(index)?;
            let node = node.opened(index);
            path.push(index);
            let place = Place { path, inside: None };
            let doc = &members.doc;
            return Some((
                place,
                Row::Member {
                    doc,
                    index,
                    child,
                    node,
                },
            ));
        }
    }

    /// The row of a place; of its nearest unfolded ancestor, if it is folded away.
    pub fn row_of(&self, place: &Place) -> usize {
        let mut node = self;
        let mut row = 0;
        for (depth, index) in place.path.iter().enumerate() {
            let earlier = node.open.partition_point(|open| open.index < *index);
            let before = earlier.checked_sub(1).map_or(0, |at| {
                let open = &node.open[at];
                open.before + open.node.rows
            });
            row += index + before;
            let last = depth + 1 == place.path.len();
            match node.opened(*index) {
                Some(inner) if !last || place.inside.is_some() => {
                    node = inner;
                    row += 1;
                }
                _ => return row,
            }
        }
        row + place.inside.unwrap_or(0).min(node.rows.saturating_sub(1))
    }

    /// Unfolds the member at `path`, whose parents are unfolded. `false`: it is a plain value, or not there.
    pub fn unfold(&mut self, path: &[usize], columns: usize) -> bool {
        let Some((index, rest)) = path.split_first() else {
            return false;
        };
        let columns = columns.saturating_sub(2);
        let at = self.open.binary_search_by_key(index, |open| open.index);
        let done = match at {
            Ok(at) if rest.is_empty() => !matches!(self.open[at].node.body, Body::Pending),
            Ok(at) => self.open[at].node.unfold(rest, columns),
            Err(at) if rest.is_empty() => self.insert(at, *index, columns),
            Err(_) => false,
        };
        self.count();
        done
    }

    fn insert(&mut self, at: usize, index: usize, columns: usize) -> bool {
        let Body::Members(members) = &self.body else {
            return false;
        };
        let Some(child) = members.list.get(index).filter(is_foldable) else {
            return false;
        };
        let node = Node::new(members.doc.clone(), child, columns);
        let before = 0;
        self.open.insert(
            at,
            Open {
                index,
                before,
                node,
            },
        );
        true
    }

    /// Folds the member at `path`; `false` if it is not unfolded.
    pub fn fold(&mut self, path: &[usize]) -> bool {
        let Some((index, rest)) = path.split_first() else {
            return false;
        };
        let at = self.open.binary_search_by_key(index, |open| open.index);
        let done = match at {
            Ok(at) if rest.is_empty() => {
                self.open.remove(at);
                true
            }
            Ok(at) => self.open[at].node.fold(rest),
            Err(_) => false,
        };
        self.count();
        done
    }

    pub fn fold_all(&mut self) {
        self.open.clear();
        self.count();
    }

    /// The unfolded node at `path`.
    pub fn at(&self, path: &[usize]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, index| node.opened(*index))
    }
}

fn members(doc: &Arc<Document>, child: &Child) -> Option<Body> {
    let list = doc.children(&child.value).ready()?;
    Some(Body::Members(Members {
        doc: doc.clone(),
        list,
        kind: child.kind,
    }))
}

/// Whether there is something inside it to see.
pub fn is_foldable(child: &Child) -> bool {
    let may = !matches!(child.kind, Kind::Number | Kind::Bool | Kind::Null);
    may && child.value.len() > 2
}

impl Text {
    fn new(lined: Arc<LinedText>, columns: usize) -> Self {
        let wraps = lined.bytes().len() <= WRAPPED;
        let wrapped = wraps.then(|| {
            let mut rows = Vec::new();
            for line in 0..lined.len() {
                let text = lined.line(line);
                let starts = row_starts(&text, columns.max(8));
                let ends = starts.iter().skip(1).copied().chain([text.len()]);
                rows.extend(
                    starts
                        .iter()
                        .zip(ends)
                        .map(|(start, end)| (line, *start..end)),
                );
            }
            rows
        });
        Self { lined, wrapped }
    }

    pub fn rows(&self) -> usize {
        match &self.wrapped {
            Some(rows) => rows.len(),
            None => self.lined.len(),
        }
    }

    /// Line and range in it of a row.
    pub fn span(&self, row: usize) -> (usize, Range<usize>) {
        match &self.wrapped {
            Some(rows) => rows.get(row).cloned().unwrap_or_default(),
            None => (row, 0..usize::MAX),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::stores::background::Background;

    const COLUMNS: usize = 20;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "[a-z\n]{0,40}".prop_map(Value::from),
            Just(Value::from(r#"{"in": ["side", 1]}"#)),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Every row, found without any of the arithmetic.
    fn flatten(node: &Node, open: &BTreeSet<Vec<usize>>) -> Vec<Place> {
        fn add(
            doc: &Arc<Document>,
            child: &Child,
            path: &[usize],
            open: &BTreeSet<Vec<usize>>,
            rows: &mut Vec<Place>,
        ) {
            let inner = doc.embedded(&child.value).ready().flatten();
            let (doc, child) = match &inner {
                Some(inner) if child.kind == Kind::String => (inner, inner.root()),
                _ => (doc, child.clone()),
            };
            if child.kind == Kind::String {
                let lined = doc.text(&child.value).ready().unwrap();
                let columns = COLUMNS - 2 * path.len();
                let heights = (0..lined.len())
                    .map(|line| row_starts(&lined.line(line), columns.max(8)).len());
                let path = path.to_vec();
                rows.extend((0..heights.sum()).map(|row| Place {
                    path: path.clone(),
                    inside: Some(row),
                }));
                return;
            }
            let list = doc.children(&child.value).ready().unwrap();
            for (index, child) in list.iter().enumerate() {
                let path = [path, &[index]].concat();
                rows.push(Place {
                    path: path.clone(),
                    inside: None,
                });
                if open.contains(&path) {
                    add(doc, &child, &path, open, rows);
                }
            }
        }
        let mut rows = Vec::new();
        add(&node.doc, &node.child, &[], open, &mut rows);
        rows
    }

    proptest! {
        #[test]
        fn rows_are_those_of_a_naive_flattening(
            members in prop::collection::vec(json(), 1..6),
            steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
        ) {
            let text = Value::from(members).to_string();
            let doc = Arc::new(Document::new(text.into(), Background::capture()));
            let mut root = Node::new(doc.clone(), doc.root(), COLUMNS);
            let mut open = BTreeSet::new();
            for (row, unfold) in steps {
                let (place, _) = root.row(row.index(root.rows())).unwrap();
                if place.inside.is_some() {
                    continue;
                }
                if unfold && root.unfold(&place.path, COLUMNS) {
                    open.insert(place.path);
                } else if !unfold && root.fold(&place.path) {
                    open.retain(|path: &Vec<usize>| !path.starts_with(&place.path));
                }
            }
            let expected = flatten(&root, &open);
            prop_assert_eq!(root.rows(), expected.len());
            for (row, place) in expected.iter().enumerate() {
                let (found, _) = root.row(row).unwrap();
                prop_assert_eq!(&found, place);
                prop_assert_eq!(root.row_of(place), row);
            }
            prop_assert!(root.row(expected.len()).is_none());
        }
    }
}
