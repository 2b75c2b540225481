//! An MCP server that is reached over HTTP: where it is, and what every request to it carries.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
}

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
        }
    }

    /// The URL without user, password and the values of its query: many servers take a key there.
    pub fn shown_url(&self) -> String {
        let (rest, fragment) = match self.url.expose().split_once('#') {
            Some((rest, _)) => (rest, "#•••"),
            None => (self.url.expose(), ""),
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, hidden_values(query)),
            None => (rest, String::new()),
        };
        let (scheme, place) = match place.split_once("://") {
            Some((scheme, place)) => (format!("{scheme}://"), place),
            None => (String::new(), place),
        };
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        format!("{scheme}{host}{path}{query}{fragment}")
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
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001"),
            (
                "https://user:p%2Fw@mcp.example:8443/@a/b/mcp?api_key=abc&x&y=1#frag",
                "https://mcp.example:8443/@a/b/mcp?api_key=•••&•••&y=•••#•••",
            ),
        ] {
            let server = HttpServer::at(url);
            assert_eq!(server.to_string(), shown);
            assert!(!format!("{server:?}").contains("mcp.example"));
        }
    }
}
