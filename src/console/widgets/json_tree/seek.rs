//! Search in a tree: finds bytes in the raw text, then unfolds what is around them.

use super::JsonTree;
use super::node::Place;
use crate::console::widgets::matcher::Matcher;
use crate::model::{Level, Notice};
use crate::stores::document::{Kind, Lazy};

/// A search that may have to wait for the background.
pub struct Seek {
    needle: String,
    from: usize,
    forward: bool,
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
                Some(Notice::new(Level::Info, "search wrapped around"))
            }
            Sought::Found { wrapped: false } => None,
            Sought::Nothing => Some(Notice::new(Level::Warn, "no match")),
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
        let from = self.offset(forward && !here);
        self.seek = Some(Seek {
            needle,
            from,
            forward,
        });
    }

    /// Where in the text the cursor's row starts, or where a search that goes on from it does.
    fn offset(&self, behind: bool) -> usize {
        let Some((place, _)) = self.root.row(self.cursor) else {
            return 0;
        };
        // Rows of JSON within a string, and of its text, are at the string.
        let mut node = &self.root;
        let mut start = 0;
        let mut end = 0;
        for (depth, index) in place.path.iter().enumerate() {
            let super::Body::Members(members) = &node.body else {
                break;
            };
            if !std::sync::Arc::ptr_eq(&members.doc, &self.doc) {
                break;
            }
            let Some(child) = members.list.get(*index) else {
                break;
            };
            start = child.start();
            end = match child.kind {
                Kind::Object | Kind::Array => start + 1,
                _ => child.value.end,
            };
            match self.root.at(&place.path[..=depth]) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let on_match = self.found.as_ref().filter(|(path, _)| *path == place.path);
        match on_match {
            _ if !behind => start,
            Some((_, offset)) => end.max(offset + 1),
            None => start + 1,
        }
    }

    pub(super) fn go_on_seeking(&mut self) -> Option<Sought> {
        let seek = self.seek.as_ref()?;
        let Lazy::Ready(found) = self.doc.find(&seek.needle, seek.from, seek.forward) else {
            return None;
        };
        let Some(offset) = found else {
            self.seek = None;
            return Some(Sought::Nothing);
        };
        let Lazy::Ready(path) = self.doc.path_to(offset) else {
            return None;
        };
        let wrapped = (offset < seek.from) == seek.forward;
        for len in 1..path.len() {
            if self.root.at(&path[..len]).is_none() {
                self.unfold(&path[..len]);
            }
            let node = self.root.at(&path[..len])?;
            if matches!(node.body, super::Body::Pending) {
                return None;
            }
        }
        let place = Place {
            path: path.to_vec(),
            inside: None,
        };
        self.cursor = self.root.row_of(&place);
        self.found = Some((place.path, offset));
        self.seek = None;
        Some(Sought::Found { wrapped })
    }
}
