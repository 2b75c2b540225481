//! Bytes from outside become clean lines: split, capped, decoded, and without any power over the terminal.

use std::borrow::Cow;

/// The longest line kept, bytes; the rest is cut and marked with `…`.
pub const MAX_LINE: usize = 16 << 10;

/// A colour a program asked for with SGR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgrColor {
    /// 0–15 of the terminal's palette, or 16–255.
    Indexed(u8),
    Rgb(u8, u8, u8),
}

/// The look of a stretch of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sgr {
    pub foreground: Option<SgrColor>,
    pub background: Option<SgrColor>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underline: bool,
    pub reverse: bool,
}

/// From this byte of the line on, text looks so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub from: u32,
    pub look: Sgr,
}

/// A line that is safe to draw: no control characters, no bidi overrides, tabs expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanLine {
    pub text: Box<str>,
    /// Empty for plain text; ordered by `from`.
    pub runs: Box<[Run]>,
}

/// Makes one piece of foreign text safe to draw on one row: control characters (C0, C1, DEL), escape
/// sequences, line breaks and bidirectional overrides become visible symbols (`␛`, `␊`, …), tabs become spaces.
pub fn clean(text: &str) -> Cow<'_, str> {
    let _ = text;
    unimplemented!()
}
