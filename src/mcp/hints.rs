//! What can be done about a failure, where that is known.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::{Cause, Failure, Reach, Stage};

/// The detail of [`Reach::Tls`] where an authority is not known here.
pub(super) const UNTRUSTED: &str = "its certificate is of an authority that is not trusted here";
/// The detail of [`Reach::Tls`] where the other side says something else.
pub(super) const NOT_TLS: &str = "it does not speak TLS";
/// The end of [`Cause::Protocol`] where the other side says something else.
pub(super) const NOT_HTTP: &str = "does not speak HTTP";

/// A failure with what can be done about it, where that is known.
pub(super) fn failure(stage: Stage, cause: Cause) -> Failure {
    let hint = hint(stage, &cause);
    let failure = Failure::new(stage, cause);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(stage: Stage, cause: &Cause) -> Option<Cow<'static, str>> {
    let is_new = matches!(stage, Stage::Connect | Stage::Initialize);
    Some(match cause {
        Cause::TooLarge { .. } => "raise limits.max_message".into(),
        Cause::Unreachable { reach, detail, .. } => of_reach(*reach, detail)?.into(),
        Cause::Http {
            status,
            retry_after,
            ..
        } => of_status(*status, *retry_after, is_new)?,
        Cause::LoginWanted { .. } if !is_new => "restart it to log in again".into(),
        Cause::Protocol(text) if text.ends_with(NOT_HTTP) => {
            "should the URL begin with https://?".into()
        }
        Cause::Protocol(_) if is_new => WRONG_URL.into(),
        _ => return None,
    })
}

const PROXY_USER: &str =
    "name the proxy's user and password in HTTP_PROXY or HTTPS_PROXY: http://user:password@host";
const WRONG_URL: &str = "is this the URL of an MCP server? Many have it at /mcp";

pub(crate) fn of_reach(reach: Reach, detail: &str) -> Option<&'static str> {
    match reach {
        Reach::Dns => Some("check the host in the URL"),
        Reach::Refused => Some("is the server running?"),
        Reach::Tls if detail == UNTRUSTED => {
            Some("name the file with its authority's certificate as `ca_file`")
        }
        Reach::Tls if detail == NOT_TLS => Some("should the URL begin with http://?"),
        Reach::Proxy => Some("see HTTP_PROXY and HTTPS_PROXY; `trust_env: false` ignores them"),
        Reach::TimedOut | Reach::Tls | Reach::Network | Reach::Lost => None,
    }
}

fn of_status(
    status: u16,
    retry_after: Option<Duration>,
    is_new: bool,
) -> Option<Cow<'static, str>> {
    match (status, retry_after) {
        (401 | 403, _) => Some("check the credentials in `headers`".into()),
        (407, _) => Some(PROXY_USER.into()),
        (300..=399, _) => Some("if that is right, configure that URL".into()),
        (_, Some(wait)) => Some(format!("it asks to wait {wait:?}").into()),
        (404 | 405, _) if is_new => Some(WRONG_URL.into()),
        _ => None,
    }
}
