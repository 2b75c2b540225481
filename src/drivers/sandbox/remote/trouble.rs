//! Why a runtime did not do what it was asked for, told apart by what can be done about it.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::place::Place;
use crate::model::{Cause, Failure, Reach, SandboxPhase, Stage};

/// Kept of what a runtime says; validators repeat whole requests.
const SAID: usize = 600;

/// Why an action was not done, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no connection: nothing was asked.
    #[error("{0}")]
    Away(Cause),
    /// The connection ended while it was waited for: it may have been done.
    #[error("{0}, while {1} was waited for")]
    Lost(Cause, &'static str),
    /// It may still be done.
    #[error("no answer to {what} within {after:?}")]
    Late { what: &'static str, after: Duration },
    /// The runtime answered that it was not done.
    #[error("{message}")]
    Refused { kind: Kind, message: String },
    #[error("a request of {size} bytes: the runtime takes at most {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The runtime answered, but not as its protocol says.
    #[error("{0}")]
    Protocol(String),
}

/// What kind of error a runtime says it is: the text before the first colon of its message.
#[derive(Clone, Debug, PartialEq, Eq, strum::EnumString, strum::Display)]
pub enum Kind {
    #[strum(serialize = "BoxValidationError")]
    Validation,
    #[strum(serialize = "BoxSessionNotFoundError")]
    SessionNotFound,
    #[strum(serialize = "BoxSessionConflictError")]
    SessionConflict,
    #[strum(serialize = "BoxManagedProcessNotFoundError")]
    ProcessNotFound,
    /// Of a relay only: the process does not run.
    #[strum(serialize = "BoxManagedProcessConflictError")]
    ProcessConflict,
    #[strum(serialize = "BoxBackendUnavailableError")]
    BackendUnavailable,
    #[strum(serialize = "BoxCapacityExceededError")]
    CapacityExceeded,
    #[strum(serialize = "BoxAdmissionError")]
    Admission,
    #[strum(serialize = "BoxReadinessError")]
    Readiness,
    #[strum(serialize = "BoxRuntimeUnavailableError")]
    RuntimeUnavailable,
    /// The engine's command failed.
    #[strum(serialize = "BoxError")]
    Engine,
    /// Of tenants: without a context, or of an old generation.
    #[strum(serialize = "PermissionError")]
    Permission,
    #[strum(default, to_string = "{0}")]
    Other(String),
}

impl Trouble {
    /// What an error reply says, without what is not for eyes.
    pub(super) fn refused(place: &Place, message: &str) -> Self {
        let named = message.split_once(':').filter(|(kind, _)| is_name(kind));
        let (kind, text) = named.unwrap_or(("", message));
        Trouble::Refused {
            kind: kind
                .parse()
                .unwrap_or_else(|_| Kind::Other(kind.to_owned())),
            message: readable(&place.logical(text)),
        }
    }

    /// Whether the runtime says that what was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Trouble::Refused {
                kind: Kind::SessionNotFound | Kind::ProcessNotFound,
                ..
            }
        )
    }

    /// Whether the runtime is out of reach, which may pass, rather than unwilling.
    pub fn is_outage(&self) -> bool {
        match self {
            Trouble::Away(cause) | Trouble::Lost(cause, _) => is_outage(cause),
            Trouble::Late { .. } => true,
            Trouble::Refused { kind, .. } => matches!(
                kind,
                Kind::BackendUnavailable | Kind::RuntimeUnavailable | Kind::Readiness
            ),
            Trouble::TooLarge { .. } | Trouble::Protocol(_) => false,
        }
    }

    /// As a failure of this stage, with what can be done about it where that is known.
    pub fn at(self, stage: Stage) -> Failure {
        let hint = self.hint();
        let cause = match self {
            Trouble::Away(cause) => cause,
            Trouble::Late { what, after } => Cause::Deadline {
                what: what.into(),
                after,
            },
            Trouble::Protocol(text) => Cause::Protocol(text),
            Trouble::TooLarge { size, limit } => Cause::TooLarge {
                size: size as u64,
                limit: limit as u64,
            },
            other @ (Trouble::Lost(..) | Trouble::Refused { .. }) => {
                Cause::Other(other.to_string())
            }
        };
        let failure = Failure::new(stage, cause);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// As a failure of this phase; one that would be the same the next time says so.
    pub fn during(self, phase: SandboxPhase) -> Failure {
        let is_lasting = match &self {
            Trouble::Away(cause) => !is_outage(cause),
            Trouble::Refused { kind, .. } => matches!(
                kind,
                Kind::Validation | Kind::Permission | Kind::Admission | Kind::SessionConflict
            ),
            _ => false,
        };
        let mut failure = self.at(phase.stage()).at(phase);
        if is_lasting {
            failure.cause = Cause::Config(failure.cause.to_string());
        }
        failure
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Trouble::Away(cause) => of_cause(cause),
            Trouble::Refused { kind, message } => of_kind(kind, message),
            _ => None,
        }
    }
}

