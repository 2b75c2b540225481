//! One server's HTTP client: what each request carries, where it may go, and what is wrong in words.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::{tls, words};
use crate::model::{Cause, Failure, HttpServer, Stage};

/// More is a loop.
const REDIRECTS: usize = 5;
/// A peer that is gone without a word is noticed after three unanswered probes of the kernel.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// Header fields that are the transport's own.
const RESERVED: [&str; 10] = [
    "accept",
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

/// Speaks with one origin, and no other.
pub(super) struct Client {
    http: reqwest::Client,
    pub url: Url,
    headers: HeaderMap,
    /// `host:port`, for our sentences.
    pub server: String,
    connect_timeout: Duration,
    /// What must not be repeated when the server repeats it.
    secrets: Vec<String>,
}

/// One request.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(server: &HttpServer) -> Result<Self, Failure> {
        let url = parse(server)?;
        let tls = match url.scheme() {
            "https" => tls::config(server.ca_file.as_deref())?,
            _ => tls::unused()?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("envdeck/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(server.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES)
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(KEEPALIVE_INTERVAL)
            .http2_adaptive_window(true);
        if !server.trust_env || is_this_machine(&url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Failure::caused_by(Stage::Connect, "no HTTP client", error.without_url())
        })?;
        Ok(Self {
            http,
            server: authority(&url),
            url,
            headers: headers(server)?,
            connect_timeout: server.connect_timeout,
            secrets: server
                .headers
                .iter()
                .map(|(_, value)| value.expose().to_owned())
                .collect(),
        })
    }

    /// Sends it and waits for the head of the answer; redirects are followed within the origin.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Response, Cause> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let mut headers = self.headers.clone();
            headers.extend(ask.headers.clone());
            let request = self.http.request(ask.method.clone(), url.clone());
            let sent = request.headers(headers).body(ask.body.clone()).send().await;
            let answer = sent.map_err(|error| {
                words::unreachable(&self.server, &error, Some(self.connect_timeout))
            })?;
            match redirected(&answer, &url) {
                None => return Ok(answer),
                Some(next) if next.origin() == self.url.origin() => url = next,
                Some(next) => return Err(self.leads_away(answer.status(), &next)),
            }
        }
        Err(Cause::Protocol(format!(
            "{} redirects in a circle",
            self.server
        )))
    }

    /// `detail` without what only the server and we may know.
    pub fn scrubbed(&self, detail: String) -> String {
        let known = |text: &str, secret: &String| text.replace(secret.as_str(), "•••");
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(detail, |text, secret| known(&text, secret))
    }

    fn leads_away(&self, status: StatusCode, next: &Url) -> Cause {
        let place = format!("{}://{}{}", next.scheme(), authority(next), next.path());
        Cause::Http {
            server: self.server.clone(),
            status: status.as_u16(),
            said: format!("it redirects to {place}, which is another origin"),
            retry_after: None,
        }
    }
}

/// Where an answer points to instead of answering. A redirect that would turn a POST into a GET is none.
fn redirected(answer: &Response, from: &Url) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 307 | 308) {
        return None;
    }
    let place = answer.headers().get(LOCATION)?.to_str().ok()?;
    from.join(place).ok()
}

fn parse(server: &HttpServer) -> Result<Url, Failure> {
    // The text itself may hold a secret.
    let problem = |text: String| Failure::new(Stage::Connect, Cause::Config(text));
    let url = Url::parse(server.url.expose())
        .map_err(|error| problem(format!("the URL is not usable: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        let text = format!(
            "the URL must begin with http:// or https://, not {}:",
            url.scheme()
        );
        return Err(problem(text));
    }
    Ok(url)
}

fn headers(server: &HttpServer) -> Result<HeaderMap, Failure> {
    let mut all = HeaderMap::new();
    for (name, value) in &server.headers {
        let problem = |text: &str| {
            let text = format!("the header {name}: {text}");
            Failure::new(Stage::Connect, Cause::Config(text))
        };
        let field = HeaderName::try_from(name.as_str())
            .map_err(|_| problem("is not the name of an HTTP header"))?;
        if RESERVED.contains(&field.as_str()) {
            return Err(problem("is set by envdeck itself"));
        }
        let mut value = HeaderValue::try_from(value.expose())
            .map_err(|_| problem("its value has a character that no header may have"))?;
        value.set_sensitive(true);
        all.append(field, value);
    }
    Ok(all)
}

/// `host:port`
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether it is an address of the loopback interface.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => ip.to_canonical().is_loopback(),
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
