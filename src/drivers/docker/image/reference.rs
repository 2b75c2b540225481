//! Names of images: `[REGISTRY/]PATH[:TAG][@DIGEST]`, or the id of one that is here.

use std::fmt;

/// Where images without a registry in their name come from.
pub const HUB: &str = "docker.io";

/// A name, taken apart as the engine does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Without tag and digest, as written.
    pub name: &'a str,
    pub tag: Option<&'a str>,
    /// `sha256:…`
    pub digest: Option<&'a str>,
    whole: &'a str,
}

impl<'a> Reference<'a> {
    pub fn parse(whole: &'a str) -> Self {
        let (rest, digest) = match whole.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (whole, None),
        };
        // A colon before a slash belongs to the port of the registry.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        Self {
            name,
            tag,
            digest,
            whole,
        }
    }

    /// Host and port. The first part of a path is a registry only if it looks like a host.
    pub fn registry(&self) -> &'a str {
        match self.name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => HUB,
        }
    }

    /// What to pull: a digest or a tag; without either an engine would pull every tag there is.
    pub fn version(&self) -> &'a str {
        self.digest.or(self.tag).unwrap_or("latest")
    }

    /// Whether it is the id of an image, which no registry knows.
    pub fn is_id(&self) -> bool {
        let hex = |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        self.digest.is_none()
            && (hex(self.whole) || self.whole.strip_prefix("sha256:").is_some_and(hex))
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(whole: &str) -> (&str, &str, &str) {
        let reference = Reference::parse(whole);
        (reference.registry(), reference.name, reference.version())
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(parts("alpine"), (HUB, "alpine", "latest"));
        assert_eq!(parts("mcp/time:1.2"), (HUB, "mcp/time", "1.2"));
        assert_eq!(
            parts("localhost:5000/a/b"),
            ("localhost:5000", "localhost:5000/a/b", "latest")
        );
        assert_eq!(
            parts("box.example:5000/a:x"),
            ("box.example:5000", "box.example:5000/a", "x")
        );
        assert_eq!(
            parts("a.example/b@sha256:12"),
            ("a.example", "a.example/b", "sha256:12")
        );
        assert_eq!(parts("a/b:t@sha256:12"), (HUB, "a/b", "sha256:12"));
    }

    #[test]
    fn an_id_is_no_name() {
        let hex = "ab".repeat(32);
        assert!(Reference::parse(&hex).is_id());
        assert!(Reference::parse(&format!("sha256:{hex}")).is_id());
        assert!(!Reference::parse(&format!("a@sha256:{hex}")).is_id());
        assert!(!Reference::parse("abcd").is_id());
    }
}
