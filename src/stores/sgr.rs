//! Escape sequences (ECMA-48): how long one is, and what an SGR sequence says about the look of text.

/// A colour a program asked for with SGR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgrColor {
    /// 0–15 of the terminal's palette, or 16–255.
    Indexed(u8),
    Rgb(u8, u8, u8),
}

/// The look of a stretch of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "SGR is a set of independent switches"
)]
pub struct Sgr {
    pub foreground: Option<SgrColor>,
    pub background: Option<SgrColor>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underline: bool,
    pub reverse: bool,
}

impl Sgr {
    /// Applies the parameters of `ESC [ … m`. What is unknown (blink, conceal, fonts) changes nothing:
    /// text must never be hidden by its author.
    pub(super) fn apply(&mut self, parameters: &str) {
        let mut groups = parameters.split(';');
        while let Some(group) = groups.next() {
            let mut codes = group.split(':');
            let code = number(codes.next());
            let is_color = matches!(code, Some(38 | 48));
            match code {
                _ if is_color && group.contains(':') => self.paint(code, sub_color(codes)),
                _ if is_color => self.paint(code, color(&mut groups)),
                Some(4) => self.underline = number(codes.next()) != Some(0) || !group.contains(':'),
                Some(code) => self.set(code),
                None => {}
            }
        }
    }

    fn paint(&mut self, code: Option<u16>, color: Option<SgrColor>) {
        match (code, color) {
            (_, None) => {}
            (Some(38), color) => self.foreground = color,
            (_, color) => self.background = color,
        }
    }

    fn set(&mut self, code: u16) {
        let palette = |base: u16| u8::try_from(code - base).ok().map(SgrColor::Indexed);
        match code {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.dim = true,
            3 => self.italic = true,
            7 => self.reverse = true,
            21 => self.underline = true,
            22 => (self.bold, self.dim) = (false, false),
            23 => self.italic = false,
            24 => self.underline = false,
            27 => self.reverse = false,
            30..=37 => self.foreground = palette(30),
            39 => self.foreground = None,
            40..=47 => self.background = palette(40),
            49 => self.background = None,
            90..=97 => self.foreground = palette(90 - 8),
            100..=107 => self.background = palette(100 - 8),
            _ => {}
        }
    }
}

/// A parameter; an empty one is 0, as ECMA-48 says.
fn number(text: Option<&str>) -> Option<u16> {
    match text? {
        "" => Some(0),
        digits => digits.parse().ok(),
    }
}

fn byte(text: Option<&str>) -> Option<u8> {
    number(text).and_then(|value| u8::try_from(value).ok())
}

/// `5;n` or `2;r;g;b`, as xterm has it. All its parameters are consumed even if one is out of range,
/// so that none is mistaken for another switch.
fn color<'a>(groups: &mut impl Iterator<Item = &'a str>) -> Option<SgrColor> {
    match number(groups.next()) {
        Some(5) => byte(groups.next()).map(SgrColor::Indexed),
        Some(2) => {
            let (red, green, blue) = (
                byte(groups.next()),
                byte(groups.next()),
                byte(groups.next()),
            );
            Some(SgrColor::Rgb(red?, green?, blue?))
        }
        _ => None,
    }
}

/// `5:n`, `2:r:g:b` or, as ITU-T T.416 has it, `2:space:r:g:b:…`.
fn sub_color<'a>(codes: impl Iterator<Item = &'a str>) -> Option<SgrColor> {
    let codes: Vec<&str> = codes.collect();
    match codes.as_slice() {
        ["5", index, ..] => byte(Some(index)).map(SgrColor::Indexed),
        ["2", red, green, blue] | ["2", _, red, green, blue, ..] => Some(SgrColor::Rgb(
            byte(Some(red))?,
            byte(Some(green))?,
            byte(Some(blue))?,
        )),
        _ => None,
    }
}

/// A well-formed escape sequence at the start of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Escape<'a> {
    /// Bytes, with the ESC.
    pub len: usize,
    /// The parameters, if it is an SGR sequence.
    pub sgr: Option<&'a str>,
}

