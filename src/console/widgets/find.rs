//! Filter and search of a list: hide what does not match, or go from match to match.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::prompt::{Prompt, Typed};
use crate::console::theme::{Role, Theme};

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Filter,
    Search,
}

impl Mode {
    fn label(self) -> &'static str {
        match self {
            Mode::Filter => "filter: ",
            Mode::Search => "search: ",
        }
    }
}

/// What a list is narrowed to and searched for.
#[derive(Debug, Default)]
pub struct Find {
    typing: Option<(Mode, Prompt)>,
    filter: String,
    needle: String,
}

impl Find {
    /// Starts typing; the text there is can be replaced or changed.
    pub fn begin(&mut self, mode: Mode) {
        let text = match mode {
            Mode::Filter => self.filter.clone(),
            Mode::Search => String::new(),
        };
        self.typing = Some((mode, Prompt::selected(text)));
    }

    pub fn is_editing(&self) -> bool {
        self.typing.is_some()
    }

    pub fn filter(&self) -> &str {
        &self.filter
    }

    pub fn needle(&self) -> &str {
        &self.needle
    }

    /// Drops the filter; `false` if there was none.
    pub fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.filter).is_empty()
    }

    /// A key while typing: what is being typed if the key was for it.
    pub fn on_key(&mut self, key: KeyEvent) -> Option<Mode> {
        let (mode, prompt) = self.typing.as_mut()?;
        let mode = *mode;
        match prompt.on_key(key) {
            Typed::Ignored => return None,
            Typed::Changed => {}
            Typed::Submitted => {
                self.take();
                self.typing = None;
                return Some(mode);
            }
            Typed::Cancelled => {
                *prompt = Prompt::default();
                self.take();
                self.typing = None;
                return Some(mode);
            }
        }
        self.take();
        Some(mode)
    }

    pub fn paste(&mut self, text: &str) {
        if let Some((_, prompt)) = &mut self.typing {
            prompt.paste(text);
            self.take();
        }
    }

    fn take(&mut self) {
        if let Some((mode, prompt)) = &self.typing {
            let text = prompt.text().to_owned();
            match mode {
                Mode::Filter => self.filter = text,
                Mode::Search => self.needle = text,
            }
        }
    }

    /// Whether a row with these texts passes the filter.
    pub fn admits(&self, texts: &[&str]) -> bool {
        matches(&self.filter, texts)
    }

    /// Whether a row with these texts is a match of the search.
    pub fn hits(&self, texts: &[&str]) -> bool {
        !self.needle.is_empty() && matches(&self.needle, texts)
    }

    /// Draws what is being typed on the first row of `area`.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, theme: &Theme) {
        if let Some((mode, prompt)) = &self.typing {
            let row = Rect { height: 1, ..area };
            ratatui::widgets::Widget::render(ratatui::widgets::Clear, row, buf);
            prompt.draw(
                mode.label(),
                row,
                buf,
                theme.style(Role::Key),
                theme.style(Role::Text),
            );
        }
    }

    pub fn cursor(&self, area: Rect) -> Option<Position> {
        let (mode, prompt) = self.typing.as_ref()?;
        (area.height > 0).then(|| prompt.cursor(mode.label(), area))
    }
}

/// Every word must be in one of the texts, and none that begins with `!`; case does not matter.
fn matches(words: &str, texts: &[&str]) -> bool {
    words.split_whitespace().all(|word| {
        let (word, wanted) = match word.strip_prefix('!') {
            Some(rest) => (rest, false),
            None => (word, true),
        };
        word.is_empty() || texts.iter().any(|text| contains(text, word)) == wanted
    })
}

/// Whether `text` has `word` in it, whatever the case of ASCII letters. Allocates nothing: a filter looks
/// at every row.
fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_all_wanted_and_an_exclamation_mark_excludes() {
        let row = ["a1b2c3d4", "filesystem", "ready"];
        for (words, expected) in [
            ("", true),
            ("FILE rea", true),
            ("file fail", false),
            ("!failed", true),
            ("file !ready", false),
            ("!", true),
        ] {
            assert_eq!(matches(words, &row), expected, "{words}");
        }
    }
}
