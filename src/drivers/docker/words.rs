//! What the engine answers, in words that lead to the remedy: the one place that knows bollard's errors.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;

use super::address::NoAddress;
use crate::model::{Cause, Failure, Stage};

/// Why a request to the engine came to nothing.
#[derive(Clone, Debug)]
pub struct Trouble {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    NoAddress(NoAddress),
    /// The engine cannot be reached, or went away in the middle.
    Outage {
        address: Arc<str>,
        why: Outage,
    },
    Silent {
        what: &'static str,
        after: Duration,
    },
    /// It answered that it cannot or will not; `status` is HTTP's, 0 where the answer came inside a stream.
    Refused {
        what: &'static str,
        status: u16,
        message: Arc<str>,
    },
    /// It answered something that we do not understand.
    Odd {
        what: &'static str,
        source: Arc<Error>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    NoSocket,
    Forbidden,
    Refused,
    Broken,
}

impl Trouble {
    pub(super) fn no_address(problem: NoAddress) -> Self {
        Self {
            kind: Kind::NoAddress(problem),
        }
    }

    pub(super) fn silent(what: &'static str, after: Duration) -> Self {
        Self {
            kind: Kind::Silent { what, after },
        }
    }

    /// The task that asked is gone, as the whole program soon is.
    pub(super) fn lost(what: &'static str) -> Self {
        let message = "nobody waits for the answer any more".into();
        Self {
            kind: Kind::Refused {
                what,
                status: 0,
                message,
            },
        }
    }

    pub(super) fn of(what: &'static str, address: &Arc<str>, error: Error) -> Self {
        let kind = match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Kind::Refused {
                what,
                status: status_code,
                message: message.into(),
            },
            Error::DockerStreamError { error } => Kind::Refused {
                what,
                status: 0,
                message: error.into(),
            },
            // Only the deadline for the head of an answer, which is far behind ours.
            error => match outage(&error) {
                Some(why) => Kind::Outage {
                    address: address.clone(),
                    why,
                },
                None => Kind::Odd {
                    what,
                    source: Arc::new(error),
                },
            },
        };
        Self { kind }
    }

    /// HTTP's status of a refusal: 404 not there, 409 not possible as things are.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            Kind::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether what was asked about does not exist (any more).
    pub fn is_gone(&self) -> bool {
        self.status() == Some(404)
    }

    /// What the engine said, where it refused.
    pub fn message(&self) -> Option<&str> {
        match &self.kind {
            Kind::Refused { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Whether the engine cannot be reached: nothing is known about anything then.
    pub fn is_outage(&self) -> bool {
        matches!(
            self.kind,
            Kind::NoAddress(_) | Kind::Outage { .. } | Kind::Silent { .. }
        )
    }

    /// The failure that it is at this stage.
    pub fn at(&self, stage: Stage) -> Failure {
        match &self.kind {
            Kind::NoAddress(NoAddress { problem, hint }) => {
                Failure::other(stage, problem.clone()).hint(*hint)
            }
            Kind::Outage { address, why } => unreachable(stage, address, *why),
            Kind::Silent { what, after } => {
                let what = format!("the request to {what}");
                let cause = Cause::Deadline {
                    what: what.into(),
                    after: *after,
                };
                Failure::new(stage, cause).hint("the Docker engine is overloaded or hangs")
            }
            Kind::Refused {
                what,
                status,
                message,
            } => refused(stage, what, *status, message),
            Kind::Odd { what, source } => Failure::new(
                stage,
                Cause::Source {
                    context: format!("cannot {what}"),
                    source: source.clone(),
                },
            ),
        }
    }
}

/// Finds the reason below the layers that wrap it.
fn outage(error: &Error) -> Option<Outage> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = match error {
        Error::SocketNotFoundError(_) => return Some(Outage::NoSocket),
        Error::RequestTimeoutError | Error::HyperResponseError { .. } => {
            return Some(Outage::Broken);
        }
        Error::HyperLegacyError { err } => Some(err),
        Error::IOError { err } => Some(err),
        _ => return None,
    };
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(match error.kind() {
                ErrorKind::NotFound => Outage::NoSocket,
                ErrorKind::PermissionDenied => Outage::Forbidden,
                ErrorKind::ConnectionRefused => Outage::Refused,
                _ => Outage::Broken,
            });
        }
        source = error.source();
    }
    Some(Outage::Broken)
}

