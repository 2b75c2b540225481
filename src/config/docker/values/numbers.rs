//! Numbers, sizes and durations as `docker run` takes them.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::Swap;

/// What engines from 20.10 on give a container at least.
const LEAST_MEMORY: u64 = 6 << 20;
/// Of one processor.
const NANO: u64 = 1_000_000_000;
/// A hundredth is the least share that the kernel's scheduler can give.
const LEAST_CPUS: u64 = NANO / 100;

pub fn whole(text: &str, range: RangeInclusive<i64>) -> Read<i64> {
    let (least, most) = (range.start(), range.end());
    let words = match (*least, *most) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (least, i64::MAX) => format!("a whole number, {least} or more"),
        (least, most) => format!("a whole number from {least} to {most}"),
    };
    let number = text.trim().parse().ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| Wrong::expected(words))
}

/// Zero or more.
pub fn natural(text: &str) -> Read<u64> {
    whole(text, 0..=i64::MAX).map(i64::unsigned_abs)
}

/// Bytes, or `512k`, `512m`, `1.5g` with or without `b` or `ib`, in powers of 1024 and any case.
pub fn bytes(text: &str) -> Read<u64> {
    read_bytes(text).ok_or_else(|| Wrong::expected("a size such as 512m or 2g"))
}

fn read_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole
            .checked_mul(1 << shift)
            .filter(|bytes| i64::try_from(*bytes).is_ok());
    }
    let is_decimal = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let bytes = number.parse::<f64>().ok()? * f64::from(1_u32 << 10).powi(shift / 10);
    // The engine cuts fractions of bytes off, too.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // in the range, as is checked
    let whole = bytes as u64;
    (is_decimal && bytes < 2_f64.powi(63)).then_some(whole)
}

/// A limit; 0 is none.
pub fn memory(text: &str) -> Read<u64> {
    let bytes = bytes(text)?;
    ensure(bytes == 0 || bytes >= LEAST_MEMORY, || {
        Wrong::new("must be at least 6m, the least that an engine gives").hint("0 is no limit")
    })?;
    Ok(bytes)
}

pub fn swap(text: &str) -> Read<Swap> {
    if text.trim() == "-1" {
        return Ok(Swap::Unlimited);
    }
    let bytes = bytes(text);
    bytes
        .map(Swap::Limit)
        .map_err(|_| Wrong::expected("a size such as 512m or 2g, or -1 for no limit"))
}

/// Billionths of a processor from `0.5` or `2`; 0 is no limit.
pub fn cpus(text: &str) -> Read<u64> {
    let wrong = || Wrong::expected("a number of processors such as 0.5 or 2");
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_number = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    if !is_number || fraction.len() > 9 {
        return Err(wrong());
    }
    let number = format!("0{whole}{fraction:0<9}");
    let nano = number.parse::<u64>().map_err(|_| wrong())?;
    ensure(nano == 0 || nano >= LEAST_CPUS, || {
        Wrong::new("must be at least 0.01")
    })?;
    ensure(nano <= 1_000_000 * NANO, || {
        Wrong::new("must be at most 1000000")
    })?;
    Ok(nano)
}

/// `1h30m`, `1.5s`, `500ms`; at least a millisecond, or 0 for the image's own.
pub fn duration(text: &str) -> Read<Duration> {
    let duration = read_duration(text.trim())
        .ok_or_else(|| Wrong::expected("a duration such as 500ms, 10s, 1m30s or 1h"))?;
    ensure(
        duration.is_zero() || duration >= Duration::from_millis(1),
        || Wrong::new("must be at least 1ms"),
    )?;
    Ok(duration)
}

fn read_duration(mut text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut sum = (!text.is_empty()).then_some(Duration::ZERO)?;
    while !text.is_empty() {
        let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = text[..unit].parse::<f64>().ok()?;
        let rest = &text[unit..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum = sum.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        text = &rest[end..];
    }
    Some(sum).filter(|sum| i64::try_from(sum.as_nanos()).is_ok())
}

/// `true`, `false`, and the other words that `docker run` takes for them.
pub fn switch(text: &str) -> Read<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Wrong::expected("true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_in_any_spelling() {
        for text in [
            "512m",
            "512M",
            "512mb",
            "512MiB",
            "512 m",
            "0.5g",
            "536870912",
            "536870912b",
        ] {
            assert_eq!(bytes(text), Ok(512 << 20), "{text}");
        }
        assert_eq!(bytes("1.5k"), Ok(1536));
        for text in [
            "", "m", "-1", "1x", "1bb", "1mi", "1e3", "1.2.3", "9999999p", "0x10",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(memory("6m"), Ok(6 << 20));
        assert_eq!(memory("0"), Ok(0));
        assert!(memory("6291455").is_err());
        assert_eq!(swap("-1"), Ok(Swap::Unlimited));
    }

    #[test]
    fn processors_are_exact() {
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus(".25"), Ok(250_000_000));
        assert_eq!(cpus("2"), Ok(2_000_000_000));
        assert_eq!(
            cpus("0.000000001"),
            Err(Wrong::new("must be at least 0.01"))
        );
        for text in [
            "",
            ".",
            "-1",
            "1e1",
            "0.0000000001",
            "two",
            "99999999999999999999",
        ] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for text in ["", "10", "s", "1d", "1s2", "999999999h", "1us", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
