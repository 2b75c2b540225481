//! What is wrong with one value, before it has a place in the file.

use crate::config::cursor::Cursor;
use crate::config::problem;

/// Never shows the value: it may be a secret that stands in a wrong place.
#[derive(Debug, PartialEq)]
pub struct Wrong {
    text: String,
    hint: Option<String>,
}

/// A value, or what is wrong with it.
pub type Read<T> = Result<T, Wrong>;

impl Wrong {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    pub fn expected(what: impl std::fmt::Display) -> Self {
        Self::new(format!("expected {what}"))
    }

    /// Something that is none of `names`.
    pub fn not_one_of(word: &str, names: &[&str]) -> Self {
        let wrong = Self::expected(format_args!("one of {}", names.join(", ")));
        match problem::did_you_mean(word, names) {
            Some(hint) => wrong.hint(hint),
            None => wrong,
        }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Unless there is a better one.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() {
            return self;
        }
        self.hint(hint)
    }

    #[must_use]
    pub fn of(self, what: impl std::fmt::Display) -> Self {
        Self {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    pub fn report(self, at: &Cursor) {
        match self.hint {
            Some(hint) => at.problem_with_hint(self.text, hint),
            None => at.problem(self.text),
        }
    }
}

/// `Err` with the words, unless it holds.
pub fn ensure(holds: bool, wrong: impl FnOnce() -> Wrong) -> Read<()> {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// Sets what a value was read for.
pub fn put<T>(slot: &mut Option<T>, value: Read<T>) -> Read<()> {
    *slot = Some(value?);
    Ok(())
}

/// Adds what a value was read for, once.
pub fn add<T: PartialEq>(list: &mut Vec<T>, value: Read<T>) -> Read<()> {
    let value = value?;
    if !list.contains(&value) {
        list.push(value);
    }
    Ok(())
}

/// Adds what a value was read for, in the place of what `is_same`.
pub fn replace<T>(list: &mut Vec<T>, value: Read<T>, is_same: fn(&T, &T) -> bool) -> Read<()> {
    let value = value?;
    list.retain(|other| !is_same(other, &value));
    list.push(value);
    Ok(())
}
