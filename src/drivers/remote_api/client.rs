//! One API: its connections, how a request to it is repeated, and where its endpoints are.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::{Instant, sleep, timeout};

use super::budget::Budget;
use crate::backoff;
use crate::mcp::http::{Ask, Client, refusal, whole};
use crate::model::{Cause, Failure, Reach, RemoteApi, Stage};

/// The field that tells a repeated request from a new one: `draft-ietf-httpapi-idempotency-key-header`.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Before a request is repeated for the first time; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An API that wants us to wait longer than this is reported instead.
const LONGEST_WISH: Duration = Duration::from_secs(30);
/// Longest id of an instance, bytes: it becomes part of a URL.
const LONGEST_ID: usize = 1_024;

/// An API with its connections.
pub(super) struct Api {
    pub config: Arc<RemoteApi>,
    http: Client,
    budget: Budget,
    /// It has answered a repeated request with what it made the first time.
    knows_keys: AtomicBool,
}

/// One request, however often it is sent.
pub(super) struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub body: Bytes,
    /// The same in every repetition.
    pub key: Option<&'a str>,
    /// How often it may be repeated where it may have arrived: doing it twice is doing it once.
    pub repeats: u32,
    /// Of the answer, decompressed, bytes; `None` where only its status counts.
    pub limit: Option<usize>,
    /// From its first byte to the last of its answer.
    pub timeout: Option<Duration>,
    /// No repetition is begun after it.
    pub until: Instant,
    /// How often it may be sent.
    pub attempts: u32,
}

impl Api {
    pub fn new(config: Arc<RemoteApi>) -> Result<Self, Failure> {
        Ok(Self {
            http: Client::new(&config.server())?,
            config,
            budget: Budget::default(),
            knows_keys: AtomicBool::new(false),
        })
    }

    /// Whether it is known to tell a repeated request from a new one.
    pub fn knows_keys(&self) -> bool {
        self.knows_keys.load(Ordering::Relaxed)
    }

    pub fn has_known_a_key(&self) {
        self.knows_keys.store(true, Ordering::Relaxed);
    }

    /// `host:port`
    pub fn place(&self) -> &str {
        &self.http.server
    }

    pub fn base(&self) -> Url {
        self.http.url.clone()
    }

    pub fn is_at_origin_of(&self, url: &Url) -> bool {
        self.http.url.origin() == url.origin()
    }

    /// `text` without our secrets, for a sentence or a fact.
    pub fn scrubbed(&self, text: String) -> String {
        self.http.scrubbed(text)
    }

    /// An endpoint, with the id of an instance in it.
    pub fn endpoint(&self, template: &str, id: Option<&str>) -> Result<Url, Cause> {
        let path = match id {
            Some(id) => template.replace(RemoteApi::ID, &encoded(id)?),
            None => template.to_owned(),
        };
        let base = self.http.url.as_str().trim_end_matches('/');
        let url = format!("{base}/{}", path.trim_start_matches('/'));
        Url::parse(&url)
            .map_err(|error| Cause::Config(format!("the endpoint {template} is no URL: {error}")))
    }

