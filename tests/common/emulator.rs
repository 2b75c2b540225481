//! The terminal itself: interprets what a program writes, answers its queries, and remembers every byte.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use memchr::memmem;
use vt100::{Callbacks, MouseProtocolMode, Screen};

/// A screen of `vt100` together with what `vt100` does not keep.
pub struct Emulator {
    parser: vt100::Parser<Host>,
    raw: Vec<u8>,
    /// How the keeper's words begin; see `keeper.rs`.
    mark: String,
    started: Option<Word>,
    ended: Option<Word>,
}

/// A word of the keeper in the output: where it stands and the number it says.
#[derive(Clone, Copy)]
struct Word {
    begins: usize,
    ends: usize,
    number: i32,
}

/// What a program asked of, or told, the terminal besides drawing.
#[derive(Default)]
pub struct Host {
    /// Window titles set, in order.
    pub titles: Vec<String>,
    /// Texts copied to the clipboard by OSC 52, in order.
    pub clipboard: Vec<String>,
    pub bells: usize,
    answers: Vec<u8>,
    modes: BTreeSet<u16>,
    keyboard_depth: u16,
    cursor_style: u16,
}

/// DEC private modes that `vt100` tracks itself, and those that are on, or either way, by default (7, 12).
const NOT_OURS: [u16; 14] = [
    1, 6, 7, 9, 12, 25, 47, 1000, 1002, 1003, 1005, 1006, 1049, 2004,
];

impl Emulator {
    pub fn new(cols: u16, rows: u16, mark: &str) -> Self {
        let parser = vt100::Parser::new_with_callbacks(rows, cols, 0, Host::default());
        Self {
            parser,
            raw: Vec::new(),
            mark: format!("\x1b_{mark} "),
            started: None,
            ended: None,
        }
    }

    /// Interprets bytes from the program; returns what the terminal answers to queries among them.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        // A word may arrive in two pieces: look again at as much as one can be long.
        let from = self.raw.len().saturating_sub(self.mark.len() + 32);
        self.raw.extend_from_slice(bytes);
        self.started = self.started.or_else(|| self.word("pid ", from));
        self.ended = self.ended.or_else(|| self.word("exit ", from));
        self.parser.process(bytes);
        std::mem::take(&mut self.parser.callbacks_mut().answers)
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.parser.screen_mut().set_size(rows, cols);
    }

    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    pub fn host(&self) -> &Host {
        self.parser.callbacks()
    }

    /// Whether the program is in the middle of a frame, which a terminal shows only when it is complete
    /// (synchronized output, mode 2026).
    pub fn in_frame(&self) -> bool {
        self.host().modes.contains(&2026)
    }

    /// Every byte the program has written so far.
    pub fn raw(&self) -> &[u8] {
        let start = self.started.map_or(0, |word| word.ends);
        &self.raw[start..self.ended.map_or(self.raw.len(), |word| word.begins)]
    }

    /// The program's process id, once it is known.
    pub fn pid(&self) -> Option<i32> {
        self.started.map(|word| word.number)
    }

    /// The program's exit status, once it has ended.
    pub fn exit(&self) -> Option<i32> {
        self.ended.map(|word| word.number)
    }

    fn word(&self, name: &str, from: usize) -> Option<Word> {
        let head = format!("{}{name}", self.mark);
        let begins = from + memmem::find(&self.raw[from..], head.as_bytes())?;
        let number = begins + head.len();
        let end = number + memmem::find(&self.raw[number..], b"\x1b\\")?;
        Some(Word {
            begins,
            ends: end + 2,
            number: std::str::from_utf8(&self.raw[number..end])
                .ok()?
                .parse()
                .ok()?,
        })
    }

    /// The rows of the screen without trailing spaces; empty rows at the end are left out.
    pub fn text(&self) -> String {
        let (_, cols) = self.screen().size();
        let rows: Vec<_> = self
            .screen()
            .rows(0, cols)
            .map(|row| row.trim_end().to_owned())
            .collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// The row that the cursor is on.
    pub fn cursor_line(&self) -> String {
        let (_, cols) = self.screen().size();
        let row = usize::from(self.screen().cursor_position().0);
        self.screen()
            .rows(0, cols)
            .nth(row)
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }

    /// Row and column, from 0, of the first cell of `text`, which must stand on one row.
    pub fn find(&self, text: &str) -> Option<(u16, u16)> {
        let (rows, cols) = self.screen().size();
        (0..rows).find_map(|row| {
            let (mut line, mut columns) = (String::new(), Vec::new());
            for col in 0..cols {
                let cell = self.screen().cell(row, col)?;
                if !cell.is_wide_continuation() {
                    columns.push((line.len(), col));
                    line.push_str(if cell.has_contents() {
                        cell.contents()
                    } else {
                        " "
                    });
                }
            }
            let at = line.find(text)?;
            columns
                .into_iter()
                .find(|(offset, _)| *offset == at)
                .map(|(_, col)| (row, col))
        })
    }

    /// What a program that has ended should have put back, in words; empty when the terminal is as before.
    pub fn unrestored(&self) -> Vec<String> {
        let (screen, host) = (self.screen(), self.host());
        let plain = vt100::Color::Default;
        let checks = [
            (
                screen.alternate_screen(),
                "the alternate screen is still shown",
            ),
            (screen.hide_cursor(), "the cursor is hidden"),
            (
                screen.mouse_protocol_mode() != MouseProtocolMode::None,
                "the mouse is still captured",
            ),
            (screen.bracketed_paste(), "bracketed paste is on"),
            (
                screen.application_cursor(),
                "application cursor keys are on",
            ),
            (screen.application_keypad(), "the application keypad is on"),
            (
                screen.fgcolor() != plain || screen.bgcolor() != plain,
                "a colour is left on",
            ),
            (
                screen.bold() || screen.dim() || screen.inverse() || screen.underline(),
                "an attribute is left on",
            ),
            (
                host.keyboard_depth > 0,
                "keyboard enhancement flags are still pushed",
            ),
            (host.cursor_style > 0, "the cursor has another shape"),
        ];
        let mut left: Vec<_> = checks
            .into_iter()
            .filter(|(bad, _)| *bad)
            .map(|(_, words)| words.to_owned())
            .collect();
        left.extend(
            host.modes
                .iter()
                .map(|mode| format!("private mode {mode} is on")),
        );
        left
    }
}