impl<'a> Escape<'a> {
    /// The sequence that `text`, which starts with ESC, starts with. `None` if it is malformed or unfinished.
    pub fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        match bytes.get(1)? {
            b'[' => Self::control(text),
            b']' => Self::string(bytes, true),
            b'P' | b'X' | b'^' | b'_' => Self::string(bytes, false),
            _ => {
                let last = 1 + count(&bytes[1..], 0x20..=0x2f);
                let is_final = matches!(bytes.get(last), Some(0x30..=0x7e));
                is_final.then_some(Self {
                    len: last + 1,
                    sgr: None,
                })
            }
        }
    }

    /// CSI: parameters, intermediates, one final byte.
    fn control(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let parameters = 2 + count(&bytes[2..], 0x30..=0x3f);
        let last = parameters + count(&bytes[parameters..], 0x20..=0x2f);
        if !matches!(bytes.get(last)?, 0x40..=0x7e) {
            return None;
        }
        let is_private = matches!(bytes.get(2), Some(b'<'..=b'?'));
        let is_sgr = bytes[last] == b'm' && last == parameters && !is_private;
        Some(Self {
            len: last + 1,
            sgr: is_sgr.then(|| &text[2..parameters]),
        })
    }

    /// OSC (which BEL may end, too), DCS, SOS, PM, APC: everything up to ST. Any other ESC aborts it,
    /// as in a terminal; so no byte is looked at twice.
    fn string(bytes: &[u8], bell_ends: bool) -> Option<Self> {
        let end = 2 + if bell_ends {
            memchr::memchr2(0x1b, 0x07, &bytes[2..])?
        } else {
            memchr::memchr(0x1b, &bytes[2..])?
        };
        let len = match (bytes[end], bytes.get(end + 1)) {
            (0x07, _) => end + 1,
            (_, Some(b'\\')) => end + 2,
            _ => return None,
        };
        Some(Self { len, sgr: None })
    }
}

fn count(bytes: &[u8], range: std::ops::RangeInclusive<u8>) -> usize {
    bytes.iter().take_while(|byte| range.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(parameters: &str) -> Sgr {
        let mut look = Sgr::default();
        look.apply(parameters);
        look
    }

    #[test]
    fn colors_come_in_four_notations() {
        let rgb = Some(SgrColor::Rgb(1, 2, 3));
        assert_eq!(look("38;2;1;2;3").foreground, rgb);
        assert_eq!(look("38:2:1:2:3").foreground, rgb);
        assert_eq!(look("38:2::1:2:3").foreground, rgb);
        assert_eq!(
            look("48;5;200;1"),
            Sgr {
                background: Some(SgrColor::Indexed(200)),
                bold: true,
                ..Sgr::default()
            }
        );
        assert_eq!(look("97").foreground, Some(SgrColor::Indexed(15)));
    }

    #[test]
    fn a_bad_color_is_ignored_with_its_parameters() {
        assert_eq!(look("38;5;300"), Sgr::default());
        assert_eq!(
            look("38;2;1;999;7;4"),
            Sgr {
                underline: true,
                ..Sgr::default()
            }
        );
        assert_eq!(look("38"), Sgr::default());
        assert_eq!(look("38:5"), Sgr::default());
    }

    #[test]
    fn switches_go_on_and_off() {
        assert!(look("4").underline && look("4:3").underline && !look("4;4:0").underline);
        assert_eq!(look("1;2;3;7;31;44;22;23;27;39;49"), Sgr::default());
        assert_eq!(look("1;31;"), Sgr::default(), "an empty parameter is 0");
    }

    #[test]
    fn sequences_end_where_a_terminal_ends_them() {
        let len = |text| Escape::parse(text).map(|escape| escape.len);
        assert_eq!(len("\x1b[?25lx"), Some(6));
        assert_eq!(len("\x1b]0;title\x07x"), Some(10));
        assert_eq!(len("\x1b]8;;http://x\x1b\\x"), Some(15));
        assert_eq!(len("\x1bPq#0\x07\x1b\\x"), Some(8));
        assert_eq!(len("\x1b(Bx"), Some(3));
        assert_eq!(len("\x1b7x"), Some(2));
    }

    #[test]
    fn unfinished_sequences_are_none() {
        for text in [
            "\x1b",
            "\x1b[",
            "\x1b[31",
            "\x1b[3é",
            "\x1b]0;title",
            "\x1b]0;\x1b[0m",
            "\x1b(",
            "\x1bé",
        ] {
            assert_eq!(Escape::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_plain_m_is_sgr() {
        let sgr = |text| Escape::parse(text).and_then(|escape| escape.sgr);
        assert_eq!(sgr("\x1b[1;31mx"), Some("1;31"));
        assert_eq!(sgr("\x1b[m"), Some(""));
        assert_eq!(sgr("\x1b[>4;1m"), None);
        assert_eq!(sgr("\x1b[1 m"), None);
        assert_eq!(sgr("\x1b[2K"), None);
    }
}