fn unreachable(stage: Stage, address: &str, why: Outage) -> Failure {
    let (problem, hint) = match why {
        Outage::NoSocket => (
            "there is no Docker engine",
            "start it, or set DOCKER_HOST to where it listens",
        ),
        Outage::Forbidden => (
            "no permission to use the Docker engine",
            "add yourself to the group docker and log in again, or use a rootless engine",
        ),
        Outage::Refused => (
            "no Docker engine answers",
            "start it: systemctl start docker",
        ),
        Outage::Broken => (
            "the connection to the Docker engine broke",
            "was the engine stopped or restarted?",
        ),
    };
    Failure::other(stage, format!("{problem} at {address}")).hint(hint)
}

/// The engine's own words, without its wrapping, and what they mean.
fn refused(stage: Stage, what: &str, status: u16, message: &str) -> Failure {
    let said = core(message);
    if let Some(command) = missing_command(said) {
        return missing(stage, command);
    }
    let known = KNOWN.iter().find(|known| {
        known
            .words
            .iter()
            .all(|word| said.to_lowercase().contains(word))
    });
    let text = if said.is_empty() {
        format!("cannot {what}: the engine answered with status {status}")
    } else {
        format!("cannot {what}: {said}")
    };
    match known {
        Some(known) => Failure::other(stage, text).hint(known.hint),
        None => Failure::other(stage, text),
    }
}

/// A refusal that people meet often; `words` are lower case and must all be there.
struct Known {
    words: &'static [&'static str],
    hint: &'static str,
}

/// The first that fits counts. Collected from the engine's sources and from experience.
const KNOWN: &[Known] = &[
    Known {
        words: &["does not match the specified platform"],
        hint: "get the image for this platform, or name the other one with `--platform`",
    },
    Known {
        words: &["no matching manifest"],
        hint: "the image does not exist for this platform: name another with `--platform`",
    },
    Known {
        words: &["exec format error"],
        hint: "the image is made for another kind of processor",
    },
    Known {
        words: &["no such image"],
        hint: "pull or build it first",
    },
    Known {
        words: &["pull access denied"],
        hint: "correct the name of the image, or log in with `docker login`",
    },
    Known {
        words: &["manifest unknown"],
        hint: "the registry has no such tag: correct the image's name",
    },
    Known {
        words: &["unauthorized"],
        hint: "log in with `docker login`",
    },
    Known {
        words: &["toomanyrequests"],
        hint: "the registry limits pulls: log in with `docker login`, or wait",
    },
    Known {
        words: &["no space left on device"],
        hint: "free some space: `docker system df` shows what takes it",
    },
    Known {
        words: &["is already in use by container"],
        hint: "choose another `--name`, or none, or remove that container",
    },
    Known {
        words: &["port is already allocated"],
        hint: "another container publishes this port: choose another, or none",
    },
    Known {
        words: &["address already in use"],
        hint: "something on this host listens on this port: choose another, or none",
    },
    Known {
        words: &["bind source path does not exist"],
        hint: "create it, or correct the mount",
    },
    Known {
        words: &["network", "not found"],
        hint: "create it with `docker network create`, or correct its name",
    },
    Known {
        words: &["could not select device driver"],
        hint: "the engine has no GPU support: install the vendor's container toolkit",
    },
    Known {
        words: &["no such host"],
        hint: "the registry's name is wrong, or there is no network",
    },
    Known {
        words: &["connection refused"],
        hint: "the registry does not listen there",
    },
    Known {
        words: &["x509"],
        hint: "the registry's certificate is not trusted by the engine",
    },
    Known {
        words: &["server gave http response to https client"],
        hint: "name the registry under `insecure-registries` of the engine's configuration",
    },
    Known {
        words: &["permission denied"],
        hint: "is the program executable, and may the user of the container read it?",
    },
    Known {
        words: &["operation not permitted"],
        hint: "it may need a capability or security option: see `hardening`",
    },
];

/// What the runtime wraps around the reason.
const WRAPPINGS: [&str; 3] = [
    "starting container process caused: ",
    "unable to start container process: ",
    "Error response from daemon: ",
];

fn core(message: &str) -> &str {
    let mut said = message.trim();
    for wrapping in WRAPPINGS {
        if let Some((_, rest)) = said.rsplit_once(wrapping) {
            said = rest;
        }
    }
    said.strip_suffix(": unknown").unwrap_or(said)
}

