//! Names: of variables, labels, hosts, images, users, signals.

use std::str::FromStr;

use nix::sys::signal::Signal;
use strum::VariantNames;

use crate::config::docker::wrong::{Read, Wrong, ensure};
use crate::model::OWN_LABELS;

/// Longest name of a host, characters (Linux' `HOST_NAME_MAX`).
const HOST_NAME: usize = 64;
/// The highest number of a signal.
const SIGNALS: u8 = 64;

pub fn nonempty(text: &str) -> Read<String> {
    ensure(!text.trim().is_empty(), || Wrong::new("must not be empty"))?;
    Ok(text.to_owned())
}

pub fn choice<T: FromStr + VariantNames>(text: &str) -> Read<T> {
    text.parse()
        .map_err(|_| Wrong::not_one_of(text, T::VARIANTS))
}

/// The name and the value of `NAME=value`; the value is missing where the `=` is.
pub fn variable(text: &str) -> Read<(&str, Option<&str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    ensure(!name.is_empty(), || Wrong::expected("NAME=value"))?;
    Ok((name, value))
}

/// The two sides of `key=value`.
pub fn pair(text: &str, shape: &str) -> Read<(String, String)> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| Wrong::expected(shape))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `name=value`, or a name alone.
pub fn label(text: &str) -> Read<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim_start();
    ensure(!name.is_empty(), || Wrong::expected("name=value"))?;
    ensure(!name.contains([' ', '\t']), || {
        Wrong::new("the name of a label must not hold spaces")
    })?;
    ensure(!name.starts_with(OWN_LABELS), || {
        Wrong::new(format!(
            "labels that begin with `{OWN_LABELS}` are envdeck's own"
        ))
    })?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A host or domain name.
pub fn host(text: &str) -> Read<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_host = text.chars().all(is_plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= HOST_NAME;
    ensure(is_host, || {
        Wrong::expected("a name of letters, digits, `-` and `.`, at most 64 characters")
    })?;
    Ok(text.to_owned())
}

/// `SIGTERM`, `TERM`, `15` or `RTMIN+3`, as it was written.
pub fn signal(text: &str) -> Read<String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = name
        .strip_prefix("RTMIN+")
        .or_else(|| name.strip_prefix("RTMAX-"));
    let is_known = match text.parse::<u8>() {
        Ok(number) => (1..=SIGNALS).contains(&number),
        Err(_) => {
            Signal::from_str(&format!("SIG{name}")).is_ok()
                || matches!(name, "RTMIN" | "RTMAX")
                || real_time.is_some_and(|number| number.parse::<u8>().is_ok_and(|n| n <= 15))
        }
    };
    ensure(is_known, || {
        Wrong::expected("a signal such as SIGTERM, INT or 15")
    })?;
    Ok(text.to_owned())
}

/// `os[/architecture[/variant]]`.
pub fn platform(text: &str) -> Read<String> {
    let parts: Vec<_> = text.split('/').collect();
    let is_word = |part: &&str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    ensure(parts.len() <= 3 && parts.iter().all(is_word), || {
        Wrong::expected("a platform such as linux/amd64 or linux/arm/v7")
    })?;
    Ok(text.to_owned())
}

/// `name` or `uid`, with `:group` or `:gid`.
pub fn user(text: &str) -> Read<String> {
    let mut parts = text.split(':');
    let is_word = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    ensure(parts.clone().count() <= 2 && parts.all(is_word), || {
        Wrong::expected("user[:group], as names or numbers")
    })?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_an_engine_takes() {
        for good in ["SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX"] {
            assert!(signal(good).is_ok(), "{good}");
        }
        for bad in ["", "0", "65", "SIGNOPE", "RTMIN+99", "-9"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
        assert!(platform("linux/arm/v7").is_ok());
        assert!(platform("linux//v7").is_err() && platform("a/b/c/d").is_err());
        assert!(user("1000:1000").is_ok() && user("node").is_ok());
        assert!(user(":1").is_err() && user("a:b:c").is_err() && user("").is_err());
        assert!(host("web-1.local").is_ok());
        assert!(host("-x").is_err() && host("").is_err() && host(&"h".repeat(65)).is_err());
        assert!(label("envdeck.run=1").is_err() && label("a b=1").is_err() && label("=1").is_err());
        assert_eq!(label("a"), Ok(("a".to_owned(), String::new())));
    }
}
