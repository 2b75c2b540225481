//! Reads VHS tapes, so that the tape which makes the picture in the README is a test as well; `player.rs` plays.
//!
//! The grammar is that of charmbracelet/vhs, one command a line, without `Source`, `Copy` and `Paste`. Pictures,
//! pauses and looks (`Output`, `Screenshot`, `Sleep`, `Set Theme` …) are for people and skipped.

use std::{fmt, time::Duration};

use regex::Regex;

use super::keys;

/// A parsed tape.
#[derive(Debug)]
pub struct Tape {
    pub cols: u16,
    pub rows: u16,
    pub env: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

/// One line of a tape that does something.
#[derive(Debug)]
pub struct Step {
    /// Line number in the tape, from 1.
    pub line: usize,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Require(String),
    Type(String),
    Key {
        name: String,
        times: usize,
    },
    Wait {
        scope: Scope,
        pattern: Regex,
        timeout: Duration,
    },
}

/// Where a `Wait` looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// The row of the cursor: a plain `Wait` waits for the prompt.
    Line,
    Screen,
}

/// What is wrong with a tape, and in which line.
#[derive(Debug, Eq, PartialEq)]
pub struct TapeError {
    pub line: usize,
    pub problem: String,
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Regex(String),
}

/// Settings of the picture, which change nothing here.
const LOOKS: [&str; 16] = [
    "Shell",
    "FontFamily",
    "Framerate",
    "PlaybackSpeed",
    "LoopOffset",
    "LetterSpacing",
    "LineHeight",
    "Margin",
    "MarginFill",
    "Padding",
    "Theme",
    "TypingSpeed",
    "WindowBar",
    "WindowBarSize",
    "BorderRadius",
    "CursorBlink",
];

struct Settings {
    cols: Option<u16>,
    rows: Option<u16>,
    width: f64,
    height: f64,
    font_size: f64,
    wait_timeout: Duration,
    wait_pattern: Regex,
}

impl Default for Settings {
    /// VHS's defaults.
    fn default() -> Self {
        let wait_pattern = regex(">$").expect("a constant");
        Self {
            cols: None,
            rows: None,
            width: 1200.0,
            height: 600.0,
            font_size: 22.0,
            wait_timeout: Duration::from_secs(15),
            wait_pattern,
        }
    }
}

impl Settings {
    fn set(&mut self, name: &str, value: &[Token]) -> Result<(), String> {
        let [Token::Word(text) | Token::Text(text) | Token::Regex(text)] = value else {
            // A theme may be a JSON object of several words.
            return if LOOKS.contains(&name) {
                Ok(())
            } else {
                Err(format!("Set {name} takes one value"))
            };
        };
        let number = || {
            text.parse::<f64>()
                .ok()
                .filter(|number| *number > 0.0)
                .ok_or(format!("`{text}` is not a size"))
        };
        let count = || {
            text.parse::<u16>()
                .ok()
                .filter(|count| *count > 0)
                .ok_or(format!("`{text}` is not a number of cells"))
        };
        match name {
            "Cols" => self.cols = Some(count()?),
            "Rows" => self.rows = Some(count()?),
            "Width" => self.width = number()?,
            "Height" => self.height = number()?,
            "FontSize" => self.font_size = number()?,
            "WaitTimeout" => self.wait_timeout = duration(text)?,
            "WaitPattern" => self.wait_pattern = regex(text)?,
            _ if LOOKS.contains(&name) => {}
            _ => return Err(format!("unknown setting `{name}`")),
        }
        Ok(())
    }
}

impl Tape {
    /// Reads a whole tape.
    ///
    /// # Errors
    /// The first line that is not understood: a typo in a tape must not turn into a step left out.
    pub fn parse(source: &str) -> Result<Self, TapeError> {
        let mut settings = Settings::default();
        let mut tape = Self {
            cols: 0,
            rows: 0,
            env: Vec::new(),
            steps: Vec::new(),
        };
        for (line, text) in (1..).zip(source.lines()) {
            let action = tape
                .command(text, &mut settings)
                .map_err(|problem| TapeError { line, problem })?;
            tape.steps
                .extend(action.map(|action| Step { line, action }));
        }
        tape.cols = settings
            .cols
            .unwrap_or_else(|| cells(settings.width, 0.6 * settings.font_size));
        tape.rows = settings
            .rows
            .unwrap_or_else(|| cells(settings.height, 1.2 * settings.font_size));
        Ok(tape)
    }

