//! A sparkline: a row of bars, the newest at the right.

/// From almost nothing to full.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `columns` values as bars; `full` is the value of a full bar. Shorter histories begin with blanks.
pub fn spark(values: impl ExactSizeIterator<Item = f64>, full: f64, columns: usize) -> String {
    let (skip, blank) = (
        values.len().saturating_sub(columns),
        columns.saturating_sub(values.len()),
    );
    let bars = values.skip(skip).map(|value| bar(value, full));
    std::iter::repeat_n(' ', blank).chain(bars).collect()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the eight bars; NaN becomes 0"
)]
fn bar(value: f64, full: f64) -> char {
    let share = if full > 0.0 { value / full } else { 0.0 };
    BARS[((share.clamp(0.0, 1.0) * 8.0) as usize).min(7)]
}

/// The scale of a memory sparkline, bytes: the limit, or else 1.2 times the largest value rounded up to
/// a power of two or the middle of two, so that small changes do not rescale the whole line.
pub fn memory_scale(largest: u64, limit: Option<u64>) -> u64 {
    limit.filter(|limit| *limit > 0).unwrap_or_else(|| {
        let wanted = (largest / 5).saturating_mul(6).max(1);
        let power = wanted.checked_next_power_of_two().unwrap_or(u64::MAX);
        let middle = power / 4 * 3;
        if middle >= wanted { middle } else { power }
    })
}

/// `▰▰▰▱▱`: `done` of `total` in so many columns. Full only when all is done.
pub fn progress_bar(done: f64, total: f64, columns: usize) -> String {
    let share = if total > 0.0 { done / total } else { 0.0 };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a few columns"
    )]
    let filled = (share.clamp(0.0, 1.0) * columns as f64) as usize;
    "▰".repeat(filled) + &"▱".repeat(columns - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_a_fixed_scale_and_end_at_the_right() {
        let values = [0.0, 12.4, 12.5, 50.0, 99.0, 100.0, 400.0, f64::NAN];
        assert_eq!(spark(values.into_iter(), 100.0, 10), "  ▁▁▂▅███▁");
        assert_eq!(spark(values.into_iter(), 100.0, 3), "██▁");
        assert_eq!(spark([1.0].into_iter(), 0.0, 1), "▁");
    }

    #[test]
    fn the_memory_scale_is_the_limit_or_does_not_move_with_small_changes() {
        assert_eq!(memory_scale(48 << 20, Some(2 << 30)), 2 << 30);
        let scales = [48 << 20, 50 << 20, 52 << 20].map(|bytes| memory_scale(bytes, None) >> 20);
        assert_eq!(scales, [64, 64, 64]);
        assert!(memory_scale(0, None) > 0 && memory_scale(u64::MAX, None) >= u64::MAX / 4 * 3);
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!(progress_bar(3.0, 4.0, 4), "▰▰▰▱");
        assert_eq!(progress_bar(99.0, 100.0, 4), "▰▰▰▱");
        assert_eq!(progress_bar(5.0, 4.0, 4), "▰▰▰▰");
        assert_eq!(progress_bar(1.0, 0.0, 2), "▱▱");
    }
}
