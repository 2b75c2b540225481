//! The session of a server that has them: its id, and how it is begun again when the server has forgotten it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::drivers::Contact;
use crate::mcp::link::Link;
use crate::mcp::{ServerNews, handshake};
use crate::model::{Cause, Era};
use crate::stores::logs::Source;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first revision that has the header above; older servers may refuse what they do not know.
const HAS_VERSION_HEADER: &str = "2025-06-18";
/// For beginning a session again.
const RENEWAL: Duration = Duration::from_secs(30);

/// Which session it is: the first, or one that was begun after so many others.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub number: u64,
    pub id: Option<HeaderValue>,
}

/// The session in use.
pub(super) struct Sessions {
    link: Arc<Link>,
    contact: Contact,
    current: watch::Sender<Session>,
    /// Held by the one that begins it again.
    renewal: tokio::sync::Mutex<Option<Failed>>,
}

/// The last attempt to begin a session again, if it came to nothing.
struct Failed {
    stale: u64,
    at: Instant,
    cause: Cause,
}

impl Sessions {
    pub fn new(link: Arc<Link>, contact: Contact) -> Self {
        Self {
            link,
            contact,
            current: watch::Sender::default(),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    pub fn current(&self) -> Session {
        self.current.borrow().clone()
    }

    pub fn changes(&self) -> watch::Receiver<Session> {
        self.current.subscribe()
    }

    /// The server answered `initialize`.
    pub fn begin(&self, answer: &HeaderMap) {
        let id = answer.get(SESSION_ID).cloned().map(|mut id| {
            id.set_sensitive(true);
            id
        });
        self.current.send_modify(|session| {
            session.number += 1;
            session.id = id;
        });
    }

    /// The header fields that say in which session and revision a message is.
    pub fn headers(&self, session: &Session) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let revision = self.link.revision();
        if let Some(revision) = &revision
            && *revision.name >= *HAS_VERSION_HEADER
            && let Ok(name) = HeaderValue::from_str(&revision.name)
        {
            headers.insert(PROTOCOL_VERSION, name);
        }
        let stateless = revision.is_some_and(|revision| revision.era == Era::Stateless);
        if let (Some(id), false) = (&session.id, stateless) {
            headers.insert(SESSION_ID, id.clone());
        }
        headers
    }

    /// Begins a new session instead of `stale`, once for all who ask for it.
    pub async fn renew(&self, stale: &Session) -> Result<(), Cause> {
        let asked = Instant::now();
        let mut last = self.renewal.lock().await;
        if self.current.borrow().number != stale.number {
            return Ok(());
        }
        // Whoever waited for an attempt shares its end.
        if let Some(failed) = &*last
            && failed.stale == stale.number
            && failed.at > asked
        {
            return Err(failed.cause.clone());
        }
        let renewed = timeout(RENEWAL, handshake::renew(&self.link)).await;
        let renewed = renewed.unwrap_or_else(|_| {
            Err(Cause::Deadline {
                what: "initialize".into(),
                after: RENEWAL,
            })
        });
        match &renewed {
            Ok(()) => {
                self.contact.reconnected();
                let text = "the server had forgotten the session: began a new one";
                self.link.log.line(Source::Envdeck, text);
                // Who forgets a session may have been started again, as another version.
                (self.link.news)(ServerNews::ToolsChanged);
            }
            Err(cause) => {
                *last = Some(Failed {
                    stale: stale.number,
                    at: Instant::now(),
                    cause: cause.clone(),
                });
            }
        }
        renewed
    }
}
