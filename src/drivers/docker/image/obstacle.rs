//! Why an image cannot be had, by name, and what to do about it.

use super::reference::Reference;
use crate::model::{Failure, Stage};

/// What stands in the way of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The registry has no such repository, or shows it only to those who log in: it does not say which.
    Denied,
    Login,
    UnknownTag,
    OtherPlatform,
    DiskFull,
    RateLimit,
    Untrusted,
    NoTls,
    Unreachable,
    BadName,
}

/// Lower-case words that must all be there. The first that fits counts. Collected from the sources of the engine
/// and of registries, and from experience.
const KNOWN: &[(&[&str], Obstacle)] = &[
    (&["no space left on device"], Obstacle::DiskFull),
    (&["disk quota exceeded"], Obstacle::DiskFull),
    (&["toomanyrequests"], Obstacle::RateLimit),
    (&["too many requests"], Obstacle::RateLimit),
    (&["no matching manifest"], Obstacle::OtherPlatform),
    (
        &["does not match the specified platform"],
        Obstacle::OtherPlatform,
    ),
    (
        &["does not provide the specified platform"],
        Obstacle::OtherPlatform,
    ),
    (&["manifest unknown"], Obstacle::UnknownTag),
    (&["manifest for", "not found"], Obstacle::UnknownTag),
    (&["pull access denied"], Obstacle::Denied),
    (&["repository name not known"], Obstacle::Denied),
    (&["repository does not exist"], Obstacle::Denied),
    (&["name unknown"], Obstacle::Denied),
    (&["no basic auth credentials"], Obstacle::Login),
    (&["unauthorized"], Obstacle::Login),
    (&["authentication required"], Obstacle::Login),
    (&["denied"], Obstacle::Login),
    (&["x509"], Obstacle::Untrusted),
    (&["certificate"], Obstacle::Untrusted),
    (
        &["server gave http response to https client"],
        Obstacle::NoTls,
    ),
    (&["invalid reference format"], Obstacle::BadName),
    (&["must be lowercase"], Obstacle::BadName),
    (&["no such host"], Obstacle::Unreachable),
    (&["name resolution"], Obstacle::Unreachable),
    (&["connection refused"], Obstacle::Unreachable),
    (&["connection reset"], Obstacle::Unreachable),
    (&["unreachable"], Obstacle::Unreachable),
    (&["timeout"], Obstacle::Unreachable),
    (&["timed out"], Obstacle::Unreachable),
    (&["eof"], Obstacle::Unreachable),
];

impl Obstacle {
    fn of(message: &str) -> Option<Self> {
        let message = message.to_lowercase();
        let fits = |words: &&[&str]| words.iter().all(|word| message.contains(word));
        KNOWN
            .iter()
            .find(|(words, _)| fits(words))
            .map(|(_, obstacle)| *obstacle)
    }

    fn hint(self, reference: &Reference) -> String {
        let registry = reference.registry();
        match self {
            Obstacle::Denied => format!(
                "correct the name, build it (docker build -t {reference} DIRECTORY), or if it is private: docker \
                 login {registry}"
            ),
            Obstacle::Login => format!("docker login {registry}"),
            Obstacle::UnknownTag => {
                format!("{registry} has no such version of it: correct the tag")
            }
            Obstacle::OtherPlatform => {
                "it is not made for this platform: name one that it has with --platform".into()
            }
            Obstacle::DiskFull => "free some space: docker system df shows what takes it".into(),
            Obstacle::RateLimit => format!("docker login {registry}, or wait"),
            Obstacle::Untrusted => {
                format!(
                    "the engine does not trust the certificate of {registry}: see /etc/docker/certs.d"
                )
            }
            Obstacle::NoTls => format!(
                "{registry} speaks plain HTTP: name it under insecure-registries in the engine's daemon.json"
            ),
            Obstacle::Unreachable => format!(
                "the engine cannot reach {registry}: check the network, or get the image otherwise: docker load -i \
                 FILE, or docker build -t {reference} DIRECTORY"
            ),
            Obstacle::BadName => "names of images are in lower case: [REGISTRY/]PATH[:TAG]".into(),
        }
    }
}

