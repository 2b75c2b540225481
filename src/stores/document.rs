//! A JSON text that is looked at piece by piece: no tree of the whole is ever built.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::IgnoredAny;

use super::background::Background;
use super::json;
pub use super::json::{Child, Children, Kind};
use super::search::Needle;
use super::text;
pub use super::text::LinedText;

/// Spans up to this many bytes are looked at anew each time: that takes microseconds, and a cache entry for
/// each of a million small objects would cost more.
const UNCACHED: usize = 16 << 10;
/// Spans up to this many bytes are looked at on the spot, larger ones in the background.
const DIRECT: usize = 1 << 20;
/// Answers to questions that are rarely asked twice (searches, paths) kept.
const ANSWERS: usize = 64;

/// Something that may still be computed in the background (the store's `changed()` tells when it is done).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lazy<T> {
    Ready(T),
    Pending,
}

impl<T> Lazy<T> {
    /// The value, if it is there.
    pub fn ready(self) -> Option<T> {
        match self {
            Lazy::Ready(value) => Some(value),
            Lazy::Pending => None,
        }
    }
}

type Memo<K, T> = HashMap<K, Lazy<T>>;

/// A search: what, from where, forward or backward.
type Query = (Arc<str>, usize, bool);

#[derive(Default)]
struct Cache {
    children: Memo<Range<usize>, Arc<Children>>,
    texts: Memo<Range<usize>, Arc<LinedText>>,
    embedded: Memo<Range<usize>, Option<Arc<Document>>>,
    found: Memo<Query, Option<usize>>,
    paths: Memo<usize, Arc<[usize]>>,
}

/// A JSON text. Small spans are looked at directly; spans over a mebibyte on a background thread.
/// Malformed text is no error: what cannot be divided is one member of its container.
pub struct Document {
    bytes: Bytes,
    background: Background,
    cache: Mutex<Cache>,
}

impl fmt::Debug for Document {
    /// Its size only: a payload does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Document {
    pub fn new(bytes: Bytes, background: Background) -> Self {
        Self {
            bytes,
            background,
            cache: Mutex::default(),
        }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole value.
    pub fn root(&self) -> Child {
        let all = json::trim(&self.bytes, &(0..self.bytes.len()));
        Child::new(&self.bytes, None, all)
    }

    /// The members of the container at `value`; none, if it is a scalar.
    pub fn children(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Arc<Children>> {
        self.look(
            value,
            value.len(),
            |cache| &mut cache.children,
            |document, value| Arc::new(Children::scan(&document.bytes, value)),
        )
    }

    /// The text of the string at `value`, unescaped, with a line index; of any other value, its JSON.
    pub fn text(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Arc<LinedText>> {
        self.look(
            value,
            value.len(),
            |cache| &mut cache.texts,
            |document, value| Arc::new(LinedText::new(text::unescape(&document.bytes, value))),
        )
    }

    /// The first `max` bytes of the string (or key) at `value`, unescaped, not yet cleaned, with `…` if there is
    /// more; of any other value, its JSON. At once, however long the string is.
    pub fn excerpt(&self, value: &Range<usize>, max: usize) -> String {
        text::excerpt(&self.bytes, value, max)
    }

    /// If the string at `value` is itself a JSON object or array: that document.
    pub fn embedded(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Option<Arc<Document>>> {
        self.look(
            value,
            value.len(),
            |cache| &mut cache.embedded,
            Self::embedded_now,
        )
    }

    /// Start of the next (or previous) occurrence of `needle` (ASCII case ignored) in the raw JSON
    /// text from byte `from`, wrapping around. What JSON writes with escapes is found as well.
    pub fn find(self: &Arc<Self>, needle: &str, from: usize, forward: bool) -> Lazy<Option<usize>> {
        let query = (needle.into(), from, forward);
        self.look(
            &query,
            self.bytes.len(),
            |cache| &mut cache.found,
            |document, (needle, from, forward)| {
                Needle::new(needle)?.find(&document.bytes, *from, *forward)
            },
        )
    }

    /// The indices of the members that lead from the root to the innermost one whose key or value contains byte
    /// `offset`; empty for the root itself. In malformed text they may lead to nothing.
    pub fn path_to(self: &Arc<Self>, offset: usize) -> Lazy<Arc<[usize]>> {
        self.look(
            &offset,
            offset,
            |cache| &mut cache.paths,
            |document, offset| json::path_to(&document.bytes, *offset).into(),
        )
    }

    /// Answers a question about `size` bytes: anew, from the cache, or in the background.
    fn look<K, T>(
        self: &Arc<Self>,
        question: &K,
        size: usize,
        memo: fn(&mut Cache) -> &mut Memo<K, T>,
        answer: fn(&Self, &K) -> T,
    ) -> Lazy<T>
    where
        K: Clone + Eq + Hash + Send + 'static,
        T: Clone + Send + 'static,
    {
        if size <= UNCACHED {
            return Lazy::Ready(answer(self, question));
        }
        if let Some(known) = memo(&mut self.cache.lock()).get(question) {
            return known.clone();
        }
        if size > DIRECT {
            self.remember(question.clone(), Lazy::Pending, memo);
            let (document, key) = (self.clone(), question.clone());
            self.background.run(move || {
                let value = answer(&document, &key);
                document.remember(key, Lazy::Ready(value), memo);
            });
        } else {
            let value = answer(self, question);
            self.remember(question.clone(), Lazy::Ready(value), memo);
        }
        memo(&mut self.cache.lock())
            .get(question)
            .cloned()
            .unwrap_or(Lazy::Pending)
    }

    fn remember<K: Eq + Hash, T>(
        &self,
        question: K,
        value: Lazy<T>,
        memo: fn(&mut Cache) -> &mut Memo<K, T>,
    ) {
        let mut cache = self.cache.lock();
        if cache.found.len() >= ANSWERS {
            cache.found.retain(|_, answer| *answer == Lazy::Pending);
        }
        if cache.paths.len() >= ANSWERS {
            cache.paths.retain(|_, answer| *answer == Lazy::Pending);
        }
        memo(&mut cache).insert(question, value);
    }

    fn embedded_now(&self, value: &Range<usize>) -> Option<Arc<Document>> {
        if self.bytes.get(value.start) != Some(&b'"') {
            return None;
        }
        let known = self
            .cache
            .lock()
            .texts
            .get(value)
            .cloned()
            .and_then(Lazy::ready);
        let text = known.map_or_else(
            || text::unescape(&self.bytes, value),
            |text| text.bytes().clone(),
        );
        let range = json::trim(&text, &(0..text.len()));
        if !matches!(text.get(range.start), Some(b'{' | b'[')) {
            return None;
        }
        let text = text.slice(range);
        // Skipping does not recurse in serde_json, so nesting cannot exhaust the stack.
        let is_json = std::str::from_utf8(&text)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        is_json.then(|| Arc::new(Document::new(text, self.background.clone())))
    }
}
