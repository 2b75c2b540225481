//! An MCP server that is reached over HTTP: where it is, and what every request to it carries.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Secret;

/// Where an MCP server is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpServer {
    /// Absolute, `http` or `https`. May hold a secret; [`HttpServer::shown_url`] does not.
    pub url: Secret,
    /// Goes with each request, and never to another origin.
    pub headers: Vec<(String, Secret)>,
    /// For the name, the TCP connection and TLS together.
    pub connect_timeout: Duration,
    /// PEM certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count; never for this machine itself.
    pub trust_env: bool,
    /// Whether a server that refuses streamable HTTP is spoken to as one of 2024-11-05 (HTTP+SSE).
    pub legacy_sse: bool,
    pub oauth: OAuthClient,
}

/// As whom we log in at a server that wants that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuthClient {
    /// What the authorization server gave us beforehand; without it we register ourselves.
    pub id: Option<String>,
    pub secret: Option<Secret>,
    /// Of this machine, where the browser comes back to; a free one unless it has to be known beforehand.
    pub callback_port: Option<u16>,
}

/// Header fields that are the transport's own.
const RESERVED: [&str; 11] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
];

impl HttpServer {
    /// How long a connection may take that nobody gave another time.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// The server at `url`, and the defaults.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            headers: Vec::new(),
            connect_timeout: Self::CONNECT_TIMEOUT,
            ca_file: None,
            trust_env: true,
            legacy_sse: true,
            oauth: OAuthClient::default(),
        }
    }

    /// The URL in its parts.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn parsed(&self) -> Result<Url, String> {
        let url = Url::parse(self.url.expose())
            .map_err(|error| format!("expected a URL such as https://host:port/mcp ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("expected a URL that begins with http:// or https://".to_owned());
        }
        Ok(url)
    }

    /// What is wrong with a header field of these, if anything is; the value is not repeated.
    pub fn header_problem(name: &str, value: &Secret) -> Option<String> {
        // `token` of RFC 9110, section 5.6.2, and `field-value` of section 5.5.
        let in_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let in_value = |c: char| c == '\t' || !c.is_control();
        if name.is_empty() || !name.chars().all(in_name) {
            Some("is not the name of an HTTP header".to_owned())
        } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            Some("is set by envdeck itself".to_owned())
        } else if !value.expose().chars().all(in_value) {
            Some("must not hold line breaks or other control characters".to_owned())
        } else {
            None
        }
    }

    /// The URL without user, password and the values of its query: many servers take a key there.
    pub fn shown_url(&self) -> String {
        let Ok(mut url) = self.parsed() else {
            return "(not a URL)".to_owned();
        };
        // Neither fails for a URL with a host, which these have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let query = url.query().map(hidden_values).unwrap_or_default();
        url.set_query(None);
        format!("{url}{query}")
    }

    /// Whether its `headers` say who we are, so that nobody has to log in.
    pub fn has_own_authorization(&self) -> bool {
        let mut names = self.headers.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case("authorization"))
    }

    /// `host:port`; empty without a usable URL.
    pub fn place(&self) -> String {
        self.parsed().as_ref().map(place).unwrap_or_default()
    }

    /// Whether it is at an address of the loopback interface.
    pub fn is_on_this_machine(&self) -> bool {
        let Ok(url) = self.parsed() else { return false };
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
        match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }
}

/// `host:port`
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn hidden_values(query: &str) -> String {
    let pairs: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}=•••"),
            None => "•••".to_owned(),
        })
        .collect();
    format!("?{}", pairs.join("&"))
}

impl fmt::Display for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_secrets() {
        for (url, shown) in [
            ("https://mcp.example/mcp", "https://mcp.example/mcp"),
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001/"),
            (
                "https://user:p%2Fw@mcp.example:8443/@a/b/mcp?api_key=abc&x&y=1#frag",
                "https://mcp.example:8443/@a/b/mcp?api_key=•••&•••&y=•••",
            ),
            ("https://user:pa/ss@mcp.example/", "(not a URL)"),
            ("token", "(not a URL)"),
            ("mailto:me@example", "(not a URL)"),
        ] {
            let server = HttpServer::at(url);
            assert_eq!(server.to_string(), shown);
            assert!(!format!("{server:?}").contains("mcp.example"));
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for (host, right) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("mcp.localhost:80", true),
            ("127.1.2.3", true),
            ("2130706433", true),
            ("[::1]:3001", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
            ("[::2]", false),
        ] {
            let server = HttpServer::at(format!("http://{host}/mcp"));
            assert_eq!(server.is_on_this_machine(), right, "{host}");
        }
    }

    #[test]
    fn header_fields_are_checked() {
        let problem = |name, value| HttpServer::header_problem(name, &Secret::new(value));
        assert_eq!(problem("Authorization", "Bearer a\tb"), None);
        assert_eq!(
            problem("X-Ünicode", "a"),
            Some("is not the name of an HTTP header".to_owned())
        );
        assert_eq!(problem("X", "ünicode"), None);
        for (name, value) in [
            ("", "a"),
            ("a b", "a"),
            ("MCP-Session-ID", "a"),
            ("X", "a\r\nY: b"),
        ] {
            assert!(problem(name, value).is_some(), "{name}");
        }
    }
}
