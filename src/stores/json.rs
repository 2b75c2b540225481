//! A scanner that finds the parts of a JSON text without recursion and without a tree. Malformed text
//! never panics and hides nothing: what cannot be divided is one opaque member.

use std::ops::Range;

use memchr::memchr2;

/// What a JSON value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    fn of(first: Option<&u8>) -> Self {
        match first {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }
}

/// A member of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Bytes of the key with its quotes; `None` in an array.
    pub key: Option<Range<usize>>,
    /// Bytes of the value.
    pub value: Range<usize>,
    pub kind: Kind,
}

impl Child {
    pub(super) fn new(bytes: &[u8], key: Option<Range<usize>>, value: Range<usize>) -> Self {
        Self {
            key,
            kind: Kind::of(bytes[value.clone()].first()),
            value,
        }
    }

    /// Where its key starts, or else its value.
    pub fn start(&self) -> usize {
        self.key.as_ref().map_or(self.value.start, |key| key.start)
    }
}

/// `range` made to lie in a text of `len` bytes, whoever made it.
pub(super) fn clamp(range: &Range<usize>, len: usize) -> Range<usize> {
    let end = range.end.min(len);
    range.start.min(end)..end
}

/// `range` without white space around it.
pub(super) fn trim(bytes: &[u8], range: &Range<usize>) -> Range<usize> {
    let range = clamp(range, bytes.len());
    let start = skip_space(&bytes[..range.end], range.start);
    start..trim_end(bytes, start..range.end, is_space)
}

fn trim_end(bytes: &[u8], range: Range<usize>, is_trimmed: fn(u8) -> bool) -> usize {
    let text = &bytes[range.clone()];
    range.end
        - text
            .iter()
            .rev()
            .take_while(|byte| is_trimmed(**byte))
            .count()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..]
        .iter()
        .take_while(|byte| is_space(**byte))
        .count()
}

/// The end of the string whose opening quote is at `at`; `None` if it has none.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The end of the value at `at`; `None` if there is none, or it does not end.
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_string(bytes, at),
        b'{' | b'[' => skip_container(bytes, at),
        _ => {
            let is_part = |byte: &&u8| {
                !is_space(**byte) && !matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}')
            };
            let len = bytes[at..].iter().take_while(is_part).count();
            (len > 0).then_some(at + len)
        }
    }
}

fn skip_container(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = skip_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// The key of the object member at `start`, and where its value starts. Without both, it is no member.
fn split_key(bytes: &[u8], start: usize) -> Option<(Range<usize>, usize)> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let end = skip_string(bytes, start)?;
    let colon = skip_space(bytes, end);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let value = skip_space(bytes, colon + 1);
    (value < bytes.len()).then_some((start..end, value))
}

/// The members of a container, found one by one.
pub(super) struct Members<'a> {
    /// The text up to the closing bracket, if there is one.
    bytes: &'a [u8],
    at: usize,
    is_object: bool,
    is_first: bool,
}

impl<'a> Members<'a> {
    /// Of the value at `container`; a scalar has none.
    pub fn new(bytes: &'a [u8], container: &Range<usize>) -> Self {
        let range = clamp(container, bytes.len());
        let text = &bytes[range.clone()];
        let (is_object, end) = match text {
            [b'{', .., b'}'] => (true, range.end - 1),
            [b'[', .., b']'] => (false, range.end - 1),
            [first @ (b'{' | b'['), ..] => (*first == b'{', range.end),
            _ => (false, range.start),
        };
        Self {
            bytes: &bytes[..end],
            at: end.min(range.start + 1),
            is_object,
            is_first: true,
        }
    }

    fn opaque(&mut self, key: Option<Range<usize>>, start: usize) -> Child {
        self.at = self.bytes.len();
        Child::new(
            self.bytes,
            key,
            start..trim_end(self.bytes, start..self.at, is_space),
        )
    }
}

impl Iterator for Members<'_> {
    type Item = Child;

    fn next(&mut self) -> Option<Child> {
        let mut start = skip_space(self.bytes, self.at);
        if start == self.bytes.len() {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            if self.bytes[start] != b',' {
                return Some(self.opaque(None, start));
            }
            start = skip_space(self.bytes, start + 1);
            if start == self.bytes.len() {
                return None;
            }
        }
        let (key, value) = match split_key(self.bytes, start) {
            Some((key, value)) if self.is_object => (Some(key), value),
            _ if self.is_object => return Some(self.opaque(None, start)),
            _ => (None, start),
        };
        match skip_value(self.bytes, value) {
            None => Some(self.opaque(key, value)),
            Some(end) => {
                self.at = end;
                Some(Child::new(self.bytes, key, value..end))
            }
        }
    }
}

/// Where the members of one container are: four bytes each, so that millions are no burden.
#[derive(Debug)]
pub struct Children {
    bytes: bytes::Bytes,
    is_object: bool,
    /// Where the container starts.
    base: usize,
    /// Where each member starts, counted from `base`.
    starts: Vec<u32>,
    /// Where the last member ends.
    end: usize,
}

impl Children {
    pub(super) fn scan(bytes: &bytes::Bytes, container: &Range<usize>) -> Self {
        let mut members = Members::new(bytes, container);
        let (base, is_object) = (container.start, members.is_object);
        let mut starts = Vec::new();
        let mut end = base;
        while let Some(child) = members.next() {
            let Ok(start) = u32::try_from(child.start() - base) else {
                // Past four gibibytes of one container: all the rest is part of its last member.
                end = members.bytes.len();
                break;
            };
            starts.push(start);
            end = child.value.end;
        }
        starts.shrink_to_fit();
        Self {
            bytes: bytes.clone(),
            is_object,
            base,
            starts,
            end,
        }
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Member `index`, in the order of the text.
    pub fn get(&self, index: usize) -> Option<Child> {
        let start = self.base + *self.starts.get(index)? as usize;
        let end = match self.starts.get(index + 1) {
            // Between two members there is only white space and a comma, and no value ends with these.
            Some(next) => {
                let range = start..self.base + *next as usize;
                trim_end(&self.bytes, range, |byte| is_space(byte) || byte == b',')
            }
            None => self.end,
        };
        let key = if self.is_object {
            split_key(&self.bytes[..end], start)
        } else {
            None
        };
        let (key, value) = key.map_or((None, start), |(key, value)| (Some(key), value));
        Some(Child::new(&self.bytes, key, value..end))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Child> + '_ {
        (0..self.len()).map(|index| self.get(index).expect("an index below the length"))
    }
}

/// The indices that lead from the root to the innermost member whose key or value contains `offset`.
pub(super) fn path_to(bytes: &[u8], offset: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut at = skip_space(bytes, 0);
    let mut is_opened = false;
    while at < offset.min(bytes.len()) {
        let byte = bytes[at];
        at += 1;
        match byte {
            b'"' => at = skip_string(bytes, at - 1).unwrap_or(bytes.len()),
            b'{' | b'[' => path.push(0),
            b'}' | b']' => drop(path.pop()),
            b',' => {
                if let Some(index) = path.last_mut() {
                    *index += 1;
                }
            }
            _ => {}
        }
        is_opened = matches!(byte, b'{' | b'[') || is_opened && is_space(byte);
    }
    let next = skip_space(bytes, at.min(bytes.len()));
    if is_opened && matches!(bytes.get(next), None | Some(b'}' | b']')) {
        // An empty container has no member to lead to.
        path.pop();
    }
    path
}
