//! The comma-separated `key=value` fields of `--mount`, `--gpus`, `--network` and `--publish`.

use crate::config::docker::wrong::{Read, Wrong, ensure};

/// The fields of one record of CSV (RFC 4180): quotes around a field keep its commas.
pub fn split(text: &str) -> Read<Vec<String>> {
    let wrong = || {
        Wrong::new("a quote stands in the wrong place")
            .hint("quotes go around a whole field: \"device=0,1\"")
    };
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let end;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = unquote(quoted).ok_or_else(wrong)?;
            fields.push(field);
            end = after;
        } else {
            let comma = rest.find(',').unwrap_or(rest.len());
            ensure(!rest[..comma].contains('"'), wrong)?;
            fields.push(rest[..comma].to_owned());
            end = &rest[comma..];
        }
        match end.strip_prefix(',') {
            Some(more) => rest = more,
            None if end.is_empty() => return Ok(fields),
            None => return Err(wrong()),
        }
    }
}

/// A quoted field without its opening quote, and what follows the closing one; two quotes stand for one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

/// The two sides of a field; nothing for one without `=`.
pub fn parts(field: &str) -> (&str, Option<&str>) {
    match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_commas() {
        assert_eq!(split("a=1,b").unwrap(), ["a=1", "b"]);
        assert_eq!(split(r#""device=0,1",x"#).unwrap(), ["device=0,1", "x"]);
        assert_eq!(split(r#""a""b""#).unwrap(), [r#"a"b"#]);
        assert_eq!(split("").unwrap(), [""]);
        for bad in [r#"a"b"#, r#""a"#, r#""a"b"#] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
