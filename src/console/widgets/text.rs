//! Text on a row: widths, cuts, and short forms of numbers, sizes and times.

use std::time::Duration;

use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns the text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits with `…` at the end.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += width(grapheme);
        if used >= columns {
            break;
        }
        kept.push_str(grapheme);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text without its first `columns` columns.
pub fn skip(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (offset, grapheme) in text.grapheme_indices(true) {
        if used >= columns {
            return &text[offset..];
        }
        used += width(grapheme);
    }
    ""
}

/// `214 B`, `3.4 KiB`, `48 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// How long something took: `<1 ms`, `3.1 ms`, `41 ms`, `2.4 s`, `3m12s`.
pub fn duration_short(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    if millis < 1.0 {
        "<1 ms".to_owned()
    } else if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else if millis < 60_000.0 {
        format!("{:.1} s", millis / 1e3)
    } else {
        let seconds = duration.as_secs();
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

/// How long something has lasted, soon coarse enough not to change every second: `42s`, `3m`, `2h05m`, `4d`.
pub fn age(seconds: i64) -> String {
    let minutes = seconds.max(0) / 60;
    match minutes {
        0 => format!("{}s", seconds.max(0)),
        1..60 => format!("{minutes}m"),
        60..1440 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}d", minutes / 1440),
    }
}

/// Whether its [`age`] is told in seconds now, or was a moment ago.
pub fn is_young(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).as_secs() <= 60
}

/// `1 204 331`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 call`, `2 calls`.
pub fn plural(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// A size in the fewest columns, coarse enough not to flicker: `0M`, `48M`, `1.2G`.
pub fn size_coarse(bytes: u64) -> String {
    let mebibytes = bytes >> 20;
    if mebibytes < 1000 {
        return format!("{mebibytes}M");
    }
    let tenths = mebibytes * 10 / 1024;
    if tenths < 100 && !tenths.is_multiple_of(10) {
        format!("{}.{}G", tenths / 10, tenths % 10)
    } else {
        format!("{}G", tenths / 10)
    }
}

/// Bytes transferred, in the fewest columns and in the decimal units of networks: `0`, `0.8k`, `48k`, `1.2M`.
pub fn traffic_coarse(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    let mut tenths = bytes / 100;
    let mut units = ["k", "M", "G", "T"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while tenths >= 10_000
        && let Some(larger) = units.next()
    {
        (tenths, unit) = (tenths / 1000, larger);
    }
    if tenths < 100 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_takes_few_columns() {
        let texts = [0, 99, 800, 1_234, 48_000, 999_999, 1_200_000, 48 << 40].map(traffic_coarse);
        assert_eq!(
            texts,
            ["0", "0.0k", "0.8k", "1.2k", "48k", "999k", "1.2M", "52T"]
        );
    }

    #[test]
    fn cuts_at_columns_not_bytes() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(skip("日本語", 2), "本語");
        assert_eq!(skip("abc", 9), "");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [
                size(0),
                size(1023),
                size(3482),
                size(48 << 20),
                size(u64::MAX)
            ],
            ["0 B", "1023 B", "3.4 KiB", "48.0 MiB", "16777216 TiB"]
        );
        let spans = [300, 3_100, 41_000, 2_400_000, 192_000_000]
            .map(|us| duration_short(Duration::from_micros(us)));
        assert_eq!(spans, ["<1 ms", "3.1 ms", "41 ms", "2.4 s", "3m12s"]);
        assert_eq!(
            [age(59), age(60), age(7_500), age(400_000)],
            ["59s", "1m", "2h05m", "4d"]
        );
        assert_eq!(
            [48 << 20, 1_200 << 20, 20 << 30, 9_999].map(size_coarse),
            ["48M", "1.1G", "20G", "0M"]
        );
        assert_eq!(
            [plural(1, "call"), plural(0, "call")],
            ["1 call", "0 calls"]
        );
        assert_eq!([count(7), count(1_204_331)], ["7", "1 204 331"]);
    }
}
