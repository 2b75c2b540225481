//! Who may come in: the address that is listened on, the `Host` and `Origin` of a request, and its token.
//!
//! A web page that a user opens can make the browser call servers on the user's machine. `Origin` tells where such a
//! call comes from; and where an attacker's name was made to lead here (DNS rebinding), `Host` still has that name.
//! An address instead of a name cannot be rebound, so addresses are accepted wherever others than this machine may
//! come in.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::wire::TRANSPORT;
use crate::model::{Failure, GatewayOptions, Secret, Stage};

/// What requests are checked against.
pub(super) struct Guard {
    token: Option<Secret>,
    /// Whether only this machine can come in.
    is_local: bool,
    /// Lower case.
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// Refuses to listen where strangers could come in unasked.
pub(super) fn check_address(address: &SocketAddr, options: &GatewayOptions) -> Result<(), Failure> {
    if address.ip().is_loopback() || options.token.is_some() || options.insecure {
        return Ok(());
    }
    let text = format!("{address} can be reached by others, who could run anything here");
    Err(Failure::other(Stage::Config, text).hint(
        "set a token (ENVDECK_TOKEN or --token), listen on 127.0.0.1, or say --insecure if that is what you want",
    ))
}

impl Guard {
    pub fn new(address: &SocketAddr, options: &GatewayOptions) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        Self {
            token: options.token.clone(),
            is_local: address.ip().is_loopback(),
            hosts: lower(&options.allowed_hosts),
            origins: lower(&options.allowed_origins),
        }
    }

    /// Lets a request in, by where it comes from and goes to, or says why not.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, HOST.as_str())?;
        let authority = match (&host, uri.authority()) {
            (_, Some(authority)) => authority.host().to_owned(),
            (Some(host), None) => host_of(host).ok_or_else(|| forbidden("`Host` is malformed"))?,
            (None, None) => return Err(forbidden("`Host` is missing")),
        };
        if !self.knows(&authority) {
            return Err(forbidden(
                "`Host` is not one of this gateway's names; add it to gateway.allowed_hosts if it is",
            ));
        }
        if only(headers, ORIGIN.as_str())?.is_some()
            && !headers.get(ORIGIN).is_some_and(|it| self.knows_origin(it))
        {
            return Err(forbidden(
                "requests from this `Origin` are not allowed; see gateway.allowed_origins",
            ));
        }
        Ok(())
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.to_ascii_lowercase();
        match host.parse::<IpAddr>() {
            Ok(ip) if !self.is_local || ip.is_loopback() => true,
            _ => host == "localhost" || self.hosts.contains(&host),
        }
    }

    /// Whether pages of this origin may come in.
    pub fn knows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let host = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .and_then(host_of);
        host.is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }

    /// Lets in whoever sends the token, if there is one.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let sent = headers
            .get(AUTHORIZATION)
            .map_or(&b""[..], |it| it.as_bytes());
        let sent = match sent.split_at_checked(7) {
            Some((scheme, sent)) if scheme.eq_ignore_ascii_case(b"bearer ") => sent.trim_ascii(),
            _ => b"",
        };
        if token.expose().as_bytes().ct_eq(sent).into() {
            return Ok(());
        }
        let text = "this gateway needs its token: `Authorization: Bearer …`";
        Err(Refusal::new(TRANSPORT, text)
            .status(StatusCode::UNAUTHORIZED)
            .header(WWW_AUTHENTICATE, "Bearer")
            .closing())
    }
}

/// The host in `host:port`.
fn host_of(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok()?;
    // What stands before an `@` is no host.
    (!authority.as_str().contains('@')).then(|| authority.host().to_owned())
}

/// A header that must not be there twice: who reads the first and who reads the last would disagree.
fn only(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value.to_owned())),
        _ => Err(forbidden("`Host` and `Origin` must be one plain word each")),
    }
}

fn forbidden(text: &'static str) -> Refusal {
    Refusal::new(TRANSPORT, text)
        .status(StatusCode::FORBIDDEN)
        .closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, change: impl FnOnce(&mut GatewayOptions)) -> Guard {
        let mut options = GatewayOptions::default();
        change(&mut options);
        Guard::new(&address.parse().expect("an address"), &options)
    }

    fn status(guard: &Guard, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        let checked = guard.check(&Uri::from_static("/mcp"), &map);
        let checked = checked.and_then(|()| guard.check_token(&map));
        checked.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn the_loopback_interface_has_few_names() {
        let local = guard("127.0.0.1:8001", |_| {});
        for host in [
            "localhost",
            "LOCALHOST:8001",
            "127.0.0.1:1",
            "127.8.0.1",
            "[::1]:8001",
        ] {
            assert_eq!(status(&local, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8001",
            "10.0.0.1",
            "localhost@evil.example",
            "a b",
            "",
        ] {
            assert_eq!(status(&local, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&local, &[]), 403);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status(&local, &twice), 403);
    }

    #[test]
    fn elsewhere_addresses_are_accepted_and_names_must_be_configured() {
        let open = guard("0.0.0.0:8001", |options| {
            options.allowed_hosts = vec!["Deck.internal".to_owned()];
        });
        for host in [
            "10.0.0.1:8001",
            "[2001:db8::1]",
            "deck.INTERNAL:8001",
            "localhost",
        ] {
            assert_eq!(status(&open, &[("host", host)]), 200, "{host}");
        }
        assert_eq!(status(&open, &[("host", "evil.example")]), 403);
    }

    #[test]
    fn only_pages_of_this_machine_and_configured_ones_may_call() {
        let local = guard("127.0.0.1:8001", |options| {
            options.allowed_origins = vec!["https://Deck.example:8443".to_owned()];
        });
        let with = |origin: &str| status(&local, &[("host", "localhost"), ("origin", origin)]);
        for origin in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:8443",
            "http://[::1]:3000",
            "https://deck.example:8443",
        ] {
            assert_eq!(with(origin), 200, "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "https://deck.example",
            "ftp://localhost",
            "localhost",
        ] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }

    #[test]
    fn a_token_must_be_the_right_one() {
        let guarded = guard("127.0.0.1:8001", |options| {
            options.token = Some(Secret::new("s3cret"));
        });
        let with =
            |value: &str| status(&guarded, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer s3cret"), 200);
        assert_eq!(with("bearer  s3cret "), 200);
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3cret2",
            "Basic s3cret",
            "s3cret",
        ] {
            assert_eq!(with(wrong), 401, "{wrong}");
        }
        assert_eq!(status(&guarded, &[("host", "localhost")]), 401);
    }

    #[test]
    fn others_come_in_only_with_a_token_or_on_purpose() {
        let check = |address: &str, options: &GatewayOptions| {
            check_address(&address.parse().expect("an address"), options)
        };
        let mut options = GatewayOptions::default();
        assert!(check("127.0.0.1:1", &options).is_ok());
        assert!(check("[::1]:1", &options).is_ok());
        let failure = check("0.0.0.0:8001", &options).expect_err("open to all");
        assert!(failure.to_string().contains("ENVDECK_TOKEN"), "{failure}");
        options.token = Some(Secret::new("x"));
        assert!(check("0.0.0.0:8001", &options).is_ok());
        options.token = None;
        options.insecure = true;
        assert!(check("[::]:8001", &options).is_ok());
    }
}
