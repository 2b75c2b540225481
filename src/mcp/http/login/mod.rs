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
use reqwest::header::{AUTHORIZATION, HeaderValue};
use rmcp::transport::AuthorizationManager;
use tokio::sync::RwLock;

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
        let is_own = |(name, _): &(String, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        if server.headers.iter().any(is_own) {
            return None;
        }
        let mut url = server.parsed().ok()?;
        // Who has which key in its query is still logging in at the same server.
        url.set_query(None);
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut known = self.0.known.lock();
        let login = known.entry(url.to_string()).or_insert_with(|| {
            Arc::new(Login {
                keys: Keys::of(&self.0.directory, &url),
                server: server.clone(),
                url,
                browser: self.0.browser.clone(),
                wanted: Mutex::default(),
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
