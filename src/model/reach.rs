//! How far a request came that got no answer, and the words for it.

use std::borrow::Cow;
use std::fmt;

/// What lay between us and a server that did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// No connection came about in time.
    TimedOut,
    /// No encrypted connection came about.
    Tls,
    /// The proxy did not let us through.
    Proxy,
    /// No way leads there, or the network is down.
    Network,
    /// The connection broke before the end of the answer.
    Lost,
}

impl Reach {
    /// One word for lists.
    pub fn kind(self) -> &'static str {
        match self {
            Reach::Dns => "dns",
            Reach::Refused => "refused",
            Reach::TimedOut => "timeout",
            Reach::Tls => "tls",
            Reach::Proxy => "proxy",
            Reach::Network => "network",
            Reach::Lost => "lost",
        }
    }

    /// Whether no byte of the request can have arrived.
    pub fn is_before_sending(self) -> bool {
        !matches!(self, Reach::Lost)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Dns => "no such host",
            Reach::Refused => "connection refused",
            Reach::TimedOut => "no connection in time",
            Reach::Tls => "no TLS connection",
            Reach::Proxy => "not reached through the proxy",
            Reach::Network => "not reachable",
            Reach::Lost => "connection lost before the end of the answer",
        })
    }
}

pub(super) fn in_brackets(detail: &str) -> Cow<'_, str> {
    match detail {
        "" => Cow::Borrowed(""),
        _ => format!(" ({detail})").into(),
    }
}

pub(super) fn after_colon(said: &str) -> Cow<'_, str> {
    match said {
        "" => Cow::Borrowed(""),
        _ => format!(": {said}").into(),
    }
}

/// `404 Not Found`; the names are those of RFC 9110 and RFC 6585.
pub(super) fn status_line(status: u16) -> String {
    let name = match status {
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return status.to_string(),
    };
    format!("{status} {name}")
}
