//! A JSON text that is looked at piece by piece: no tree of the whole is ever built.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// A member of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Bytes of the key with its quotes; `None` in an array.
    pub key: Option<Range<usize>>,
    /// Bytes of the value.
    pub value: Range<usize>,
    pub kind: Kind,
}

/// Something that may still be computed in the background (the store's `changed()` tells when it is done).
#[derive(Clone, Debug)]
pub enum Lazy<T> {
    Ready(T),
    Pending,
}

/// Text with the offset of each of its lines.
#[derive(Debug)]
pub struct LinedText {
    text: Bytes,
    starts: Vec<usize>,
}

impl LinedText {
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Line `index` without its line break, decoded with replacement characters, not yet cleaned.
    pub fn line(&self, index: usize) -> std::borrow::Cow<'_, str> {
        let _ = (&self.text, index);
        unimplemented!()
    }
}

/// A JSON text. Small spans are looked at directly; spans over a mebibyte on a background thread.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
}

impl Document {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole value.
    pub fn root(&self) -> Child {
        unimplemented!()
    }

    /// The members of the container at `value`, by offset; cached.
    pub fn children(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Arc<[Child]>> {
        let _ = value;
        unimplemented!()
    }

    /// The text of the string at `value`, unescaped, with a line index; cached for large ones.
    pub fn text(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Arc<LinedText>> {
        let _ = value;
        unimplemented!()
    }

    /// If the string at `value` is itself a JSON object or array: that document.
    pub fn embedded(self: &Arc<Self>, value: &Range<usize>) -> Lazy<Option<Arc<Document>>> {
        let _ = value;
        unimplemented!()
    }

    /// Start of the next (or previous) occurrence of `needle` (ASCII case ignored) in the raw JSON
    /// text from byte `from`, wrapping around.
    pub fn find(self: &Arc<Self>, needle: &str, from: usize, forward: bool) -> Lazy<Option<usize>> {
        let _ = (needle, from, forward);
        unimplemented!()
    }
}
