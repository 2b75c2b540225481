//! What another program turned on in the terminal and did not turn off: read from what it writes, and undone.

use std::collections::BTreeMap;

/// Private modes that are on where nobody changed them: wrapping, the cursor.
const USUALLY_ON: [u16; 2] = [7, 25];
/// A longer sequence sets no mode.
const LONGEST: usize = 64;
/// Soft reset (DECSTR), default colours, ASCII, the keypad's digits: harmless where nothing was changed.
const RESET: &[u8] = b"\x1b[!p\x1b[0m\x1b(B\x1b>";

/// The state of the terminal, as far as whoever wrote to it changed it.
#[derive(Debug, Default)]
pub struct Modes {
    /// DEC private modes (`CSI ? … h`) that were changed, and how.
    private: BTreeMap<u16, bool>,
    /// Levels on the stack of the kitty keyboard protocol (`CSI > … u`).
    keyboards: u16,
    /// xterm's modifyOtherKeys (`CSI > 4 ; … m`).
    other_keys: bool,
    /// Whether the cursor has another shape (`CSI … SP q`).
    shape: bool,
    /// The beginning of a sequence, from its escape on.
    partial: Vec<u8>,
}

impl Modes {
    /// Looks at more of what is written; sequences may be cut anywhere.
    pub fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match (self.partial.len(), byte) {
                (_, 0x1b) => self.partial = vec![byte],
                (0, _) => {}
                (1, b'[') => self.partial.push(byte),
                (1, _) => self.partial.clear(),
                (2..LONGEST, 0x20..=0x3f) => self.partial.push(byte),
                (2..LONGEST, 0x40..=0x7e) => {
                    let parameters = self.partial.split_off(2);
                    self.partial.clear();
                    self.take(&parameters, byte);
                }
                _ => self.partial.clear(),
            }
        }
    }

    fn take(&mut self, parameters: &[u8], last: u8) {
        let Some((kind, numbers)) = parameters.split_first() else {
            return;
        };
        let numbers: Vec<u16> = numbers
            .split(|byte| *byte == b';')
            .map(|digits| str::from_utf8(digits).ok()?.parse().ok())
            .map(Option::unwrap_or_default)
            .collect();
        match (kind, last) {
            (b'?', b'h' | b'l') => {
                let on = last == b'h';
                self.private
                    .extend(numbers.into_iter().map(|mode| (mode, on)));
            }
            (b'>', b'u') => self.keyboards += 1,
            (b'<', b'u') => self.keyboards = self.keyboards.saturating_sub(numbers[0].max(1)),
            (shape @ b'0'..=b'6', b'q') if parameters.ends_with(b" ") => self.shape = *shape > b'0',
            (b'>', b'm') if numbers[0] == 4 => {
                self.other_keys = numbers.get(1).is_some_and(|level| *level > 0);
            }
            _ => {}
        }
    }

    /// What puts the terminal back as it was.
    pub fn undo(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (mode, on) in &self.private {
            if *on != USUALLY_ON.contains(mode) {
                let end = if *on { 'l' } else { 'h' };
                bytes.extend(format!("\x1b[?{mode}{end}").bytes());
            }
        }
        if self.keyboards > 0 {
            bytes.extend(format!("\x1b[<{}u", self.keyboards).bytes());
        }
        if self.other_keys {
            bytes.extend(b"\x1b[>4m");
        }
        if self.shape {
            bytes.extend(b"\x1b[0 q");
        }
        bytes.extend(RESET);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn undone(bytes: &[u8]) -> String {
        let mut modes = Modes::default();
        modes.see(bytes);
        let undo = modes.undo();
        let undo = undo.strip_suffix(RESET).expect("always reset");
        String::from_utf8_lossy(undo).replace('\x1b', "^")
    }

    #[test]
    fn only_what_is_left_on_is_turned_off() {
        let cases: [(&[u8], &str); 9] = [
            (b"plain text \x1b[31m and colour", ""),
            (b"\x1b[?1049h\x1b[?25l vim \x1b[?25h\x1b[?1049l", ""),
            (b"\x1b[?1049h\x1b[?25l", "^[?25h^[?1049l"),
            (b"\x1b[?1000;1006h \x1b[?1000l", "^[?1006l"),
            (b"\x1b[>1u\x1b[>5u\x1b[<u", "^[<1u"),
            (b"\x1b[2 q", "^[0 q"),
            (b"\x1b[>4;2m", "^[>4m"),
            (b"\x1b[>4;2m\x1b[>4m", ""),
            (b"\x1b[?2004\x1b[?7l\x1b]0;[?9h\x07\x1b[9h", "^[?7h"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(
                undone(bytes),
                expected,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(at in 0_usize..40, noise in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = b"\x1b[?1049;2004h text \x1b[>1u\x1b[?25l".to_vec();
            bytes.extend(noise);
            let mut cut = Modes::default();
            cut.see(&bytes[..at.min(bytes.len())]);
            cut.see(&bytes[at.min(bytes.len())..]);
            let mut whole = Modes::default();
            whole.see(&bytes);
            prop_assert_eq!(cut.undo(), whole.undo());
        }
    }
}
