//! One server's HTTP client: what each request carries, where it may go, and what is wrong in words.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::login::Login;
use super::{tls, words};
use crate::model::{Cause, Failure, HttpServer, Reach, Stage, place};

/// More is a loop.
const REDIRECTS: usize = 5;
/// A peer that is gone without a word is noticed after three unanswered probes of the kernel.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;
/// What is shorter is hardly a secret, and blotting it out would spoil the sentence.
const SHORTEST_SECRET: usize = 4;

/// Speaks with one origin, and no other.
pub(crate) struct Client {
    http: reqwest::Client,
    pub url: Url,
    headers: HeaderMap,
    /// `host:port`, for our sentences.
    pub server: String,
    connect_timeout: Duration,
    /// The environment names a proxy for it, so that what cannot be reached may be that.
    proxied: bool,
    /// What was handed out at a login, if the server may want one.
    login: Option<Arc<Login>>,
    /// What must not be repeated when the server repeats it.
    secrets: Vec<String>,
}

/// One request.
pub(crate) struct Ask<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The connections to a server, as it is configured but for its headers. Encryption that is not asked for may be left
/// out: what it stands on takes a while to read.
pub(super) fn builder(server: &HttpServer, is_encrypted: bool) -> Result<reqwest::Client, Failure> {
    let tls = if is_encrypted {
        tls::config(server.ca_file.as_deref())?
    } else {
        tls::unused()?
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
    if ignores_proxies(server) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Failure::caused_by(Stage::Connect, "no HTTP client", error.without_url()))
}

fn ignores_proxies(server: &HttpServer) -> bool {
    !server.trust_env || server.is_on_this_machine()
}

impl Client {
    pub fn new(server: &HttpServer) -> Result<Self, Failure> {
        let url = server.parsed().map_err(misconfigured)?;
        let secrets = secrets(server, &url);
        Ok(Self {
            http: builder(server, url.scheme() == "https")?,
            login: None,
            server: place(&url),
            proxied: !ignores_proxies(server) && names_a_proxy(url.scheme()),
            url,
            headers: headers(server)?,
            connect_timeout: server.connect_timeout,
            secrets,
        })
    }

    /// The same, with what was handed out at a login.
    pub fn logged_in(server: &HttpServer, login: Option<Arc<Login>>) -> Result<Self, Failure> {
        let client = Self::new(server)?;
        Ok(Self { login, ..client })
    }

    /// The login that the server may want.
    pub fn login(&self) -> Option<&Arc<Login>> {
        self.login.as_ref()
    }

    /// Sends it and waits for the head of the answer; redirects are followed within the origin, and a key that the
    /// server does not take any more is renewed.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Response, Cause> {
        let Some(login) = &self.login else {
            return self.send_with(&ask, None).await;
        };
        let key = login.key();
        let answer = self.send_with(&ask, key.as_ref()).await?;
        let Some(refused) = key.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(answer);
        };
        match login.renewed(&refused).await {
            Some(key) => self.send_with(&ask, Some(&key)).await,
            None => Ok(answer),
        }
    }

    async fn send_with(&self, ask: &Ask<'_>, key: Option<&HeaderValue>) -> Result<Response, Cause> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let mut headers = self.headers.clone();
            headers.extend(ask.headers.clone());
            headers.extend(key.map(|key| (AUTHORIZATION, key.clone())));
            let request = self.http.request(ask.method.clone(), url.clone());
            let sent = request.headers(headers).body(ask.body.clone()).send().await;
            let answer = sent.map_err(|error| self.unreachable(&error))?;
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
        let token = self.login.as_ref().and_then(|login| login.token());
        let secrets = self.secrets.iter().chain(&token);
        let secrets = secrets.filter(|secret| secret.len() >= SHORTEST_SECRET);
        secrets.fold(detail, |text, secret| known(&text, secret))
    }

    /// An address that the server gave, if it is within the origin.
    pub fn join(&self, address: &str) -> Result<Url, Cause> {
        let url = self.url.join(address).map_err(|error| {
            Cause::Protocol(format!("{} gave an unusable address: {error}", self.server))
        })?;
        if url.origin() != self.url.origin() {
            let other = place(&url);
            let text = format!(
                "{} wants messages sent to another server, {other}",
                self.server
            );
            return Err(Cause::Protocol(text));
        }
        Ok(url)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Cause {
        match words::unreachable(&self.server, error, self.connect_timeout) {
            Cause::Unreachable {
                server,
                reach: reach @ (Reach::Dns | Reach::Refused | Reach::TimedOut | Reach::Network),
                detail,
            } if self.proxied => Cause::Unreachable {
                server,
                reach: Reach::Proxy,
                detail: format!("{reach} {detail}").trim_end().to_owned(),
            },
            other => other,
        }
    }

    fn leads_away(&self, status: StatusCode, next: &Url) -> Cause {
        let place = format!("{}://{}{}", next.scheme(), place(next), next.path());
        let place = self.scrubbed(place);
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

/// As curl reads it; exceptions in `NO_PROXY` make it uncertain.
fn names_a_proxy(scheme: &str) -> bool {
    let is_set = |name: String| {
        let value = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        value(name.to_uppercase()) || value(name)
    };
    !is_set("no_proxy".to_owned())
        && (is_set(format!("{scheme}_proxy")) || is_set("all_proxy".to_owned()))
}

fn headers(server: &HttpServer) -> Result<HeaderMap, Failure> {
    let mut all = HeaderMap::new();
    for (name, value) in &server.headers {
        let refused = |problem: String| misconfigured(format!("the header {name} {problem}"));
        if let Some(problem) = HttpServer::header_problem(name, value) {
            return Err(refused(problem));
        }
        let field = HeaderName::try_from(name.as_str());
        let content = HeaderValue::try_from(value.expose());
        let (Ok(field), Ok(mut content)) = (field, content) else {
            return Err(refused("cannot be sent".to_owned()));
        };
        content.set_sensitive(true);
        all.append(field, content);
    }
    Ok(all)
}

/// The values of the headers, what of them stands behind a word such as `Bearer`, and what is hidden of the URL, as it
/// is written, meant and sent; the longest first.
fn secrets(server: &HttpServer, url: &Url) -> Vec<String> {
    let values = || server.headers.iter().map(|(_, value)| value.expose());
    let parts = values().filter_map(|value| Some(value.split_once(' ')?.1.trim()));
    let mut all: Vec<_> = values().chain(parts).map(str::to_owned).collect();
    if let Some(password) = url.password() {
        let (user, plain) = (decoded(url, url.username()), decoded(url, password));
        all.push(STANDARD.encode(format!("{user}:{plain}")));
        all.extend([password.to_owned(), plain]);
    }
    let written = url.query().unwrap_or_default().split('&');
    let written = written.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    all.extend(written.map(str::to_owned));
    all.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    all
}

/// A part of a URL without its `%xx`, by way of its query, which has an accessor that does it.
fn decoded(url: &Url, part: &str) -> String {
    let mut url = url.clone();
    let part = ["+", "&", "="]
        .iter()
        .zip(["%2B", "%26", "%3D"])
        .fold(part.to_owned(), |part, (plain, coded)| {
            part.replace(plain, coded)
        });
    url.set_query(Some(&part));
    let mut pairs = url.query_pairs();
    pairs.next().unwrap_or_default().0.into_owned()
}

fn misconfigured(problem: String) -> Failure {
    Failure::new(Stage::Connect, Cause::Config(problem))
}
