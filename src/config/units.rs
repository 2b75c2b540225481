//! Durations ("500ms", "10s", "2m", "1h") and sizes ("256MiB") as people write them.

use std::time::Duration;

/// A number with one of the units `ms`, `s`, `m`, `h`; else `None`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// A duration in the largest unit that leaves no fraction.
pub(super) fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units
        .into_iter()
        .find(|(_, size)| ms > 0 && ms.is_multiple_of(*size))
    {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None => format!("{ms}ms"),
    }
}

/// Whole bytes; `None` unless it is a number with one of the units.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// The digits and the unit behind them.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((&text[..unit], text[unit..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let ms = |text| duration(text).map(|found| found.as_millis());
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms(" 1.5 s "), Some(1_500));
        assert_eq!(ms("2m"), Some(120_000));
        assert_eq!(ms("1h"), Some(3_600_000));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1..5s",
            "1m30s",
            "1d",
            "9999999999999999999999h",
        ] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_largest_whole_unit() {
        let text = |ms| shown(Duration::from_millis(ms));
        assert_eq!(
            [0, 1, 1_500, 90_000, 120_000].map(text),
            ["0ms", "1ms", "1500ms", "90s", "2m"]
        );
        assert_eq!(text(7 * 24 * 3_600_000), "168h");
    }

    #[test]
    fn sizes_have_a_whole_number_and_a_unit() {
        assert_eq!(size("10B"), Some(10));
        assert_eq!(size("2kB"), Some(2_000));
        assert_eq!(size("256MiB"), Some(256 << 20));
        assert_eq!(size("1 GiB"), Some(1 << 30));
        for wrong in [
            "",
            "10",
            "MiB",
            "1.5GiB",
            "-1B",
            "99999999999999GiB",
            "1mib",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