    /// Where an instance is that the API tells of; may be relative to the API.
    pub fn join(&self, url: &str) -> Option<Url> {
        let url = self.http.url.join(url).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// Sends it, again where that is safe; `tell` hears of each repetition.
    pub async fn ask(
        &self,
        request: &Request<'_>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Answer, Unanswered> {
        let (mut attempt, mut lost) = (1, 0);
        loop {
            let cause = match self.once(request).await {
                Ok(body) => {
                    let is_only = lost == 0;
                    return Ok(Answer { body, is_only });
                }
                Err(cause) => cause,
            };
            lost += u32::from(!was_not_taken(&cause));
            let is_certain = lost == 0;
            let wish = wish(&cause, request.repeats > 0 && lost <= request.repeats);
            let Some(wish) = wish.filter(|_| attempt < request.attempts) else {
                return Err(Unanswered { cause, is_certain });
            };
            let own = backoff::pause(attempt, FIRST_PAUSE, LONGEST_PAUSE, &mut rand::rng());
            let pause = own.max(wish);
            let Some(pause) = self.budget.pause(pause, request.until) else {
                return Err(Unanswered { cause, is_certain });
            };
            tell(&format!("again in {:.1} s: {cause}", pause.as_secs_f32()));
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once(&self, request: &Request<'_>) -> Result<Bytes, Cause> {
        let Some(limit) = request.timeout else {
            return self.exchange(request).await;
        };
        let sent = timeout(limit, self.exchange(request)).await;
        sent.unwrap_or_else(|_| {
            Err(Cause::Deadline {
                what: format!(
                    "{} {} of {}",
                    request.method,
                    self.shown(request),
                    self.place()
                )
                .into(),
                after: limit,
            })
        })
    }

    /// The path of a request, which holds no secret.
    fn shown(&self, request: &Request<'_>) -> String {
        self.scrubbed(request.url.path().to_owned())
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Bytes, Cause> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, JSON);
        if !request.body.is_empty() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if let Some(key) = request.key.and_then(|key| HeaderValue::from_str(key).ok()) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let ask = Ask {
            method: request.method.clone(),
            url: &request.url,
            headers,
            body: request.body.clone(),
        };
        let answer = self.http.send(ask).await?;
        if !answer.status().is_success() {
            return Err(refusal(&self.http, answer).await.cause);
        }
        match request.limit {
            Some(limit) => whole(&self.http, answer, limit).await,
            None => Ok(Bytes::new()),
        }
    }
}

/// What came of a request.
pub(super) struct Answer {
    pub body: Bytes,
    /// The API has certainly not taken it before, in an attempt whose answer was lost.
    pub is_only: bool,
}

/// How a request came to nothing, however often it was sent.
pub(super) struct Unanswered {
    /// The last reason.
    pub cause: Cause,
    /// The API has certainly done nothing, in none of the attempts.
    pub is_certain: bool,
}

fn was_not_taken(cause: &Cause) -> bool {
    match cause {
        // Those are said by whoever stands before it, or while it is still at it.
        Cause::Http { status, .. } => !matches!(status, 408 | 409 | 502 | 504),
        Cause::Unreachable { reach, .. } => reach.is_before_sending(),
        Cause::Config(_) => true,
        _ => false,
    }
}

/// How long the API at least wants us to wait before the same request; `None` where it is not to be repeated.
fn wish(cause: &Cause, is_repeatable: bool) -> Option<Duration> {
    let wish = match cause {
        Cause::Http {
            status: 429,
            retry_after,
            ..
        } => retry_after.unwrap_or_default(),
        Cause::Http {
            status: 500 | 502..=504,
            retry_after,
            ..
        } if is_repeatable => retry_after.unwrap_or_default(),
        Cause::Unreachable {
            reach: Reach::Refused | Reach::TimedOut | Reach::Network | Reach::Proxy,
            ..
        } => Duration::ZERO,
        Cause::Http { status: 408, .. }
        | Cause::Unreachable {
            reach: Reach::Lost, ..
        } if is_repeatable => Duration::ZERO,
        _ => return None,
    };
    (wish <= LONGEST_WISH).then_some(wish)
}

/// An id as one segment of a path. Dots alone would climb, encoded or not.
fn encoded(id: &str) -> Result<String, Cause> {
    if id.is_empty() || id == "." || id == ".." || id.len() > LONGEST_ID {
        let text = "the API gave an id that cannot be part of a URL".to_owned();
        return Err(Cause::Protocol(text));
    }
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    Ok(encoded)
}

/// A failure with what can be done about it, where that is known.
pub(super) fn failure(stage: Stage, cause: Cause) -> Failure {
    let hint = match &cause {
        Cause::Unreachable { reach, detail, .. } => {
            crate::mcp::of_reach(*reach, detail).map(Into::into)
        }
        Cause::Http {
            status: 401 | 403, ..
        } => Some("check the credentials in `auth_details`".into()),
        Cause::Http {
            retry_after: Some(wait),
            ..
        } => Some(format!("it asks to wait {wait:?}").into()),
        Cause::Http {
            status: 404 | 405, ..
        }
        | Cause::Protocol(_) => Some("check `base_url` and the endpoints of the API".into()),
        Cause::Deadline { .. } => Some("raise the `timeout` of the API if it needs longer".into()),
        _ => None,
    };
    let failure = Failure::new(stage, cause);
    match hint {
        Some(hint) => Failure {
            hint: Some(hint),
            ..failure
        },
        None => failure,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_a_path() {
        for (id, right) in [
            ("i-1_a.b~", "i-1_a.b~"),
            ("a/b?c#d%", "a%2Fb%3Fc%23d%25"),
            ("ü\n", "%C3%BC%0A"),
            ("...", "..."),
        ] {
            assert_eq!(encoded(id).unwrap(), right);
        }
        for id in ["", ".", "..", &"x".repeat(LONGEST_ID + 1)] {
            assert!(encoded(id).is_err(), "{id}");
        }
    }

    #[test]
    fn only_what_is_safe_is_repeated() {
        let http = |status, seconds: Option<u64>| Cause::Http {
            server: String::new(),
            status,
            said: String::new(),
            retry_after: seconds.map(Duration::from_secs),
        };
        let lost = |reach| Cause::Unreachable {
            server: String::new(),
            reach,
            detail: String::new(),
        };
        let seconds = |count| Some(Duration::from_secs(count));
        for (cause, repeatable, other) in [
            (http(429, Some(3)), seconds(3), seconds(3)),
            (http(429, Some(3_600)), None, None),
            (http(500, None), seconds(0), None),
            (http(503, Some(2)), seconds(2), None),
            (http(501, None), None, None),
            (http(401, None), None, None),
            (http(404, None), None, None),
            (lost(Reach::Refused), seconds(0), seconds(0)),
            (lost(Reach::Lost), seconds(0), None),
            (lost(Reach::Tls), None, None),
            (lost(Reach::Dns), None, None),
        ] {
            assert_eq!(wish(&cause, true), repeatable, "{cause}");
            assert_eq!(wish(&cause, false), other, "{cause}");
        }
    }
}
