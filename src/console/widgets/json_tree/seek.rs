//! Search in a tree: finds bytes in the raw text, then unfolds what is around them.

use std::sync::Arc;

use super::JsonTree;
use super::node::{Body, Place};
use crate::console::widgets::matcher::Matcher;
use crate::model::{self, Notice};
use crate::stores::document::{Document, Kind};

/// A search that may have to wait for the background.
pub struct Seek {
    needle: String,
    forward: bool,
    /// The documents around the cursor, the innermost last: each is searched from there on before the one around it.
    levels: Vec<Level>,
}

/// A document, and where in the tree it is: JSON within a string is one of its own.
struct Level {
    doc: Arc<Document>,
    /// The path of the string that holds it; empty for the tree's own.
    at: Vec<usize>,
    from: usize,
}

/// What came of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    Found { wrapped: bool },
    Nothing,
}

impl Sought {
    /// What is worth telling of it.
    pub fn notice(self) -> Option<Notice> {
        match self {
            Sought::Found { wrapped: true } => {
                Some(Notice::new(model::Level::Info, "search wrapped around"))
            }
            Sought::Found { wrapped: false } => None,
            Sought::Nothing => Some(Notice::new(model::Level::Warn, "no match")),
        }
    }
}

impl JsonTree {
    /// Marks what is being typed.
    pub fn mark(&mut self, typed: &str) {
        self.search = Matcher::literal(&typed.to_lowercase());
    }

    /// What is searched for.
    pub fn searched(&self) -> Option<&str> {
        self.search.as_ref().map(Matcher::typed)
    }

    pub fn forget_search(&mut self) {
        (self.search, self.seek, self.found) = (None, None, None);
    }

    /// Starts looking for the next or previous match from the cursor on; `here` counts a match on the
    /// cursor's row. The answer comes from [`JsonTree::sync`].
    pub fn seek(&mut self, forward: bool, here: bool) {
        let Some(needle) = self.searched().map(str::to_owned) else {
            return;
        };
        let levels = self.levels(forward, here);
        self.seek = Some(Seek {
            needle,
            forward,
            levels,
        });
    }

    /// Where a search from the cursor's row begins, in each document around it.
    fn levels(&self, forward: bool, here: bool) -> Vec<Level> {
        let level = |doc: &Arc<Document>, at: &[usize]| Level {
            doc: doc.clone(),
            at: at.to_vec(),
            from: 0,
        };
        let mut levels = vec![level(&self.doc, &[])];
        let Some((place, _)) = self.root.row(self.cursor) else {
            return levels;
        };
        let mut node = &self.root;
        let mut row = 0..0;
        for (depth, index) in place.path.iter().enumerate() {
            let Body::Members(members) = &node.body else {
                break;
            };
            let Some(child) = members.list.get(*index) else {
                break;
            };
            if let Some(outer) = levels.last_mut()
                && !Arc::ptr_eq(&members.doc, &outer.doc)
            {
                // Forward it goes on behind the string, backward before it.
                outer.from = if forward { row.end } else { row.start };
                levels.push(level(&members.doc, &place.path[..depth]));
            }
            row = child.start()..match child.kind {
                Kind::Object | Kind::Array => child.start() + 1,
                _ => child.value.end,
            };
            match self.root.at(&place.path[..=depth]) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let on_match = self.found.as_ref().filter(|(path, _)| *path == place.path);
        if let Some(innermost) = levels.last_mut() {
            innermost.from = match on_match {
                _ if !forward || here => row.start,
                Some((_, offset)) => row.end.max(offset + 1),
                None => row.start + 1,
            };
        }
        levels
    }

    pub(super) fn go_on_seeking(&mut self) -> Option<Sought> {
        let mut seek = self.seek.take()?;
        let sought = self.sought_by(&mut seek);
        if sought.is_none() {
            self.seek = Some(seek);
        }
        sought
    }

    /// `None`: waits for the background.
    fn sought_by(&mut self, seek: &mut Seek) -> Option<Sought> {
        let forward = seek.forward;
        let (level, offset, wrapped) = loop {
            let Some(level) = seek.levels.last() else {
                return Some(Sought::Nothing);
            };
            let found = level.doc.find(&seek.needle, level.from, forward).ready()?;
            let wraps = |offset| (offset < level.from) == forward;
            match found {
                // Only the outermost document is searched all around.
                Some(offset) if level.at.is_empty() || !wraps(offset) => {
                    break (level, offset, wraps(offset));
                }
                _ => drop(seek.levels.pop()),
            }
        };
        let mut path = level.at.clone();
        path.extend(level.doc.path_to(offset).ready()?.iter());
        let mut offset = offset;
        self.unfold_around(&path)?;
        // A match within a string that is unfolded as JSON is on one of the rows below it.
        while let Some(inner) = self.embedded_at(&path) {
            let from = if forward { 0 } else { inner.bytes().len() };
            let Some(found) = inner.find(&seek.needle, from, forward).ready()? else {
                break;
            };
            let more = inner.path_to(found).ready()?;
            if more.is_empty() {
                break;
            }
            path.extend(more.iter());
            offset = found;
            self.unfold_around(&path)?;
        }
        let place = Place { path, inside: None };
        self.cursor = self.root.row_of(&place);
        self.found = Some((place.path, offset));
        Some(Sought::Found { wrapped })
    }

    /// Unfolds what is around the member at `path`; `None` while that is being indexed.
    fn unfold_around(&mut self, path: &[usize]) -> Option<()> {
        for len in 1..path.len() {
            if self.root.at(&path[..len]).is_none() {
                self.unfold(&path[..len]);
            }
            if matches!(self.root.at(&path[..len])?.body, Body::Pending) {
                return None;
            }
        }
        Some(())
    }

    /// The document within the string at `path`, if it is unfolded as one.
    fn embedded_at(&self, path: &[usize]) -> Option<Arc<Document>> {
        let node = self.root.at(path)?;
        match &node.body {
            Body::Members(members) if !Arc::ptr_eq(&members.doc, &node.doc) => {
                Some(members.doc.clone())
            }
            _ => None,
        }
    }
}