/// A pull that failed, in the engine's words. `login` is why credentials could not be had.
pub fn failed(reference: &Reference, message: &str, login: Option<&str>) -> Failure {
    let message = message
        .trim()
        .trim_start_matches("Error response from daemon: ");
    let obstacle = Obstacle::of(message);
    let mut text = format!("cannot pull {reference}: {message}");
    let asks_login = matches!(obstacle, Some(Obstacle::Denied | Obstacle::Login));
    if let Some(login) = login.filter(|_| asks_login) {
        text = format!("{text} (no credentials: {login})");
    }
    let failure = Failure::other(Stage::Create, text);
    match obstacle {
        Some(obstacle) => failure.hint(obstacle.hint(reference)),
        None => failure,
    }
}

/// It is not here and was not to be pulled.
pub fn missing(reference: &Reference) -> Failure {
    let failure = Failure::other(Stage::Create, format!("there is no image {reference}"));
    if reference.is_id() {
        return failure.hint("docker image ls shows what there is");
    }
    failure.hint(format!(
        "its pull policy is never: docker pull {reference}, or docker build -t {reference} DIRECTORY"
    ))
}

/// The one that is here is made for another platform, and was not to be pulled.
pub fn other_platform(reference: &Reference, wanted: &str, found: &str) -> Failure {
    let text = format!("{reference} is here for {found}, not for {wanted}");
    let hint = format!("docker pull --platform {wanted} {reference}, or correct the platform");
    Failure::other(Stage::Create, text).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As engines 20.10 to 28 said it.
    #[test]
    fn what_engines_say_is_understood() {
        let cases = [
            (
                "pull access denied for mcp/x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Obstacle::Denied,
            ),
            (
                "manifest for mcp/time:9 not found: manifest unknown: manifest unknown",
                Obstacle::UnknownTag,
            ),
            (
                "Head \"http://127.0.0.1:5000/v2/a/manifests/latest\": no basic auth credentials",
                Obstacle::Login,
            ),
            (
                "Head \"http://127.0.0.1:5000/v2/a/manifests/latest\": unauthorized: authentication required",
                Obstacle::Login,
            ),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                Obstacle::OtherPlatform,
            ),
            (
                "image with reference a was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
                Obstacle::OtherPlatform,
            ),
            (
                "failed to register layer: write /usr/lib/libx.so: no space left on device",
                Obstacle::DiskFull,
            ),
            (
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host",
                Obstacle::Unreachable,
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                Obstacle::Unreachable,
            ),
            (
                "Get \"https://10.0.0.1/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
                Obstacle::Unreachable,
            ),
            (
                "Get \"https://a/v2/\": x509: certificate signed by unknown authority",
                Obstacle::Untrusted,
            ),
            (
                "Get \"https://a:5000/v2/\": http: server gave HTTP response to HTTPS client",
                Obstacle::NoTls,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit.",
                Obstacle::RateLimit,
            ),
            (
                "invalid reference format: repository name must be lowercase",
                Obstacle::BadName,
            ),
        ];
        for (message, obstacle) in cases {
            assert_eq!(Obstacle::of(message), Some(obstacle), "{message}");
            let failure = failed(&Reference::parse("a.example/b:c"), message, None);
            assert!(
                failure
                    .cause
                    .to_string()
                    .starts_with("cannot pull a.example/b:c: "),
                "{failure}"
            );
            assert!(failure.hint.is_some(), "{failure}");
        }
        assert_eq!(Obstacle::of("something new"), None);
    }

    #[test]
    fn a_helper_that_failed_is_named_where_a_login_is_asked_for() {
        let reference = Reference::parse("a.example/b");
        let failure = failed(
            &reference,
            "no basic auth credentials",
            Some("docker-credential-x: locked"),
        );
        assert!(
            failure
                .to_string()
                .contains("(no credentials: docker-credential-x: locked)")
        );
        assert_eq!(failure.hint.as_deref(), Some("docker login a.example"));
        let failure = failed(
            &reference,
            "connection refused",
            Some("docker-credential-x: locked"),
        );
        assert!(!failure.to_string().contains("locked"));
    }
}
