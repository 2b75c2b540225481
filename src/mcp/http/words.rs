//! What went wrong, as an operator reads it.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::mcp::hints;
use crate::model::{Cause, Reach};

/// Why there was no answer.
pub(super) fn unreachable(server: &str, error: &reqwest::Error, limit: Duration) -> Cause {
    let chain = chain(error);
    let (reach, detail) = if let Some(tls) = find::<rustls::Error>(&chain) {
        (Reach::Tls, of_tls(tls))
    } else if error.is_connect() && error.is_timeout() {
        (Reach::TimedOut, format!("{limit:?}"))
    } else if says(&chain, "tls handshake") {
        (Reach::Tls, "it closed the connection".to_owned())
    } else if says(&chain, "dns error") {
        (Reach::Dns, innermost(&chain))
    } else if says(&chain, "proxy") || says(&chain, "tunnel") {
        (Reach::Proxy, innermost(&chain))
    } else if is_not_http(&chain) {
        return Cause::Protocol(format!("{server} {}", hints::NOT_HTTP));
    } else {
        let kind = find::<io::Error>(&chain).map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => (Reach::Refused, String::new()),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                (Reach::Network, innermost(&chain))
            }
            _ if error.is_connect() => (Reach::Network, innermost(&chain)),
            _ => (Reach::Lost, innermost(&chain)),
        }
    };
    Cause::Unreachable {
        server: server.to_owned(),
        reach,
        detail,
    }
}

/// Why an answer has no end.
pub(super) fn broken(server: &str, error: &(dyn Error + 'static)) -> Cause {
    let chain = chain(error);
    if says(&chain, "decompress") || says(&chain, "gzip") || says(&chain, "deflate") {
        let text = format!("the answer of {server} cannot be decompressed");
        return Cause::Protocol(text);
    }
    Cause::Unreachable {
        server: server.to_owned(),
        reach: Reach::Lost,
        detail: innermost(&chain),
    }
}

/// The error and what is behind it, the outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut all = vec![error];
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of the system wraps another one without calling it its source.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = inner
            .map(|inner| inner as &(dyn Error + 'static))
            .or_else(|| error.source());
        all.extend(next);
    }
    all
}

fn find<'a, E: Error + 'static>(chain: &[&'a (dyn Error + 'static)]) -> Option<&'a E> {
    chain.iter().rev().find_map(|error| error.downcast_ref())
}

fn says(chain: &[&(dyn Error + 'static)], word: &str) -> bool {
    // The outermost one names the URL.
    chain
        .iter()
        .skip(1)
        .any(|error| error.to_string().contains(word))
}

fn innermost(chain: &[&(dyn Error + 'static)]) -> String {
    match chain {
        [_, .., last] => last.to_string(),
        _ => String::new(),
    }
}

/// Whether the parser failed, by its words: hyper tells no other way from here.
fn is_not_http(chain: &[&(dyn Error + 'static)]) -> bool {
    ["invalid HTTP", "HTTP version"]
        .iter()
        .any(|words| says(chain, words))
}

/// Whether a server shows the certificate of an authority as its own, by its words: what says so is behind a box.
pub(super) fn is_of_authority(error: &rustls::Error) -> bool {
    use rustls::{CertificateError as Bad, Error as Tls};
    matches!(error, Tls::InvalidCertificate(Bad::Other(other)) if other.to_string() == "CaUsedAsEndEntity")
}

/// Why there is no encrypted connection.
pub(crate) fn of_tls(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Bad, Error as Tls};
    match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => hints::UNTRUSTED.to_owned(),
        _ if is_of_authority(error) => hints::UNTRUSTED.to_owned(),
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "its certificate is for another host".to_owned()
        }
        Tls::InvalidCertificate(other) => format!("its certificate is not valid: {other:?}"),
        Tls::InvalidMessage(_) => hints::NOT_TLS.to_owned(),
        other => other.to_string(),
    }
}