    /// One line; `None` if it does nothing when played here.
    fn command(&mut self, line: &str, settings: &mut Settings) -> Result<Option<Action>, String> {
        let tokens = tokens(line)?;
        let Some((first, arguments)) = tokens.split_first() else {
            return Ok(None);
        };
        let Token::Word(word) = first else {
            return Err(format!("a command was expected: {line}"));
        };
        let (name, at) = match word.split_once('@') {
            Some((name, time)) => (name, Some(duration(time)?)),
            None => (word.as_str(), None),
        };
        let action = match (name, arguments) {
            ("Hide" | "Show", [])
            | ("Output" | "Screenshot", [Token::Word(_) | Token::Text(_)]) => None,
            ("Set", [Token::Word(setting), value @ ..]) => {
                settings.set(setting, value)?;
                None
            }
            ("Env", [Token::Word(name), Token::Text(value) | Token::Word(value)]) => {
                self.env.push((name.clone(), value.clone()));
                None
            }
            ("Sleep", [Token::Word(time)]) => {
                duration(time)?;
                None
            }
            ("Require", [Token::Word(program) | Token::Text(program)]) => {
                Some(Action::Require(program.clone()))
            }
            ("Type", [_, ..]) => Some(Action::Type(typed(arguments)?)),
            ("Wait" | "Wait+Line" | "Wait+Screen", _) => {
                let pattern = match arguments {
                    [] => settings.wait_pattern.clone(),
                    [Token::Regex(pattern)] => regex(pattern)?,
                    _ => return Err(format!("{name} takes one /regex/: {line}")),
                };
                let scope = if name == "Wait+Screen" {
                    Scope::Screen
                } else {
                    Scope::Line
                };
                Some(Action::Wait {
                    scope,
                    pattern,
                    timeout: at.unwrap_or(settings.wait_timeout),
                })
            }
            (key, _) if key.len() > 1 && keys::bytes(key).is_ok() => {
                let times = match arguments {
                    [] => 1,
                    [Token::Word(times)] => times
                        .parse()
                        .map_err(|_| format!("`{times}` is not a number of times"))?,
                    _ => return Err(format!("{name} takes a number of times: {line}")),
                };
                Some(Action::Key {
                    name: name.to_owned(),
                    times,
                })
            }
            (
                "Hide" | "Show" | "Output" | "Screenshot" | "Set" | "Env" | "Sleep" | "Require"
                | "Type",
                _,
            ) => {
                return Err(format!("wrong arguments for {name}: {line}"));
            }
            _ => return Err(format!("unknown command `{name}`")),
        };
        Ok(action)
    }
}

/// Splits a line into words, quoted texts and `/regular expressions/`, up to a `#` comment.
fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let waits = matches!(tokens.first(), Some(Token::Word(word)) if word.starts_with("Wait") || word == "Set");
        let (token, length) = match first {
            '"' | '\'' | '`' => {
                quoted(rest, first).map(|(text, length)| (Token::Text(text), length))?
            }
            '/' if waits => {
                quoted(rest, first).map(|(text, length)| (Token::Regex(text), length))?
            }
            _ => {
                let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The text between two `quote`s at the start of `rest`, and the length of all three; VHS knows no escapes.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), String> {
    let text = &rest[1..];
    let end = text
        .find(quote)
        .ok_or_else(|| format!("{quote} is not closed: {rest}"))?;
    Ok((text[..end].to_owned(), end + 2))
}

/// Several texts are typed with spaces between, as VHS does.
fn typed(arguments: &[Token]) -> Result<String, String> {
    let texts = arguments.iter().map(|argument| match argument {
        Token::Text(text) => Ok(text.as_str()),
        other => Err(format!("Type takes quoted texts, not {other:?}")),
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// `500ms`, `2s`, `1.5s`, `1m`, or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{text}` is not a time")),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is not a time"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| format!("`{text}`: {error}"))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|error| error.to_string())
}

/// How many cells of `cell` pixels fit; a terminal has at least one.
fn cells(pixels: f64, cell: f64) -> u16 {
    let count = (pixels / cell).floor().clamp(1.0, 1000.0);
    format!("{count}")
        .parse()
        .expect("a whole number between 1 and 1000")
}
