//! Any bytes become lines that are safe to draw, however they are cut into chunks.

use envdeck::stores::lines::{CleanLine, LineSplitter, MAX_LINE, clean};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes in which everything that matters is frequent.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\t".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"\x1b[38;2;1;2;3m".to_vec()),
        Just(b"\x1b[0m".to_vec()),
        Just(b"\x1b]0;title\x07".to_vec()),
        Just(b"\x1b".to_vec()),
        Just("é日🦀\u{202e}\u{9b}\u{2028}".as_bytes().to_vec()),
        "[ -~]{0,12}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..6),
        Just(vec![b'x'; MAX_LINE - 3]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn split<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<CleanLine> {
    let mut splitter = LineSplitter::default();
    let mut lines: Vec<CleanLine> = chunks.flat_map(|chunk| splitter.push(chunk)).collect();
    lines.extend(splitter.finish());
    lines
}

/// Text that would move the cursor, or show in another order than it is stored.
fn has_power(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}'))
}

proptest! {
    #[test]
    fn the_cut_into_chunks_makes_no_difference(bytes in output(), size in 1..50_usize) {
        prop_assert_eq!(split([&*bytes].into_iter()), split(bytes.chunks(size)));
    }

    #[test]
    fn lines_have_no_power_over_the_terminal(bytes in output()) {
        for line in split([&*bytes].into_iter()) {
            prop_assert!(!has_power(&line.text), "{:?}", line.text);
            prop_assert!(line.text.len() <= MAX_LINE + "…".len());
        }
    }

    #[test]
    fn runs_are_ordered_and_start_at_characters(bytes in output()) {
        for line in split([&*bytes].into_iter()) {
            prop_assert!(line.runs.is_sorted_by(|a, b| a.from < b.from));
            prop_assert!(line.runs.windows(2).all(|two| two[0].look != two[1].look));
            for run in &line.runs {
                let from = run.from as usize;
                prop_assert!(from < line.text.len() && line.text.is_char_boundary(from));
            }
        }
    }

    #[test]
    fn plain_lines_come_out_as_they_went_in(lines in vec("[ -~é日🦀]{0,40}", 0..20)) {
        let bytes: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let split = split([bytes.as_bytes()].into_iter());
        prop_assert_eq!(split.iter().map(|line| &*line.text).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn clean_text_is_safe_and_stays_as_it_is(bytes in output()) {
        let text = String::from_utf8_lossy(&bytes);
        let once = clean(&text).into_owned();
        prop_assert!(!has_power(&once));
        prop_assert_eq!(clean(&once), once.as_str());
    }

    #[test]
    fn clean_loses_nothing(text in "[ -~é\u{0}-\u{8}\u{a}-\u{1f}]{0,60}") {
        let back: String = clean(&text).chars().map(|c| match u32::from(c) {
            symbol @ 0x2400..=0x241f => char::from_u32(symbol - 0x2400).unwrap(),
            _ => c,
        }).collect();
        prop_assert_eq!(back, text);
    }
}
