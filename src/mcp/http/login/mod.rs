//! Logins: where a server asks for one (OAuth 2.1, by the specification's page "Authorization"), the user gives it
//! in a browser, and what the server then hands out is kept and renewed.
//!
//! ```text
//! 401 ── wanted ──▶ flow (what to do where: rmcp) ──▶ browser, and callback on this machine ──▶ keys in a file
//! requests ◀── key ◀── renewed when it is over
//! ```

mod browser;
mod callback;
mod flow;
mod keys;
mod wire;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::header::HeaderValue;
use rmcp::transport::{AuthorizationManager, WWWAuthenticateParams};
use tokio::sync::RwLock;
use tokio::time::Instant;

pub use browser::Browser;

use self::keys::Keys;
use crate::model::{Cause, HttpServer};

/// The logins of this user, one for each server. Cheap to clone.
#[derive(Clone)]
pub struct Logins(Arc<Shared>);

struct Shared {
    directory: PathBuf,
    browser: Browser,
    known: Mutex<HashMap<String, Arc<Login>>>,
}

impl Logins {
    /// What servers hand out is kept in `directory`; `browser` is where users log in.
    pub fn new(directory: &Path, browser: Browser) -> Self {
        Self(Arc::new(Shared {
            directory: directory.to_owned(),
            browser,
            known: Mutex::default(),
        }))
    }

    /// The login at a server, given or not; `None` where the configuration has credentials of its own.
    pub fn at(&self, server: &HttpServer) -> Option<Arc<Login>> {
        if server.has_own_authorization() {
            return None;
        }
        let mut url = server.parsed().ok()?;
        // Who has which key in its query is still logging in at the same server.
        url.set_query(None);
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        // Another client has other keys.
        let client = server.oauth.id.as_deref().unwrap_or_default();
        let name = format!("{url} {client}").trim_end().to_owned();
        let mut known = self.0.known.lock();
        let login = known.entry(name.clone()).or_insert_with(|| {
            Arc::new(Login {
                keys: Keys::of(&self.0.directory, &url, &name),
                server: server.clone(),
                url,
                browser: self.0.browser.clone(),
                wanted: Mutex::default(),
                hopeless: Mutex::default(),
                flow: tokio::sync::Mutex::default(),
                manager: RwLock::default(),
            })
        });
        Some(login.clone())
    }
}

/// The login at one server.
pub struct Login {
    /// Of the resource, without what is secret.
    url: reqwest::Url,
    server: HttpServer,
    keys: Keys,
    browser: Browser,
    /// The server refused us for want of one.
    wanted: Mutex<Option<Wanted>>,
    /// A key that could not be renewed, and when that was tried.
    hopeless: Mutex<Option<(HeaderValue, Instant)>>,
    /// Held by the one who logs in or renews.
    flow: tokio::sync::Mutex<()>,
    /// Knows the authorization server, once it was needed.
    manager: RwLock<Option<AuthorizationManager>>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.url)
    }
}

/// How a server asked for a login.
#[derive(Clone)]
struct Wanted {
    /// `WWW-Authenticate`
    challenge: Option<String>,
    /// The refusal, for when there turns out to be no way to log in.
    cause: Cause,
    /// What we came with.
    refused: Option<String>,
}

/// What a server asks for that knows us, but refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// More than was granted at the last login.
    Missing,
    /// What was granted, so that another login is of no use.
    Granted,
    /// It does not say what.
    Unnamed,
}

impl Login {
    /// What goes into the `Authorization` of a request.
    pub(super) fn key(&self) -> Option<HeaderValue> {
        let token = self.token()?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The same by itself, for whoever has to hide it.
    pub(super) fn token(&self) -> Option<String> {
        self.keys.token()
    }

    /// Whether the server has refused us for want of it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.lock().is_some()
    }

    /// Which rights a refusal asks for, if that is what it does.
    pub(super) fn rights(&self, challenge: &str) -> Option<Rights> {
        let said = WWWAuthenticateParams::parse(challenge, &self.url);
        if !said.is_insufficient_scope() {
            return None;
        }
        let scope = said.scope.unwrap_or_default();
        let mut asked = scope.split_whitespace().peekable();
        if asked.peek().is_none() {
            return Some(Rights::Unnamed);
        }
        let granted = self.keys.scopes();
        let is_granted = |scope: &str| granted.iter().any(|one| one == scope);
        Some(if asked.all(is_granted) {
            Rights::Granted
        } else {
            Rights::Missing
        })
    }

    /// The server refused us; what is to be told instead of `cause`.
    pub(super) fn want(&self, challenge: Option<String>, cause: Cause) -> Cause {
        let Cause::Http { server, .. } = &cause else {
            return cause;
        };
        let server = server.clone();
        *self.wanted.lock() = Some(Wanted {
            challenge,
            cause,
            refused: self.token(),
        });
        Cause::LoginWanted { server }
    }
}