impl Callbacks for Host {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.bells += 1;
    }

    fn set_window_title(&mut self, _: &mut Screen, title: &[u8]) {
        self.titles
            .push(String::from_utf8_lossy(title).into_owned());
    }

    fn copy_to_clipboard(&mut self, _: &mut Screen, _: &[u8], data: &[u8]) {
        let text = BASE64_STANDARD
            .decode(data)
            .unwrap_or_else(|error| format!("not base64: {error}").into_bytes());
        self.clipboard
            .push(String::from_utf8_lossy(&text).into_owned());
    }

    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        i1: Option<u8>,
        i2: Option<u8>,
        params: &[&[u16]],
        last: char,
    ) {
        let numbers: Vec<u16> = params
            .iter()
            .filter_map(|param| param.first().copied())
            .collect();
        let first = numbers.first().copied().unwrap_or(0);
        match (i1, i2, last) {
            (None, _, 'n') if first == 5 => self.answers.extend(b"\x1b[0n"),
            (None, _, 'n') if first == 6 => {
                let (row, col) = screen.cursor_position();
                self.answers
                    .extend(format!("\x1b[{};{}R", row + 1, col + 1).into_bytes());
            }
            (None, _, 'c') => self.answers.extend(b"\x1b[?62;22c"),
            (Some(b'>'), _, 'c') => self.answers.extend(b"\x1b[>1;10;0c"),
            (Some(b'?'), Some(b'$'), 'p') => {
                let state = if self.modes.contains(&first) { 1 } else { 2 };
                self.answers
                    .extend(format!("\x1b[?{first};{state}$y").into_bytes());
            }
            (Some(b'?'), None, 'h') => self
                .modes
                .extend(numbers.iter().filter(|mode| !NOT_OURS.contains(mode))),
            (Some(b'?'), None, 'l') => self.modes.retain(|mode| !numbers.contains(mode)),
            (Some(b'>'), _, 'u') => self.keyboard_depth += 1,
            (Some(b'<'), _, 'u') => {
                self.keyboard_depth = self.keyboard_depth.saturating_sub(first.max(1));
            }
            (Some(b' '), _, 'q') => self.cursor_style = first,
            _ => {}
        }
    }

    fn unhandled_osc(&mut self, _: &mut Screen, params: &[&[u8]]) {
        match params {
            [b"10", b"?"] => self.answers.extend(b"\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\"),
            [b"11", b"?"] => self.answers.extend(b"\x1b]11;rgb:1010/1010/1414\x1b\\"),
            _ => {}
        }
    }
}