/// The program of `exec: "NAME": executable file not found in $PATH` and its relatives.
fn missing_command(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("exec: \"")?;
    let (command, why) = rest.split_once('"')?;
    let is_missing = ["executable file not found", "no such file or directory"];
    is_missing
        .iter()
        .any(|words| why.contains(words))
        .then_some(command)
}

/// Why the program of a container with an init process could not even be started, if these are the words of that
/// process about it (tini, which engines ship as `docker-init`).
pub fn init_failed(said: &str) -> Option<Failure> {
    let (_, rest) = said.split_once("[FATAL tini (")?;
    let (command, why) = rest.split_once(")] exec ")?.1.split_once(" failed: ")?;
    let start = |text: String| Failure::other(Stage::Start, text);
    Some(match why {
        "No such file or directory" => missing(Stage::Start, command),
        "Permission denied" => start(format!("{command} is not executable in the image")),
        "Exec format error" => start(format!("{command} is made for another kind of processor"))
            .hint(
                "the image is for another platform, or a script lacks its first line `#!/bin/sh`",
            ),
        why => start(format!("{command} cannot be started: {why}")),
    })
}

fn missing(stage: Stage, command: &str) -> Failure {
    Failure::new(stage, Cause::CommandNotFound(command.to_owned()))
        .hint("there is no such program in the image: see `container_command` and its PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, message: &str) -> Failure {
        let error = Error::DockerResponseServerError {
            status_code: status,
            message: message.into(),
        };
        Trouble::of("create the container", &"unix:///x".into(), error).at(Stage::Create)
    }

    /// Messages as engines 20.10 to 28 give them.
    #[test]
    fn refusals_are_explained() {
        let cases = [
            (
                404,
                "No such image: nothing:latest",
                "No such image: nothing:latest",
                "pull",
            ),
            (
                409,
                "Conflict. The container name \"/x\" is already in use by container \"0a\". You have to remove (or rename) that container to be able to reuse that name.",
                "already in use",
                "--name",
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint x (0a): Bind for 127.0.0.1:80 failed: port is already allocated",
                "port is already allocated",
                "publishes this port",
            ),
            (
                404,
                "image with reference busybox:latest was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
                "wanted linux/arm64",
                "--platform",
            ),
            (
                500,
                "write /var/lib/x: no space left on device",
                "no space left",
                "docker system df",
            ),
            (
                404,
                "network nowhere not found",
                "network nowhere not found",
                "network create",
            ),
            (500, "", "status 500", ""),
        ];
        for (status, message, said, hint) in cases {
            let failure = refusal(status, message);
            assert!(failure.cause.to_string().contains(said), "{failure}");
            assert!(failure.hint.unwrap_or_default().contains(hint), "{message}");
        }
    }

    #[test]
    fn a_missing_program_is_named_without_the_runtimes_wrapping() {
        let message = "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown";
        let failure = refusal(400, message);
        assert!(matches!(&failure.cause, Cause::CommandNotFound(name) if name == "nope"));
        let message = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"/bin/nope\": stat /bin/nope: no such file or directory: unknown";
        let failure = refusal(400, message);
        assert!(matches!(&failure.cause, Cause::CommandNotFound(name) if name == "/bin/nope"));
    }

    #[test]
    fn an_engine_that_is_not_there_is_an_outage() {
        let error = Error::SocketNotFoundError("/x".into());
        let trouble = Trouble::of("list", &"unix:///x".into(), error);
        assert!(trouble.is_outage() && !trouble.is_gone());
        let failure = trouble.at(Stage::Check);
        assert!(
            failure
                .to_string()
                .contains("no Docker engine at unix:///x"),
            "{failure}"
        );
        let io = std::io::Error::from(ErrorKind::PermissionDenied);
        let trouble = Trouble::of("list", &"unix:///x".into(), Error::from(io));
        assert!(
            trouble
                .at(Stage::Check)
                .to_string()
                .contains("group docker")
        );
    }

    #[test]
    fn the_init_process_tells_what_it_could_not_start() {
        let failure = init_failed("[FATAL tini (7)] exec nope failed: No such file or directory");
        assert!(
            matches!(failure.expect("known").cause, Cause::CommandNotFound(name) if name == "nope")
        );
        let failure = init_failed("[FATAL tini (7)] exec /a b failed: Permission denied");
        assert!(
            failure
                .expect("known")
                .to_string()
                .contains("/a b is not executable")
        );
        assert!(init_failed("[WARN  tini (7)] exec failed: x").is_none());
    }
}