/// Whether it is worth trying again after a while.
pub(super) fn is_outage(cause: &Cause) -> bool {
    match cause {
        Cause::Unreachable { reach, .. } => !matches!(reach, Reach::Tls),
        Cause::Http { status, .. } => matches!(status, 429 | 500..),
        Cause::Deadline { .. } | Cause::Closed => true,
        _ => false,
    }
}

fn of_cause(cause: &Cause) -> Option<&'static str> {
    match cause {
        Cause::Unreachable { reach, .. } => match reach {
            Reach::Refused => Some("is the Box runtime running? It is started with `lbp box`"),
            Reach::Dns => Some("check the host in the endpoint"),
            _ => None,
        },
        Cause::Http { status: 401, .. } => Some(
            "a runtime since 0.5 wants an instance, a workspace and, if it has one, its control token; it \
             serves only the first instance that connected to it",
        ),
        Cause::Http { status: 404, .. } => Some("is this the endpoint of a Box runtime?"),
        _ => None,
    }
}

fn of_kind(kind: &Kind, message: &str) -> Option<&'static str> {
    match kind {
        Kind::BackendUnavailable => {
            Some("the runtime reaches no engine of its own: is Docker running beside it?")
        }
        Kind::CapacityExceeded => Some("raise the runtime's limits, or stop something"),
        Kind::Admission => {
            Some("the runtime admits no managed processes: its `admission` must not be required")
        }
        Kind::Permission if message.contains("Stale") => {
            Some("somebody uses this workspace with a higher generation: raise ours")
        }
        Kind::SessionConflict => Some("somebody else made a sandbox of this name"),
        Kind::Engine if message.contains("Unable to find image") => {
            Some("the image must be on the runtime's engine, or in a registry that it reaches")
        }
        _ => None,
    }
}

/// `BoxSessionNotFoundError`, `KeyError`; not the beginning of a sentence.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// On one line, and without the input that validators repeat: it can hold secrets.
fn readable(text: &str) -> String {
    static INPUT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?s)\[type=.*?(, input_type=\w+\]|\z)").ok());
    let text = match &*INPUT {
        Some(input) => input.replace_all(text, ""),
        None => return String::new(),
    };
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For further information visit"));
    let line = lines.collect::<Vec<_>>().join(" ");
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    line.chars().take(SAID).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(message: &str) -> (Kind, String) {
        let place = Place::at("ws://box:5410").expect("a URL");
        match Trouble::refused(&place, message) {
            Trouble::Refused { kind, message } => (kind, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_kind_is_the_word_before_the_first_colon() {
        assert_eq!(
            heard("BoxSessionNotFoundError: session x not found"),
            (Kind::SessionNotFound, "session x not found".to_owned())
        );
        assert_eq!(
            heard("ValueError: Action nope not found"),
            (
                Kind::Other("ValueError".to_owned()),
                "Action nope not found".to_owned()
            )
        );
        let busy = "Runtime connection is busy (max 128 concurrent actions)";
        assert_eq!(heard(busy), (Kind::Other(String::new()), busy.to_owned()));
        let docker = "BoxError: docker backend error: Unable to find image 'x:latest' locally";
        let trouble = Trouble::refused(&Place::at("ws://box").expect("a URL"), docker);
        let failure = trouble.at(Stage::Create).to_string();
        assert!(
            failure.contains("must be on the runtime's engine"),
            "{failure}"
        );
    }

    #[test]
    fn what_validators_repeat_of_the_input_is_not_shown() {
        let message = "BoxValidationError: 2 validation errors for BoxManagedProcessSpec\nenv.TOKEN\n  Input should be \
            a valid string [type=string_type, input_value={'deep': ['s3cr3t'], 'x': 1}, input_type=dict]\n    For \
            further information visit https://errors.pydantic.dev/2.11/v/string_type\ncwd\n  Value error, cwd must be \
            absolute [type=value_error, input_value='s3cr3t";
        let (kind, text) = heard(message);
        assert_eq!(kind, Kind::Validation);
        assert_eq!(
            text,
            "2 validation errors for BoxManagedProcessSpec env.TOKEN Input should be a valid string cwd Value \
             error, cwd must be absolute"
        );
    }
}
